"""What forges are asked, and what is made of their answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.commit_status import CommitStatus
from reconciler.forges import (
    KINDS,
    Answer,
    BadForge,
    Barred,
    Forge,
    Kind,
    Later,
    Never,
    ask,
    forge_of,
    shortened,
    status_request,
    verdict,
)

SHA = "1f" * 20
TOKEN = "ghp_very_secret"
REPORT = CommitStatus(SHA, "failure", "gitboot", "rejected: 3 problems", "https://boot.lab.example/status/reconcile.json")


def forge(kind: Kind, url: str = "https://git.lab.example", project: str = "lab/site") -> Forge:
    return forge_of(kind, url, project, TOKEN)


def content(kind: Kind, report: CommitStatus) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status_request(forge(kind), report).body)
    return found


@pytest.mark.parametrize(
    ("kind", "url", "api"),
    [
        ("github", "", "https://api.github.com"),
        ("github", "https://github.com/", "https://api.github.com"),
        ("github", "https://api.github.com", "https://api.github.com"),
        ("github", "https://api.lab.ghe.com", "https://api.lab.ghe.com"),
        ("github", "https://ghe.lab.example", "https://ghe.lab.example/api/v3"),
        ("github", "https://ghe.lab.example/api/v3", "https://ghe.lab.example/api/v3"),
        ("gitlab", "", "https://gitlab.com/api/v4"),
        ("gitlab", "https://git.lab.example/gitlab", "https://git.lab.example/gitlab/api/v4"),
        ("gitlab", "https://git.lab.example/api/v4/", "https://git.lab.example/api/v4"),
        ("gitea", "http://git.lab.example:3000", "http://git.lab.example:3000/api/v1"),
        ("gitea", "http://git.lab.example:3000/api/v1", "http://git.lab.example:3000/api/v1"),
    ],
)
def test_the_forges_address_and_its_apis_are_both_understood(kind: Kind, url: str, api: str) -> None:
    assert api == forge(kind, url).api


@pytest.mark.parametrize(
    ("kind", "url", "project", "token", "said"),
    [
        ("gitea", "", "lab/site", TOKEN, "--forge-url https://git.lab.example"),
        ("github", "ftp://git.lab.example", "lab/site", TOKEN, "is an address as"),
        ("github", "file:///etc/passwd", "lab/site", TOKEN, "is an address as"),
        ("github", "https://me:secret@git.lab.example", "lab/site", TOKEN, "without user"),
        ("github", "https://git.lab.example/?x=1", "lab/site", TOKEN, "without user, query"),
        ("github", "", "site", TOKEN, "OWNER/NAME"),
        ("github", "", "17", TOKEN, "OWNER/NAME"),
        ("gitea", "https://git.lab.example", "lab/site/../..\n", TOKEN, "OWNER/NAME"),
        ("gitlab", "", "lab/site?x", TOKEN, "OWNER/NAME"),
        ("gitlab", "", "lab/site", "", "one line of letters"),
        ("gitlab", "", "lab/site", "a\nb", "one line of letters"),
        ("gitlab", "", "lab/site", "gehéim", "one line of letters"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_a_sentence(
    kind: Kind, url: str, project: str, token: str, said: str
) -> None:
    with pytest.raises(BadForge, match=said) as error:
        forge_of(kind, url, project, token)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "path", "fields"),
    [
        ("github", "/api/v3/repos/lab/site", {"state": "failure", "context": "gitboot"}),
        ("gitlab", "/api/v4/projects/lab%2Fsite", {"state": "failed", "name": "gitboot"}),
        ("gitea", "/api/v1/repos/lab/site", {"state": "failure", "context": "gitboot"}),
    ],
)
def test_a_status_has_each_forges_own_fields(kind: Kind, path: str, fields: dict[str, str]) -> None:
    request = status_request(forge(kind), REPORT)
    assert ("POST", f"https://git.lab.example{path}/statuses/{SHA}") == (request.method, request.url)
    assert fields | {"description": REPORT.description, "target_url": REPORT.url} == content(kind, REPORT)


def test_gitlab_knows_a_project_by_its_number_and_in_groups_of_groups() -> None:
    assert forge("gitlab", project="17").base.endswith("/projects/17")
    assert forge("gitlab", project="lab/racks/site").base.endswith("/projects/lab%2Fracks%2Fsite")


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("github", ("Authorization", f"Bearer {TOKEN}")),
        ("gitlab", ("PRIVATE-TOKEN", TOKEN)),
        ("gitea", ("Authorization", f"token {TOKEN}")),
    ],
)
def test_the_token_is_in_one_header_and_nowhere_else(kind: Kind, header: tuple[str, str]) -> None:
    request = status_request(forge(kind), REPORT)
    assert header in request.headers.items()
    assert 1 == sum(TOKEN in value for value in request.headers.values())
    assert TOKEN not in f"{request!r} {forge(kind)!r} {request.url} {request.body!r}"


@pytest.mark.parametrize(("kind", "most"), [("github", 140), ("gitlab", 255), ("gitea", 255)])
def test_a_description_is_cut_to_what_the_forge_takes_and_shows_it(kind: Kind, most: int) -> None:
    told = content(kind, CommitStatus(SHA, "failure", "gitboot", "é" * 300))["description"]
    assert (most, "…") == (len(told), told[-1])
    assert "x" * most == content(kind, CommitStatus(SHA, "failure", "gitboot", "x" * most))["description"]


@given(st.text(st.characters(codec=None), max_size=300), st.integers(2, 200))
def test_any_text_becomes_one_printable_line_of_that_length(text: str, most: int) -> None:
    line = shortened(text, most)
    assert len(line) <= most
    assert line.isprintable()
    line.encode()


def test_an_address_too_long_for_a_forge_is_left_out_and_never_cut() -> None:
    assert "target_url" not in content("gitlab", CommitStatus(SHA, "success", "gitboot", "serving", f"https://x/{'y' * 250}"))


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body or {}).encode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given_", "expected", "said"),
    [
        (answer(201), None, ""),
        (answer(200), None, ""),
        (answer(401, {"message": "Bad credentials"}), Barred, r"does not know the token \(Bad credentials\).*give a new one"),
        (answer(403, {"message": "Resource not accessible"}), Barred, r"does not let the token do this in lab/site.*it needs"),
        (answer(404, {"message": "Not Found"}), Barred, r"knows no lab/site.*--forge-project"),
        (answer(301), Barred, r"has moved \(301\)"),
        (answer(307), Barred, r"has moved \(307\)"),
        (answer(422, {"message": "No commit found for SHA"}), Never, r"refuses it \(422 No commit found for SHA\)"),
        (answer(400, {"error": "state is missing"}), Never, "state is missing"),
        (answer(500), Later, "cannot answer just now"),
        (answer(502), Later, "cannot answer just now"),
        (answer(429, retry_after="30"), Later, "asks for a pause"),
        (answer(0), Never, "refuses"),
    ],
)
def test_an_answer_says_whose_turn_it_is(kind: Kind, given_: Answer, expected: type | None, said: str) -> None:
    found = verdict(forge(kind), given_, 1000.0)
    assert (type(None) if expected is None else expected) is type(found)
    assert found is None or re.search(said, found.reason)


@pytest.mark.parametrize(
    ("given_", "after"),
    [
        (answer(429, retry_after="30"), 30.0),
        (answer(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 60.0),
        (answer(429), 60.0),
        (answer(403, retry_after="5"), 5.0),
        (answer(403, x_ratelimit_remaining="0", x_ratelimit_reset="1500"), 500.0),
        (answer(403, x_ratelimit_remaining="0", x_ratelimit_reset="900"), 1.0),
        (answer(403, x_ratelimit_remaining="0", x_ratelimit_reset="soon"), 60.0),
        (answer(429, retry_after="999999999999"), 3600.0),
        (answer(503, retry_after="20"), 20.0),
        (answer(500), 0.0),
    ],
)
def test_a_pause_that_the_forge_asks_for_is_kept_and_bounded(given_: Answer, after: float) -> None:
    found = verdict(forge("github"), given_, 1000.0)
    assert isinstance(found, Later)
    assert after == found.after


def test_gitlabs_refusal_to_repeat_a_pending_status_is_no_refusal() -> None:
    same = answer(400, {"message": 'Cannot transition status via :enqueue from :pending (Reason(s): "enqueue")'})
    assert None is verdict(forge("gitlab"), same, 0.0)
    assert isinstance(verdict(forge("gitea"), same, 0.0), Never)


def test_what_a_forge_says_is_one_short_line_and_never_the_token() -> None:
    hostile = answer(401, {"message": f"\x1b[2Jno: {TOKEN} " + "x" * 1000})
    found = verdict(forge("github"), hostile, 0.0)
    assert isinstance(found, Barred)
    assert (False, True) == (TOKEN in found.reason, found.reason.isprintable())
    assert len(found.reason) < 500


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_answer_has_a_verdict(body: bytes, status: int) -> None:
    for kind in KINDS:
        assert isinstance(verdict(forge(kind), Answer(status, {}, body), 0.0), Later | Barred | Never | None)


def test_only_what_has_content_says_what_kind() -> None:
    assert "Content-Type" not in ask(forge("github"), "GET", "https://api.github.com/user").headers
