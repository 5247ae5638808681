"""Real sockets: who is spoken to, from which address, and what is reported of it."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from netboot.tftp import Aborted, Completed, Failed, File, Limits, NotFound, Refused, Transfer
from netboot.tftp_packets import Ack, Data, Error, OptionAck, ReadRequest, WriteRequest, encode
from netboot.tftp_server import Address, Exchange, open_file, serve_tftp
from tests.netboot.tftp_link import Client, content
from tests.netboot.tftp_site import DEADLINE, Peer, Site, on_loop, serving

pytestmark = pytest.mark.shell

MakePeer = Callable[..., Peer]


@pytest.fixture
def peer() -> Iterator[MakePeer]:
    """Makes peers, and closes their sockets after the test."""
    with ExitStack() as stack:

        def make(site: Site, address: str = "127.0.0.1", server: str = "127.0.0.1") -> Peer:
            made = Peer(site, address, server)
            stack.callback(made.sock.close)
            return made

        yield make


# -- what firmware does ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_port", [False, True])
@on_loop
async def test_edk2_asks_for_the_size_hangs_up_and_asks_for_the_file(peer: MakePeer, same_port: bool) -> None:
    nbp = content(173_792)
    async with serving({"snponly.efi": nbp}) as site:
        first = peer(site)
        first.ask("snponly.efi", tsize=0, blksize=1468, windowsize=4)
        assert OptionAck({"tsize": "173792", "blksize": "1468", "windowsize": "4"}) == await first.hear()
        first.say(b"\0\5\0\x08User aborted the transfer\0")
        outcome = (await site.exchange()).outcome
        assert isinstance(outcome, Aborted)
        assert 8 == outcome.code
        second = first if same_port else peer(site)
        assert nbp == await second.fetch("snponly.efi", blksize=1468, windowsize=4)
        assert isinstance((await site.exchange()).outcome, Completed)


@on_loop
async def test_ipxe_fetches_what_comes_next(peer: MakePeer) -> None:
    async with serving({"undionly.kpxe": content(70_000)}) as site:
        ipxe = peer(site)
        assert content(70_000) == await ipxe.fetch("/undionly.kpxe", blksize=1432, tsize=0)
        exchange = await site.exchange()
        assert (ipxe.address, "undionly.kpxe") == (exchange.peer, exchange.path)
        ipxe = peer(site)
        ipxe.ask("autoexec.ipxe", blksize=1432, tsize=0)
        assert Error(1, "no autoexec.ipxe for 127.0.0.1") == await ipxe.hear()
        expected = Exchange(ipxe.address, "autoexec.ipxe", Refused(1, "no autoexec.ipxe for 127.0.0.1"))
        assert expected == await site.exchange()


@on_loop
async def test_a_machine_that_is_reset_starts_again_from_the_same_port(peer: MakePeer) -> None:
    async with serving({"nbp": content(9000)}, limits=Limits(timeout=0.01, longest_timeout=0.01, retries=500)) as site:
        machine = peer(site)
        machine.ask("nbp", blksize=1468)
        assert isinstance(await machine.hear(), OptionAck)
        machine.say(Ack(0))
        first, again = await machine.hear(), await machine.hear()
        assert isinstance(first, Data)
        assert first == again, "the server waits for a machine that is gone"
        old = machine.tid
        machine.ask("nbp", blksize=1468)
        while not isinstance(packet := await machine.hear(), OptionAck):
            assert first == packet, "what was under way; above all no ERROR, which the new request would be ended by"
        assert old != machine.tid
        assert Failed("the peer began anew") == (await site.exchange()).outcome


@on_loop
async def test_a_rack_that_gets_power_is_served_at_once(peer: MakePeer) -> None:
    async with serving({"nbp": content(20_000)}) as site:
        rack = [peer(site, f"127.0.1.{number}") for number in range(1, 201)]
        files = await asyncio.gather(*(machine.fetch("nbp", blksize=1468, windowsize=4) for machine in rack))
        assert [content(20_000)] * 200 == files
        assert {machine.address for machine in rack} == {(await site.exchange()).peer for _ in rack}


# -- who is spoken to ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
@on_loop
async def test_the_answer_comes_from_the_address_that_was_asked(peer: MakePeer, address: str) -> None:
    async with serving({"a": content(600)}, host="0.0.0.0") as site:
        client = peer(site, server=address)
        assert content(600) == await client.fetch("a")
        assert address == client.tid[0]
        assert site.server.port != client.tid[1], "RFC 1350 section 4: a TID of the transfer's own"
        client.ask("b")
        assert isinstance(await client.hear(), Error)
        assert address == client.tid[0]


@on_loop
async def test_a_server_may_be_held_to_one_interface(peer: MakePeer) -> None:
    async with serving({"a": content(600)}, host="0.0.0.0", interface="lo") as site:
        assert content(600) == await peer(site).fetch("a")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - told by its number, checked below
        await serve_tftp("127.0.0.1", 0, lambda path, peer: NotFound(path), on_exchange=print, interface="none0")
    assert errno.ENODEV == caught.value.errno


@on_loop
async def test_a_stray_is_told_so_and_the_transfer_goes_on(peer: MakePeer) -> None:
    async with serving({"a": content(1000)}) as site:
        client, stray = peer(site), peer(site)
        client.ask("a")
        assert Data(1, content(512)) == await client.hear()
        stray.say(Error(0, "not answered: two servers would do it for ever"), client.tid)
        stray.say(b"garbage", client.tid)
        stray.say(Ack(1), client.tid)
        assert Error(5, "this transfer is not yours") == await stray.hear()
        client.say(Ack(1))
        assert Data(2, content(1000)[512:]) == await client.hear()
        client.say(Ack(2))
        assert isinstance((await site.exchange()).outcome, Completed)
        assert stray.heard_nothing_more()
        assert [stray.address] * 3 == [site.ignored.get_nowait()[0] for _ in range(3)]


@on_loop
async def test_a_repeated_request_starts_no_second_transfer(peer: MakePeer) -> None:
    async with serving({"a": content(100)}) as site:
        client = peer(site)
        client.ask("a", tsize=0)
        client.ask("a", tsize=0)
        assert OptionAck({"tsize": "100"}) == await client.hear()
        client.say(Ack(0))
        assert Data(1, content(100)) == await client.hear()
        assert (client.address, "the same request again") == site.ignored.get_nowait()
        client.say(Ack(1))
        assert isinstance((await site.exchange()).outcome, Completed)
        assert client.heard_nothing_more()
        assert site.exchanges.empty()


@on_loop
async def test_one_peer_gets_its_share_and_no_more(peer: MakePeer) -> None:
    async with serving({"a": content(100)}, limits=Limits(transfers_per_peer=2)) as site:
        first, second, third, other = peer(site), peer(site), peer(site), peer(site, "127.0.0.9")
        for client in (first, second, third, other):
            client.ask("a")
        assert Error(0, "busy") == await third.hear()
        assert Exchange(third.address, "a", Refused(0, "busy")) == await site.exchange()
        for client in (first, second, other):
            assert Data(1, content(100)) == await client.hear()
        second.say(Ack(1))
        await site.exchange()
        assert content(100) == await third.fetch("a")


@on_loop
async def test_the_server_takes_on_what_it_can_and_no_more(peer: MakePeer) -> None:
    async with serving({"a": content(100)}, limits=Limits(transfers=3)) as site:
        clients = [peer(site, f"127.0.0.{number}") for number in range(1, 5)]
        for client in clients:
            client.ask("a")
        answers = [await client.hear() for client in clients]
        assert [Data(1, content(100))] * 3 + [Error(0, "busy")] == answers


@on_loop
async def test_a_silent_peer_is_given_up_with_a_reason(peer: MakePeer) -> None:
    async with serving({"a": content(100)}, limits=Limits(timeout=0.01, retries=2)) as site:
        client = peer(site)
        client.ask("a")
        assert Exchange(client.address, "a", Failed("no answer to block 1 of 1, sent 3 times")) == await site.exchange()
        assert [Data(1, content(100))] * 3 == [await client.hear() for _ in range(3)]
        assert client.heard_nothing_more()


@on_loop
async def test_an_answer_after_a_long_wait_brings_the_timer_forward(peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    class LongWait(Transfer):
        @property
        def timer(self) -> float | None:
            due = super().timer
            return due + 3600 if due and not self._heard else due

    monkeypatch.setattr("netboot.tftp_server.Transfer", LongWait)
    async with serving({"a": content(600)}, limits=Limits(timeout=0.01)) as site:
        client = peer(site)
        client.ask("a")
        await client.hear()
        client.say(Ack(1))
        assert await client.hear() == await client.hear() == Data(2, content(600)[512:])


# -- what it will not do ---------------------------------------------------------------------------------------------------


@on_loop
async def test_a_flood_of_garbage_does_not_keep_a_good_client_out(peer: MakePeer) -> None:
    noise = random.Random(1)
    async with serving({"a": content(5000)}) as site:
        hostile, good = peer(site), peer(site, "127.0.0.5")
        for _ in range(30):
            opcodes = [0, 3, 4, 5, 6, 7] * 16
            for opcode in opcodes:
                hostile.say(bytes((0, opcode)) + noise.randbytes(noise.randrange(600)), hostile.door)
            hostile.say(b"\0\1" + noise.randbytes(40), hostile.door)
            for _ in range(len(opcodes) + 1):
                await asyncio.wait_for(site.ignored.get(), DEADLINE)
        assert content(5000) == await good.fetch("a", blksize=1468)
        assert good.address == (await site.exchange()).peer
        assert hostile.heard_nothing_more()


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket needs root")
@on_loop
async def test_a_peer_that_cannot_be_answered_costs_one_request(peer: MakePeer) -> None:
    async with serving({"a": content(5000)}) as site:
        for path in ("a", "b"):
            request = encode(ReadRequest(path))
            header = struct.pack("!HHHH", 0, site.server.port, 8 + len(request), 0)  # from port 0, where nobody can listen
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
                raw.sendto(header + request, ("127.0.0.1", 0))
        assert Exchange(("127.0.0.1", 0), "a", Failed("cannot send: Invalid argument")) == await site.exchange()
        assert Refused(1, "no b for 127.0.0.1") == (await site.exchange()).outcome
        assert content(5000) == await peer(site).fetch("a")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (WriteRequest("a"), Error(2, "this server is read only")),
        (ReadRequest("../a"), Error(2, "path '../a' climbs out of the tree")),
        (ReadRequest("a", "mail"), Error(4, "mode 'mail' is neither octet nor netascii")),
        (ReadRequest("b"), Error(1, "no b for 127.0.0.1")),
    ],
)
@on_loop
async def test_what_is_refused_is_refused_with_a_reason_and_reported(
    peer: MakePeer, request_: ReadRequest | WriteRequest, error: Error
) -> None:
    async with serving({"a": content(10)}) as site:
        client = peer(site)
        client.say(request_, client.door)
        assert error == await client.hear()
        assert Exchange(client.address, request_.path, Refused(error.code, error.message)) == await site.exchange()


# -- files on disk ---------------------------------------------------------------------------------------------------------


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@on_loop
async def test_a_file_on_disk_is_served_as_it_was_opened_and_closed_after(peer: MakePeer, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content(100_000))
    async with serving(lambda path, peer: open_file(tmp_path / path)) as site:
        client, other = peer(site), peer(site)
        before = open_descriptors()
        client.ask("kernel", blksize=1468)
        assert isinstance(await client.hear(), OptionAck)
        (tmp_path / "new").write_bytes(b"another kernel")
        (tmp_path / "new").rename(kernel)
        received = Client(blksize=1468)
        client.say(Ack(0))
        while not received.finished:
            if answer := received.receive(encode(await client.hear())):
                client.say(answer)
        assert content(100_000) == received.content
        assert isinstance((await site.exchange()).outcome, Completed)
        assert before == open_descriptors()
        assert b"another kernel" == await other.fetch("kernel")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("absent", "No such file or directory"), ("folder", "not a regular file"), ("pipe", "not a regular file")],
)
@on_loop
async def test_a_file_that_cannot_be_opened_costs_one_request(peer: MakePeer, tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good").write_bytes(b"good")
    async with serving(lambda path, peer: open_file(tmp_path / path)) as site:
        client = peer(site)
        before = open_descriptors()
        client.ask(path)
        assert Error(0, f"the file cannot be opened: {reason}") == await client.hear()
        assert before == open_descriptors()
        assert b"good" == await client.fetch("good")


@on_loop
async def test_out_of_descriptors_a_request_is_refused_and_its_file_closed(peer: MakePeer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    closed: list[str] = []

    def lookup(path: str, peer: Address) -> File:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0 if path == "unlucky" else soft, hard))
        return File(5, lambda offset, length: b"hello", lambda: closed.append(path))

    async with serving(lookup) as site:
        client = peer(site)
        try:
            client.ask("unlucky")
            assert Error(0, "no socket for a transfer: Too many open files") == await client.hear()
            assert ["unlucky"] == closed
            assert b"hello" == await client.fetch("lucky")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_loop
async def test_a_file_that_shrinks_ends_its_transfer_with_a_reason(peer: MakePeer, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content(1000))
    async with serving(lambda path, peer: open_file(kernel)) as site:
        client = peer(site)
        client.ask("kernel")
        assert Data(1, content(512)) == await client.hear()
        os.truncate(kernel, 600)
        client.say(Ack(1))
        reason = "the file cannot be read: 88 of 488 octets at offset 512"
        assert Error(0, reason) == await client.hear()
        assert Failed(reason) == (await site.exchange()).outcome


@on_loop
async def test_closing_tells_the_peers_reports_and_gives_everything_back(peer: MakePeer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content(1000))
    before = open_descriptors()
    async with serving(lambda path, peer: open_file(tmp_path / path)) as site:
        client = peer(site)
        client.ask("a")
        await client.hear()
        await site.server.close()
        assert Error(0, "the server is stopping") == await client.hear()
        assert Exchange(client.address, "a", Failed("the server is stopping")) == await site.exchange()
    client.sock.close()
    assert before == open_descriptors()


# -- a file that is looked up later ----------------------------------------------------------------------------------------


@on_loop
async def test_a_file_that_takes_time_is_sent_once_it_is_there_and_a_repeated_request_is_one(peer: MakePeer) -> None:
    there: asyncio.Future[File | NotFound] = asyncio.get_running_loop().create_future()
    async with serving(lambda path, address: there) as site:
        client = peer(site)
        client.ask("step")
        client.ask("step")
        assert (client.address, "the same request again") == await asyncio.wait_for(site.ignored.get(), DEADLINE)
        there.set_result(File.of(b"at last"))
        assert Data(1, b"at last") == await client.hear()
        client.say(Ack(1))
        assert isinstance((await site.exchange()).outcome, Completed)


@pytest.mark.parametrize(
    ("result", "expected"),
    [(NotFound("not yours"), Error(1, "not yours")), (OSError(5, "sick"), Error(0, "the file cannot be opened: sick"))],
)
@on_loop
async def test_what_is_refused_later_is_refused_all_the_same(
    peer: MakePeer, result: NotFound | OSError, expected: Error
) -> None:
    async def lookup() -> File | NotFound:
        await asyncio.sleep(0)
        if isinstance(result, OSError):
            raise result
        return result

    async with serving(lambda path, address: lookup()) as site:
        client = peer(site)
        client.ask("step")
        assert expected == await client.hear()


@on_loop
async def test_what_is_waited_for_counts_as_a_transfer(peer: MakePeer) -> None:
    there: asyncio.Future[File | NotFound] = asyncio.get_running_loop().create_future()
    async with serving(lambda path, address: there, limits=Limits(transfers_per_peer=1)) as site:
        first, second = peer(site), peer(site)
        first.ask("step")
        second.ask("step")
        assert Error(0, "busy") == await second.hear()
        there.set_result(NotFound("no"))
        assert Error(1, "no") == await first.hear()


@on_loop
async def test_a_server_that_stops_waits_for_no_file(peer: MakePeer) -> None:
    never: asyncio.Future[File | NotFound] = asyncio.get_running_loop().create_future()
    asked = asyncio.Event()

    def lookup(path: str, address: Address) -> asyncio.Future[File | NotFound]:
        asked.set()
        return never

    async with serving(lookup) as site:
        peer(site).ask("step")
        await asyncio.wait_for(asked.wait(), DEADLINE)
    await asyncio.sleep(0)
    assert never.cancelled()
