"""The DHCP sockets: which are open in which mode, and that an answer leaves by the one its question came to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from netboot.boot import Plans
from netboot.dhcp import decode
from netboot.dhcp_packet import encode
from netboot.dhcp_ports import DhcpPorts
from netboot.world import World
from tests.netboot.site import plan, world
from tests.netboot.test_dhcp_front import PXE, asked

pytestmark = pytest.mark.shell
DISCOVER, REQUEST = 1, 3


def ports(state: Path, story: Callable[[World, DhcpPorts], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        chosen: dict[str, Any] = {"listen": "127.0.0.1", "dhcp_port": 0, "proxy_port": 0, "reply_to_source": True, **settings}
        async with asyncio.timeout(10), world(state, plan(mode="proxy"), **chosen) as here:
            opened = DhcpPorts(here, lambda datagram, peer, error: pytest.fail(repr(error)))
            opened.open()
            try:
                await story(here, opened)
            finally:
                opened.close()

    asyncio.run(run())


async def ask(port: int, message: int) -> tuple[int, int]:
    """The port that answered, and the type of its message."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        await loop.sock_sendto(client, encode(asked(1, {53: bytes([message])} | PXE)), ("127.0.0.1", port))
        answer, sender = await loop.sock_recvfrom(client, 4096)
        return sender[1], decode(answer).message


def test_a_proxy_answers_on_both_of_its_ports(tmp_path: Path) -> None:
    async def story(here: World, opened: DhcpPorts) -> None:
        opened.follow()
        assert (opened.port, 2) == await ask(opened.port, DISCOVER)
        assert (opened.proxy_port, 5) == await ask(opened.proxy_port, REQUEST)

    ports(tmp_path, story)


def test_the_second_port_is_open_only_while_a_push_makes_the_site_a_proxy(tmp_path: Path) -> None:
    async def story(here: World, opened: DhcpPorts) -> None:
        seen = []
        for mode in ("reservation", "proxy", "auto-proxy", "off"):
            here.plans = Plans(plan(mode=mode).plan, {})
            opened.follow()
            seen.append(opened.proxy_port)
        assert 0 == seen[0] == seen[3]
        assert seen[1] == seen[2] != 0
        here.plans = None
        opened.follow()
        assert 0 == opened.proxy_port

    ports(tmp_path, story)


def test_minus_one_leaves_the_second_port_out(tmp_path: Path) -> None:
    async def story(here: World, opened: DhcpPorts) -> None:
        opened.follow()
        assert 0 == opened.proxy_port

    ports(tmp_path, story, proxy_port=-1)


def test_a_second_port_that_another_program_holds_is_an_error_that_the_first_survives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        async def story(here: World, opened: DhcpPorts) -> None:
            with pytest.raises(OSError, match="in use"):
                opened.follow()
            assert (opened.port, 2) == await ask(opened.port, DISCOVER)

        ports(tmp_path, story, proxy_port=other.getsockname()[1])
