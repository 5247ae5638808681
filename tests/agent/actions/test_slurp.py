"""A disk becomes a file on a server."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from agent.actions.slurp import ACTION
from tests.agent.actions.badweb import Answer, Web
from tests.agent.actions.devices import MB, Loop, environment, machine, mounted, needs_loop_devices, run

pytestmark = [pytest.mark.shell, needs_loop_devices]

CONTENT = random.Random(4).randbytes(3 * MB + 512)


def slurp(tmp_path: Path, disk: str, url: str, **settings: str) -> int:
    given = {"SOURCE_DISK": disk, "DEST_URL": f"{url}/images/", "IMG_NAME": "node 01.img", **settings}
    return ACTION.run(environment(tmp_path / "run", machine(), **given))


@pytest.mark.parametrize("compressed", ["false", "true"])
def test_a_disk_is_put_on_a_server(tmp_path: Path, loop: Loop, compressed: str) -> None:
    disk = loop(len(CONTENT))
    Path(disk).write_bytes(CONTENT)
    with Web(lambda request, number: Answer(status=201)) as web:
        assert 0 == slurp(tmp_path, disk, web.url, COMPRESSED=compressed)
    (request,) = web.requests
    assert ("PUT", "/images/node%2001.img") == (request.method, request.path)
    assert CONTENT == (gzip.decompress(request.body) if compressed == "true" else request.body)
    assert not (tmp_path / "run" / "written").exists()


def test_a_server_that_refuses_or_is_not_there_is_a_sentence(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = loop(MB)
    with Web(lambda request, number: Answer(status=403)) as web:
        assert 1 == slurp(tmp_path, disk, web.url)
    assert "does not take the image: it answers HTTP 403 Forbidden" in capsys.readouterr().err
    assert 1 == slurp(tmp_path, disk, web.url)
    assert "does not take the image: " in capsys.readouterr().err
    assert 1 == slurp(tmp_path, disk, "ftp://a")
    assert "is not a URL" in capsys.readouterr().err


def test_a_disk_that_would_change_meanwhile_is_refused(tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    disk = loop(16 * MB)
    run("mkfs.ext4", "-q", disk)
    with mounted(disk, tmp_path / "mnt"):
        assert 1 == slurp(tmp_path, disk, "http://127.0.0.1:1")
    assert f"{disk} would change while it is read: {disk} is mounted on" in capsys.readouterr().err
