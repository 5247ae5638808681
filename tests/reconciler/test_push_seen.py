"""A push at a forge is seen at once, by one process and by two: no poll is near, and git is asked over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.netboot.forges import SECRET, deliver
from tests.reconciler.gitkit import Work, http_server, wait_until
from tests.reconciler.process import FREE, Gitboot, sound_site
from tests.reconciler.test_reconcile import SECOND_MACHINE

pytestmark = pytest.mark.shell
NEVER = ("--poll", "86400")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = sound_site(tmp_path, "served/site")
    (tmp_path / "secret").write_bytes(SECRET)
    return work


@pytest.fixture(params=["one process", "two processes"])
def server(request: pytest.FixtureRequest, work: Work, tmp_path: Path) -> Iterator[Gitboot]:
    where = ("--state", tmp_path / "state", "--artifacts", tmp_path / "art")
    hook = ("--webhook-secret-file", tmp_path / "secret")
    with ExitStack() as stack:
        repo = ("--repo", stack.enter_context(http_server(tmp_path / "served")) + "/site/.git", *NEVER)
        if request.param == "one process":
            server = stack.enter_context(Gitboot("serve", *repo, *where, *FREE, *hook))
        else:
            server = stack.enter_context(Gitboot("netboot", *where, *FREE, *hook))
            server.wait_for("listening")
            stack.enter_context(Gitboot("reconcile", *repo, *where))
        server.wait_for("plan-served")
        yield server


def head(server: Gitboot) -> str:
    return str(json.loads(server.get("/status/reconcile.json"))["head"])


def test_a_push_is_seen_at_once_and_a_second_one_too(server: Gitboot, work: Work) -> None:
    pushed = [work.commit(more=SECOND_MACHINE)]
    push(server, pushed)
    pushed.append(work.commit(notes="what a README says"))
    push(server, pushed)


def push(server: Gitboot, pushed: list[str]) -> None:
    sent = deliver("GitHub")
    assert 202 == server.ask("POST", "/hooks/git", sent.body, **sent.headers)[0]
    assert wait_until(lambda: head(server) == pushed[-1])


def test_what_nobody_signed_is_no_push(server: Gitboot, work: Work) -> None:
    before, pushed = head(server), work.commit(more=SECOND_MACHINE)
    for headers in ({}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}, {"X-Gitlab-Token": "guessed"}):
        assert 401 == server.ask("POST", "/hooks/git", b"{}", **headers)[0]
    assert before == head(server) != pushed
