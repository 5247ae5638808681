"""Consequences: what follows for a machine when its plan changes.

Core. The law: computed from both plans and from what was observed, never guessed. Where nothing was observed every run counts
as not begun, which is the graver of the two, and is said. What an image does is known of gitboot's own actions alone, and of
those only from the site's archive: containers are privileged, so any other may write to a disk. What a kernel does by itself
nobody can compute: a class speaks of workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.workflow import STANDARD
from netboot.observed import Observed
from netboot.outstanding import in_progress, outstanding
from netboot.plan import BootPlan, Machine
from netboot.work import Work
from reconciler.changes import GRAVITY, Consequence, Setting, Started

_NOTHING = Observed()
_BY_ITSELF = (
    *("architecture", "bond ", "disk ", "DNS ", "label ", "storage", "subnet ", "workflow "),
    *("metadata /latest/meta-data/tags/", "metadata vendor data of"),
)
"""Settings that no boot asks for: what they change is seen at once, or by the next run."""
MOST_NAMED = 3


class Outcome(NamedTuple):
    consequence: Consequence
    reasons: tuple[str, ...]
    starts: tuple[Started, ...] = ()


class Pair(NamedTuple):
    """One machine in both plans; `before` is None for one that is new."""

    before: Machine | None
    after: Machine


def consequences(pair: Pair, settings: Sequence[Setting], observed: Observed | None) -> Outcome:
    """`settings`: in what its facts differ."""
    starts = started(pair, observed)
    stops = _stops(pair, observed)
    reach, more = _reach(pair, settings, observed)
    reasons = [*(_begins(pair, each) for each in starts), *stops, *_lapses(pair, observed), *more]
    found: list[Consequence] = [reach]
    if starts or stops:
        found.append("destructive" if any(each.destructive for each in starts) else "runs a workflow")
    if any(setting.name.endswith("meta-data/instance-id") for setting in settings) and pair.before:
        reasons.append("its instance id changes: cloud-init sets the system up anew at its next boot")
    return Outcome(max(found, key=GRAVITY.index), tuple(reasons), starts)


def departure(machine: Machine, after: BootPlan, observed: Observed | None) -> Outcome:
    """Of a machine that git names no more."""
    left = outstanding(machine, observed or _NOTHING)
    goes_on = [f"{_title(work)} goes on by the plan it began with" for work, _ in in_progress(machine, observed or _NOTHING)]
    never = [f"{_title(work)} does not begin any more" for work in left] if observed else []
    stranger = "an address of the range, and waits" if after.site.unknown == "wait" else "no answer"
    return Outcome(
        "next boot", (f"it is a stranger when it boots again or renews its lease: it gets {stranger}", *goes_on, *never)
    )


# What begins -------------------------------------------------------------------------------------------------------------


def started(pair: Pair, observed: Observed | None) -> tuple[Started, ...]:
    """The runs that are outstanding by the second plan, and by the first were not or not so."""
    if pair.before is not None and pair.before.work == pair.after.work and _same_owner(pair):
        return ()
    ahead = (*outstanding(pair.before, observed or _NOTHING), *_again(pair.before, observed)) if pair.before else ()
    known = {_identity(work): work for work in ahead}
    named = {(work.workflow, work.part): work for work in pair.before.work} if pair.before else {}
    found = []
    again = _again(pair.after, observed)
    for work in (*again, *outstanding(pair.after, observed or _NOTHING)):
        old = known.get(_identity(work))
        if old is None or _told(old) != _told(work):
            why = _why(pair, work, named.get((work.workflow, work.part)), old)
            why += ", if the try in progress fails" if work in again else ""
            certain = observed is not None or old is None or work.repeat == "everyBoot"
            found.append(Started(work.workflow, work.run, why, writes(work.document), certain))
    return tuple(found)


def _again(machine: Machine, observed: Observed | None) -> tuple[Work, ...]:
    """What is in progress with tries left: one that fails is followed by one by the plan of then."""
    running = in_progress(machine, observed or _NOTHING)
    return tuple(work for work, run in running if run.number_of_try <= run.retry and not work.cancel)


def _same_owner(pair: Pair) -> bool:
    """Whether runs of the one are known as those of the other: by name or any MAC."""
    before, after = pair
    return before is not None and before.name == after.name and set(before.macs) == set(after.macs)


def _identity(work: Work) -> tuple[str, int, int, str]:
    return work.workflow, work.part, work.run, work.repeat


def _told(work: Work) -> dict[str, Any]:
    """What its run does; how often it may be tried again, and what follows a failure, is no part of that."""
    return {"document": _steps(work), "overwrites": work.overwrites, "profile": work.profile, "before": work.before}


def _steps(work: Work) -> dict[str, Any]:
    """Its document, whoever is named in it as the one to carry it out: that is this machine, by one name or another."""
    return {**work.document, "tasks": [{**task, "worker": ""} for task in work.document["tasks"]]}


def _why(pair: Pair, work: Work, named: Work | None, outstanding_before: Work | None) -> str:
    if pair.before is None:
        return "the machine is new"
    if outstanding_before is not None:
        return "its steps change" + (" at every boot" if work.repeat == "everyBoot" else "")
    if named is None:
        return "new for this machine"
    if named.run != work.run:
        return f"after run {named.run}"
    if named.repeat != work.repeat:
        return "at every boot from now on" if work.repeat == "everyBoot" else "once, in place of every boot"
    return "git cancels it no more" if named.cancel else "nothing stands before it any more"


def writes(document: Mapping[str, Any]) -> str:
    """Which actions of a workflow (as `agent.workflow.to_json` has it) may write to disks, and why; "" when none does.

    A registry's image may be anything, whatever it is called, and a command of one's own does what one likes.
    """
    known, unknown = dict[str, None](), dict[str, None]()
    for action in (action for task in document["tasks"] for action in task["actions"]):
        image = action["image"].rpartition("/")[2].partition("@")[0]
        writing = STANDARD.get(image.partition(":")[0])
        if any(map(action.get, ("command", "on_failure", "on_timeout"))) or (not writing and not action.get("archive")):
            unknown[image] = None
        elif writing is not False:
            (unknown if writing is None else known)[image] = None
    said = [f"{_some(known)} write{'' if len(known) > 1 else 's'} to disks"] if known else []
    said += [f"nobody can tell what {_some(unknown)} do{'' if len(unknown) > 1 else 'es'} to disks"] if unknown else []
    return "; ".join(said)


def _some(names: Iterable[str]) -> str:
    """The first of them, as a list in a sentence."""
    given = list(names)
    shown = given if len(given) <= MOST_NAMED + 1 else [*given[:MOST_NAMED], f"{len(given) - MOST_NAMED} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


# What is said of it ------------------------------------------------------------------------------------------------------


def _begins(pair: Pair, start: Started) -> str:
    when = "at its next boot"
    if pair.after.idle == "wait" or (pair.before is not None and pair.before.idle == "wait"):
        when += ", or at once if it waits"
    unless = "" if start.certain else ", unless it has begun already (--server or --state tells)"
    writing = f": {start.writes}" if start.writes else ", and writes to no disk"
    return f"{start.workflow} run {start.run} ({start.why}) runs {when}{unless}{writing}"


def _stops(pair: Pair, observed: Observed | None) -> list[str]:
    """The runs in progress that are stopped."""
    after = {(work.workflow, work.part): work for work in pair.after.work}
    running = in_progress(pair.before, observed or _NOTHING) if pair.before else ()
    return [
        f"{_title(work)} is stopped: it is in progress, and git cancels it"
        for work, _ in running
        if not work.cancel and (now := after.get((work.workflow, work.part))) is not None and now.cancel
    ]


def _lapses(pair: Pair, observed: Observed | None) -> list[str]:
    """What was to run and is not any more."""
    if pair.before is None:
        return []
    coming = {(work.workflow, work.part) for work in outstanding(pair.after, observed or _NOTHING)}
    unless = "" if observed else ", unless it has begun already"
    left = outstanding(pair.before, observed or _NOTHING)
    return [f"{_title(work)} does not begin any more{unless}" for work in left if (work.workflow, work.part) not in coming]


def _title(work: Work) -> str:
    return f"{work.workflow} run {work.run}"


# What else is another ----------------------------------------------------------------------------------------------------


def _reach(pair: Pair, settings: Sequence[Setting], observed: Observed | None) -> tuple[Consequence, list[str]]:
    """What follows from settings that are no work."""
    before, after = pair
    if before is None:
        return "next boot", []
    was_in, is_in = (machine.idle.partition("profile:")[2] for machine in pair if machine)
    ahead = {is_in, *(work.profile for work in outstanding(after, observed or _NOTHING))}
    names = [setting.name for setting in settings if not setting.name.startswith(_BY_ITSELF)]
    if was_in and any(name == "idle" or name.startswith(f"profile {was_in} ") for name in names):
        return "needs a reboot", [f"it runs {was_in} as it was, until it is rebooted"]
    names = [name for name in names if not name.startswith("profile ") or name.split(" ")[1] in ahead]
    if not names:
        return "none", []
    waits = before.idle == "wait" and any(name == "idle" for name in names)
    return "next boot", ["within half a minute, if it waits in its boot loader"] if waits else []
