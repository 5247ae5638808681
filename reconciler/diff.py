"""Difference: what one plan would have its machines be sent that another does not, and what follows for each of them.

Core. The law: the difference is complete, so that applied to the facts of one plan it gives those of the other, and it is empty
exactly when the plans are equal. What is the same in both plans costs a look at its shard's digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import NamedTuple

from netboot.masks import masked
from netboot.observed import Observed
from netboot.plan import BootPlan, Machine
from reconciler.changes import Change, Difference, Kind, Moved, Setting, Started
from reconciler.consequences import Pair, consequences, departure, started
from reconciler.facts import Facts, booted_facts, facts_of, own_facts, profiles_of, raw_site_facts, site_facts

MASKED_AWAY = " (another, where it is masked)"


def compare(before: BootPlan | None, after: BootPlan, observed: Observed | None = None) -> Difference:
    """`before`: None when nothing was served; `observed`: None when it is not known what has run."""
    if before is not None and before.id == after.id:
        return Difference(before.id, after.id, (), (), observed is not None)
    site = changed(raw_site_facts(before) if before else {}, raw_site_facts(after))
    changes = sorted(_Comparison(before, after, observed).changes(), key=lambda change: change.machine)
    return Difference(before.id if before else "", after.id, site, tuple(changes), observed is not None)


def begun(before: BootPlan | None, after: BootPlan, observed: Observed | None = None) -> Iterator[tuple[Machine, Started]]:
    """The runs that begin because of the change, and whose they are, in order of name."""
    comparison = _Comparison(before, after, observed)
    for _, machine in sorted(after.machines.items()):
        yield from ((machine, each) for each in started(Pair(comparison.was(machine), machine), observed))


def changed(before: Facts, after: Facts) -> tuple[Setting, ...]:
    """What differs, masked; where a mask hides it, that it does."""
    found = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old != new:
            shown, now = (None if value is None else masked(name, value) for value in (old, new))
            found.append(Setting(name, shown, _told_apart(old or "", new or "", shown or "", now or "") or now))
    return tuple(found)


def _told_apart(old: str, new: str, shown: str, now: str) -> str:
    """The new value as it may be shown; each line of it that is shown as the one before it was, and is another, says so."""
    if (old, new) == (shown, now) or not old or not new:
        return now
    lines, before = now.split("\n"), shown.split("\n")
    parted = SequenceMatcher(None, old.split("\n"), new.split("\n"), autojunk=False).get_opcodes()
    for _, start, end, at, until in (part for part in parted if part[0] == "replace"):
        for was, line in zip(range(start, end), range(at, until), strict=False):
            lines[line] += MASKED_AWAY if lines[line] == before[was] else ""
    told = "\n".join(lines)
    return told if told != shown else f"{told}{MASKED_AWAY}"


@dataclass(slots=True)
class _Comparison:
    before: BootPlan | None
    after: BootPlan
    observed: Observed | None
    _alike: dict[tuple[object, ...], tuple[Setting, ...]] = field(default_factory=dict)
    """Profiles of machines that are told no more than them → in what those differ."""

    def changes(self) -> Iterator[Change]:
        for machine in self._touched(self.after, self.before):
            was = self.was(machine)
            settings = self._settings(was, machine)
            if settings:
                yield self._change(Pair(was, machine), settings)
        for machine in self._touched(self.before, self.after):
            if machine.name not in self.after.machines:
                heir = self._heir(machine)
                if heir is None or self.was(heir) is not machine:
                    yield self._removal(machine)

    def _touched(self, plan: BootPlan | None, other: BootPlan | None) -> Iterator[Machine]:
        """The machines of a plan that may be another in the other."""
        everywhere = _common(plan) != _common(other)
        for key, shard in plan.shards.items() if plan else ():
            twin = other.shards.get(key) if other else None
            if everywhere or twin is None or twin.digest != shard.digest:
                yield from shard.machines

    def was(self, machine: Machine) -> Machine | None:
        """The machine in the first plan: of that name, or else one that is gone and had one of its MACs."""
        if self.before is None:
            return None
        if machine.name in self.before.machines:
            return self.before.machines[machine.name]
        for mac in machine.macs:
            binding = self.before.by_mac.get(mac)
            if binding is not None and self._heir(binding.machine) is machine:
                return binding.machine
        return None

    def _heir(self, machine: Machine) -> Machine | None:
        """What a machine of the first plan that is there no more by its name is called in the second."""
        if machine.name in self.after.machines:
            return None
        new = [self.after.by_mac[mac].machine for mac in machine.macs if mac in self.after.by_mac]
        return next((each for each in new if self.before and each.name not in self.before.machines), None)

    def _settings(self, was: Machine | None, machine: Machine) -> tuple[Setting, ...]:
        before = self.before
        if was is None or before is None:
            return changed({}, own_facts(self.after, machine) | booted_facts(self.after, machine))
        same = was is machine or (was == machine and was.name == machine.name)
        own = (
            ()
            if same and _seen(before) == _seen(self.after)
            else changed(own_facts(before, was), own_facts(self.after, machine))
        )
        return own + self._booted(was, machine)

    def _booted(self, was: Machine, machine: Machine) -> tuple[Setting, ...]:
        """Ten thousand machines boot the same few profiles."""
        assert self.before is not None  # noqa: S101 - only asked where there is one
        if any(map(_is_told_more, (was, machine))):
            return changed(booted_facts(self.before, was), booted_facts(self.after, machine))
        key = (profiles_of(was), profiles_of(machine))
        if key not in self._alike:
            self._alike[key] = changed(booted_facts(self.before, was), booted_facts(self.after, machine))
        return self._alike[key]

    def _change(self, pair: Pair, settings: tuple[Setting, ...]) -> Change:
        was, machine = pair
        kind: Kind = "added" if was is None else "changed" if was.name == machine.name else "renamed"
        outcome = consequences(pair, settings, self.observed)
        return Change(
            machine=machine.name,
            was=was.name if was else "",
            kind=kind,
            consequence=outcome.consequence,
            reasons=outcome.reasons,
            settings=settings,
            starts=outcome.starts,
            moved=tuple(_moved(was, machine)) if was else (),
            profile=next(iter(profiles_of(machine)), ""),
        )

    def _removal(self, machine: Machine) -> Change:
        assert self.before is not None  # noqa: S101 - it is a machine of that plan
        settings = changed(own_facts(self.before, machine) | booted_facts(self.before, machine), {})
        outcome = departure(machine, self.after, self.observed)
        profile = next(iter(profiles_of(machine)), "")
        return Change(machine.name, machine.name, "removed", outcome.consequence, outcome.reasons, settings, profile=profile)


def _common(plan: BootPlan | None) -> object:
    """What machines are sent beside their own."""
    return None if plan is None else (_seen(plan), plan.profiles, plan.artifacts)


def _seen(plan: BootPlan) -> object:
    """What of the site is in the facts of each machine."""
    site = plan.site
    return site.name, site.domain, site.server, site.mode, site.vendor_data, plan.subnets


def _is_told_more(machine: Machine) -> bool:
    """Whether what it boots depends on more than its profiles (`facts.booted_facts`)."""
    static = any(port.vlan or not port.dhcp for port in machine.interfaces)
    return static or bool(machine.bonds) or bool(machine.rpi)


def _moved(was: Machine, machine: Machine) -> Iterator[Moved]:
    now = {port.mac: port.address for port in machine.interfaces}
    for port in was.interfaces:
        gone = port.mac not in now and port.address not in now.values()
        if port.address and (gone or now.get(port.mac, port.address) != port.address):
            yield Moved(port.mac, port.address, now.get(port.mac, ""))


# Applied -----------------------------------------------------------------------------------------------------------------


class PlanFacts(NamedTuple):
    """All of a plan as it may be shown."""

    site: Facts
    machines: Mapping[str, Facts]


NO_FACTS = PlanFacts({}, {})


def facts_of_plan(plan: BootPlan) -> PlanFacts:
    return PlanFacts(site_facts(plan), {name: facts_of(plan, machine) for name, machine in plan.machines.items()})


def patched(before: PlanFacts, difference: Difference) -> PlanFacts:
    """The facts of the second plan, from those of the first and what is reported, but for what a mask hides."""
    machines = dict(before.machines)
    gone = [machines.pop(change.was, {}) for change in difference.machines]
    for change, facts in zip(difference.machines, gone, strict=True):
        if change.kind != "removed":
            machines[change.machine] = _applied(facts, change.settings)
    return PlanFacts(_applied(before.site, difference.site), machines)


def _applied(facts: Facts, settings: tuple[Setting, ...]) -> Facts:
    after = dict(facts)
    for setting in settings:
        after.pop(setting.name, None)
        if setting.after is not None:
            after[setting.name] = setting.after
    return after
