"""What a server recorded of a boot, with the journal and the plans to answer it again: for `replay` and `bisect`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netboot.events import Event
from netboot.journal import events_of
from netboot.plan import Artifact, BootPlan
from netboot.plans import PlanStore
from netboot.recorder import read
from netboot.recording import Exchange
from netboot.replay import Replayed, boots, in_place_of, plan_ids, replay
from netboot.store import Corrupt
from reconciler.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Recorded:
    """One boot."""

    exchanges: tuple[Exchange, ...]
    journal: tuple[Event, ...]
    plans: Mapping[str, BootPlan]
    """Those that it was answered from and that are still there, by id."""
    artifacts: Mapping[str, Artifact]
    """Files as its plans knew them, or where those are gone, as the served one does."""

    def again(self, instead: BootPlan | None = None) -> list[Replayed]:
        """By its own plans, or by another one in their place."""
        plans = in_place_of(plan_ids(self.exchanges), instead, self.artifacts) if instead else self.plans
        return list(replay(self.exchanges, self.journal, plans))


def recorded_boots(state: Path) -> dict[str, list[Exchange]]:
    """By boot, in the order in which they began. Raises Sentence."""
    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    try:
        return boots(read(state / "recordings"))
    except OSError as error:
        raise Sentence(f"The recordings in {state} cannot be read ({error}); run this as the server's user.", 2) from None


def recorded(state: Path, boot: str) -> Recorded:
    """`boot`: its id, the beginning of that, or a machine, which means its last one. Raises Sentence."""
    found = recorded_boots(state)
    named = [name for name, told in found.items() if name == boot or told[-1].machine == boot]
    named = named[-1:] or [name for name in found if name.startswith(boot)]
    if len(named) != 1:
        what = (
            f"{len(named)} recorded boots begin with {boot!r}: say more of the one"
            if named
            else f"No boot {boot!r} is recorded"
        )
        raise Sentence(f"{what}; `gitboot replay --state {state}` lists those that are.", 2)
    exchanges = tuple(found[named[0]])
    try:
        plans, artifacts = _plans(PlanStore(state / "plans"), plan_ids(exchanges))
        return Recorded(exchanges, tuple(events_of(state / "journal")), plans, artifacts)
    except (OSError, Corrupt) as error:
        raise Sentence(f"The state directory cannot be read: {error}", 2) from None


def _plans(store: PlanStore, names: set[str]) -> tuple[dict[str, BootPlan], dict[str, Artifact]]:
    """A plan that is gone or damaged is as none."""
    kept = {name: store.load(name) for name in names if not store.damage(name)}
    current = store.current_id()
    known = list(kept.values()) or ([store.load(current)] if current and not store.damage(current) else [])
    return kept, {path: each for plan in known for path, each in plan.artifacts.items()}
