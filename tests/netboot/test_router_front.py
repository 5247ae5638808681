"""The ICMPv6 socket's shell: what arrives, and what leaves by the same interface."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from netboot.listening import CannotListen
from netboot.log import Log
from netboot.router_advertisement import ADVERTISEMENT
from netboot.router_front import TOO_MANY, RouterFront, link_local
from netboot.server import Netboot
from netboot.settings import Settings

pytestmark = pytest.mark.shell
SOLICITATION = bytes((133, 0, 0, 0, 0, 0, 0, 0))
ASKER = "fe80::5054:ff:fe77:1"
OURS = socket.inet_pton(socket.AF_INET6, "fe80::1")


class Wire:
    """A socket of which only the waking is real: a raw one takes privileges (`tests/lab/test_networks.py` has those)."""

    def __init__(self, *arriving: tuple[bytes, int, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with theirs:
            theirs.send(b"wake")
        self.arriving = list(arriving)
        self.sent: list[tuple[bytes, Any]] = []
        self.refuses = False

    def fileno(self) -> int:
        return self._ours.fileno()

    def close(self) -> None:
        self._ours.close()

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        if not self.arriving:
            raise BlockingIOError
        message, hops, source = self.arriving.pop(0)
        hop_limit = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("@i", hops))
        return message, [hop_limit], 0, (f"{source}%eth7", 0, 0, 7)

    def sendmsg(self, data: list[bytes], ancillary: list[tuple[int, int, bytes]], flags: int, to: Any) -> None:
        if self.refuses:
            raise OSError(101, "Network is unreachable")
        assert [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, OURS + struct.pack("@I", 7))] == ancillary
        self.sent.append((b"".join(data), to))


def heard(wire: Wire) -> list[tuple[str, str]]:
    async def run() -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        everything = asyncio.Event()
        expected = len(wire.arriving)

        def note(source: str, ignored: str) -> None:
            told.append((source, ignored))
            if len(told) == expected:
                everything.set()

        front = RouterFront(wire, note, lambda index: OURS)  # type: ignore[arg-type] # as much of a socket as is used
        async with asyncio.timeout(10):
            await everything.wait()
        front.close()
        return told

    return asyncio.run(run())


def test_a_solicitation_is_answered_by_the_interface_it_came_by() -> None:
    wire = Wire((SOLICITATION, 255, ASKER), (SOLICITATION, 255, "::"))
    assert ["", ""] == [ignored for _, ignored in heard(wire)]
    assert [(ADVERTISEMENT, (ASKER, 0, 0, 7)), (ADVERTISEMENT, ("ff02::1", 0, 0, 7))] == wire.sent


def test_what_is_not_answered_is_told_with_its_reason_and_the_next_one_is_heard() -> None:
    wire = Wire((b"noise", 255, ASKER), (SOLICITATION, 64, ASKER), (SOLICITATION, 255, ASKER))
    assert ["it is no router solicitation", "its hop limit is 64: it comes from another network, or pretends to", ""] == [
        ignored for _, ignored in heard(wire)
    ]
    assert 1 == len(wire.sent)


def test_solicitations_without_end_are_answered_so_often_and_then_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends them: a source address is the sender's to choose."""
    monkeypatch.setattr("netboot.router_front.AT_ONCE", 5)
    monkeypatch.setattr("netboot.router_front.PER_SECOND", 1e-9)
    wire = Wire(*((SOLICITATION, 255, f"fe80::{n:x}") for n in range(1, 13)))
    assert [""] * 5 + [TOO_MANY] * 7 == [ignored for _, ignored in heard(wire)]
    assert 5 == len(wire.sent)


def test_what_the_network_refuses_to_carry_costs_that_answer_alone() -> None:
    wire = Wire((SOLICITATION, 255, ASKER))
    wire.refuses = True
    ((_, ignored),) = heard(wire)
    assert "unreachable" in ignored


def test_a_server_without_the_privilege_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(interface: str) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("netboot.server.open_router_socket", refused)
    written = io.StringIO()

    async def run() -> None:
        settings = Settings(
            tmp_path, listen="127.0.0.1", dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1, router_advertisement=True
        )
        with pytest.raises(CannotListen, match=r"grant CAP_NET_RAW.*leave --router-advertisement out"):
            async with Netboot(settings, Log(written)).running():
                raise AssertionError("it must not serve")

    asyncio.run(run())
    assert not [line for line in written.getvalue().splitlines() if json.loads(line)["event"] == "listening"]


def test_an_interface_without_an_address_of_its_own_link_sends_nothing() -> None:
    """Hosts take no advertisement from any other address."""
    with pytest.raises(OSError, match="no link-local address yet"):
        link_local(0)
