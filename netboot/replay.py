"""Replay: a recorded exchange answered again, by the plan it had or by another commit's in its place.

Core. Law: nothing is answered here; `recording.answer_again` is asked with what was known then, folded from the journal up to
the exchange's position. A plan that stands in for a recorded one takes over its id, by which open boots are pinned to it and
scripts name it: so only what a machine does with an answer makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from netboot.boot import Plans, Tried
from netboot.errors import Malformed
from netboot.events import Event
from netboot.holds import Gate
from netboot.observed import Observed
from netboot.plan import Artifact, BootPlan
from netboot.recording import Exchange, Seen, answer_again, title_of
from netboot.work import Work


@dataclass(frozen=True, slots=True)
class _Recalled(Gate):
    """What held a plan's runs back on the machine that asked."""

    held: Mapping[str, str] = field(default_factory=dict)

    def holds(self, machine: str, work: Work, observed: Observed) -> str:
        return self.held.get(title_of(work), "")


@dataclass(frozen=True, slots=True)
class Replayed:
    """`again` is None where nothing can be answered again, and `why` says why not; "" for what is only told of."""

    recorded: Exchange
    again: Exchange | None = None
    why: str = ""

    @property
    def same(self) -> bool:
        """Byte for byte, to the same place, for the same reason. What is only told of is never another."""
        return not self.why and (self.again is None or told(self.again) == told(self.recorded))


def told(exchange: Exchange) -> tuple[object, ...]:
    """What a machine is told, and why."""
    return exchange.outcome, exchange.answer, exchange.to, exchange.machine, exchange.reason


def replay(exchanges: Sequence[Exchange], journal: Iterable[Event], plans: Mapping[str, BootPlan]) -> Iterator[Replayed]:
    """`exchanges` as recorded, in order; `journal` from its first event; `plans` by the ids that the exchanges name."""
    observed, events, position = Observed(), iter(journal), 0
    for exchange in exchanges:
        seen = exchange.seen
        if exchange.question is None or seen is None:
            yield Replayed(exchange)
            continue
        while position < seen.position and (event := next(events, None)) is not None:
            observed.apply(event)
            position += 1
        if position != seen.position:
            yield Replayed(exchange, why=f"the journal has {position} events, and this was after event {seen.position}")
        elif (known := _plans(exchange, seen, plans)) is None:
            yield Replayed(exchange, why=f"the plan {seen.current[:12]} is not kept any more; name a commit with --at")
        else:
            _remember(observed, seen, exchange.mac)
            try:
                yield Replayed(exchange, answer_again(exchange.question, known, observed, exchange.at)[0])
            except Malformed as error:
                yield Replayed(exchange, why=f"the recording is damaged: {error}")


def _plans(exchange: Exchange, seen: Seen, plans: Mapping[str, BootPlan]) -> Plans | None:
    """None when one that matters is not there: the served one, or the one that answered."""
    needed = {seen.current, exchange.plan} if exchange.plan in seen.pinned else {seen.current}
    if not plans.keys() >= needed:
        return None
    named = [plan for plan in (seen.current, *seen.pinned) if plan in plans]
    there = {plan: replace(plans[plan], locked={}, gate=_Recalled(held=seen.held.get(plan, {}))) for plan in named}
    tried = {}
    if (to_try := seen.tried) and (plan := there.get(to_try.plan)) and to_try.machine in plan.machines:
        tried[exchange.mac] = Tried(to_try.machine, to_try.trying, plan)
    return Plans(there[seen.current], {plan: there[plan] for plan in seen.pinned if plan in there}, tried)


def _remember(observed: Observed, seen: Seen, mac: str) -> None:
    """What is not journalled."""
    observed.listening = seen.listening
    boot = observed.open_boot(mac)
    if boot is None:
        return
    boot.last_seen = seen.boot_heard
    session = observed.session_of(boot.machine, boot.macs)
    if session is not None:
        session.last_seen = seen.session_heard


def in_place_of(names: Iterable[str], plan: BootPlan, known: Mapping[str, Artifact]) -> dict[str, BootPlan]:
    """One plan under each of these ids. `known`: files whose digests the plan, compiled without them, may lack."""
    artifacts = {**known, **{path: each for path, each in plan.artifacts.items() if _is_sure(each) or path not in known}}
    return {name: replace(plan, id=name, artifacts=artifacts) for name in names}


def _is_sure(artifact: Artifact) -> bool:
    return bool(artifact.sha256 or artifact.url)


def plan_ids(exchanges: Iterable[Exchange]) -> set[str]:
    """Every plan that some of these may be answered from."""
    return {plan for each in exchanges if each.seen for plan in (each.seen.current, *each.seen.pinned)}


def boots(exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    """By boot, the one that began last at the end."""
    found: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        if exchange.boot:
            found.setdefault(exchange.boot, []).append(exchange)
    return found
