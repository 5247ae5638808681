"""The rules for Prometheus and the dashboard for Grafana ask for what a server tells, and for nothing else.

What they ask is compared with the metrics of a live server, on which a machine has booted, worked and failed: each name, each
label, and each value that a label is said to have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from netboot.durations import AnswerKind
from netboot.events import RunState
from netboot.issue_kinds import CATALOGUE
from netboot.metrics import LOSERS
from tests.documents import ROOT
from tests.netboot.live_machine import Agent
from tests.netboot.live_server import Live

pytestmark = pytest.mark.shell
ALERTS = ROOT / "docs/deploy/alerts.yaml"
DASHBOARD = ROOT / "docs/deploy/grafana-dashboard.json"
FROM_PROMETHEUS = {"job", "instance"}
COUNTS = [
    tuple(found)
    for path in (ROOT / "netboot").rglob("*.py")
    for found in re.findall(r'(?:counts\[|\bexchange\()"([a-z]+)", "([^"]+)"', path.read_text())
]
"""Kind and outcome of whatever is counted by a name that stands in the code; some of the outcomes are numbers or computed."""
VALUES = {"issue": set(CATALOGUE), "state": set(get_args(RunState)), "phase": {"away"}}
KINDS = {"gitboot_answer_seconds": set(get_args(AnswerKind)), "gitboot_exchanges_total": {kind for kind, _ in COUNTS}}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def asked() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (each["query"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"] if each["type"] == "query")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name → its labels, of a server that has done a little of everything."""
    with Live(tmp_path_factory.mktemp("site")) as server:
        agent = Agent.of(server)
        agent.begin()
        agent.fail()
        text = requests.get(f"{agent.base}/metrics", timeout=20).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", list(asked()))
def test_what_is_asked_for_is_told(expression: str, told: dict[str, set[str]]) -> None:
    selectors = re.findall(r"\b(gitboot_\w+)(?:\{([^}]*)\})?", expression)
    assert selectors
    for name, matchers in selectors:
        labels = re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers)
        if name != "gitboot_reconcile_last_success_seconds":  # told as soon as git was read
            assert name in told
            assert {label for label, _, _ in labels} <= told[name] | FROM_PROMETHEUS
        known = VALUES | {"kind": KINDS.get(name.removesuffix("_bucket"), set())}
        for label, _, value in labels:
            assert "$" in value or label not in known or set(value.split("|")) <= known[label], expression
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert set(grouped.split(", ")) <= set().union(*(told.get(name, set()) for name, _ in selectors)) | FROM_PROMETHEUS


def test_a_defect_is_what_gitboot_lost_and_neither_a_dead_chat_nor_a_client_that_went_away() -> None:
    """A TFTP transfer counts as `failed` too where its client is not heard any more, and a tick where the disk is full."""
    (rule,) = (rule["expr"] for rule in rules() if rule["alert"] == "GitbootDefect")
    ((label, value),) = re.findall(r'(\w+)="([^"]*)"', rule)
    assert ("outcome", set(LOSERS)) == (label, {kind for kind, outcome in COUNTS if outcome == value})


def test_servers_that_are_scraped_together_are_judged_each_by_itself() -> None:
    """`scalar` of two servers is no number, and so no alarm. Nor may what is compared differ from what is counted."""
    for rule in rules():
        assert "scalar(" not in rule["expr"]
        asked_of = re.findall(r"gitboot_issues(?:\{[^}]*\})?", rule["expr"])
        assert len(set(asked_of)) <= 1, rule["alert"]


def test_every_rule_has_a_name_of_its_own_and_tells_a_person_what_to_do() -> None:
    assert len(rules()) == len({rule["alert"] for rule in rules()})
    for rule in rules():
        assert {"page", "ticket"} >= {rule["labels"]["severity"]}
        assert len(rule["annotations"]["description"]) > len(rule["annotations"]["summary"])
        labels = set(re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values())))
        assert all(re.search(rf"\b{label}\b", rule["expr"]) for label in labels)


def test_panels_are_told_apart_and_none_lies_on_another() -> None:
    squares = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(squares) == len(set(squares))
    assert max(x for x, _ in squares) < 24
    for key in ("id", "title"):
        assert len(panels()) == len({panel[key] for panel in panels()})
