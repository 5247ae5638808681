"""Each kind of client at the desk: what it is answered, which boot it opens or joins, which address it may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from netboot.desk import Answer, Counter, answer
from netboot.dhcp import Ignore, Note, Reply, Server, classify, decode
from netboot.dhcp_packet import DECLINE, INFORM, RELEASE, REQUEST, Packet, dotted
from netboot.events import AddressDeclined, BootAdvanced, BootClosed, BootOpened, LeaseBound, LeaseReleased
from netboot.observed import fold
from netboot.plan import Interface, Machine, Mode, Unknown
from tests.effort import examples
from tests.netboot.plan_example import (
    BIOS,
    IPXE,
    MAC,
    OTHER,
    RACK,
    SECOND,
    SITE,
    STRANGER,
    SYSTEM,
    UEFI,
    Room,
    ip,
    machine,
    plan,
    port,
    work,
)

CAPTURES = Path(__file__).parent / "captures"
WORKING = machine(work=(work(),))
FLOATING = machine("floating", port(SECOND, ""))


def reply(answered: Answer) -> Packet:
    assert isinstance(answered.outcome, Reply), answered
    return decode(answered.outcome.data)


def reason(answered: Answer) -> str:
    assert isinstance(answered.outcome, Ignore), answered
    return answered.outcome.reason


def file(answered: Answer) -> str:
    return reply(answered).file.decode()


def happened(room: Room) -> list[str]:
    return [type(event).__name__ for event in room.journal[1:]]


# A machine of git ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [(BIOS, "undionly.kpxe"), (UEFI, "snponly.efi"), (IPXE, "http://10.1.0.1/ipxe/52-54-00-12-34-01/boot.ipxe"), (SYSTEM, "")],
    ids=["bios", "uefi", "ipxe", "system"],
)
def test_every_client_gets_the_reservation_and_what_it_can_boot(said: dict[int, bytes], expected: str) -> None:
    room = Room.of(WORKING)
    for answered in (room.discover(said=said), room.request("10.1.0.11", said=said)):
        assert ("10.1.0.11", expected, "node-01") == (dotted(reply(answered).yiaddr), file(answered), answered.machine)


def test_firmware_is_sent_the_loader_that_git_names_for_its_machine_and_ipxe_its_script() -> None:
    room = Room.of(msgspec.structs.replace(WORKING, loader="shim"))
    assert "shimx64.efi" == file(room.discover(said=UEFI))
    assert file(room.discover(said=IPXE)).endswith("/boot.ipxe")


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURES.glob("*.hex")))
def test_captured_firmware_opens_a_boot_and_a_captured_system_none(name: str) -> None:
    asked = decode(bytes.fromhex((CAPTURES / f"{name}.hex").read_text()))
    room = Room.of(machine("node-01", port(asked.mac, "10.1.0.11"), work=(work(),)))
    at = Counter(Server(ip("10.1.0.1")), "http://10.1.0.1", "", "boot-1")
    answered = answer(asked, classify(asked), room.plans, room.observed, at, 1.0)
    opens = "DISCOVER" in name and "udhcp" not in name
    assert opens == any(isinstance(event, BootOpened) for event in answered.events)


def test_a_boot_is_opened_once_and_goes_on_with_the_same_id() -> None:
    room = Room.of(WORKING)
    answered = [room.discover(said=BIOS), room.request("10.1.0.11", said=BIOS), room.discover(said=IPXE)]
    assert ["boot-1"] * 3 == [each.boot for each in answered]
    assert ["BootOpened", "BootAdvanced"] == happened(room)


def test_a_discover_on_a_link_where_the_machine_has_no_address_is_no_boot() -> None:
    room = Room.of(WORKING)
    assert "10.1.0.11 is of no use on the link of 10.2.0.1" == reason(room.discover(said=BIOS, giaddr="10.2.0.1"))
    assert [] == happened(room)


@pytest.mark.parametrize(
    ("interface", "said", "expected"),
    [
        (port(dhcp=False), BIOS, f"git says that DHCP for {MAC} is not ours to answer"),
        (port(dhcp=False), SYSTEM, f"git says that DHCP for {MAC} is not ours to answer"),
        (port(subnet=""), BIOS, f"git puts {MAC} in no subnet"),
        (port(address="", subnet="rack3"), SYSTEM, f"git puts {MAC} in no subnet"),
    ],
)
def test_what_git_does_not_leave_to_us_is_not_answered(interface: object, said: dict[int, bytes], expected: str) -> None:
    room = Room.of(machine("node-01", interface))  # type: ignore[arg-type] # mypy has no types for parametrized values
    answered = room.discover(said=said)
    assert (expected, "node-01", []) == (reason(answered), answered.machine, happened(room))


def test_an_interface_that_does_not_netboot_gets_an_address_and_no_boot() -> None:
    room = Room.of(machine("node-01", port(netboot=False), work=(work(),)))
    answered = room.discover(said=BIOS)
    assert ("10.1.0.11", "", []) == (dotted(reply(answered).yiaddr), file(answered), happened(room))


def test_a_machine_that_goes_to_its_disk_by_silence_is_told_nothing_to_boot_in_all_of_its_exchange() -> None:
    room = Room.of(machine(handover="no-boot-file"))
    assert "" == file(room.discover(said=BIOS))
    assert "" == file(room.request("10.1.0.11", said=BIOS))
    assert ["BootOpened", "BootAdvanced", "BootClosed"] == happened(room)
    room.publish(plan(machine(handover="no-boot-file", work=(work(),))))
    assert "undionly.kpxe" == file(room.discover(said=BIOS))


def test_where_dhcp_is_left_to_others_nobody_is_answered() -> None:
    room = Room.of(WORKING, site=msgspec.structs.replace(SITE, mode="off"))
    for mac in (MAC, STRANGER):
        assert "the site's DHCP mode is off: other servers answer" == reason(room.discover(mac, BIOS))


def test_inform_release_and_decline_of_a_reservation_are_heard() -> None:
    room = Room.of(WORKING)
    informed = reply(room.dhcp(INFORM, MAC, SYSTEM, ciaddr="10.1.0.11"))
    assert ("0.0.0.0", False) == (dotted(informed.yiaddr), 51 in informed.options)
    released = room.dhcp(RELEASE, MAC, {54: ip("10.1.0.1")}, ciaddr="10.1.0.11")
    declined = room.dhcp(DECLINE, MAC, {54: ip("10.1.0.1"), 50: ip("10.1.0.11")})
    assert isinstance(released.outcome, Note)
    assert (LeaseReleased(at=room.now - 1, mac=MAC, address="10.1.0.11"),) == released.events
    assert (AddressDeclined(at=room.now, mac=MAC, address="10.1.0.11"),) == declined.events


def test_a_request_meant_for_another_server_is_not_ours() -> None:
    assert "it is meant for server 10.9.9.9" == reason(Room.of(WORKING).dhcp(3, MAC, {54: ip("10.9.9.9"), 50: ip("10.1.0.11")}))


def test_two_interfaces_of_one_machine_have_an_address_each_and_one_boot() -> None:
    room = Room.of(machine("node-01", port(), port(SECOND, "10.1.0.12"), work=(work(),)))
    first, second = room.discover(said=BIOS), room.discover(SECOND, said=BIOS)
    assert ("10.1.0.11", "10.1.0.12") == (dotted(reply(first).yiaddr), dotted(reply(second).yiaddr))
    assert ("boot-1", "boot-1") == (first.boot, second.boot)


# Beside another server -----------------------------------------------------------------------------------------------------


def beside(*machines: Machine, mode: Mode = "proxy", unknown: Unknown = "ignore", **more: Any) -> Room:
    return Room.of(*machines, site=msgspec.structs.replace(SITE, mode=mode, unknown=unknown), **more)


@pytest.mark.parametrize("mode", ["proxy", "auto-proxy"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [(BIOS, "undionly.kpxe"), (UEFI, "snponly.efi"), (IPXE, "http://10.1.0.1/ipxe/52-54-00-12-34-01/boot.ipxe")],
    ids=["bios", "uefi", "ipxe"],
)
def test_a_machine_of_git_is_told_what_to_boot_and_never_an_address(mode: Mode, said: dict[int, bytes], expected: str) -> None:
    room = beside(WORKING, mode=mode)
    again = {"ciaddr": "10.1.0.77", "boot_port": True}
    for answered in (room.discover(said=said), room.dhcp(REQUEST, MAC, said, **again), room.dhcp(INFORM, MAC, said, **again)):
        told = reply(answered)
        assert ("0.0.0.0", "10.1.0.1", expected) == (dotted(told.yiaddr), dotted(told.siaddr), file(answered))
        assert set() == told.options.keys() & {1, 3, 6, 51, 58, 59}
        assert ("node-01", "boot-1") == (answered.machine, answered.boot)


def test_an_address_that_moved_in_git_holds_nobody_up_where_it_is_not_ours() -> None:
    room = beside(WORKING)
    room.discover(said=BIOS)
    moved = (machine("node-02", port(SECOND, "10.1.0.11")), machine("node-01", port(MAC, "10.1.0.12")))
    room.publish(plan(*moved, site=room.plans.current.site))
    assert "undionly.kpxe" == file(room.discover(SECOND, said=BIOS))


def test_a_boot_opens_and_is_pinned_beside_another_server_too() -> None:
    room = beside(WORKING)
    room.discover(said=BIOS)
    pinned = room.boot.plan
    room.publish(plan(machine(handover="no-boot-file"), site=room.plans.current.site))
    assert room.plans.current.id != pinned
    again = room.dhcp(REQUEST, MAC, BIOS, ciaddr="10.1.0.77", boot_port=True)
    assert ("undionly.kpxe", "boot-1") == (file(again), again.boot)
    assert ["BootOpened", "BootAdvanced"] == [
        *happened(room),
        *(type(each).__name__ for each in room.discover(said=IPXE).events),
    ]


@pytest.mark.parametrize(
    ("message", "said", "boot_port", "expected"),
    [
        (1, SYSTEM, False, "it does not boot from the network: another server gives it its address"),
        (3, BIOS, False, "the REQUEST is for the server that gives addresses"),
        (8, BIOS, False, "the INFORM is for the server that gives addresses"),
        (1, BIOS, True, "a DISCOVER does not belong on port 4011"),
        (3, SYSTEM, True, "it does not boot from the network: another server gives it its address"),
    ],
)
def test_what_is_the_other_server_s_is_left_to_it(message: int, said: dict[int, bytes], boot_port: bool, expected: str) -> None:
    room = beside(WORKING, unknown="wait")
    answered = room.dhcp(message, MAC, said, boot_port=boot_port)
    assert (expected, "node-01", False) == (reason(answered), answered.machine, answered.stranger)
    assert not room.dhcp(message, STRANGER, said, boot_port=boot_port).stranger


def test_beside_another_server_git_needs_neither_address_nor_subnet() -> None:
    assert "undionly.kpxe" == file(beside(machine("node-01", port(address="", subnet=""))).discover(said=BIOS))


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        (port(dhcp=False), f"git says that DHCP for {MAC} is not ours to answer"),
        (port(netboot=False), "there is nothing for it to boot from the network"),
    ],
)
def test_a_port_that_is_not_to_boot_hears_nothing_and_opens_no_boot(interface: Interface, expected: str) -> None:
    room = beside(machine("node-01", interface, work=(work(),)))
    assert (expected, []) == (reason(room.discover(said=BIOS)), happened(room))


def test_a_proxy_sends_a_machine_to_its_disk_by_silence_and_says_so_in_the_journal() -> None:
    room = beside(machine(handover="no-boot-file"))
    assert "there is nothing for it to boot from the network" == reason(room.discover(said=BIOS))
    assert ["BootOpened", "BootAdvanced", "BootClosed"] == happened(room)
    assert "disk" == room.boot.phase


def test_strangers_are_offered_the_waiting_script_where_git_lets_them_wait() -> None:
    waiting = beside(WORKING, unknown="wait")
    assert "http://10.1.0.1/ipxe/52-54-00-aa-aa-aa/boot.ipxe" == file(waiting.discover(STRANGER, said=IPXE))
    assert "undionly.kpxe" == file(waiting.dhcp(REQUEST, STRANGER, BIOS, ciaddr="10.1.0.77", boot_port=True))
    assert [] == happened(waiting)
    ignoring = beside(WORKING).discover(STRANGER, said=IPXE)
    assert (f"unknown machine {STRANGER}", True) == (reason(ignoring), ignoring.stranger)


# Two plans at once ---------------------------------------------------------------------------------------------------------


def test_an_address_that_moved_to_another_machine_is_given_when_the_boot_that_has_it_is_over() -> None:
    room = Room.of(WORKING)
    room.discover(said=BIOS)
    old = room.plans.current.id[:12]
    room.publish(plan(machine("node-02", port(SECOND, "10.1.0.11")), machine("node-01", port(MAC, "10.1.0.12"))))
    taken = room.discover(SECOND, said=SYSTEM)
    assert f"10.1.0.11 is node-01's until its boot ends, which began with plan {old}" == reason(taken)
    assert "10.1.0.11" == dotted(reply(room.request("10.1.0.11", said=BIOS)).yiaddr)
    room.happen(BootClosed(at=room.tick(), boot=room.boot.id, reason="it is over"))
    assert "10.1.0.11" == dotted(reply(room.discover(SECOND, said=SYSTEM)).yiaddr)
    assert "10.1.0.12" == dotted(reply(room.discover(said=SYSTEM)).yiaddr)


def test_a_stranger_is_never_given_what_an_open_boot_s_plan_reserved() -> None:
    room = Room.of(machine("node-01", port(address="10.1.200.2"), work=(work(),)))
    room.discover(said=BIOS)
    room.publish(plan())
    given = {dotted(reply(room.discover(f"52:54:00:aa:00:{last:02x}")).yiaddr) for last in range(64)}
    assert {"10.1.200.1", "10.1.200.3", "10.1.200.4"} == given


# Strangers -----------------------------------------------------------------------------------------------------------------


def lease(room: Room, mac: str = STRANGER, said: dict[int, bytes] = SYSTEM) -> str:
    """The address a client gets by DISCOVER and REQUEST."""
    offered = dotted(reply(room.discover(mac, said)).yiaddr)
    assert "ACK" == room.request(offered, mac, said).outcome.message  # type: ignore[union-attr] # else the test fails here
    return offered


def test_a_stranger_is_ignored_unless_the_site_lets_it_wait() -> None:
    room = Room.of(WORKING, site=msgspec.structs.replace(SITE, unknown="ignore"))
    assert f"unknown machine {STRANGER}" == reason(room.discover(STRANGER, BIOS))


def test_a_stranger_waits_with_an_address_of_the_range_and_opens_no_boot() -> None:
    room = Room.of(WORKING)
    offered = room.discover(STRANGER, IPXE)
    assert "http://10.1.0.1/ipxe/52-54-00-aa-aa-aa/boot.ipxe" == file(offered)
    assert ([], offered.address) == (happened(room), dotted(reply(offered).yiaddr))
    assert "undionly.kpxe" == file(room.discover(STRANGER, BIOS))
    address = lease(room)
    assert (offered.address, ["LeaseBound"]) == (address, happened(room))


def test_a_stranger_keeps_its_address_over_renewals_and_restarts() -> None:
    room = Room.of(WORKING)
    address = lease(room)
    room.observed = fold(room.journal)
    for later in (10, 2000, 9000):
        room.now += later
        assert address == dotted(reply(room.request(address, STRANGER, ciaddr=address)).yiaddr)
    assert address == lease(room)


def test_a_renewal_is_journalled_once_in_half_a_lease() -> None:
    room = Room.of(WORKING)
    address = lease(room)
    for later in (1000, 700):
        room.now += later
        room.request(address, STRANGER, ciaddr=address)
    assert ["LeaseBound"] == happened(room)
    room.now += 100
    room.request(address, STRANGER, ciaddr=address)
    assert ["LeaseBound", "LeaseBound"] == happened(room)


def test_a_stranger_that_finds_its_address_in_use_gets_another() -> None:
    room = Room.of(WORKING)
    address = lease(room)
    declined = room.dhcp(DECLINE, STRANGER, {54: ip("10.1.0.1"), 50: ip(address)})
    assert isinstance(declined.outcome, Note)
    assert address != lease(room)


def test_a_stranger_that_gives_its_address_back_frees_it() -> None:
    room = Room.of(WORKING)
    address = lease(room)
    room.dhcp(RELEASE, STRANGER, {54: ip("10.1.0.1")}, ciaddr=address)
    assert {} == room.observed.mac_of


def test_a_full_range_is_said() -> None:
    room = Room.of(WORKING)
    for last in range(4):
        lease(room, f"52:54:00:aa:00:{last:02x}")
    assert f"unknown machine {STRANGER}, and the range of subnet rack1 is full" == reason(room.discover(STRANGER))
    room.now += 1.5 * 3600 + 10
    assert lease(room).startswith("10.1.200.")


def test_a_stranger_gets_its_address_from_the_link_it_is_on() -> None:
    room = Room.of(WORKING)
    relayed = room.discover(STRANGER, giaddr="10.2.0.1")
    assert dotted(reply(relayed).yiaddr) in OTHER.range  # type: ignore[operator] # it has one
    nowhere = "no subnet with a range for the link of 10.9.0.1"
    assert f"unknown machine {STRANGER}, and {nowhere}" == reason(room.discover(STRANGER, giaddr="10.9.0.1"))


def test_a_relayed_stranger_renews_past_its_relay() -> None:
    room = Room.of(WORKING)
    address = dotted(reply(room.discover(STRANGER, giaddr="10.2.0.1")).yiaddr)
    room.request(address, STRANGER, giaddr="10.2.0.1")
    assert "ACK" == room.request(address, STRANGER, ciaddr=address).outcome.message  # type: ignore[union-attr] # as in lease


def test_this_server_s_own_address_is_nobody_s() -> None:
    room = Room.of(WORKING)
    room.local = "10.1.200.3"
    given = {dotted(reply(room.discover(f"52:54:00:aa:00:{last:02x}")).yiaddr) for last in range(64)}
    assert {"10.1.200.1", "10.1.200.2", "10.1.200.4"} == given


def test_a_client_is_told_no_when_the_address_that_we_gave_it_is_not_its_any_more() -> None:
    room = Room.of(WORKING)
    address = lease(room)
    room.publish(plan(machine("node-02", port(SECOND, address))))
    refused = room.request(address, STRANGER, ciaddr=address)
    assert "NAK" == refused.outcome.message  # type: ignore[union-attr] # as in lease
    assert address != lease(room)


def test_an_address_from_elsewhere_is_left_to_the_server_that_gave_it() -> None:
    room = Room.of(WORKING)
    assert "another server may have given it" in reason(room.dhcp(3, STRANGER, {50: ip("10.1.200.99")}))


def test_a_stranger_that_git_names_now_gets_its_reservation_and_a_boot() -> None:
    room = Room.of(WORKING)
    lease(room, SECOND)
    room.publish(plan(machine("node-02", port(SECOND, "10.1.0.12"))))
    answered = room.discover(SECOND, BIOS)
    assert ("10.1.0.12", "node-02") == (dotted(reply(answered).yiaddr), answered.machine)


# A machine of git without an address ---------------------------------------------------------------------------------------


def test_a_machine_without_a_reservation_is_given_a_sticky_address_and_a_boot() -> None:
    room = Room.of(FLOATING)
    answered = room.discover(SECOND, BIOS)
    assert answered.address in {f"10.1.200.{last}" for last in range(1, 5)}
    assert ("floating", "boot-1") == (answered.machine, answered.boot)
    bound = room.request(answered.address, SECOND, BIOS)
    assert (LeaseBound(at=room.now, mac=SECOND, address=answered.address),) == bound.events


def test_its_renewals_count_by_its_own_lease_time() -> None:
    """As long as it renews, nobody else gets its address, however full the range is."""
    room = Room.of(FLOATING)
    address = lease(room, SECOND)
    for number in range(40):
        room.now += 1800
        room.request(address, SECOND, ciaddr=address)
        room.discover(f"52:54:00:aa:00:{number:02x}")
        for last in range(4):
            room.request(f"10.1.200.{last + 1}", f"52:54:00:aa:00:{number:02x}")
        assert SECOND == room.observed.mac_of[address]


def test_a_machine_without_a_reservation_is_told_when_the_range_is_full() -> None:
    room = Room.of(FLOATING)
    for last in range(4):
        lease(room, f"52:54:00:aa:00:{last:02x}")
    assert f"git gives {SECOND} no address, and the range of subnet rack1 is full" == reason(room.discover(SECOND, BIOS))
    assert not any(isinstance(event, BootOpened | BootAdvanced) for event in room.journal)


# All together --------------------------------------------------------------------------------------------------------------

PORTS = [f"52:54:00:00:00:{number:02x}" for number in range(6)]
ADDRESSES = ["10.1.0.11", "10.1.0.12", "", "10.1.200.1", "10.1.200.2"]


@st.composite
def inventories(draw: st.DrawFn) -> list[tuple[str, str]]:
    """(MAC, address) of some machines, no address twice; some lie where the range of an earlier commit was."""
    macs = draw(st.lists(st.sampled_from(PORTS), unique=True, max_size=4))
    addresses = draw(st.permutations(ADDRESSES))
    return list(zip(macs, addresses, strict=False))


class Leases(RuleBasedStateMachine):
    """Any client may ask anything in any order while inventories change. `held` is what clients believe to have."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room.of(subnets=(RACK,))
        self.held: dict[str, tuple[str, float]] = {}

    @initialize(pushed=inventories())
    def begin(self, pushed: list[tuple[str, str]]) -> None:
        self.push(pushed)

    @rule(pushed=inventories())
    def push(self, pushed: list[tuple[str, str]]) -> None:
        """Nobody journals who has a reservation: what git takes from one machine it may give to others or to strangers at once.
        Only open boots are safe from that; they have tests of their own.
        """
        before = {mac: port.interface.address for mac, port in self.room.plans.current.by_mac.items()}
        machines = [machine(f"m-{mac[-2:]}", port(mac, address), work=(work(),)) for mac, address in pushed]
        self.room.publish(plan(*machines, subnets=(RACK,)))
        given = {address: mac for mac, address in pushed if address}
        for mac, (held, _) in list(self.held.items()):
            if given.get(held, "" if before.get(mac) == held else mac) != mac:
                del self.held[mac]

    @rule(mac=st.sampled_from(PORTS), said=st.sampled_from([BIOS, IPXE, SYSTEM]))
    def boots(self, mac: str, said: dict[int, bytes]) -> None:
        offer = self.room.discover(mac, said)
        if isinstance(offer.outcome, Reply):
            self.ask(mac, self.room.request(dotted(offer.outcome.address), mac, said))

    @rule(mac=st.sampled_from(PORTS))
    def renews(self, mac: str) -> None:
        if mac in self.held:
            self.ask(mac, self.room.request(self.held[mac][0], mac, ciaddr=self.held[mac][0]))

    @rule(mac=st.sampled_from(PORTS), kind=st.sampled_from([DECLINE, RELEASE]))
    def gives_back(self, mac: str, kind: int) -> None:
        address, _ = self.held.pop(mac, ("", 0.0))
        if address:
            self.room.dhcp(kind, mac, {54: ip("10.1.0.1"), 50: ip(address)}, ciaddr=address if kind == RELEASE else "0.0.0.0")

    @rule(mac=st.sampled_from(PORTS))
    def fetches(self, mac: str) -> None:
        self.room.fetch(mac)

    @rule(seconds=st.sampled_from([600, 1900, 3700, 5500]))
    def sleeps(self, seconds: int) -> None:
        self.room.now += seconds

    @rule()
    def restarts(self) -> None:
        self.room.observed = fold(self.room.journal)

    def ask(self, mac: str, answered: Answer) -> None:
        """What an ACK means: nobody else has the address now."""
        if not isinstance(answered.outcome, Reply) or answered.outcome.message != "ACK":
            if isinstance(answered.outcome, Reply):
                self.held.pop(mac, None)
            return
        address, now = dotted(answered.outcome.address), self.room.now
        others = [other for other, (held, end) in self.held.items() if held == address and other != mac and end > now]
        assert [] == others, f"{address} is {mac}'s and {others}'"
        self.held[mac] = (address, now + 3600)


TestNoTwoMacsAreEverAckedOneAddress = Leases.TestCase
TestNoTwoMacsAreEverAckedOneAddress.settings = settings(max_examples=examples(200), stateful_step_count=30)
