"""The pages about git on a real server with a real repository: what `gitboot plan`, `why` and `history` say, on a page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest

from netboot.plans import PlanStore, Revision
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import write_reconciliation
from reconciler.commands.reviewing import answer
from reconciler.mirror import Mirror
from reconciler.source import Source
from tests.reconciler.gitkit import Work, free_port, git_daemon
from tests.reconciler.inventories import SITE, SOUND
from tests.reconciler.process import DEADLINE, FREE, Gitboot

pytestmark = pytest.mark.shell
PASSWORD = "correct-horse-battery"


class Site:
    def __init__(self, work: Work, server: Gitboot) -> None:
        self.work, self.server = work, server
        self.first = self.second = ""

    def page(self, path: str, at_last: str = "") -> str:
        """What a person reads on it, once it is there and says so."""
        until = time.monotonic() + 3 * DEADLINE
        while time.monotonic() < until:
            status, body = self.server.ask("GET", path, Accept="text/html")
            assert 200 == status, body
            text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", body.decode())))
            if at_last in text and "It is being worked out" not in text:
                return text
        raise AssertionError(f"{path} was not worked out: {text}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two commits that are served, one after the other."""
    folder = tmp_path_factory.mktemp("reviewed")
    work = Work(folder / "work")
    for name, text in SOUND.items():
        work.write(name, text)
    first = work.commit()
    second = work.commit(site=SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2"))
    kernel = folder / "artifacts/inspect/vmlinuz"
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(b"a kernel")
    words = ("--repo", work.path, "--state", folder / "state", "--artifacts", folder / "artifacts", "--new-site", "--poll", "1")
    with Gitboot("serve", *words, *FREE) as server:
        server.wait_for("published")
        server.wait_for("plan-served")
        site = Site(work, server)
        site.first, site.second = first, second
        yield site


def test_what_differs_between_two_commits_is_on_a_page(site: Site) -> None:
    text = site.page(f"/commits?base={site.first[:12]}&head=main", f"Newest{site.second}")
    assert f"{site.first[:12]} → {site.second[:12]}: 1 machine: 1 at the next boot." in text
    assert "~ option 3 (routers) 10.1.0.1 → 10.1.0.2" in text
    assert f"{site.second[:12]}" in text
    assert "changeserved" in text.replace(" ", "")
    assert "no change, both compile to the same plan" in site.page("/commits?base=main&head=HEAD")


def test_a_name_that_git_does_not_know_is_said_to_be_none(site: Site) -> None:
    assert "has no branch, tag or commit 'nope'" in site.page("/commits?base=nope&head=main")


def test_where_a_value_is_from_is_on_a_page(site: Site) -> None:
    text = site.page("/machines/node-01/why")
    found = re.search(r"option 3 \(routers\) 10\.1\.0\.2 site\.yaml:6 (.*?), \d{4}-\d\d-\d\d, Ann: change", text)
    assert found
    assert site.second[:12] in found[1]


def test_which_commits_changed_a_machine_is_on_a_page(site: Site) -> None:
    text = site.page("/machines/node-01/history")
    at = [text.index(each[:12], text.index("which commits changed")) for each in (site.second, site.first)]
    assert sorted(at) == at
    assert "10.1.0.1 → 10.1.0.2" in text
    assert ": new" in text


def test_the_mirror_of_a_remote_repository_tells_what_it_was_sent_and_that_there_was_more(tmp_path: Path) -> None:
    work, state = Work(tmp_path / "work"), tmp_path / "state"
    for name, text in SOUND.items():
        work.write(name, text)
    work.commit()
    plans, sent = PlanStore(state / "plans"), []
    with (
        git_daemon(tmp_path, free_port()) as address,
        closing(Mirror(state / "git", Source(f"{address}/work/.git"), 20)) as mirror,
    ):
        for gateway in ("10.1.0.2", "10.1.0.3"):
            work.commit(site=SITE.replace("gateway: 10.1.0.1", f"gateway: {gateway}"))
            sent.append(mirror.fetch())
            plans.write_revision(Revision(sent[-1], "p", {}), {})
    word = Reconciliation(str(mirror.source), branch="main", head=sent[1], revision=sent[1])
    write_reconciliation(state, word)
    (state / "status").mkdir()
    about = {"state": str(state), "floor": "", "at": [sent[1], sent[1], "p"]}
    last = answer({**about, "kind": "commits", "subject": []})
    assert ([sent[1], sent[0]], True, True) == ([each["commit"] for each in last["commits"]], last["cut"], last["lasts"])
    differs = answer({**about, "kind": "plan", "subject": [sent[0][:12], "main"]})
    assert "1 machine: 1 at the next boot." == differs["summary"]
    assert "has no branch, tag or commit" in answer({**about, "kind": "plan", "subject": [f"{sent[0]}~1", "main"]})["trouble"]


def test_a_rejected_commit_shows_its_problems_on_their_lines_and_no_secret(site: Site) -> None:
    """The last one: the site goes on with the commit before."""
    rejected = site.work.commit(site=f"{SITE}  gatewai: 10.1.0.1\n  password: {PASSWORD}\n")
    text = site.page("/commits", f"commit {rejected[:12]} was rejected; commit {site.second[:12]} stays served")
    assert "7 gatewai: 10.1.0.1" in text
    assert (True, False) == ("8 password: ***" in text, PASSWORD in text)
    assert "not served" in text
