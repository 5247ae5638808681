"""The fold of the journal, and the questions it answers."""

from __future__ import annotations

import pytest

from netboot.events import (
    ActionEnded,
    AddressDeclined,
    BootAdvanced,
    BootClosed,
    JournalOpened,
    LeaseBound,
    LeaseReleased,
    RunEnded,
)
from netboot.observed import Observed, fold
from tests.netboot.story import MAC, SECOND_MAC, Story, begun

# Boots


def test_an_open_boot_is_found_by_each_mac_and_by_name() -> None:
    story = Story()
    boot = story.boot(macs=(MAC, SECOND_MAC), client={"arch": "0"})
    expected = story.observed.boots[boot]
    assert [expected] * 3 == [
        story.observed.open_boot(MAC),
        story.observed.open_boot(SECOND_MAC),
        story.observed.open_boot_of("node-01"),
    ]
    assert ("firmware", {"arch": "0"}, story.now) == (expected.phase, expected.client, expected.opened)


def test_a_boot_that_began_with_a_script_has_that_phase() -> None:
    story = Story()
    assert story.observed.boots[story.boot(via="script")].phase == "script"


def test_a_boot_advances_and_remembers_when_it_first_reached_each_phase() -> None:
    story = Story()
    boot = story.boot()
    story.happen(BootAdvanced(at=1010.0, boot=boot, phase="ipxe", reason="user class iPXE", client={"class": "iPXE"}))
    story.happen(BootAdvanced(at=1020.0, boot=boot, phase="ipxe", reason="asked again"))
    status = story.observed.boots[boot]
    assert ("ipxe", "asked again", {"class": "iPXE"}) == (status.phase, status.reason, status.client)
    assert {"firmware": 1001.0, "ipxe": 1010.0} == status.phases


def test_a_closed_boot_is_no_longer_found_but_remembered_as_the_last() -> None:
    story = Story()
    boot = story.boot()
    story.happen(BootClosed(at=story.tick(), boot=boot, reason="handed over to the disk"))
    assert story.observed.open_boot(MAC) is None
    last = story.observed.last_boot_of("node-01")
    assert last is not None
    assert (boot, "handed over to the disk", story.now) == (last.id, last.reason, last.closed)


def test_a_boot_is_closed_once() -> None:
    story = Story()
    boot = story.boot()
    story.happen(BootClosed(at=1.0, boot=boot, reason="first"), BootClosed(at=2.0, boot=boot, reason="second"))
    assert (1.0, "first") == (story.observed.boots[boot].closed, story.observed.boots[boot].reason)


def test_a_newer_boot_of_the_machine_ends_the_one_before_even_under_another_name() -> None:
    story = Story()
    story.boot("node-01")
    second = story.boot("renamed")
    assert [second] == [boot.id for boot in story.observed.open_boots()]


def test_boots_do_not_pile_up() -> None:
    story = Story()
    for _ in range(50):
        last = story.boot()
    assert [last] == list(story.observed.boots)


def test_a_boot_that_owns_a_run_in_progress_is_kept_when_a_newer_one_begins() -> None:
    story, boot, _ = begun()
    story.boot()
    assert boot in story.observed.boots


def test_events_of_boots_that_are_forgotten_change_nothing() -> None:
    observed = fold([BootAdvanced(at=1.0, boot="x", phase="disk"), BootClosed(at=1.0, boot="x", reason="")])
    assert observed == Observed()


def test_silence_expires_a_boot_and_a_touch_keeps_it() -> None:
    story = Story()
    boot = story.boot()
    assert [] == story.observed.expired(story.now + 60, timeout=60)
    assert [boot] == [status.id for status in story.observed.expired(story.now + 61, timeout=60)]
    story.observed.listening = story.now + 10  # the server was down, and could hear nothing
    assert [] == story.observed.expired(story.now + 70, timeout=60)
    assert [boot] == [status.id for status in story.observed.expired(story.now + 71, timeout=60)]
    story.observed.touch(boot, story.now + 30)
    story.observed.touch(boot, story.now)  # clocks may step back
    story.observed.touch("no-such", story.now)
    assert [] == story.observed.expired(story.now + 61, timeout=60)


def test_plans_of_open_boots_are_pinned() -> None:
    story = Story()
    first = story.boot(plan="plan-1")
    story.boot("node-02", (SECOND_MAC,), plan="plan-2")
    assert story.observed.pinned_plans() == {"plan-1", "plan-2"}
    story.happen(BootClosed(at=story.tick(), boot=first, reason=""))
    assert story.observed.pinned_plans() == {"plan-2"}


# Runs


def test_runs_are_listed_by_machine_by_workflow_and_while_in_progress() -> None:
    story, boot, run = begun()
    status = story.observed.runs[run]
    assert [[status]] * 4 == [
        story.observed.runs_of("node-01"),
        story.observed.runs_of("renamed", (MAC,)),
        story.observed.runs_of_workflow("install"),
        story.observed.active_runs(),
    ]
    story.install(boot, run)
    assert [] == story.observed.active_runs()


def test_a_run_that_ended_is_never_changed_by_the_journal() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.happen(RunEnded(at=story.tick(), run=run, state="FAILED", reason="enough"))
    before = fold(story.journal)
    story.happen(RunEnded(at=story.tick(), run=run, state="SUCCESS", reason="", sequence=2))
    late = ActionEnded(at=story.tick(), run=run, sequence=2, task="disk", action="wipe", attempt=1, state="SUCCESS")
    story.happen(late)
    assert before == story.observed


def test_nothing_stays_in_flight_in_a_run_that_ended() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.finish(boot, run, "TIMEOUT", "the workflow took too long")
    assert [("INTERRUPTED", "the workflow took too long")] == [
        (attempt.state, attempt.reason) for attempt in story.observed.runs[run].attempts
    ]


def test_an_event_of_a_run_that_never_started_is_an_error() -> None:
    with pytest.raises(KeyError):
        Observed().apply(RunEnded(at=1.0, run="no-such", state="FAILED", reason=""))


# Leases


def test_a_lease_is_found_by_mac_and_by_address_until_it_is_released() -> None:
    observed = fold([LeaseBound(at=1.0, mac=MAC, address="10.1.200.1")])
    assert ({MAC: "10.1.200.1"}, {"10.1.200.1": MAC}) == (observed.address_of, observed.mac_of)
    observed.apply(LeaseReleased(at=2.0, mac=SECOND_MAC, address="10.1.200.1"))
    assert {MAC: "10.1.200.1"} == observed.address_of
    observed.apply(LeaseReleased(at=2.0, mac=MAC, address="10.1.200.1"))
    assert ({}, {}, {}) == (observed.address_of, observed.mac_of, observed.bound_at)


def test_one_mac_has_one_address_and_one_address_one_mac() -> None:
    observed = fold(
        [
            LeaseBound(at=1.0, mac=MAC, address="10.1.200.1"),
            LeaseBound(at=2.0, mac=MAC, address="10.1.200.2"),
            LeaseBound(at=3.0, mac=SECOND_MAC, address="10.1.200.2"),
        ]
    )
    assert ({SECOND_MAC: "10.1.200.2"}, {"10.1.200.2": SECOND_MAC}) == (observed.address_of, observed.mac_of)
    assert {SECOND_MAC: 3.0} == observed.bound_at


def test_a_declined_address_is_given_up_and_remembered_until_it_is_bound_again() -> None:
    observed = fold([LeaseBound(at=1.0, mac=MAC, address="10.1.200.1"), AddressDeclined(at=2.0, mac=MAC, address="10.1.200.1")])
    assert ({}, {"10.1.200.1": 2.0}) == (observed.address_of, observed.declined)
    observed.apply(LeaseBound(at=3.0, mac=SECOND_MAC, address="10.1.200.1"))
    assert {} == observed.declined


# The fold


def test_the_first_declaration_of_a_new_site_counts() -> None:
    assert fold([JournalOpened(at=1.0, journal="j1"), JournalOpened(at=2.0, journal="j2")]).journal == "j1"


def test_folding_the_journal_again_gives_an_equal_state() -> None:
    story, boot, run = begun(resets=1)
    story.start(boot, run, "disk", "wipe")
    boot = story.boot()
    story.claimed(boot, "os-2")
    story.install(boot, run)
    story.happen(LeaseBound(at=story.tick(), mac=SECOND_MAC, address="10.1.200.1"))
    story.observed.touch(boot, story.now + 1000)
    assert fold(story.journal) == story.observed
    assert fold(story.journal[:-1]) != story.observed
