"""Other people's TFTP clients get every file whole."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from netboot.tftp import Completed
from tests.netboot.tftp_link import content
from tests.netboot.tftp_site import on_loop, serving

pytestmark = pytest.mark.shell

SIZES = [0, 1, 511, 512, 513, 1467, 1468, 1469, 4 * 1468, 3_000_000]


async def command(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert (0, b"") == (process.returncode, said), words


async def tftpy(port: int, remote: str, local: Path, options: Mapping[str, int]) -> None:
    tftpy = pytest.importorskip("tftpy")
    logging.getLogger("tftpy").setLevel(logging.CRITICAL)
    client = tftpy.TftpClient("127.0.0.1", port, options=dict(options))
    await asyncio.to_thread(client.download, remote, str(local))


async def tftp_hpa(port: int, remote: str, local: Path, options: Mapping[str, int]) -> None:
    await command("tftp", "-m", "binary", "127.0.0.1", str(port), "-c", "get", remote, str(local))


async def busybox(port: int, remote: str, local: Path, options: Mapping[str, int]) -> None:
    blksize = ["-b", str(options["blksize"])] if options else []
    await command("busybox", "tftp", "-g", "-r", remote, "-l", str(local), *blksize, "127.0.0.1", str(port))


@pytest.mark.parametrize("single_port", [False, True], ids=["a port each", "single port"])
@pytest.mark.parametrize(
    ("client", "needs", "options"),
    [
        pytest.param(tftpy, None, {}, id="tftpy"),
        pytest.param(tftpy, None, {"blksize": 1468, "tsize": 0}, id="tftpy with options"),
        pytest.param(tftp_hpa, "tftp", {}, id="tftp-hpa"),
        pytest.param(busybox, "busybox", {}, id="busybox"),
        pytest.param(busybox, "busybox", {"blksize": 1468}, id="busybox with blksize 1468"),
    ],
)
@on_loop
async def test_a_client_gets_every_size_whole(
    tmp_path: Path, client: Callable[..., Awaitable[None]], needs: str | None, options: Mapping[str, int], single_port: bool
) -> None:
    if needs and not shutil.which(needs):
        pytest.skip(f"{needs} is not installed")

    async with serving({f"dir/{size}": content(size) for size in SIZES}, single_port=single_port) as site:
        for size in SIZES:
            local = tmp_path / str(size)
            await client(site.server.port, f"dir/{size}", local, options)
            assert content(size) == local.read_bytes()
            exchange = await site.exchange()
            assert f"dir/{size}" == exchange.path
            assert isinstance(exchange.outcome, Completed)
            assert size == exchange.outcome.size
        assert site.exchanges.empty()
