"""One port for everything: what a NAT lets through, and that peers are still told apart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from netboot.tftp import Aborted, Completed, Failed, Limits
from netboot.tftp_packets import Ack, Data, Error, OptionAck
from tests.netboot.tftp_link import content
from tests.netboot.tftp_site import Peer, Site, on_loop, serving

pytestmark = pytest.mark.shell


class Behind(Peer):
    """A client behind a NAT: whatever comes from elsewhere than where it has sent to is lost on the way."""

    def __init__(self, site: Site, address: str = "127.0.0.1", server: str = "127.0.0.1") -> None:
        super().__init__(site, address, server)
        self.sock.connect(self.door)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def behind(stack: ExitStack, site: Site, address: str = "127.0.0.1", server: str = "127.0.0.1") -> Behind:
    peer = Behind(site, address, server)
    stack.callback(peer.sock.close)
    return peer


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
@on_loop
async def test_everything_comes_from_the_address_and_port_that_were_asked(stack: ExitStack, address: str) -> None:
    async with serving({"a": content(9000)}, host="0.0.0.0", single_port=True) as site:
        client = behind(stack, site, server=address)
        assert content(9000) == await client.fetch("a", blksize=1468, windowsize=4)
        client.ask("b")
        assert isinstance(await client.hear(), Error)
        assert isinstance((await site.exchange()).outcome, Completed)


@on_loop
async def test_a_rack_behind_one_address_is_told_apart_by_its_ports(stack: ExitStack) -> None:
    files = {f"nbp{number}": content(20_000 + number) for number in range(200)}
    async with serving(files, single_port=True) as site:
        rack = [behind(stack, site) for _ in files]
        told = [machine.fetch(path, blksize=1468, windowsize=4) for machine, path in zip(rack, files, strict=True)]
        assert list(files.values()) == await asyncio.gather(*told)
        assert {machine.address for machine in rack} == {(await site.exchange()).peer for _ in rack}
        assert site.ignored.empty()


@on_loop
async def test_edk2_hangs_up_and_asks_for_the_file_from_the_same_port(stack: ExitStack) -> None:
    async with serving({"nbp": content(9000)}, single_port=True) as site:
        client = behind(stack, site)
        client.ask("nbp", tsize=0)
        assert OptionAck({"tsize": "9000"}) == await client.hear()
        client.say(Error(8, "User aborted the transfer"))
        assert isinstance((await site.exchange()).outcome, Aborted)
        assert content(9000) == await client.fetch("nbp", blksize=1468)


@on_loop
async def test_a_repeated_request_starts_no_second_transfer_and_another_one_a_new(stack: ExitStack) -> None:
    async with serving({"a": content(600), "b": content(100)}, single_port=True) as site:
        client = behind(stack, site)
        client.ask("a")
        client.ask("a")
        assert Data(1, content(512)) == await client.hear()
        client.say(Ack(1))
        client.ask("b")  # in one burst with an answer to what it has given up
        assert Data(1, content(100)) in (await client.hear(), await client.hear())
        assert Failed("the peer began anew") == (await site.exchange()).outcome
        client.say(Ack(1))
        assert isinstance((await site.exchange()).outcome, Completed)
        assert [(client.address, "the same request again")] == [site.ignored.get_nowait()]
        assert client.heard_nothing_more()


@on_loop
async def test_what_belongs_to_no_transfer_is_dropped_and_the_transfers_go_on(stack: ExitStack) -> None:
    async with serving({"a": content(600)}, single_port=True) as site:
        client, stray = behind(stack, site), behind(stack, site)
        client.ask("a")
        assert Data(1, content(512)) == await client.hear()
        for said in (Ack(1), Error(0, "no"), b"garbage"):
            stray.say(said)
        client.say(b"garbage")
        client.say(Ack(1))
        assert Data(2, content(600)[512:]) == await client.hear()
        client.say(Ack(2))
        assert isinstance((await site.exchange()).outcome, Completed)
        assert [stray.address] * 3 + [client.address] == [site.ignored.get_nowait()[0] for _ in range(4)]
        assert stray.heard_nothing_more()


@on_loop
async def test_a_peer_that_falls_silent_is_given_up_and_one_under_way_is_told_when_the_server_stops(stack: ExitStack) -> None:
    async with serving({"a": content(100)}, single_port=True, limits=Limits(timeout=0.01, retries=1)) as site:
        client = behind(stack, site)
        client.ask("a")
        assert Failed("no answer to block 1 of 1, sent 2 times") == (await site.exchange()).outcome
    async with serving({"a": content(100)}, single_port=True) as site:
        client = behind(stack, site)
        client.ask("a")
        assert isinstance(await client.hear(), Data)
        await site.server.close()
        assert Error(0, "the server is stopping") == await client.hear()


@on_loop
async def test_with_a_port_for_each_transfer_a_client_behind_a_nat_hears_nothing(stack: ExitStack) -> None:
    """What the setting is for; and that these clients would notice."""
    async with serving({"a": content(100)}, limits=Limits(timeout=0.01, retries=1)) as site:
        client = behind(stack, site)
        client.ask("a")
        assert Failed("no answer to block 1 of 1, sent 2 times") == (await site.exchange()).outcome
        with pytest.raises(BlockingIOError):
            client.sock.recv(1, socket.MSG_PEEK)
