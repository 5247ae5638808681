"""All issues of the moment in one document: `/status/issues.json`.

Core. The law: the site's stand before the machines', and those in order of name. It is made when it is asked for and never
written to a file: most of what it says comes true by nothing happening. The shape is `schemas/status-issues.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from netboot.boot import Plans
from netboot.heard import Heard
from netboot.issue_kinds import CATALOGUE
from netboot.issues import Issue, Moment, of_machine, of_site
from netboot.observed import Observed
from netboot.reconcile_document import Reconciliation
from netboot.run_documents import Document, rfc3339

ISSUES_PATH = "issues.json"


def issues_of_site(plans: Plans | None, word: Reconciliation, heard: Heard, now: float) -> Iterator[Issue]:
    return of_site(plans.current if plans else None, word, heard, now)


def issues_of_machine(
    plans: Plans | None, name: str, observed: Observed, hold: str, heard: Heard, now: float
) -> Iterator[Issue]:
    if plans and (machine := plans.current.machines.get(name)):
        yield from of_machine(plans, machine, observed, Moment.of(hold, heard, now))


def issues_document(found: Iterable[Issue]) -> Document:
    issues = [entry(each) for each in found]
    return {
        "apiVersion": "gitboot/v1",
        "kind": "Issues",
        "counts": dict(Counter(each["kind"] for each in issues)),
        "issues": issues,
    }


def entry(issue: Issue) -> Document:
    return {
        "kind": issue.kind,
        "machine": issue.machine or None,
        "since": rfc3339(issue.since) if issue.since else None,
        "title": CATALOGUE[issue.kind].title,
        "message": issue.message,
    }
