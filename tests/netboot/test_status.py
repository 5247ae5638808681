"""Status files: whole, soon, and never in the way."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from netboot.status import StatusFiles, StatusWriter
from netboot.store import Unavailable
from tests.netboot.test_journal import until


def test_a_document_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    files = StatusFiles(tmp_path)
    files.put("hardware/node-01.json", b"old, and longer")
    with (tmp_path / "hardware/node-01.json").open("rb") as reader:
        files.put("hardware/node-01.json", b"new")
        assert reader.read() == b"old, and longer"
    assert [("node-01.json", b"new")] == [(file.name, file.read_bytes()) for file in (tmp_path / "hardware").iterdir()]


def test_a_document_is_removed_and_may_be_missing(tmp_path: Path) -> None:
    files = StatusFiles(tmp_path)
    files.put("reconcile.json", b"{}")
    files.remove("reconcile.json")
    files.remove("reconcile.json")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["../x.json", "hardware/../../x.json", "/etc/x.json", "hardware/.."])
def test_a_path_that_leads_out_is_a_defect_of_the_caller(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not below the status directory"):
        StatusFiles(tmp_path / "status").put(path, b"")


def test_a_write_that_fails_is_the_worlds_fault(tmp_path: Path) -> None:
    (tmp_path / "hardware").write_text("in the way")
    with pytest.raises(Unavailable):
        StatusFiles(tmp_path).put("hardware/node-01.json", b"{}")


def test_what_was_marked_often_is_rendered_once(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        rendered: list[str] = []

        def render(path: str) -> bytes:
            rendered.append(path)
            return path.encode()

        writer = StatusWriter(StatusFiles(tmp_path), render, delay=0.0)
        for _ in range(100):
            writer.mark(["a.json", "b.json"])
        running = asyncio.ensure_future(writer.run())
        await until(lambda: (tmp_path / "b.json").exists())
        writer.mark(["c.json"])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return rendered

    assert asyncio.run(scenario()) == ["a.json", "b.json", "c.json"]
    assert (tmp_path / "c.json").read_bytes() == b"c.json"


def test_an_object_that_is_gone_loses_its_file(tmp_path: Path) -> None:
    files = StatusFiles(tmp_path)
    files.put("hardware/gone.json", b"{}")

    async def scenario() -> None:
        writer = StatusWriter(files, lambda path: None)
        writer.mark(["hardware/gone.json"])
        await writer.flush()

    asyncio.run(scenario())
    assert not (tmp_path / "hardware/gone.json").exists()


def test_a_failed_write_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    async def scenario() -> None:
        writer = StatusWriter(StatusFiles(tmp_path), str.encode, delay=0.0, retry=0.0)
        (tmp_path / "hardware").write_text("in the way")
        running = asyncio.ensure_future(writer.run())
        writer.mark(["hardware/node-01.json"])
        await until(lambda: writer.failure is not None)
        os.unlink(tmp_path / "hardware")
        await until(lambda: (tmp_path / "hardware/node-01.json").exists() and writer.failure is None)
        running.cancel()

    asyncio.run(scenario())
