"""The pages about git: what they ask of whoever reads the repository, and what they say where nobody does."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from netboot.reconcile_document import Reconciliation
from netboot.review import Document, NotAnswered, Question, is_commit_name
from tests.netboot.reviews import HEAD, SERVED, Told, answers
from tests.netboot.site import browser, plan, world

HTML = {"Accept": "text/html"}
EVIL = "<script>alert(1)</script>\"'\x1b[31m"
SHOWN = EVIL.replace("\x1b", r"\x1b")
PAGES = ("/commits", "/commits?base=main~1&head=main", "/machines/node-01/why", "/machines/node-01/history")
ANSWERS = answers(EVIL)


def shown(tmp_path: Path, path: str, reviewer: Told | None, file: str = EVIL, **settings: Any) -> httpx.Response:
    async def get() -> httpx.Response:
        async with world(tmp_path / "state", plan(), **settings) as here:
            problem = {"file": file, "line": 2, "column": 1, "path": "", "code": "c", "severity": "error", "message": EVIL}
            held = {"kind": "many", "rule": EVIL, "why": EVIL, "release": EVIL, "machines": [EVIL], "count": 30, "whole": True}
            here.git.latest = Reconciliation("repo", head=HEAD, revision=SERVED, problems=(problem,), held=(held,))
            here.reviewer = reviewer
            async with browser(here) as client:
                return await client.get(path, headers=HTML)

    return asyncio.run(get())


@pytest.mark.parametrize("path", PAGES)
def test_what_git_and_its_people_say_is_text(tmp_path: Path, path: str) -> None:
    answer = shown(tmp_path, path, Told(lambda question: ANSWERS[question.kind]))
    assert 200 == answer.status_code
    assert "<script>alert" not in answer.text
    assert SHOWN in unescape(answer.text)
    assert "refresh" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_what_is_worked_out_is_looked_for_again(tmp_path: Path, path: str) -> None:
    answer = shown(tmp_path, path, Told(lambda question: None))
    assert (200, "3") == (answer.status_code, answer.headers["refresh"])
    assert "It is being worked out" in answer.text


def fails(question: Question) -> Document:
    raise NotAnswered(f"Because {EVIL}.")


@pytest.mark.parametrize("path", PAGES)
def test_why_there_is_no_answer_is_said_with_the_command_that_has_one(tmp_path: Path, path: str) -> None:
    answer = shown(tmp_path, path, Told(fails))
    assert f"Because {SHOWN}." in unescape(answer.text)
    assert "<pre tabindex" in answer.text


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/commits?base=main~1&head=main", "gitboot plan main~1..main"),
        ("/commits?base=v1", f"gitboot plan v1..{SERVED}"),
        ("/machines/node-01/why", "gitboot why node-01"),
        ("/machines/node-01/history", "gitboot history node-01"),
    ],
)
def test_a_server_without_a_repository_names_the_command(tmp_path: Path, path: str, command: str) -> None:
    assert command in unescape(shown(tmp_path, path, None).text)


def test_two_commits_are_asked_for_as_the_address_names_them_and_by_what_they_rest_on(tmp_path: Path) -> None:
    told = Told(lambda question: ANSWERS[question.kind])
    shown(tmp_path, "/commits?base=+main~1+&head=v1.0", told)
    at = (HEAD, SERVED, plan().plan.id)
    assert [Question("commits", (), at), Question("plan", ("main~1", "v1.0"), at)] == told.asked


@pytest.mark.parametrize(
    "name", ["--output=x", "main:site.yaml", ":/secret", "main@{1}", "a..b", "a b", "x" * 201, "a\nb", "\x00", "é"]
)
def test_what_is_no_name_of_a_commit_is_not_even_asked(tmp_path: Path, name: str) -> None:
    assert not is_commit_name(name)
    told = Told(lambda question: ANSWERS[question.kind])
    answer = shown(tmp_path, str(httpx.URL("/commits", params={"base": name, "head": "main"})), told)
    assert (200, ["commits"]) == (answer.status_code, [each.kind for each in told.asked])
    assert "Name both commits" in answer.text


@pytest.mark.parametrize("name", ["main", "main~1", "v1.0^", "feature/x_y+z", "0a1b2c", "HEAD~12"])
def test_what_people_call_commits_is_a_name(name: str) -> None:
    assert is_commit_name(name)


def test_each_commit_leads_to_what_it_changed_and_is_said_to_be_served_or_not(tmp_path: Path) -> None:
    text = shown(tmp_path, "/commits", Told(lambda question: ANSWERS[question.kind])).text
    assert f'href="/commits?base={HEAD[:12]}~1&amp;head={HEAD[:12]}#between"' in text
    assert ["not served", "served"] == re.findall(r'class="state \w+">((?:not )?served)<', text)
    assert "Older history is not here" in text


@pytest.mark.parametrize(("file", "there"), [("site.yaml", True), ("other.yaml", False)])
def test_a_problem_is_shown_on_its_line_and_on_no_other(tmp_path: Path, file: str, there: bool) -> None:
    """They may be answers to another commit than the page is about."""
    text = shown(tmp_path, "/commits", Told(lambda question: ANSWERS[question.kind]), file).text
    assert there == ('<span class="here"><b>   2</b> here</span>' in text)


@pytest.mark.parametrize("page", ["why", "history"])
def test_nothing_is_asked_of_a_machine_that_is_not_there(tmp_path: Path, page: str) -> None:
    told = Told(fails)
    assert (404, []) == (shown(tmp_path, f"/machines/node-09/{page}", told).status_code, told.asked)


@pytest.mark.parametrize("path", PAGES)
def test_nobody_asks_without_a_token(tmp_path: Path, path: str) -> None:
    told = Told(fails)
    assert (401, []) == (shown(tmp_path, path, told, open_status=False).status_code, told.asked)
