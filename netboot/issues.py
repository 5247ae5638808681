"""Issues: what is wrong with a machine or the site that somebody ought to look at, by name, with since when and why.

Core. The law: an issue is there exactly as long as what it tells of is true; whoever is cured has none, without anybody's
ticking it off. Each is one of the `CATALOGUE`, which `docs/issues.md` prints: what it means, its likely causes in their order,
and what to do. Waiting is no issue; waiting longer than anybody has patience for is one, and says for what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from netboot.boot import Plans, RunWork, next_step
from netboot.conditions import RETURNS
from netboot.endings import END_OF_WORK, FELL_SILENT, lost_since
from netboot.events import Phase
from netboot.expectations import Expectations, patience
from netboot.heard import Health, Heard
from netboot.issue_kinds import Name
from netboot.loader import file_of
from netboot.noticed import Noticed
from netboot.observed import SOON, Observed
from netboot.plan import BootPlan, Interface, Machine
from netboot.reconcile_document import Reconciliation
from netboot.records import BootStatus, Contest, RunStatus
from netboot.run_documents import rfc3339
from netboot.story import NOTHING_KNOWN, PATIENCE, absence, action_due, limit_of

GIT_PATIENCE = 300.0
"""Seconds for which git may be away."""
NOTICE_PATIENCE = 300.0
"""Seconds for which somebody may not be told."""
SKEW = 60.0
"""Seconds by which two clocks may differ: log lines can still be laid beside each other."""
FOREVER = 1e10
"""Seconds, some three centuries: more is not told apart."""
STILL = 60.0
"""Seconds after which somebody who still had the trouble would have said so again."""
ASKS_AGAIN = 600.0
"""Seconds for which a machine that is refused an address keeps asking: firmware gives up, and is started again."""
GONE = 3600.0
"""Seconds after which somebody on the wire who was not heard again is taken to be gone."""
MIB = 1 << 20
LEAST_ROOM = 512 * MIB
"""Bytes that a site is to have left for its journal, logs and plans."""
WITHOUT_ADDRESS = {("restart", "firmware"), ("firmware", "disk")}
"""Steps of a boot that take no more than a DISCOVER; so does one that takes no time, to an iPXE in the firmware's place."""
STOPPED: Mapping[Phase, tuple[Name, str]] = {
    "firmware": ("boot-file-not-fetched", "it was given an address, and no boot program asked for more"),
    "ipxe": ("script-not-fetched", "iPXE was given an address, and has not fetched its script"),
    "script": ("kernel-not-fetched", "it was handed a script to boot {profile}, and has fetched no kernel"),
    "kernel": ("no-agent", "it fetched the kernel of {profile}, and no agent asked for work"),
}
"""Phase of a boot → what it is that comes no further, and what is said of it."""


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: Name
    since: float
    """Seconds since the epoch; 0: not known."""
    message: str
    machine: str = ""
    """"": the site's."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the issues of every machine are found by, beside the plan and what is observed of it."""

    now: float
    hold: str = ""
    """Why no new run may start, or ""."""
    due_of: Callable[[str], float] = lambda name: 0.0
    """Since when a machine is asked for its work; 0: not known."""
    noticed: Noticed = field(default_factory=Noticed)
    programs: Collection[str] | None = None
    """The boot programs that there are; None: not known."""
    contest_of: Callable[[str], Contest | None] = lambda name: None
    expectations: Expectations = NOTHING_KNOWN

    @classmethod
    def of(cls, hold: str, heard: Heard, now: float) -> Moment:
        return cls(now, hold, heard.asked_since, heard.noticed, heard.health().programs, heard.contest_of, heard.expectations)


def of_machine(plans: Plans, machine: Machine, observed: Observed, at: Moment) -> Iterator[Issue]:
    """O(runs of the machine)."""
    for kind, since, message in _found(plans, machine, observed, at):
        yield Issue(kind, since, message, machine.name)


_Found = Iterator[tuple[Name, float, str]]


def _found(plans: Plans, machine: Machine, observed: Observed, at: Moment) -> _Found:
    boot, runs = observed.last_boot_of(machine.name), observed.runs_of(machine.name, machine.macs)
    for run in runs:
        if run.active:
            yield from _of_active(run, observed, at)
    if runs and not runs[-1].active:
        yield from _of_ended(machine, runs[-1])
    if boot is not None:
        yield from _returned(boot, runs, at.now)
        if boot.closed is None:
            yield from _of_boot(plans.of(boot), boot, observed, at)
    if not any(run.active for run in runs):
        yield from _unseen(plans.current, machine, observed, at)
    yield from _of_addresses(machine, observed, at)
    contest = at.contest_of(machine.name)
    session = observed.session_of(machine.name, machine.macs) if contest else None
    if contest and session and not session.over and contest.session == session.id and at.now - contest.last <= STILL:
        yield "contested", contest.since, f"somebody at {contest.peer} wants to speak for it while its agent is at work"


def _of_active(run: RunStatus, observed: Observed, at: Moment) -> _Found:
    what = f"workflow {run.workflow} run {run.number}"
    lost = lost_since(observed, run, at.now)
    if lost is not None:
        yield "agent-lost", lost, f"nothing was heard of the agent of {what} since {rfc3339(lost)}"
        return
    attempt, due = run.in_flight, action_due(run, at.expectations)
    if attempt and due is not None and at.now > due:
        usual = at.expectations.of_action(run, attempt)
        limit = limit_of(run, attempt)
        early = usual is not None and not (limit and due > attempt.started + limit)  # well before its limit, if it has any
        may = f"mostly takes less than {usual.high:.0f} s" if usual is not None and early else f"has {limit} s"
        yield "action-overdue", due, f"{what}: {attempt.task}/{attempt.action} {may} and still runs"


def _of_ended(machine: Machine, run: RunStatus) -> _Found:
    """A failure that git still asks for the success of."""
    asked = any(work.workflow == run.workflow and work.run == run.number and not work.cancel for work in machine.work)
    if asked and run.state in ("FAILED", "TIMEOUT") and not run.may_be_tried_again:
        why = f": {run.reason}" if run.reason else ""
        kind: Name = "disk-not-matched" if _is_of_disks(run) else "run-failed"
        yield kind, run.ended or run.started, f"workflow {run.workflow} run {run.number} ended {run.state}{why}"


def _is_of_disks(run: RunStatus) -> bool:
    """Its agent started nothing, and names one of the disks that it was told of."""
    names = [str(disk.get("name", "")) for disk in run.machine_document.get("disks") or ()]
    return not run.attempts and any(f"disk {name} (" in run.reason for name in names)


def _returned(boot: BootStatus, runs: Sequence[RunStatus], now: float) -> _Found:
    """What was handed over to its disk and asked again soon, until it has been away for longer than that."""
    if not boot.returns or (boot.closed is not None and now - boot.closed > SOON):
        return
    if boot.returns >= RETURNS:
        yield "boot-loop", boot.opened, f"it came back {boot.returns} times in a row soon after it was handed over to its disk"
    elif runs and (run := runs[-1]).state == "SUCCESS" and run.ended is not None and run.ended <= boot.opened:
        often = "" if boot.returns == 1 else ", for the second time"
        what = f"workflow {run.workflow} run {run.number} ended SUCCESS"
        yield "back-after-success", boot.opened, f"{what}, and it came back soon after it was handed over to its disk{often}"


def _of_boot(plan: BootPlan, boot: BootStatus, observed: Observed, at: Moment) -> _Found:
    """`boot` is open, and by `plan`."""
    boot_of_clock, ahead = at.noticed.clocks.of(boot.machine) or ("", 0.0)
    if boot_of_clock == boot.id and abs(ahead) > SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        yield "clock-skew", boot.opened, f"its clock is {min(abs(ahead), FOREVER):.0f} s {way} the server's"
    if boot.phase not in STOPPED:
        return
    since = boot.phases.get(boot.phase, boot.opened)
    silent = observed.silence(boot, at.now)
    patient = patience(at.expectations.of_stage(boot.machine, boot.phase, boot.profile), PATIENCE[boot.phase]) or 0.0
    late = silent > patient
    if found := _not_ours(plan, boot, at, since, late) or _lacking(plan, boot, at.programs):
        kind, message = found
        yield kind, since, message
        return
    kind, message = STOPPED[boot.phase]
    waits = boot.phase in ("script", "kernel") and not boot.profile  # it was told to, or has nothing of ours to come to
    if not waits and late:
        yield kind, since, message.format(profile=f"profile {boot.profile}")


def _not_ours(plan: BootPlan, boot: BootStatus, at: Moment, since: float, late: bool) -> tuple[Name, str] | None:
    """Whose DHCP offer it took instead, where it is for us to give addresses."""
    if boot.phase not in ("firmware", "ipxe") or plan.site.mode != "reservation":
        return None
    choice, offered = at.noticed.choices.of(boot.mac), at.noticed.offered.of(boot.mac)
    if choice and choice.at >= since:
        return "offer-not-taken", f"it took the offer of another DHCP server, {choice.server}"
    if offered is not None and offered >= since and late:
        return "offer-not-taken", "it was offered an address, and asked for it neither here nor, to be heard here, elsewhere"
    return None


def _lacking(plan: BootPlan, boot: BootStatus, programs: Collection[str] | None) -> tuple[Name, str] | None:
    """The boot program that its firmware was told to fetch, if there is none."""
    arch, machine = boot.client.get("arch", ""), plan.machines.get(boot.machine)
    if programs is None or boot.phase != "firmware" or boot.client.get("kind") not in ("pxe", "http"):
        return None
    file = file_of(machine.loader if machine else "", int(arch) if arch else None)
    if file is None or file in programs:
        return None
    return "boot-program-missing", f"its firmware is told to fetch {file}, and the server has no such file"


def _of_addresses(machine: Machine, observed: Observed, at: Moment) -> _Found:
    refusal = at.noticed.refusals.of(machine.name)
    if refusal and at.now - refusal.last <= ASKS_AGAIN:
        yield "no-address", refusal.since, f"it asks for an address and is given none: {refusal.reason}"
    for each in machine.interfaces:
        declined = observed.declined.get(each.address, 0.0)
        bound = at.noticed.bound.of(each.mac) or 0.0
        cured = bound > declined and at.now - bound > STILL  # it would have declined again by now
        if declined and not cured and not _has_used(each, observed.last_boot_of(machine.name), declined):
            yield "address-conflict", declined, f"it found {each.address} in use by another host"


def _has_used(interface: Interface, last: BootStatus | None, since: float) -> bool:
    """Whether its machine came further by this interface, in a boot, than it can without an address. The journal knows."""
    if last is None or last.mac != interface.mac:
        return False
    ways = (last.way, *(past.way for past in last.earlier))
    steps = (step for way in ways for step in pairwise((("restart", 0.0), *way)))
    return any(at > max(since, began) and (before, stage) not in WITHOUT_ADDRESS for (before, began), (stage, at) in steps)


def _unseen(plan: BootPlan, machine: Machine, observed: Observed, at: Moment) -> _Found:
    """Work that is due, on a machine that does not come for it. It is not for us to power it on."""
    last, due = observed.last_boot_of(machine.name), at.due_of(machine.name)
    if not due or not machine.work or (last is not None and last.closed is None):
        return
    since, patient = absence(last, due, plan.site.boot_timeout, at.expectations)
    if patient and at.now - max(since, observed.listening) <= patient:
        return
    step = next_step(plan, machine, observed, at.hold, "")
    if isinstance(step, RunWork) and step.work.repeat != "everyBoot":
        what = f"workflow {step.work.workflow} run {step.work.run}"
        yield "no-sign-of-life", since, f"{what} is due, and it {_seen(last, due)}"


def _seen(last: BootStatus | None, due: float) -> str:
    """What is said of a machine that has work since `due`, and whose `last` boot is over."""
    if last is None or last.closed is None:
        return "has never been seen"
    if last.closed < due:
        return f"was last seen {rfc3339(last.last_seen)}"
    if last.reason.startswith(END_OF_WORK):
        return f"was told to restart {rfc3339(last.closed)} and did not come back"
    if last.reason.startswith(FELL_SILENT):
        return f"was {last.reason}"
    return f"ended its last boot {rfc3339(last.closed)}: {last.reason}"


def of_site(plan: BootPlan | None, word: Reconciliation, heard: Heard, now: float) -> Iterator[Issue]:
    """`plan`: None before the first."""
    health = heard.health()
    yield from _of_git(word, health, now)
    yield from _of_server(word, health)
    for name, why in (plan.locked if plan else {}).items():
        yield Issue("secret-unreadable", 0.0, f"secret {name}: {why}")
    for target, (why, since) in heard.noticed.undelivered.items():
        if now - since > NOTICE_PATIENCE:
            yield Issue("notices-undelivered", since, f"{target}: {why}")
    yield from _of_wire(plan, heard, now)


def _of_git(word: Reconciliation, health: Health, now: float) -> Iterator[Issue]:
    errors = [problem for problem in word.problems if problem.get("severity") != "warning"]
    if errors:
        many = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        first = errors[0]
        place = f"{first.get('file')}:{first.get('line')}: " if first.get("file") else ""
        yield Issue("commit-rejected", 0.0, f"commit {word.head[:12]}: {place}{first.get('message', '')}{many}")
    if word.unavailable and word.unavailable != health.plan and now - (word.last_success or 0.0) > GIT_PATIENCE:
        yield Issue("git-unreachable", word.last_success or 0.0, word.unavailable)
    for each in word.held:
        whom = "all of the commit" if each["whole"] else f"{each['count']} machine{'' if each['count'] == 1 else 's'}"
        yield Issue("plan-held", 0.0, f"{whom}: policy allows {each['rule']}, and {each['why']}; {each['release']}")
    if word.forge:
        yield Issue("forge-unreachable", 0.0, word.forge)


def _of_server(word: Reconciliation, health: Health) -> Iterator[Issue]:
    if health.plan:
        yield Issue("plan-not-loaded", 0.0, health.plan)
    if health.journal:
        yield Issue("journal-failed", 0.0, health.journal)
    if health.room is not None and health.room < LEAST_ROOM:
        yield Issue("state-full", 0.0, f"{health.room / MIB:.0f} MiB are left on the disk of the state directory")
    if word.hold:
        yield Issue("runs-held", health.frozen_since, word.hold)


def _of_wire(plan: BootPlan | None, heard: Heard, now: float) -> Iterator[Issue]:
    """Who was heard within the last hour, and should not be there."""
    named = plan.by_mac if plan else {}
    if plan is None or plan.site.mode == "reservation":  # else there must be another
        for rival in heard.rivals():
            if now - rival.last_seen <= GONE:
                yield Issue("other-dhcp-server", rival.first_seen, f"{rival.address} answers DHCP here as well")
    for stranger in heard.strangers():
        if stranger.mac not in named and now - stranger.last_seen <= GONE:
            yield Issue("unknown-machine", stranger.first_seen, f"{stranger.mac} asked for something and is not in git")
