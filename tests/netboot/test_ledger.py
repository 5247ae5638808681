"""Observed state and journal together: applied at submission, answered at commit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from netboot import runs
from netboot.events import BootOpened, Event, JournalOpened, RunEnded
from netboot.journal import Journal
from netboot.ledger import Ledger
from netboot.observed import Observed
from netboot.reports import Started
from netboot.runs import Claimed, Duplicate
from netboot.store import Conflict, Unavailable
from tests.netboot.story import MAC, work
from tests.netboot.test_journal import FaultyDisk, until

BOOT = BootOpened(at=1.0, boot="boot-1", machine="node-01", macs=(MAC,), mac=MAC, plan="plan-1", via="dhcp")
SITE: list[Event] = [JournalOpened(at=0.0, journal="j1"), BOOT]


def ledger_in(directory: Path, disk: FaultyDisk | None = None) -> Ledger:
    return Ledger(Journal(directory, sync=disk or FaultyDisk(), retry=0.001))


def claim(ledger: Ledger, run_id: str) -> Claimed:
    decision = runs.claim(ledger.observed, "boot-1", "os-1", 2.0, work(), run_id=run_id)
    assert isinstance(decision, Claimed)
    return decision


def test_observed_state_outlives_the_process(tmp_path: Path) -> None:
    async def scenario() -> Observed:
        ledger = ledger_in(tmp_path)
        await ledger.commit(SITE)
        await ledger.commit(claim(ledger, "run-1").events)
        await ledger.close()
        return ledger.observed

    assert asyncio.run(scenario()) == ledger_in(tmp_path).observed


def test_two_claims_in_flight_at_once_get_one_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        ledger = ledger_in(tmp_path)
        await ledger.commit(SITE)
        first, second = claim(ledger, "run-1"), None
        committing = asyncio.ensure_future(ledger.commit(first.events))
        await asyncio.sleep(0)  # submitted, not yet durable
        second = claim(ledger, "run-2")
        assert ("run-1", ()) == (second.run, second.events)
        await ledger.commit(second.events)
        assert committing.done()  # the second answer waited for the first one's events
        await ledger.close()

    asyncio.run(scenario())


def test_an_answer_that_rests_on_a_write_that_fails_is_not_given(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = FaultyDisk()
        ledger = ledger_in(tmp_path, disk)
        await ledger.commit(SITE)
        await ledger.commit(claim(ledger, "run-1").events)
        disk.broken = True
        start = Started(task="disk", action="wipe", attempt=1)
        accepted = runs.report(ledger.observed, "boot-1", "run-1", 1, start, 3.0)
        assert isinstance(accepted, runs.Accepted)
        first = asyncio.ensure_future(ledger.commit(accepted.events))
        await asyncio.sleep(0)
        assert Duplicate(1) == runs.report(ledger.observed, "boot-1", "run-1", 1, start, 3.0)
        with pytest.raises(Unavailable):
            await ledger.commit(())
        with pytest.raises(Unavailable):
            await first
        await ledger.close()

    asyncio.run(scenario())


def test_after_a_failed_write_observed_state_is_what_is_durable_and_telemetry_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = FaultyDisk()
        ledger = ledger_in(tmp_path, disk)
        await ledger.commit(SITE)
        ledger.observed.touch("boot-1", 77.0)
        disk.broken = True
        committed: list[Event] = []
        ledger.on_commit = committed.extend
        with pytest.raises(Unavailable):
            await ledger.commit(claim(ledger, "run-1").events)
        assert ({}, [], 77.0) == (ledger.observed.runs, committed, ledger.observed.boots["boot-1"].last_seen)
        with pytest.raises(Unavailable):
            await ledger.commit(claim(ledger, "run-2").events)
        assert {} == ledger.observed.runs
        disk.broken = False
        await until(lambda: ledger.failure is None)
        await ledger.commit(claim(ledger, "run-3").events)
        assert ["run-3"] == list(ledger.observed.runs)
        await ledger.close()

    asyncio.run(scenario())
    assert ["run-3"] == list(ledger_in(tmp_path).observed.runs)


def test_an_event_that_cannot_be_applied_reaches_neither_state_nor_journal(tmp_path: Path) -> None:
    async def scenario() -> None:
        ledger = ledger_in(tmp_path)
        with pytest.raises(KeyError):
            await ledger.commit([*SITE, RunEnded(at=1.0, run="no-such", state="FAILED", reason="")])
        assert Observed() == ledger.observed
        await ledger.commit(SITE)
        await ledger.close()

    asyncio.run(scenario())
    assert ["boot-1"] == list(ledger_in(tmp_path).observed.boots)


def test_listeners_hear_of_events_once_they_are_durable(tmp_path: Path) -> None:
    async def scenario() -> list[Event]:
        ledger = ledger_in(tmp_path)
        heard: list[Event] = []
        ledger.on_commit = heard.extend
        ledger.submit(SITE, lambda error: None)
        assert heard == []
        await ledger.commit(())
        await ledger.close()
        return heard

    assert asyncio.run(scenario()) == SITE


def test_a_writer_elsewhere_names_the_event_it_follows(tmp_path: Path) -> None:
    async def scenario() -> None:
        ledger = ledger_in(tmp_path)
        assert await ledger.append(0, SITE) == 2
        with pytest.raises(Conflict):
            await ledger.append(0, SITE)
        await ledger.close()

    asyncio.run(scenario())
