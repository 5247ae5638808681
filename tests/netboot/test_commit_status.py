"""What is said of a commit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netboot.commit_status import of_commit
from netboot.reconcile_document import Reconciliation

OLD, NEW = "0d" * 20, "1f" * 20
SERVED = Reconciliation("/srv/site", head=NEW, revision=NEW, plan="plan-1")


def problem(**more: Any) -> dict[str, Any]:
    return {"file": "node.yaml", "line": 7, "severity": "error", "code": "x", "message": "There is no field 'profle'."} | more


@pytest.mark.parametrize(
    ("word", "state", "description"),
    [
        (SERVED, "success", "serving"),
        (replace(SERVED, problems=[problem(severity="warning")]), "success", "serving, with 1 warning"),
        (replace(SERVED, problems=[problem(severity="warning")] * 2), "success", "serving, with 2 warnings"),
        (
            replace(SERVED, revision=OLD, problems=[problem(), problem(severity="warning")]),
            "failure",
            "rejected: 1 problem; node.yaml:7: There is no field 'profle'.",
        ),
        (
            replace(SERVED, revision=OLD, problems=[problem(line=0), *[problem()] * 2]),
            "failure",
            "rejected: 3 problems; node.yaml: There is no field 'profle'.",
        ),
        (
            replace(SERVED, revision="", problems=[problem(file="", line=0, message="There is no Site.")]),
            "failure",
            "rejected: 1 problem; There is no Site.",
        ),
        (
            replace(SERVED, revision=OLD, problems=[*[problem()] * 500, problem(code="more-problems")]),
            "failure",
            "rejected: more than 500 problems; node.yaml:7: There is no field 'profle'.",
        ),
    ],
)
def test_a_commit_is_serving_or_rejected_with_its_first_problem(word: Reconciliation, state: str, description: str) -> None:
    found = of_commit(word)
    assert found is not None
    assert (NEW, state, "gitboot", description) == (found.revision, found.state, found.context, found.description)


def held(rule: str, whole: bool = False) -> dict[str, Any]:
    return {"kind": "destructive", "rule": rule, "why": "", "release": "", "machines": ["node-01"], "count": 1, "whole": whole}


@pytest.mark.parametrize(
    ("word", "state", "description"),
    [
        (replace(SERVED, held=(held("protect: true"),)), "pending", "held: protect: true"),
        (replace(SERVED, held=(held("a"), held("b"), held("a"))), "pending", "held: a, b"),
        (replace(SERVED, held=(held("a"),), problems=[problem(severity="warning")]), "pending", "held: a"),
        (
            replace(SERVED, revision=OLD, held=(held("to remove at most 5 per site", whole=True),)),
            "pending",
            "held, and none of it is served: to remove at most 5 per site",
        ),
        (
            replace(SERVED, revision=OLD, held=(held("a"),), problems=[problem()]),
            "failure",
            "rejected: 1 problem; node.yaml:7: There is no field 'profle'.",
        ),
    ],
)
def test_what_policy_holds_is_named_by_its_rules(word: Reconciliation, state: str, description: str) -> None:
    found = of_commit(word)
    assert found is not None
    assert (NEW, state, description) == (found.revision, found.state, found.description)


@pytest.mark.parametrize(
    "word",
    [
        Reconciliation("/srv/site"),
        replace(SERVED, unavailable="git is down"),
        replace(SERVED, revision=OLD),
        replace(SERVED, revision=OLD, unavailable="an artefact cannot be fetched", problems=[problem()]),
    ],
)
def test_nothing_is_said_before_it_is_decided(word: Reconciliation) -> None:
    assert None is of_commit(word)


def test_folders_of_one_repository_speak_beside_each_other() -> None:
    found = of_commit(replace(SERVED, path="sites/berlin"))
    assert found is not None
    assert (NEW, "gitboot/sites/berlin") == found.subject
