"""What became of each try, as a status document: waiting, refused, under way, or over with its result.

Core. Law: a rehearsal succeeds when its agent reported and nothing that it looked at failed, or when there was nothing to be
done; a canary when all of its runs did. What is not known to have succeeded has failed. The shape: `schemas/status-tries.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from netboot.commit_status import CONTEXT, CommitStatus, State
from netboot.events import Finding, Trying
from netboot.observed import Observed
from netboot.records import RunStatus
from netboot.run_documents import Document, rfc3339
from netboot.tries import Judged, TryStatus

TRIES_PATH = "tries.json"
Result = Literal["success", "failure"]


def tries_document(judged: Iterable[Judged], observed: Observed) -> Document:
    """Of each machine the try that is asked for, or else the last there was."""
    asked = {each.asked.machine: each for each in judged}
    names = sorted(asked.keys() | observed.tries.last.keys())
    tries = [found for name in names if (found := try_document(name, asked.get(name), observed))]
    return {"apiVersion": "gitboot/v1", "kind": "TriesStatus", "tries": tries}


def try_document(machine: str, judged: Judged | None, observed: Observed) -> Document | None:
    """`judged`: what is asked for of this machine, if anything is."""
    status = observed.tries.last.get(machine)
    if judged and (status is None or status.trying.id != judged.asked.id):
        return _asked(judged)
    return _booted(status, observed) if status else None


def up_to_date(tries: Iterable[Document], judged: Iterable[Judged]) -> list[Document]:
    """What the servers said last of each try, with what git said since: who has just asked is not shown the try before."""
    asked = {each.asked.id: each for each in judged}
    said = {each["machine"]: each for each in tries if each["state"] in ("running", "over") or each["id"] in asked}
    known = {each["id"] for each in said.values()}
    said |= {each.asked.machine: _asked(each) for each in asked.values() if each.asked.id not in known}
    return [said[machine] for machine in sorted(said)]


def summary(document: Document | None) -> Document | None:
    """What the machine's own status says of it."""
    return {key: document[key] for key in ("ref", "revision", "rehearse", "state", "result", "said")} if document else None


def status_of(document: Document) -> CommitStatus | None:
    """What is to stand beside the commit in its forge; None while nothing is known of it."""
    result: State = document["result"] or "pending"
    if not document["revision"] or document["state"] == "looking":
        return None
    what = "rehearsal" if document["rehearse"] else "try"
    return CommitStatus(document["revision"], result, f"{CONTEXT}/{what} {document['machine']}", document["said"])


def _asked(judged: Judged) -> Document:
    trying = judged.trying
    if judged.problems or judged.refused:
        said = judged.refused or f"commit {judged.revision[:12]} has {_first_of(judged.problems)}"
        return _document(judged.asked.machine, trying, "refused", said, "failure", problems=judged.problems)
    if judged.unavailable:
        return _document(judged.asked.machine, trying, "looking", judged.unavailable)
    said = (
        f"waits for the machine to boot, which then {'rehearses' if trying.rehearse else 'tries'} commit {trying.revision[:12]}"
    )
    return _document(judged.asked.machine, trying, "waiting", said, plan=judged.plan)


def _first_of(problems: Sequence[Document]) -> str:
    """How many, and the first error: `2 problems; a.yaml:7: No such field.`"""
    first = next((each for each in problems if each["severity"] == "error"), problems[0])
    place = f"{first['file']}:{first['line']}: " if first["file"] else ""
    return f"{len(problems)} problem{'s' * (len(problems) != 1)}; {place}{first['message']}"


def _booted(status: TryStatus, observed: Observed) -> Document:
    runs = [run for run in observed.runs_of(status.machine) if (run.boot, run.plan) == (status.boot, status.plan)]
    result, said = _result(status, runs) if status.ended is not None else (None, status.reason)
    state = "over" if result else "running" if status.begun else "waiting"
    return _document(
        status.machine,
        status.trying,
        state,
        said,
        result,
        plan=status.plan,
        boot=status.boot,
        opened=rfc3339(status.opened),
        ended=None if status.ended is None else rfc3339(status.ended),
        findings=[finding_document(each) for each in status.findings or ()],
        runs=[{"workflow": run.workflow, "number": run.number, "state": run.state, "id": run.id} for run in runs],
    )


def _result(status: TryStatus, runs: list[RunStatus]) -> tuple[Result | None, str]:
    """None: it came to nothing, and the next boot tries it."""
    if not status.begun:
        return None, f"a boot came to nothing ({status.reason}); the next one tries it"
    if status.findings is not None:
        failed = [each for each in status.findings if each.state == "failed"]
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            return "failure", f"{failed[0].subject}: {failed[0].said}{more}"
        return "success", "; ".join(
            each.said for each in status.findings if each.kind == "disk"
        ) or "nothing that it needs is missing"
    if status.trying.rehearse or not runs:
        if not status.profile:
            return "success", f"there was nothing to be done: {status.reason}"
        return "failure", f"{'no report came' if status.trying.rehearse else 'no run began'}: {status.reason}"
    bad = next((run for run in runs if run.state != "SUCCESS"), None)
    if bad:
        return "failure", f"workflow {bad.workflow} run {bad.number} ended {bad.state}: {bad.reason or 'its machine went on'}"
    return "success", ", ".join(f"workflow {run.workflow} run {run.number} ended SUCCESS" for run in runs)


def finding_document(finding: Finding) -> Document:
    installed = msgspec.structs.asdict(finding.installed) if finding.installed else None
    return {**msgspec.structs.asdict(finding), "installed": installed}


def _document(machine: str, trying: Trying, state: str, said: str, result: Result | None = None, **more: Any) -> Document:
    return {
        "id": trying.id,
        "machine": machine,
        "ref": trying.ref,
        "revision": trying.revision,
        "rehearse": trying.rehearse,
        "by": trying.by,
        "state": state,
        "result": result,
        "said": said,
        "plan": "",
        "boot": None,
        "opened": None,
        "ended": None,
        "findings": [],
        "runs": [],
        "problems": [],
        **more,
    }
