"""Policy: whether what a commit would do is more than one commit may, by the rules that were in force before it.

Core. The law: nothing that the commit says about policy or trust counts for it. It is judged by what was served before it, by
what of that was loosened since and not approved, and by the server's own floor; what cannot be known counts as what would be
worse. A limit on destruction holds runs; one on removing or moving machines makes the whole commit wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import msgspec

from netboot.boot import run_of
from netboot.holds import Hold, Holds, Kept
from netboot.observed import Observed
from netboot.plan import BootPlan, Machine, Site
from netboot.policy import KINDS, NO_POLICY, Deed, Kind, Limit, Policy, open_minutes
from netboot.trust import Signer, Trust
from netboot.work import Work
from reconciler.changes import HeldBack
from reconciler.consequences import writes
from reconciler.diff import compare
from reconciler.limits import Reach, number, rule, why
from reconciler.systems import counterparts, others
from reconciler.trust import Floor, lowered

TRAILER = "Gitboot-Approve"
WHO_KNOWS = "`gitboot status` says after the push, or `gitboot plan` if --artifacts names the server's artefact folder"
UNKNOWN = "the plan that was served before cannot be read, so nobody can say what this commit changes"
UNPROTECT = "take `protect: true` from it, in a commit that is approved"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that makes a whole commit wait."""

    kind: Kind
    rule: str
    why: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of one plan, if it is served after another."""

    holds: Holds
    waits: tuple[Breach, ...] = ()
    """Not empty: the plan is not to be served at all."""
    exposed: tuple[str, ...] = ()
    """Machines of the plan that it protects no more."""

    @property
    def lacks(self) -> frozenset[Kind]:
        """What somebody has to approve before all of it has its effect."""
        if self.holds.everything:
            return frozenset(KINDS)
        kept = self.holds.kept
        found: set[Kind] = {breach.kind for breach in self.waits}
        found |= {hold.kind for hold in self.holds.held if hold.release != UNPROTECT}
        found |= {"loosen"} if kept and kept.loosened else set()
        found |= {"protect"} if self.exposed else set()
        return frozenset(found)


# Rules in force ----------------------------------------------------------------------------------------------------------


def in_force(served: BootPlan | None, holds: Holds) -> Kept:
    """What the plan that is served says, or what it would have loosened."""
    if holds.kept is not None:
        return holds.kept
    return Kept(served.site.policy, served.site.trust) if served else Kept(NO_POLICY, Trust())


def approvers(rules: Kept, floor: Floor, kind: Kind, site: Site) -> tuple[Signer, ...]:
    """Who may approve it. `site`: of the plan that is judged, for whom it lists no more counts no more."""
    own = floor.trust.signers
    if floor.policy.approvers:
        return _named(floor.policy, own, kind)
    still = {key for key, each, _ in _granted(site.policy, site.trust) if each == kind}
    before = _granted(rules.policy, rules.trust)
    known = {key for key, each, _ in before if each == kind and key in still}
    return tuple(dict.fromkeys((*(signer for signer in rules.trust.signers if _key(signer) in known), *own)))


def _named(policy: Policy, signers: Iterable[Signer], kind: Kind) -> tuple[Signer, ...]:
    names = {approver.signer for approver in policy.approvers if kind in approver.may}
    return tuple(signer for signer in signers if signer.name in names)


def _key(signer: Signer) -> tuple[str, str, int, int]:
    return signer.ssh, signer.gpg, signer.valid_after, signer.valid_before


def loosened(before: Policy, trust_before: Trust, after: Policy, trust_after: Trust) -> tuple[str, ...]:
    """In what the second is easier to satisfy than the first, as ends of a sentence that begins with "it"."""
    found = [f"allows more than {rule(limit)}" for limit in before.limits if not _implied(limit, after.limits)]
    found += lowered(trust_before, trust_after)
    if not open_minutes(after.windows) <= open_minutes(before.windows):
        found.append("widens the maintenance windows")
    for name, old, new in (
        ("atOnce", before.rolling.at_once, after.rolling.at_once),
        ("stopAfter", before.rolling.stop_after, after.rolling.stop_after),
    ):
        if old and not 0 < new <= old:
            found.append(f"{'raises' if new else 'drops'} rolling.{name}, which is {old}")
    known = _grants(before, trust_before)
    new_grants = [(name, kind) for key, kind, name in _granted(after, trust_after) if (key, kind) not in known]
    for name in dict.fromkeys(name for name, _ in new_grants):
        kinds = ", ".join(kind for each, kind in new_grants if each == name)
        found.append(f"lets {name} approve {kinds}")
    return tuple(found)


def _implied(limit: Limit, others: Iterable[Limit]) -> bool:
    return any(
        (other.change, other.per) == (limit.change, limit.per)
        and (limit.machines is None or (other.machines is not None and other.machines <= limit.machines))
        and (limit.share is None or (other.share is not None and other.share <= limit.share))
        for other in others
    )


def _granted(policy: Policy, trust: Trust) -> Iterator[tuple[tuple[str, str, int, int], Kind, str]]:
    for kind in KINDS:
        for signer in _named(policy, trust.signers, kind) if policy.approvers else trust.signers:
            yield _key(signer), kind, signer.name


def _grants(policy: Policy, trust: Trust) -> set[tuple[tuple[str, str, int, int], Kind]]:
    return {(key, kind) for key, kind, _ in _granted(policy, trust)}


# The verdict -------------------------------------------------------------------------------------------------------------


def judge(
    served: BootPlan | None, after: BootPlan, holds: Holds | None, floor: Floor, observed: Observed | None = None
) -> Verdict:
    """`holds`: those of the plan that is served; None: nothing is. `observed`: what has run, where that is known."""
    if holds is not None and holds.plan == after.id:
        exposed = tuple(name for name in (holds.kept.protected if holds.kept else ()) if name in after.machines)
        holds = msgspec.structs.replace(holds, policies=_in_force(after.site, holds.kept, floor))  # a floor may be new
        return Verdict(holds, exposed=exposed)
    before = holds or Holds("")
    return _Judgement(served, after, before, floor, observed).verdict()


def released(verdict: Verdict, kinds: AbstractSet[Kind], site: Site, floor: Floor) -> Verdict:
    """What is left of it when these were approved. `site`: of the plan that is judged."""
    holds, kept = verdict.holds, verdict.holds.kept
    if kept is not None and "loosen" in kinds:
        kept = Kept(site.policy, site.trust, kept.protected)
    if kept is not None and "protect" in kinds:
        kept = msgspec.structs.replace(kept, protected={})
    if kept is not None and not kept.loosened and not kept.protected:
        kept = None
    left = msgspec.structs.replace(
        holds,
        held=tuple(hold for hold in holds.held if hold.kind not in kinds or hold.release == UNPROTECT),
        kept=kept,
        policies=_in_force(site, kept, floor),
        everything="" if kinds >= set(KINDS) else holds.everything,
    )
    waits = tuple(breach for breach in verdict.waits if breach.kind not in kinds)
    return Verdict(left, waits, () if "protect" in kinds else verdict.exposed)


def _in_force(site: Site, kept: Kept | None, floor: Floor) -> tuple[Policy, ...]:
    """For windows and rolling."""
    said = dict.fromkeys((site.policy, kept.policy if kept and kept.loosened else NO_POLICY, floor.policy))
    return tuple(policy for policy in said if policy != NO_POLICY)


@dataclass(frozen=True, slots=True)
class _Judgement:
    served: BootPlan | None
    after: BootPlan
    before: Holds
    floor: Floor
    observed: Observed | None

    def verdict(self) -> Verdict:
        rules, site = in_force(self.served, self.before), self.after.site
        protected = self._protected(rules)
        served = self.served.site.policy if self.served else NO_POLICY
        judged_by = tuple(dict.fromkeys((rules.policy, served, self.floor.policy)))
        guarded = self.served is not None and any(machine.protect for machine in self.served.machines.values())
        in_use = guarded or any(policy != NO_POLICY for policy in judged_by) or bool(protected or self.before.policies)
        looser = loosened(rules.policy, rules.trust, site.policy, site.trust) if in_use else ()
        kept = Kept(rules.policy, rules.trust, protected, looser) if looser else Kept(site.policy, site.trust, protected)
        limited = any(policy.limits for policy in judged_by)
        changes = compare(self.served, self.after, self.observed).machines if limited else ()
        reach = Reach(self.served, self.after, changes)
        unknown = self.before.plan and self.served is None and in_use
        holds = Holds(
            self.after.id,
            held=(*self._over_limits(judged_by, reach), *self._on_protected(protected), *self._carried()),
            policies=_in_force(site, kept, self.floor),
            kept=kept if looser or protected else None,
            everything=self.before.everything or (UNKNOWN if unknown else ""),
        )
        exposed = tuple(name for name in protected if name in self.after.machines)
        return Verdict(holds, (*self._breaches(judged_by, reach), *self._other_systems(rules)), exposed)

    # Protected machines

    def _protected(self, rules: Kept) -> dict[str, tuple[str, ...]]:
        """Machines that were protected and are not any more, by the name that they have now; gone ones keep theirs."""
        was = {name: set(macs) for name, macs in rules.protected.items()}
        for machine in self.served.machines.values() if self.served else ():
            if machine.protect:
                was.setdefault(machine.name, set()).update(machine.macs)
        found: dict[str, set[str]] = {}
        for name, macs in was.items():
            now = counterparts(self.after, name, macs)
            for machine in now:
                if not machine.protect:
                    found.setdefault(machine.name, set()).update(macs, machine.macs)
            if not now:
                found.setdefault(name, set()).update(macs)
        return {name: tuple(sorted(macs)) for name, macs in sorted(found.items())}

    def _on_protected(self, kept: Mapping[str, tuple[str, ...]]) -> Iterator[Hold]:
        for machine in self.after.machines.values():
            if not machine.protect and machine.name not in kept:
                continue
            runs = [
                (work.workflow, work.run, why)
                for work in machine.work
                if not self._over(machine, work) and (why := writes(work.document))
            ]
            if runs:
                how = UNPROTECT if machine.protect else ""
                named = tuple(dict.fromkeys((workflow, run) for workflow, run, _ in runs))
                why = f"{machine.name} {'is' if machine.protect else 'was'} protected, and {runs[0][2]}"
                yield Hold("protect", "no destructive run on a protected machine", why, how, {machine.name: named})

    def _over(self, machine: Machine, work: Work) -> bool:
        """Whether no run of it starts any more, as far as that is known. One that git cancels no more is judged anew."""
        if work.cancel:
            return True
        run = run_of(self.observed, machine, work, "") if self.observed else None
        return run is not None and not run.active and not run.may_be_tried_again

    def _other_systems(self, rules: Kept) -> Iterator[Breach]:
        """No run is asked for where a machine only boots something else, so there is none to be held."""
        if found := others(self.served, self.after, rules.protected):
            name, what = next(iter(found.items()))
            why = f"this commit has {number(len(found))} boot what was not booted there ({name}: {what})"
            yield Breach("protect", "no other system on a protected machine", why, tuple(found))

    # Limits

    def _over_limits(self, policies: Iterable[Policy], reach: Reach) -> Iterator[Hold]:
        for limit, group, machines in reach.exceeded(policies, "destructive"):
            runs = {each.machine: tuple((run.workflow, run.run) for run in each.starts if run.destructive) for each in machines}
            yield Hold("destructive", rule(limit), why(limit, group, len(machines)), "", runs)

    def _breaches(self, policies: Iterable[Policy], reach: Reach) -> Iterator[Breach]:
        deeds: tuple[Deed, ...] = ("remove", "move")
        for deed in deeds:
            for limit, group, machines in reach.exceeded(policies, deed):
                named = tuple(sorted(change.machine for change in machines))
                yield Breach(limit.change, rule(limit), why(limit, group, len(machines)), named)

    # What was held before

    def _carried(self) -> Iterator[Hold]:
        """Runs that are held stay held while they are asked for, whatever else the commit makes of them."""
        for hold in self.before.held:
            if hold.kind == "protect":
                continue  # judged anew
            runs: dict[str, tuple[tuple[str, int], ...]] = {}
            for name, each in hold.runs.items():
                old = self.served.machines.get(name) if self.served else None
                for machine in counterparts(self.after, name, old.macs if old else ()):
                    asked = {(work.workflow, work.run) for work in machine.work if not self._over(machine, work)}
                    if left := tuple(run for run in each if run in asked):
                        runs[machine.name] = (*runs.get(machine.name, ()), *left)
            if runs:
                yield msgspec.structs.replace(hold, runs=runs, release="")


# What is said about it ---------------------------------------------------------------------------------------------------


def with_release(verdict: Verdict, sentence: Mapping[Kind, str]) -> Verdict:
    """`sentence`: for each kind, how it is released."""
    held = tuple(
        hold if hold.release else msgspec.structs.replace(hold, release=sentence[hold.kind]) for hold in verdict.holds.held
    )
    return replace(verdict, holds=msgspec.structs.replace(verdict.holds, held=held))


def said(verdict: Verdict, sentence: Mapping[Kind, str]) -> tuple[HeldBack, ...]:
    """The gravest first. `sentence` as above."""
    holds, kept = verdict.holds, verdict.holds.kept
    found = [HeldBack(each.kind, each.rule, each.why, sentence[each.kind], each.machines, whole=True) for each in verdict.waits]
    if holds.everything:
        found.append(HeldBack("destructive", "no run that nobody judged", holds.everything, sentence["destructive"], ()))
    found += [HeldBack(each.kind, each.rule, each.why, each.release, tuple(sorted(each.runs))) for each in holds.held]
    if kept and kept.loosened:
        why = f"it {', '.join(kept.loosened)}; until then the stricter one counts"
        found.append(HeldBack("loosen", "no looser policy", why, sentence["loosen"], ()))
    if verdict.exposed:
        why = f"it no longer protects {', '.join(verdict.exposed[:3])}{' …' if len(verdict.exposed) > 3 else ''}"
        found.append(HeldBack("protect", "no protection taken away", why, sentence["protect"], verdict.exposed))
    return tuple(found)


def how_to_release(plan: str, kind: Kind, signers: Iterable[Signer]) -> str:
    """`plan`: its id; "" where only the server can tell, which knows the files that are part of it."""
    names = [signer.name for signer in signers]
    if not names:
        return f"nobody is listed who may approve it ({kind}): name a signer in the server's floor, or take the change back"
    who = " or ".join(dict.fromkeys(names))
    named = f"the trailer `{TRAILER}: {plan}`" if plan else f"the trailer `{TRAILER}:` and the plan's id, which {WHO_KNOWS}"
    return f"a commit on top, signed by {who}, with {named}; or take the change back"
