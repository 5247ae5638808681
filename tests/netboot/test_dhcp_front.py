"""DHCP at the door: what is answered at once, what waits for the disk, and what each packet leaves in log and counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netboot.dhcp import decode
from netboot.dhcp_front import AT_ONCE, STRANGERS_AT_ONCE, DhcpFront
from netboot.dhcp_packet import BOOTREPLY, Packet, encode
from netboot.dhcp_server import Outgoing, Peer
from netboot.events import BootOpened, LeaseBound, SessionOpened
from netboot.plan import Dump
from netboot.rates import Rates
from netboot.script_front import fetch_script
from netboot.scripts import Asked
from netboot.store import Unavailable
from netboot.world import World
from tests.netboot.site import logged, mac, machine, plan, world

PEER = Peer("0.0.0.0", 68, 2, bytes([10, 1, 0, 1]))
PXE = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + bytes(16), 55: b"\x01\x03\x42\x43"}
DISCOVER, REQUEST = 1, 3


class Door:
    def __init__(self, here: World) -> None:
        self.here = here
        self.front = DhcpFront(here)
        self.sent: list[Outgoing] = []
        self.front.send = self.sent.append

    def knock(self, message: int, number: int = 1, **options: Any) -> Packet | None:
        """Its answer, if that leaves at once."""
        chosen = {53: bytes([message])} | {int(key[1:]): value for key, value in options.items()}
        return self.hand_in(asked(number, chosen))

    def firmware(self, message: int, number: int = 1) -> Packet | None:
        return self.hand_in(asked(number, {53: bytes([message])} | PXE))

    def hand_in(self, packet: Packet) -> Packet | None:
        outgoing = self.front.handle(encode(packet), PEER)
        return None if outgoing is None else decode(outgoing.data)

    async def settled(self) -> list[Packet]:
        """What left after the disk."""
        await self.here.ledger.commit()
        await asyncio.sleep(0)
        return [decode(outgoing.data) for outgoing in self.sent]

    @property
    def events(self) -> list[Any]:
        return [event for _, event in self.here.directory.read()]


def asked(number: int, options: dict[int, bytes], op: int = 1) -> Packet:
    chaddr = bytes.fromhex(mac(number).replace(":", "")).ljust(16, b"\0")
    return Packet(
        op, options[53][0], 1, 6, b"\1\2\3\4", 0, 0, bytes(4), bytes(4), bytes(4), bytes(4), chaddr, b"", b"", options
    )


def door(state: Path, story: Callable[[Door], Awaitable[None]], served: Dump | None = None) -> None:
    async def run() -> None:
        async with world(state, served or plan()) as here:
            await story(Door(here))

    asyncio.run(run())


def test_an_operating_system_is_answered_at_once_and_opens_no_boot(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        before = door.events
        answer = door.knock(DISCOVER)
        assert answer is not None
        assert (2, bytes([10, 1, 0, 1])) == (answer.message, answer.yiaddr)
        assert (before, []) == (door.events, await door.settled())
        assert 1 == door.here.counts["dhcp", "offer"]

    door(tmp_path, story)


def test_firmware_is_answered_once_its_boot_is_on_disk(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        assert door.firmware(DISCOVER) is None
        assert [] == door.sent
        (offer,) = await door.settled()
        assert 2 == offer.message
        assert [mac(1)] == [event.mac for event in door.events if isinstance(event, BootOpened)]

    door(tmp_path, story)


def test_a_retry_within_the_boot_is_answered_at_once(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.firmware(DISCOVER)
        await door.settled()
        assert door.firmware(DISCOVER) is not None

    door(tmp_path, story)


@pytest.mark.parametrize("when", ["before", "during"])
def test_what_the_disk_does_not_take_is_not_answered_and_the_client_asks_again(tmp_path: Path, when: str) -> None:
    async def story(door: Door) -> None:
        journal = door.here.directory.journal
        healthy, journal._retry = journal._sync, 0.01

        def full(file: int, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        if when == "before":
            journal.failure = Unavailable("no space")
        else:
            journal._sync = full
        assert door.firmware(DISCOVER) is None
        for _ in range(5):
            await asyncio.sleep(0.005)
        assert [] == door.sent
        assert 1 == door.here.counts["dhcp", "not-journalled"]
        assert door.here.observed.open_boot(mac(1)) is None
        assert door.knock(REQUEST, _50=bytes([10, 1, 0, 1]), _54=bytes([10, 1, 0, 1])) is not None  # needs no disk
        journal._sync = healthy
        async with asyncio.timeout(5):
            while journal.failure and when == "during":
                await asyncio.sleep(0.005)
        journal.failure = None
        door.firmware(DISCOVER)
        assert 1 == len(await door.settled())

    door(tmp_path, story)


def test_bytes_that_are_no_packet_are_counted_and_kept_in_the_log(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        assert door.front.handle(b"\1\2\3" * 400, PEER) is None
        (line,) = logged(door.here.log)
        assert ("malformed", "010203" * 170 + "0102") == (line["outcome"], line["bytes"])

    door(tmp_path, story)


def test_another_servers_answer_is_only_counted(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        assert door.hand_in(asked(1, {53: bytes([2])}, op=BOOTREPLY)) is None
        assert 1 == door.here.counts["dhcp", "server-message"]

    door(tmp_path, story)


def test_another_server_is_named_once_in_the_log_whoever_tells_of_it(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        offer = encode(asked(1, {53: bytes([2]), 54: bytes([10, 1, 0, 66])}, op=BOOTREPLY))
        door.front.overhear(offer, PEER)
        door.knock(REQUEST, 9, _50=bytes([10, 1, 0, 80]), _54=bytes([10, 1, 0, 66]))
        (rival,) = door.here.rivals.list()
        assert ("10.1.0.66", 2, mac(9), "REQUEST") == (rival.address, rival.count, rival.mac, rival.heard)
        assert 2 == door.here.counts["dhcp", "other-server"]
        said = [line for line in logged(door.here.log) if line["event"] == "other-dhcp-server"]
        assert [("warning", "10.1.0.66", mac(1), "OFFER")] == [
            tuple(line[key] for key in ("level", "server", "mac", "heard")) for line in said
        ]

    door(tmp_path, story)


def test_beside_a_server_that_git_knows_of_its_being_there_is_no_warning(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.knock(REQUEST, 9, _54=bytes([10, 1, 0, 66]))
        assert ["info"] == [line["level"] for line in logged(door.here.log) if line["event"] == "other-dhcp-server"]

    door(tmp_path, story, plan(mode="proxy"))


OWN_OFFER = encode(asked(1, {53: b"\2", 54: bytes([10, 1, 0, 1])}, op=BOOTREPLY))


@pytest.mark.parametrize("overheard", [b"", b"\1\2\3" * 100, OWN_OFFER])
def test_what_is_overheard_and_tells_nothing_of_others_leaves_nothing(tmp_path: Path, overheard: bytes) -> None:
    async def story(door: Door) -> None:
        door.front.overhear(overheard, PEER)
        assert ([], []) == (door.here.rivals.list(), logged(door.here.log))

    door(tmp_path, story)


def test_in_a_proxy_mode_a_stranger_s_system_is_no_stranger_and_its_firmware_is(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.knock(DISCOVER, 8)
        door.firmware(DISCOVER, 9)
        assert [mac(9)] == [stranger.mac for stranger in door.here.strangers.list()]

    door(tmp_path, story, plan(mode="proxy"))


def test_the_door_at_port_4011_acknowledges_a_machine_that_has_its_address(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.front = DhcpFront(door.here, boot_port=True)
        answer = door.firmware(REQUEST)
        assert answer is not None
        assert (5, bytes(4), b"undionly.kpxe") == (answer.message, answer.yiaddr, answer.file)

    door(tmp_path, story, plan(mode="proxy"))


def test_without_a_plan_and_where_git_says_off_there_is_silence(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        assert door.knock(DISCOVER) is None
        door.here.plans = None
        assert door.knock(DISCOVER) is None
        assert (1, 1) == (door.here.counts["dhcp", "off"], door.here.counts["dhcp", "no-plan"])

    door(tmp_path, story, plan(mode="off"))


def test_a_stranger_is_noted_and_given_a_sticky_address_once_that_is_on_disk(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        offer = door.knock(DISCOVER, 9)
        assert offer is not None
        assert [(mac(9), "DISCOVER", "10.1.200")] == [
            (stranger.mac, stranger.asked, stranger.address[:8]) for stranger in door.here.strangers.list()
        ]
        assert door.knock(REQUEST, 9, _50=offer.yiaddr, _54=bytes([10, 1, 0, 1])) is None
        (ack,) = await door.settled()
        assert (5, offer.yiaddr) == (ack.message, ack.yiaddr)
        assert 1 == sum(isinstance(event, LeaseBound) for event in door.events)

    door(tmp_path, story, plan(unknown="wait"))


def test_each_exchange_is_a_line_that_says_who_what_and_why(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.firmware(DISCOVER)
        door.knock(DISCOVER, 9)
        known, stranger = logged(door.here.log)
        assert ("offer", "DISCOVER", mac(1), "node-01", "pxe") == tuple(
            known[key] for key in ("outcome", "message", "mac", "machine", "client")
        )
        assert ("ignored", "", mac(9)) == tuple(stranger[key] for key in ("outcome", "machine", "mac"))
        assert stranger["reason"]

    door(tmp_path, story)


def test_the_address_a_packet_came_to_is_the_servers_where_git_names_none(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        answer = door.hand_in(asked(1, {53: bytes([DISCOVER])}))
        assert answer is not None
        assert bytes([10, 1, 0, 1]) == answer.options[54]

    door(tmp_path, story, plan(machine(1), server=""))


def test_a_front_without_a_socket_is_a_defect_that_is_heard_of(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        with pytest.raises(RuntimeError):
            DhcpFront(door.here).send(Outgoing(b"", None, PEER))  # type: ignore[arg-type] # never looked at

    door(tmp_path, story)


def test_a_client_that_runs_wild_is_left_alone_and_nobody_else(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.front._machines = Rates(1e-9, AT_ONCE)  # in whose second nothing happens, however slow this host is
        answers = [door.knock(DISCOVER) for _ in range(AT_ONCE + 100)]
        assert AT_ONCE == sum(answer is not None for answer in answers)
        assert 100 == door.here.counts["dhcp", "too-many"]
        assert door.knock(DISCOVER, 2) is not None

    door(tmp_path, story)


def test_a_rate_is_the_hardware_addresss_whatever_else_the_sender_chooses(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.front._machines = Rates(1e-9, AT_ONCE)
        packet = asked(1, {53: bytes([DISCOVER])})
        for n in range(AT_ONCE + 100):
            padded = packet.chaddr[:6] + n.to_bytes(10, "big")
            relayed = replace(packet, giaddr=bytes([10, 1, 0, 100 + n]), chaddr=padded)
            door.front.handle(encode(relayed), Peer(f"10.1.7.{n}", 68, 2, bytes([10, 1, 0, 1])))
        assert 100 == door.here.counts["dhcp", "too-many"]

    door(tmp_path, story)


def test_strangers_without_end_are_bounded_together_and_machines_are_answered_meanwhile(tmp_path: Path) -> None:
    async def story(door: Door) -> None:
        door.front._strangers = Rates(1e-9, 20)
        for number in range(10, 110):
            door.knock(DISCOVER, number)
        assert (20, 80) == (len(door.here.strangers.list()), door.here.counts["dhcp", "too-many"])
        assert door.knock(DISCOVER, 1) is not None

    door(tmp_path, story)


def test_ten_thousand_machines_that_nobody_knows_yet_may_all_boot_at_once() -> None:
    assert STRANGERS_AT_ONCE >= 10_000 * 10, "ten packets each"


def test_once_a_session_exists_no_forged_packet_is_a_sign_of_life(tmp_path: Path) -> None:
    """Or a dead machine would never be missed."""

    async def story(door: Door) -> None:
        here = door.here
        door.firmware(DISCOVER)
        await door.settled()
        boot = here.observed.open_boot(mac(1))
        assert boot is not None
        boot.last_seen = 0.0
        assert door.knock(DISCOVER) is not None
        assert boot.last_seen > 0, "before it, what is heard counts"
        await here.ledger.commit((SessionOpened(at=here.now(), session="s", boot=boot.id, system="os-1"),))
        boot.last_seen = 0.0
        door.knock(DISCOVER)
        door.firmware(REQUEST)
        door.firmware(DISCOVER)
        here.artifact_fetched("10.1.0.1", "vmlinuz", "GET")
        await fetch_script(here, "ipxe", Asked(mac(1), "10.1.0.1"), "10.1.0.1")
        assert 0.0 == boot.last_seen

    door(tmp_path, story)


def test_a_machine_that_is_switched_on_four_times_in_a_row_is_answered_each_time(tmp_path: Path) -> None:
    """PXE ROM, iPXE and the kernel: two packets each, all sent twice by an anxious firmware."""

    async def story(door: Door) -> None:
        for _ in range(4):
            for _ in range(2):
                for _ in range(3):
                    for _ in range(2):
                        assert door.knock(DISCOVER)

    door(tmp_path, story)
