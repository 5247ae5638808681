"""The story of a whole boot by each firmware, from its first packet to its disk: no socket, no clock, golden."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from netboot import reports
from netboot.boot import Plans, claimable
from netboot.chronicle import Chronicle
from netboot.endings import boot_ends
from netboot.events import Event, JournalOpened
from netboot.expectations import Expectations
from netboot.heard import Heard
from netboot.observed import fold
from netboot.plan import Binding, Dump
from netboot.recording import Exchange, answer_again
from netboot.runs import Accepted, Claimed, claim, report
from netboot.sessions import Opened, exchange
from netboot.stories import stories_document
from reconciler.firmware import PROFILES
from reconciler.simulation import simulate
from tests.netboot.site import machine, plan
from tests.reconciler.test_simulation import ARTIFACTS, WHERE
from tests.story_goldens import events, held, phases

SYSTEM = "this start of its system"


class Place:
    """A server without sockets, and the machine that boots from it."""

    def __init__(self, served: Dump) -> None:
        self.plans = Plans(served.plan, {})
        self.node = served.plan.machines["node-01"]
        self.observed = fold([JournalOpened(at=0.0, journal="a new site")])
        self.chronicle = Chronicle()
        self.expectations = Expectations()
        self._clock = itertools.count(1)

    def now(self) -> float:
        return float(next(self._clock))

    def happen(self, happened: Iterable[Event]) -> None:
        for event in happened:
            self.observed.apply(event)
            self.expectations.apply(event, self.observed)

    def ask(self, asked: Iterable[Exchange]) -> None:
        """What a simulated machine asked, of a server that has seen it before."""
        for each in asked:
            now = self.now()
            found = msgspec.structs.replace(each, at=now)
            if each.question:
                found, happened = answer_again(each.question, self.plans, self.observed, now)
                self.happen(happened)
            self.chronicle.note(found)

    def work(self) -> None:
        """Its agent comes, does all that there is, and is told to restart."""
        boot = self.observed.open_boot_of("node-01")
        assert boot is not None
        opened = exchange(self.observed, boot, SYSTEM, self.now(), "session-1")
        assert isinstance(opened, Opened)
        self.happen(opened.events)
        due = claimable(self.plans, self.observed, boot, "").work
        claimed = claim(self.observed, boot.id, SYSTEM, self.now(), due, run_id="run-1")
        assert isinstance(claimed, Claimed)
        self.happen(claimed.events)
        steps: list[reports.Report] = []
        for action in ("first", "second"):
            which: dict[str, Any] = {"task": "look", "action": action, "attempt": 1}
            steps += [reports.Started(**which), reports.Ended(**which, state="SUCCESS", exit_code=0)]
        for sequence, said in enumerate([*steps, reports.Finished(state="SUCCESS")], start=1):
            accepted = report(self.observed, boot.id, "run-1", sequence, said, self.now())
            assert isinstance(accepted, Accepted)
            self.happen(accepted.events)
        self.happen(boot_ends(boot, "reboot", "its work is done", self.now()))


@pytest.mark.parametrize("firmware", sorted(PROFILES.keys() - {"rpi"}))
def test_a_machine_does_its_work_and_comes_to_its_disk(firmware: str) -> None:
    served = plan(machine(1, "look"), artifacts=ARTIFACTS)
    here = Place(served)
    simulated = simulate(served.plan, Binding(here.node, here.node.interfaces[0]), PROFILES[firmware], WHERE)
    here.ask(simulated.exchanges)
    here.work()
    here.ask(each for each in simulated.exchanges if each.kind in ("dhcp", "script"))
    heard = Heard(said=here.chronicle.of, expectations=here.expectations)
    (boot,) = stories_document("node-01", here.node.macs, here.observed, heard)["boots"]
    held(f"simulated-{firmware}", *phases(boot), *events(boot))
