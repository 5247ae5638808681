"""HTTP's sockets by themselves; what the whole server does with them is in test_server.py."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from netboot.http_server import tcp_socket, unix_socket

pytestmark = pytest.mark.shell


def test_no_answer_waits_for_the_one_before_to_be_acknowledged() -> None:
    """Nagle's algorithm: 40 ms for each request of a connection that is used again."""

    told: list[int] = []

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def visit() -> None:
        with closing(tcp_socket("127.0.0.1", 0)) as sock:
            async with asyncio.timeout(5), await asyncio.start_server(meet, sock=sock):
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                assert b"" == await reader.read()
                writer.close()
                await writer.wait_closed()

    asyncio.run(visit())
    assert [1] == told


def test_a_unix_socket_is_for_owner_and_group_whatever_the_umask_and_however_long_its_folders_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    for umask in (0, 0o77):
        before = os.umask(umask)
        try:
            with closing(unix_socket(folder / "http.sock")):  # the second time in the place of what the first one left
                assert 0o660 == (folder / "http.sock").stat().st_mode & 0o777
        finally:
            os.umask(before)
