"""A simulated machine's network against our own TFTP server, and against nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from netboot.tftp import File, NotFound
from netboot.tftp_server import serve_tftp
from reconciler.demo import wire
from reconciler.demo.machine import Machine, Place
from reconciler.demo.rows import Note
from reconciler.demo.wire import Network, NoSuchFile, Silence, http_get, lease, tftp_read, tftp_size
from reconciler.firmware import UEFI, Firmware, Lease

pytestmark = pytest.mark.shell

CONTENT = bytes(range(256)) * 64
"""16,384 bytes: 16 blocks of 1024, so the last block is empty."""
MACHINE = Firmware("52:54:00:12:34:01", UEFI, bytes(16))
T = TypeVar("T")


def find(path: str, peer: tuple[str, int]) -> File | NotFound:
    if path != "snponly.efi":
        return NotFound("no such thing")
    return File(size=len(CONTENT), read=lambda offset, length: CONTENT[offset : offset + length])


def with_server(ask: Callable[[Network], Awaitable[T]]) -> T:
    async def run() -> T:
        server = await serve_tftp("127.0.0.1", 0, find, on_exchange=lambda exchange: None)
        try:
            async with asyncio.timeout(10):
                return await ask(Network("127.0.0.1", 9, server.port, 9))
        finally:
            await server.close()

    return asyncio.run(run())


@pytest.mark.parametrize("options", [{}, {"blksize": "1024", "tsize": "0"}, {"blksize": "1000", "windowsize": "4"}])
def test_a_file_comes_whole_and_without_a_pause_however_it_is_asked_for(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PATIENCE", (60.0,))
    assert CONTENT == with_server(lambda network: tftp_read(network, "snponly.efi", options))


def test_the_size_is_told_without_a_transfer() -> None:
    assert len(CONTENT) == with_server(lambda network: tftp_size(network, "snponly.efi"))


def test_a_missing_file_is_told_apart_from_silence() -> None:
    with pytest.raises(NoSuchFile, match="no such thing"):
        with_server(lambda network: tftp_read(network, "other.efi", {}))


def test_a_host_without_ipxe_binaries_is_said_and_gone_past(tmp_path: Path) -> None:
    said: list[Note] = []

    async def load(network: Network) -> None:
        machine = Machine("node-01", MACHINE, Place(network, tmp_path, {}, 0), said.append)
        await machine._load(Lease(b"", b"", b"", "undionly.kpxe", ""))

    with_server(load)
    assert ["the server has no undionly.kpxe (Debian: package ipxe); going on as an iPXE ROM"] == [note.text for note in said]


def test_silence_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", (0.01, 0.01))
    nobody = Network("127.0.0.1", 9, 9, 9)
    for asked, reason in (
        (lease(nobody, MACHINE, "pxe"), "nobody answers its DHCP DISCOVER"),
        (tftp_read(nobody, "snponly.efi", {}), "the TFTP server does not answer"),
        (http_get("http://127.0.0.1:9/auto.ipxe"), "http://127.0.0.1:9/auto.ipxe does not answer"),
    ):
        with pytest.raises(Silence, match=reason):
            asyncio.run(asked)
