"""The reconciler as a service: what it says, what it keeps over restarts, and how it ends."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netboot.log import Log
from netboot.plans import KEEP
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import read_reconciliation
from netboot.trust import Trust
from reconciler import service as module
from reconciler.errors import Unavailable
from reconciler.mirror import Mirror
from reconciler.problems import Problem
from reconciler.reconcile import Published
from reconciler.service import Busy, ReconcileSettings, Service
from reconciler.source import Source
from reconciler.trust import Floor
from tests.netboot.site import logged
from tests.reconciler.gitkit import free_port, git_daemon, silent_server
from tests.reconciler.inventories import SOUND
from tests.reconciler.test_reconcile import BROKEN, SECOND_MACHINE, Site

pytestmark = pytest.mark.shell


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    for path, content in SOUND.items():
        site.work.write(path, content)
    site.commit()
    return site


def service(site: Site, url: str = "", **more: Any) -> Service:
    source = Source(url or str(site.work.path), "main")
    return Service(ReconcileSettings(source, site.root / "state", site.root / "art", **more), Log(io.StringIO()))


def follow(site: Site, story: Callable[[Service], Awaitable[None]], url: str = "", **more: Any) -> list[dict[str, Any]]:
    """The log of a service that ran while the story was told."""

    async def run() -> list[dict[str, Any]]:
        with closing(service(site, url, **more)) as here:
            task = asyncio.create_task(here.run())
            try:
                async with asyncio.timeout(20):
                    await story(here)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            return logged(here._log)

    return asyncio.run(run())


def word(site: Site) -> Reconciliation:
    return read_reconciliation(site.root / "state") or Reconciliation("")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_commits_are_followed_within_moments_and_each_outcome_is_said_once(site: Site) -> None:
    revisions = [site.work.git("rev-parse", "HEAD")]

    async def story(here: Service) -> None:
        await until(lambda: word(site).revision == revisions[0])
        revisions.append(site.commit(hardware=BROKEN))
        await until(lambda: word(site).head == revisions[1])
        assert (revisions[0], True) == (word(site).revision, bool(word(site).problems))
        site.work.write("README", "unchanged inventory")
        revisions.append(site.commit(hardware=SOUND["hardware.yaml"], more=SECOND_MACHINE))
        await until(lambda: word(site).revision == revisions[2])

    lines = follow(site, story, poll=0.1)
    assert ["published", "rejected", "published"] == [line["event"] for line in lines if line["event"] != "problem"]
    assert {revisions[1]} == {line["revision"] for line in lines if line["event"] == "problem"}


def test_a_floor_rejects_what_nobody_signed_and_the_status_names_the_commit(site: Site) -> None:
    async def story(here: Service) -> None:
        await until(lambda: word(site).problems)

    follow(site, story, floor=Floor(Trust("required")))
    assert ("", site.work.git("rev-parse", "HEAD")) == (word(site).revision, word(site).head)
    (problem,) = word(site).problems
    assert ("untrusted-commit", "error") == (problem["code"], problem["severity"])
    assert f"Commit {word(site).head[:12]} by Ann" in str(problem["message"])


def test_a_restart_with_git_down_still_says_what_is_served_and_since_when(site: Site) -> None:
    async def first(here: Service) -> None:
        await until(lambda: word(site).revision)

    follow(site, first)
    before = word(site)
    site.work.path.rename(site.root / "away")

    async def second(here: Service) -> None:
        await until(lambda: word(site).unavailable)

    follow(site, second)
    after = word(site)
    assert (before.revision, before.plan, before.last_success) == (after.revision, after.plan, after.last_success)
    assert "no git repository" in after.unavailable


def test_a_restart_after_a_rejection_still_says_both_commits(site: Site) -> None:
    good = site.work.git("rev-parse", "HEAD")

    async def first(here: Service) -> None:
        await until(lambda: word(site).revision)
        site.commit(hardware=BROKEN)
        await until(lambda: word(site).problems)

    follow(site, first)
    (site.root / "state/reconcile.json").rename(site.root / "state/x")
    (site.root / "state/x").rename(site.root / "state/reconcile.json")

    async def second(here: Service) -> None:
        attempt = word(site).last_attempt
        await until(lambda: word(site).last_attempt != attempt)

    follow(site, second)
    assert (good, True) == (word(site).revision, word(site).head != good)


def test_another_repositorys_word_is_not_taken_over(site: Site) -> None:
    async def first(here: Service) -> None:
        await until(lambda: word(site).revision)

    follow(site, first)
    with closing(service(site, "git://127.0.0.1:9/other")) as other:
        assert ("", "git://127.0.0.1:9/other") == (other._word.revision, other._word.source)


def test_two_reconcilers_on_one_state_directory_cannot_be(site: Site) -> None:
    with closing(service(site)), pytest.raises(Busy, match=r"already followed by another gitboot \(process \d+\).*--state"):
        service(site)
    service(site).close()


def test_a_local_repository_that_is_not_there_fails_at_start_unless_something_can_be_served(site: Site) -> None:
    site.work.path.rename(site.root / "away")
    with pytest.raises(Unavailable, match="no git repository"):
        service(site)


def test_it_ends_at_once_in_the_middle_of_a_git_that_hangs(site: Site) -> None:
    with silent_server() as port:

        async def run() -> float:
            here = service(site, f"git://127.0.0.1:{port}/site")
            task = asyncio.create_task(here.run())
            await asyncio.sleep(0.3)
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            here.close()
            return time.monotonic() - began

        assert asyncio.run(run()) < 20  # git's own limit is a minute, a download's half of one


def test_it_ends_at_once_in_the_middle_of_a_download(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as origin:
        url = f"http://127.0.0.1:{origin.getsockname()[1]}/x"
        reference = f'{{url: "{url}", sha256: {"1" * 64}}}'
        site.commit(profile=SOUND["profile.yaml"].replace("inspect/vmlinuz", reference))

        async def run() -> float:
            here = service(site)
            task = asyncio.create_task(here.run())
            connection, _ = await asyncio.to_thread(origin.accept)
            with connection:
                began = time.monotonic()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                here.close()
                return time.monotonic() - began

        assert asyncio.run(run()) < 20  # git's own limit is a minute, a download's half of one


@pytest.mark.parametrize(
    ("pins", "kept"), [(None, False), ("[]", False), ('["FIRST"]', True), ("{", True), ('["FIRST", "gone"]', True)]
)
def test_pinned_plans_are_kept_and_pins_that_cannot_be_read_keep_everything(site: Site, pins: str | None, kept: bool) -> None:
    with closing(service(site)) as here:
        first = here._look()
        assert isinstance(first, Published)
        if pins is not None:
            (site.root / "state/pinned.json").write_text(pins.replace("FIRST", first.plan))
        for number in range(KEEP):
            site.commit(hardware2=SECOND_MACHINE.replace("10.1.0.12", f"10.1.0.{20 + number}"))
            here._look()
        assert kept == (here._plans.damage(first.plan) == "")
        assert ("not-pruned" in {line["event"] for line in logged(here._log)}) == (pins == "{")


def test_the_mirror_is_tidied_now_and_then_in_a_quiet_moment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tidied: list[bool] = []
    monkeypatch.setattr(Mirror, "tidy", lambda self: tidied.append(True))
    bare = site.root / "bare"
    site.work.git("clone", "-q", "--bare", str(site.work.path), str(bare))
    with git_daemon(site.root, free_port()) as base, closing(service(site, f"{base}/bare")) as here:
        here._look()
        here._look()
        assert [] == tidied
        here._tidied -= module.TIDY_SECONDS + 1
        site.work.write("README", "a busy moment")
        here._look()
        here._look()
        assert [True] == tidied


def test_rewritten_history_is_followed_and_said_and_a_restart_remembers_what_was_before(site: Site) -> None:
    with closing(service(site)) as here:
        here._look()
        assert ("", "") == (word(site).previous, word(site).history)
        first = word(site).head
        second = site.commit(more=SECOND_MACHINE)
        here._look()
        assert (first, "continued") == (word(site).previous, word(site).history)
        assert [] == [line for line in logged(here._log) if line["event"] == "history-rewritten"]
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    third = site.commit(more=BROKEN)
    with closing(service(site)) as here:
        here._look()
        here._look()
        assert (third, second, second, "rewritten") == (
            word(site).head,
            word(site).revision,
            word(site).previous,
            word(site).history,
        )
        said = [line for line in logged(here._log) if line["event"] == "history-rewritten"]
        assert [(third, second)] == [(line["revision"], line["previous"]) for line in said]


def test_a_head_that_git_has_thrown_away_leaves_the_history_unknown(site: Site) -> None:
    with closing(service(site)) as here:
        here._look()
        here._word = replace(here._word, head="f" * 40)
        site.commit(more=SECOND_MACHINE)
        here._look()
        assert ("f" * 40, "unknown") == (word(site).previous, word(site).history)


def test_a_defect_of_a_look_itself_is_not_swallowed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_told", lambda *_: 1 / 0)

    async def run() -> None:
        with closing(service(site)) as here:
            await here.run()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def test_a_word_that_cannot_be_written_is_written_next_time(site: Site) -> None:
    with closing(service(site)) as here:
        (site.root / "state/reconcile.json.new").mkdir()
        here._look()
        assert "" == word(site).revision
        (site.root / "state/reconcile.json.new").rmdir()
        here._look()
        assert "" != word(site).revision
        assert json.loads((site.root / "state/reconcile.json").read_bytes())["plan"]


@pytest.mark.parametrize("content", ["5", '[["a"]]', '{"a"', "[" * 100_000])
def test_pins_that_cannot_be_read_keep_every_plan_and_end_nothing(site: Site, content: str) -> None:
    with closing(service(site)) as here:
        here._look()
        (site.root / "state" / "pinned.json").write_text(content)
        here._prune()
        assert "not-pruned" == logged(here._log)[-1]["event"]


def test_the_status_of_a_commit_names_many_problems_and_counts_the_rest() -> None:
    warnings = [Problem(f"{number}.yaml", 1, 1, "", "x", "warning", "w") for number in range(100_000)]
    told = module._plain([*warnings, Problem("z.yaml", 1, 1, "", "x", "error", "e")])
    assert ("z.yaml", 501) == (told[0]["file"], len(told))
    assert "and 99501 more problems: `gitboot check` names them all" == told[-1]["message"]
    assert 500 == len(module._plain(warnings[:500]))
