"""The watcher wakes when refs move, when it is poked, and in any case when it is time."""

from __future__ import annotations

import asyncio
import errno
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.git import LocalRepository
from reconciler.source import Source
from reconciler.watch import Wake, Watcher
from tests.reconciler.gitkit import Work

pytestmark = pytest.mark.shell

NEVER = 1000.0  # seconds: a wake within a test's deadline is then not the timer's
DEADLINE = 20.0


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "work")
    work.commit(a="1")
    return work


def watching(find: Callable[[], Iterable[Path]], scene: Callable[[Watcher], Awaitable[None]], poll: float = NEVER) -> None:
    async def run() -> None:
        async with Watcher(find, poll, lambda: 0.5) as watcher:
            await asyncio.wait_for(scene(watcher), DEADLINE)

    asyncio.run(run())


def of(path: Path) -> Callable[[], Iterable[Path]]:
    return lambda: LocalRepository(Source(str(path)), 20).directories


def nothing() -> Iterable[Path]:
    return ()


@pytest.mark.parametrize(
    "words",
    [
        ("commit", "-q", "--allow-empty", "-m", "x"),
        ("update-ref", "refs/heads/main", "HEAD"),
        ("branch", "new/deep/branch"),
        ("tag", "v1"),
        ("symbolic-ref", "HEAD", "refs/heads/other"),
        ("pack-refs", "--all"),
        ("branch", "-D", "packed"),
    ],
)
def test_a_moved_ref_wakes_within_a_second(work: Work, words: tuple[str, ...]) -> None:
    work.commit(b="2")
    if "packed" in words:
        work.git("branch", "packed")
        work.git("pack-refs", "--all")
    if words[0] == "update-ref":
        words = (*words[:-1], work.git("rev-parse", "HEAD~1"))

    async def scene(watcher: Watcher) -> None:
        await asyncio.to_thread(work.git, *words)
        start = time.perf_counter()
        assert await watcher.wait() == "change"
        print(f"woken {(time.perf_counter() - start) * 1000:.0f} ms after `git {words[0]}`")

    watching(of(work.path), scene)


def test_a_change_between_two_waits_is_not_missed(work: Work) -> None:
    async def scene(watcher: Watcher) -> None:
        await asyncio.to_thread(work.commit, b="2")
        assert await watcher.wait() == "change"
        await asyncio.to_thread(work.commit, b="3")
        await asyncio.to_thread(work.commit, b="4")
        assert await watcher.wait() == "change"

    watching(of(work.path), scene)


def test_work_on_files_and_the_index_wakes_nobody(work: Work) -> None:
    async def scene(watcher: Watcher) -> None:
        work.write("b.yaml", "not committed")
        await asyncio.to_thread(work.git, "add", ".")
        assert await watcher.wait() == "poll"

    watching(of(work.path), scene, poll=0.3)


def test_both_a_linked_work_tree_and_a_bare_repository_are_watched(work: Work, tmp_path: Path) -> None:
    work.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    work.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))

    async def linked(watcher: Watcher) -> None:
        await asyncio.to_thread(work.git, "-C", str(tmp_path / "side"), "commit", "-q", "--allow-empty", "-m", "x")
        assert await watcher.wait() == "change"

    async def bare(watcher: Watcher) -> None:
        await asyncio.to_thread(work.git, "push", "-q", str(tmp_path / "bare.git"), "HEAD:refs/heads/pushed")
        assert await watcher.wait() == "change"

    watching(of(tmp_path / "side"), linked)
    watching(of(tmp_path / "bare.git"), bare)


def test_a_poke_wakes_at_once_and_once(tmp_path: Path) -> None:
    async def scene(watcher: Watcher) -> None:
        watcher.poke()
        watcher.poke()
        assert [await watcher.wait(), await watcher.wait()] == ["poke", "poll"]

    watching(nothing, scene, poll=0.05)


def test_a_marker_that_is_written_is_a_poke_and_its_neighbours_are_none(tmp_path: Path) -> None:
    async def run() -> None:
        marker = tmp_path / "look-now"
        async with Watcher(nothing, NEVER, marker=marker, pause=0) as watcher, asyncio.timeout(DEADLINE):
            for text in ("a", "b", "b"):  # made, changed, written anew
                marker.write_text(text)
                assert "poke" == await watcher.wait()
        async with Watcher(nothing, 0.3, lambda: 0.5, marker=marker, pause=0) as watcher, asyncio.timeout(DEADLINE):
            (tmp_path / "reconcile.json").write_text("{}")
            assert "poll" == await watcher.wait()

    asyncio.run(run())


def test_pokes_without_end_are_a_look_now_and_then_and_none_is_lost(tmp_path: Path) -> None:
    async def run() -> None:
        pause, times = 0.1, []
        async with Watcher(nothing, NEVER, pause=pause) as watcher, asyncio.timeout(DEADLINE):
            for _ in range(4):
                for _ in range(100):
                    watcher.poke()
                assert "poke" == await watcher.wait()
                times.append(asyncio.get_running_loop().time())
        assert all(later - earlier >= 0.99 * pause for earlier, later in pairwise(times))  # a timer may be early by a tick

    asyncio.run(run())


def test_a_remote_repository_is_polled_and_asked_sooner_after_a_failure() -> None:
    async def scene(watcher: Watcher) -> None:
        async with asyncio.timeout(5):
            wakes: list[Wake] = [await watcher.wait(failures=1)]
        assert wakes == ["poll"]

    watching(nothing, scene)


def test_a_repository_replaced_under_its_name_is_watched_anew(work: Work, tmp_path: Path) -> None:
    async def scene(watcher: Watcher) -> None:
        await asyncio.to_thread(shutil.rmtree, work.path)
        again = await asyncio.to_thread(Work, work.path)  # which often gets the very inodes of the old one
        while await watcher.wait(failures=1) != "poll":  # what the removal stirred up, until it is quiet
            pass
        await asyncio.to_thread(again.commit, a="1")
        assert await watcher.wait() == "change"

    watching(of(work.path), scene)


def test_a_repository_that_is_not_there_yet_is_found_when_it_comes(tmp_path: Path) -> None:
    async def scene(watcher: Watcher) -> None:
        assert await watcher.wait(failures=1) == "poll"
        work = await asyncio.to_thread(Work, tmp_path / "late")
        assert await watcher.wait(failures=1) == "poll"
        await asyncio.to_thread(work.commit, a="1")
        assert await watcher.wait() == "change"

    watching(of(tmp_path / "late"), scene)


def test_a_host_without_descriptors_is_polled(tmp_path: Path) -> None:
    def find() -> Iterable[Path]:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scene(watcher: Watcher) -> None:
        assert "poll" == await watcher.wait()

    watching(find, scene, poll=0.05)
