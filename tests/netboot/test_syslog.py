"""Syslog as it is sent, as it ought to be sent, and as nobody ought to; and whose boot it belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netboot.boot import Plans
from netboot.errors import Malformed
from netboot.events import LeaseBound
from netboot.plan import BootPlan
from netboot.syslog import boot_at, line, parse
from tests.netboot.site import machine, plan
from tests.netboot.story import Story

AT = "2026-01-31T12:00:00.000Z"


def kept(datagram: bytes) -> str:
    """The line, without the time that we put before it."""
    written = line(parse(datagram), AT).decode()
    assert written.startswith(f"{AT} ")
    assert written.endswith("\n")
    return written.removeprefix(f"{AT} ").removesuffix("\n")


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        # The examples of RFC 5424 section 6.5.
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed on /dev/pts/8",
            "auth.crit su ID47: 'su root' failed on /dev/pts/8",
        ),
        (
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            "local4.notice myproc[8710]: %% It's time to make the do-nuts.",
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut="3" src="App \\"]"] An event',
            'local4.notice evntslog ID47 [exampleSDID@32473 iut="3" src="App \\"]"]: An event',
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [a@32473 iut="3"][b@32473 class="high"]',
            'local4.notice evntslog ID47 [a@32473 iut="3"][b@32473 class="high"]',
        ),
        (b"<13>1 - - - - - -", "user.notice -"),
        # Those of RFC 3164 section 5.4, and what glibc's and busybox's syslog send: no host.
        (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "auth.crit su: 'su root' failed"),
        (b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", "user.notice 10.0.0.99 Use the BFG!"),
        (b"<30>Oct  1 22:14:15 dhclient[123]: bound to: 10.1.0.5", "daemon.info dhclient[123]: bound to: 10.1.0.5"),
        (b"<6>[    0.000000] Linux version 6.1", "kern.info [    0.000000] Linux version 6.1"),
        # What is neither: all of it is the message.
        (b"Use the BFG!", "user.notice Use the BFG!"),
        (b"<192>too high a priority", "user.notice <192>too high a priority"),
        (b"<013>no priority", "user.notice <013>no priority"),
        (b"<34>1 broken", "auth.crit 1 broken"),
        (b"<34>1 - h p - - [open data", "auth.crit 1 - h p - - [open data"),
        (b"<13>", "user.notice -"),
    ],
)
def test_a_message_is_a_line_of_its_priority_program_and_text(datagram: bytes, expected: str) -> None:
    assert expected == kept(datagram)


@pytest.mark.parametrize("datagram", [b"", b"\n", b"\0\r\n"])
def test_nothing_is_no_message(datagram: bytes) -> None:
    with pytest.raises(Malformed, match="empty"):
        parse(datagram)


def test_what_would_move_a_cursor_or_begin_a_line_is_spelt_out() -> None:
    assert r"user.notice a\x1b[2Jb\nc\x9b\u202e\xff" + "\t." == kept(b"a\x1b[2Jb\nc\xc2\x9b\xe2\x80\xae\xff\t.\n")


def test_a_token_on_the_kernel_s_command_line_is_not_kept_not_even_half_of_one() -> None:
    for length in (64, 60):
        said = kept(b"<5>Command line: gitboot.boot=b1 gitboot.token=" + b"a1" * (length // 2) + b" quiet")
        assert f"kern.notice Command line: gitboot.boot=b1 gitboot.token={'*' * 64} quiet" == said


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: f"<34>1 - h p - - {text}".encode()))
def test_any_datagram_is_one_printable_line(datagram: bytes) -> None:
    try:
        written = line(parse(datagram), AT)
    except Malformed:
        assert not datagram.strip(b"\0\r\n ")
        return
    assert 1 == written.count(b"\n")
    assert written[:-1].decode().replace("\t", "").isprintable()


def booted(story: Story, served: BootPlan, name: str, **more: str) -> str:
    return story.boot(name, served.machines[name].macs, plan=served.id, **more)


def whose(plans: Plans, story: Story, peer: str, seen: str = "") -> str:
    boot = boot_at(plans, story.observed, seen, peer)
    return boot.machine if boot else ""


def test_an_address_is_the_machine_s_that_git_gives_it_to_or_that_has_it_for_a_lease() -> None:
    story, served = Story().new_site(), plan(machine(1), machine(2)).plan
    for name in ("node-01", "node-02"):
        booted(story, served, name)
    story.happen(LeaseBound(at=story.tick(), mac=served.machines["node-02"].macs[0], address="10.1.200.3"))
    found = [whose(Plans(served, {}), story, peer) for peer in ("10.1.0.1", "10.1.200.3", "10.1.0.9")]
    assert ["node-01", "node-02", ""] == found


def test_a_closed_boot_goes_on_to_be_told_of_and_a_machine_that_never_booted_has_none() -> None:
    story, served = Story().new_site(), plan(machine(1), machine(2)).plan
    first, last = booted(story, served, "node-01"), booted(story, served, "node-01")
    boot = boot_at(Plans(served, {}), story.observed, "", "10.1.0.1")
    assert boot is not None
    assert (last, True) == (boot.id, first != last)
    assert "" == whose(Plans(served, {}), story, "10.1.0.2")


def test_where_somebody_was_seen_counts_only_where_others_give_the_addresses() -> None:
    """Anybody can fetch a script in the name of another."""
    story, served = Story().new_site(), plan(machine(1), machine(2))
    mac = served.plan.machines["node-02"].macs[0]
    booted(story, served.plan, "node-02")
    assert "" == whose(Plans(served.plan, {}), story, "10.9.9.9", seen=mac)
    two = machine(2)
    two = replace(two, interfaces=(replace(two.interfaces[0], address=""),))
    proxied = plan(machine(1), two, mode="proxy").plan
    assert "node-02" == whose(Plans(proxied, {}), story, "10.9.9.9", seen=mac)
    assert "" == whose(Plans(proxied, {}), story, "10.1.0.2")


def test_where_git_gives_the_address_nobody_is_it_by_being_seen() -> None:
    """Beside another DHCP server too, which is to give the same."""
    story, proxied = Story().new_site(), plan(machine(1), machine(2), mode="proxy").plan
    mac = proxied.machines["node-02"].macs[0]
    booted(story, proxied, "node-02")
    found = [whose(Plans(proxied, {}), story, peer, seen=mac) for peer in ("10.9.9.9", "10.1.0.1", "10.1.0.2")]
    assert ["", "", "node-02"] == found


def test_a_boot_keeps_the_address_of_the_plan_it_is_pinned_to() -> None:
    """A push has exchanged two addresses, and the machines have not restarted since."""
    story, one, two = Story().new_site(), machine(1), machine(2)
    old = plan(one, two).plan
    booted(story, old, "node-01")
    one = replace(one, interfaces=(replace(one.interfaces[0], address="10.1.0.2"),))
    two = replace(two, interfaces=(replace(two.interfaces[0], address="10.1.0.1"),))
    new = plan(one, two).plan
    assert "" == whose(Plans(new, {old.id: old}), story, "10.1.0.2")
    booted(story, new, "node-01")
    assert "node-01" == whose(Plans(new, {old.id: old}), story, "10.1.0.2")
