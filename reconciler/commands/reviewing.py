"""What `gitboot serve` starts to answer one question of a page: `python -m reconciler.commands.reviewing`, with the question on
its standard input and the answer, or why there is none, as JSON on its output.

What is in the repository is for whoever may push to say: so this is a process of its own, with bounds, and not the server.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netboot.masks import masked_text
from netboot.plans import PlanStore
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import read_reconciliation
from reconciler.blame import Author, Written, told
from reconciler.commands import history, why
from reconciler.commands.comparing import Side, sides_of
from reconciler.commands.documents import files
from reconciler.commands.explaining import followed, of_state
from reconciler.commands.signing import floor_of
from reconciler.diff import compare
from reconciler.errors import BadSource, Unavailable
from reconciler.foreseeing import foreseen
from reconciler.git import open_repository
from reconciler.observing import observed_from
from reconciler.past import Past
from reconciler.plan_page import as_page
from reconciler.problems import Rejected
from reconciler.repository import Repository
from reconciler.sentence import Sentence
from reconciler.why import explain

NICENESS = 10
MOST_COMMITS = 50
MOST_PLACES = 100
"""Problems that are shown on their lines."""
AROUND = 2
"""Lines before and after."""
LONGEST_LINE, LONGEST_VALUE = 200, 4000
MOST_CHANGES, CHANGES_SECONDS = 50, 20.0
"""Of a machine's history: how many, and how long they are looked for."""

Answer = dict[str, Any]


def main() -> None:
    question = json.load(sys.stdin)
    os.nice(NICENESS)
    for bound, most in ((resource.RLIMIT_DATA, question["memory"]), (resource.RLIMIT_CPU, question["seconds"])):
        resource.setrlimit(bound, (most, most))
    signal.alarm(question["seconds"])  # who would end it may have been killed
    json.dump(answer(question), sys.stdout)


def answer(question: Mapping[str, Any]) -> Answer:
    """`trouble`: why there is none. `lasts`: it stays true while nothing that it rests on changes."""
    try:
        return _ANSWERS[question["kind"]](Path(question["state"]), question["subject"], question)
    except (Sentence, Unavailable, BadSource) as error:
        return {"trouble": error.message if isinstance(error, Sentence) else str(error)}
    except Rejected as rejected:
        return {"trouble": "; ".join(each.message for each in rejected.problems[:3])}
    except MemoryError:
        return {"trouble": "It takes more memory than a page may have; ask on the command line."}
    except Exception:
        return {"trouble": "This is a defect of gitboot; its log says more.", "defect": traceback.format_exc()}


@contextmanager
def _followed(state: Path) -> Iterator[tuple[Repository, Reconciliation]]:
    word = read_reconciliation(state)
    if word is None or not word.head:
        raise Sentence("No commit was read yet; `gitboot status` says why.")
    source = followed(state, {"source": word.source, "revision": word.head, "path": word.path}, None)
    with closing(open_repository(source, state / "git")) as repository:
        yield repository, word


# The last commits -----------------------------------------------------------------------------------------------------------


def _commits(state: Path, _: object, question: Mapping[str, Any]) -> Answer:
    """Of the branch, newest first, with which were accepted, as far as that is kept; and problems on their lines."""
    plans = PlanStore(state / "plans")
    with _followed(state) as (repository, word):
        branch = repository.latest(word.head, MOST_COMMITS)
        accepted = plans.revisions()  # a mirror without history still has what it was sent before
        known = told(repository, [*branch, *accepted])
        names = [*branch, *(name for name in accepted if name not in branch and isinstance(known[name], Written))]
        last = known[branch[-1]]
        return {
            "commits": [{"commit": name, "accepted": name in accepted, **_author(known[name])} for name in names],
            "cut": isinstance(last, Written) and bool(last.commit.parents) and len(branch) < MOST_COMMITS,
            "places": _places(repository, word),
            "lasts": [word.head, word.revision] == question["at"][:2],
        }


def _places(repository: Repository, word: Reconciliation) -> list[dict[str, Any]]:
    """The lines around each problem, masked; none for one without a line."""
    texts: dict[str, list[str]] = {}
    found = []
    for problem in word.problems[:MOST_PLACES]:
        file, line = str(problem["file"]), int(problem["line"])
        if line and file not in texts:
            texts[file] = masked_text((repository.blob(word.head, file) or b"").decode("utf-8", "replace")).split("\n")
        first = max(1, line - AROUND)
        lines = texts[file][first - 1 : line + AROUND] if line else []
        found.append({"file": file, "line": line, "first": first, "lines": [each[:LONGEST_LINE] for each in lines]})
    return found


def _author(author: Author) -> dict[str, Any]:
    if not isinstance(author, Written):
        return {"author": "", "date": "", "subject": author}
    commit = author.commit
    when = datetime.fromtimestamp(commit.authored, UTC).isoformat()
    return {"author": commit.author, "date": when, "subject": commit.subject}


# What differs between two -----------------------------------------------------------------------------------------------------


def _plan(state: Path, names: list[str], question: Mapping[str, Any]) -> Answer:
    """As `gitboot plan` says it, by what the server knows has run."""
    with _followed(state) as (repository, word):
        followed_by = {word.branch: word.head, "HEAD": word.head}  # a mirror has no other name for it
        base, head = (repository.resolve(followed_by.get(name, name)) for name in names)
        before, after = sides_of(repository, (names[0], base), (names[1], head), None)
    difference = compare(before.plan, after.plan, None) if after.plan else None
    if difference is None or after.plan is None:
        raise Sentence(f"{after.called} cannot be served.")
    if difference:
        with files(state) as read:
            machines = {name for each in difference.machines for name in (each.machine, each.was)}
            observed = _observed(read, machines, before, after)
        difference = compare(before.plan, after.plan, observed)
        floor = floor_of(Path(question["floor"]) if question["floor"] else None)
        difference = foreseen(difference, before.plan, after.plan, floor, observed)
    return {"before": base, "after": head, "changed": bool(difference), **as_page(difference)}


def _observed(read: Any, names: set[str], *of: Side) -> Any:
    """What has run, of every workflow that a changed machine has or had."""
    plans = [each.plan for each in of if each.plan]
    machines = [plan.machines[name] for plan in plans for name in names if name in plan.machines]
    workflows = sorted({work.workflow for machine in machines for work in machine.work})
    documents = [found for name in workflows if (found := read(f"workflows/{name}.json")) is not None]
    return observed_from(documents, {machine.name: machine.macs for machine in machines})


# One machine ------------------------------------------------------------------------------------------------------------------


def _why(state: Path, names: list[str], question: Mapping[str, Any]) -> Answer:
    with of_state(state, names[0], None) as evidence:
        known = explain(evidence.inventory, evidence.plan, names[0], evidence.following(names[0]))
        lines = {each.line for one in known for each in (*one.reason.by, *one.reason.beaten) if each.line}
        document = why.document(names[0], known, evidence, evidence.authors(sorted(lines)))
    for each in document["settings"]:
        each["group"], each["label"] = why.group_of(each["name"])
        each["value"] = each["value"][:LONGEST_VALUE]
    return {**document, "lasts": [evidence.revision, evidence.plan.id] == question["at"][1:]}


def _history(state: Path, names: list[str], question: Mapping[str, Any]) -> Answer:
    """The newest first, as many as are found in some seconds."""
    until = time.monotonic() + CHANGES_SECONDS
    found: list[dict[str, Any]] = []
    whole = True
    with _followed(state) as (repository, word):
        past = Past(repository, word.revision)
        plan = past.served(word.revision)
        if plan is None or names[0] not in plan.machines:
            raise Sentence(f"Commit {word.revision[:12]} has no machine {names[0]}.")
        for change, author in history.changes(repository, past, names[0], word.revision):
            found.append(history.document(change, author))
            if len(found) == MOST_CHANGES or time.monotonic() > until:
                whole = False
                break
        lasts = [word.revision] == question["at"][1:2]
    return {"commits": found, "whole": whole, "rejected": list(past.rejected)[:MOST_COMMITS], "lasts": lasts}


_ANSWERS: Mapping[str, Callable[[Path, list[str], Mapping[str, Any]], Answer]] = {
    "commits": _commits,
    "plan": _plan,
    "why": _why,
    "history": _history,
}

if __name__ == "__main__":
    main()
