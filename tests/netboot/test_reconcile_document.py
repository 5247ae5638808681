"""The status of the site: what is served, whose turn it is, and who is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from netboot.observed import Observed
from netboot.reconcile_document import Reconciliation, reconcile_document, without_credentials
from tests.netboot.story import begun
from tests.netboot.test_status_documents import condition, truths, valid

SERVED = Reconciliation("https://host/site.git", "main", head="abc", revision="abc", plan="plan-1", last_success=1000.0)


@dataclass(frozen=True)
class Stranger:
    mac: str = "52:54:00:99:99:99"
    address: str = "10.1.200.1"
    first_seen: float = 1000.0
    last_seen: float = 1001.0
    count: int = 2
    asked: str = "DISCOVER"
    client: dict[str, str] = field(default_factory=lambda: {"arch": "0"})


def test_the_site_says_what_is_served_what_runs_and_who_is_unknown() -> None:
    story, _, _ = begun()
    document = valid("reconcile", reconcile_document(SERVED, story.observed, [Stranger()], 2000.0))
    assert ({"agent": 1}, {"RUNNING": 1}, "j1") == (document["boots"], document["runs"], document["journal"])
    assert ["52:54:00:99:99:99"] == [each["mac"] for each in document["unknown"]]
    assert {"Ready": "True", "Reconciling": "False", "Stalled": "False", "RunsHeld": "False"} == truths(document)


@pytest.mark.parametrize(
    ("site", "reason", "expected"),
    [
        (replace(SERVED, head="def", problems=[{"code": "duplicate-mac", "severity": "error"}]), "Rejected", ("False", "True")),
        (replace(SERVED, problems=[{"code": "no-digest", "severity": "warning"}]), "Served", ("True", "False")),
        (replace(SERVED, unavailable="connection refused"), "Unavailable", ("False", "False")),
        (replace(SERVED, head="def", reconciling="commit def is compiled"), "Pending", ("False", "False")),
        (Reconciliation("https://host/site.git"), "Pending", ("False", "False")),
    ],
)
def test_conditions_say_whose_turn_it_is(site: Reconciliation, reason: str, expected: tuple[str, str]) -> None:
    document = valid("reconcile", reconcile_document(site, Observed(journal="j1"), [], 2000.0))
    assert (reason, *expected) == (
        condition(document, "Ready")["reason"],
        condition(document, "Ready")["status"],
        condition(document, "Stalled")["status"],
    )


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = reconcile_document(SERVED, Observed(), [], 2000.0)
    second = reconcile_document(replace(SERVED, unavailable="git is down"), Observed(), [], 3000.0, first)
    assert ("1970-01-01T00:50:00.000Z", "1970-01-01T00:33:20.000Z") == (
        condition(second, "Ready")["lastTransitionTime"],
        condition(second, "Stalled")["lastTransitionTime"],
    )


@pytest.mark.parametrize(("hold", "journal"), [("frozen by anna", "j1"), ("", "")])
def test_held_runs_are_shown_everywhere(hold: str, journal: str) -> None:
    document = reconcile_document(replace(SERVED, hold=hold), Observed(journal=journal), [], 2000.0)
    assert condition(document, "RunsHeld")["status"] == "True"
    assert condition(document, "RunsHeld")["message"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@host/x.git", "https://host/x.git"),
        ("https://token@host/x.git", "https://host/x.git"),
        ("https://host/x@y.git", "https://host/x@y.git"),
        ("git@host:x.git", "git@host:x.git"),
        ("/srv/x.git", "/srv/x.git"),
    ],
)
def test_credentials_of_a_url_are_not_shown(url: str, expected: str) -> None:
    assert expected == without_credentials(url)
    assert expected == reconcile_document(replace(SERVED, source=url), Observed(), [], 0.0)["source"]
