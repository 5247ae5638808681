"""Issues: what is wrong with a machine or the site that somebody ought to look at, by name, with since when and why.

Core. The law: an issue is there exactly as long as what it tells of is true; whoever is cured has none, without anybody's
ticking it off. Each is one of the `CATALOGUE`, which `docs/issues.md` prints: what it means, its likely causes in their order,
and what to do. Waiting is no issue; waiting longer than anybody has patience for is one, and says for what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from netboot.boot import Plans, RunWork, next_step
from netboot.conditions import RETURNS
from netboot.endings import lost_since
from netboot.events import Phase
from netboot.issue_kinds import Name
from netboot.observed import Observed
from netboot.plan import BootPlan, Machine
from netboot.reconcile_document import Reconciliation
from netboot.records import BootStatus, Contest, RunStatus
from netboot.run_documents import rfc3339

GIT_PATIENCE = 300.0
"""Seconds for which git may be away."""
OVERDUE = 60.0
"""Seconds that an agent has, beyond an action's time limit, to say that it stopped it."""
STOPPED: Mapping[Phase, tuple[Name, float, str]] = {
    "firmware": ("boot-file-not-fetched", 90.0, "it was given an address, and no boot program asked for more"),
    "ipxe": ("script-not-fetched", 90.0, "iPXE was given an address, and has not fetched its script"),
    "script": ("kernel-not-fetched", 180.0, "it was handed a script to boot {profile}, and has fetched no kernel"),
    "kernel": ("no-agent", 300.0, "it fetched the kernel of {profile}, and no agent asked for work"),
}
"""Phase of a boot → what it is that comes no further, seconds of patience, and what is said of it."""


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: Name
    since: float
    """Seconds since the epoch; 0: not known."""
    message: str
    machine: str = ""
    """"": the site's."""


def of_machine(
    plans: Plans, machine: Machine, observed: Observed, hold: str, now: float, due: float = 0.0, contest: Contest | None = None
) -> Iterator[Issue]:
    """`due`: since when the plan is served, 0: not known. O(runs of the machine)."""
    for kind, since, message in _found(plans.current, machine, observed, hold, now, due, contest):
        yield Issue(kind, since, message, machine.name)


_Found = Iterator[tuple[Name, float, str]]


def _found(
    plan: BootPlan, machine: Machine, observed: Observed, hold: str, now: float, due: float, contest: Contest | None
) -> _Found:
    boot, runs = observed.last_boot_of(machine.name), observed.runs_of(machine.name, machine.macs)
    for run in runs:
        if run.active:
            yield from _of_active(run, observed, now)
    if runs and not runs[-1].active:
        yield from _of_ended(machine, runs[-1])
    if boot is not None:
        yield from _of_boot(boot, observed, now)
    if not any(run.active for run in runs):
        yield from _unseen(plan, machine, observed, hold, now, due)
    for each in machine.interfaces:
        if each.address in observed.declined:
            yield "address-conflict", observed.declined[each.address], f"it found {each.address} in use by another host"
    session = observed.session_of(machine.name, machine.macs) if contest else None
    if contest and session and not session.over and contest.session == session.id:
        yield "contested", contest.since, f"somebody at {contest.peer} wants to speak for it while its agent is at work"


def _of_active(run: RunStatus, observed: Observed, now: float) -> _Found:
    what = f"workflow {run.workflow} run {run.number}"
    lost = lost_since(observed, run, now)
    if lost is not None:
        yield "agent-lost", lost, f"nothing was heard of the agent of {what} since {rfc3339(lost)}"
        return
    attempt = run.in_flight
    limit = next(
        (action.timeout for task in run.document.tasks if attempt and task.name == attempt.task
         for action in task.actions if action.name == attempt.action), 0
    )  # fmt: skip
    if attempt and limit and now - attempt.started > limit + OVERDUE:
        yield "action-overdue", attempt.started + limit, f"{what}: {attempt.task}/{attempt.action} has {limit} s and still runs"


def _of_ended(machine: Machine, run: RunStatus) -> _Found:
    """A failure that git still asks for the success of."""
    asked = any(work.workflow == run.workflow and work.run == run.number and not work.cancel for work in machine.work)
    if asked and run.state in ("FAILED", "TIMEOUT") and not run.may_be_tried_again:
        why = f": {run.reason}" if run.reason else ""
        yield "run-failed", run.ended or run.started, f"workflow {run.workflow} run {run.number} ended {run.state}{why}"


def _of_boot(boot: BootStatus, observed: Observed, now: float) -> _Found:
    if boot.returns >= RETURNS:
        yield "boot-loop", boot.opened, f"it came back {boot.returns} times in a row soon after it was handed over to its disk"
    if boot.closed is not None or boot.phase not in STOPPED:
        return
    kind, patience, message = STOPPED[boot.phase]
    waits = boot.phase in ("script", "kernel") and not boot.profile  # it was told to, or has nothing of ours to come to
    if not waits and observed.silence(boot, now) > patience:
        yield kind, boot.phases.get(boot.phase, boot.opened), message.format(profile=f"profile {boot.profile}")


def _unseen(plan: BootPlan, machine: Machine, observed: Observed, hold: str, now: float, due: float) -> _Found:
    """Work that is due, on a machine that does not come for it. It is not for us to power it on."""
    if not due or not machine.work or observed.open_boot_of(machine.name) or now - due <= plan.site.boot_timeout:
        return
    step = next_step(plan, machine, observed, hold, "")
    last = observed.last_boot_of(machine.name)
    if isinstance(step, RunWork) and step.work.repeat != "everyBoot" and (last is None or last.last_seen < due):
        seen = f"was last seen {rfc3339(last.last_seen)}" if last else "has never been seen"
        yield "no-sign-of-life", due, f"workflow {step.work.workflow} run {step.work.run} is due, and it {seen}"


def of_site(word: Reconciliation, rivals: Mapping[str, float], strangers: Mapping[str, float], now: float) -> Iterator[Issue]:
    """`rivals`: addresses of other DHCP servers that ought not to be there, `strangers`: MACs that are not in git, each with
    when it was first heard."""
    errors = [problem for problem in word.problems if problem.get("severity") != "warning"]
    if errors:
        many = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        first = errors[0]
        place = f"{first.get('file')}:{first.get('line')}: " if first.get("file") else ""
        yield Issue("commit-rejected", 0.0, f"commit {word.head[:12]}: {place}{first.get('message', '')}{many}")
    if word.unavailable and now - (word.last_success or 0.0) > GIT_PATIENCE:
        yield Issue("git-unreachable", word.last_success or 0.0, word.unavailable)
    if word.hold:
        yield Issue("runs-held", 0.0, word.hold)
    for address, since in rivals.items():
        yield Issue("other-dhcp-server", since, f"{address} answers DHCP here as well")
    for mac, since in strangers.items():
        yield Issue("unknown-machine", since, f"{mac} asked for something and is not in git")
