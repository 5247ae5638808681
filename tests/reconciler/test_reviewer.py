"""Who works out answers for pages: bounded, kept, and right, with real processes and a real repository."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from netboot.log import Log
from netboot.review import NotAnswered, Question
from reconciler import reviewer as module
from reconciler.reviewer import ChildReviewer
from tests.netboot.site import logged

pytestmark = pytest.mark.shell
ASKED = Question("commits", (), ("head", "served", "plan"))
LOUD = "import sys; sys.stdin.read(); open({file!r}, 'a').write('x'); print({said!r})"
ENDLESS = "import os, time; open({file!r}, 'w').write(str(os.getpid())); time.sleep(600)"


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **values: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await test(*args, **values)

        asyncio.run(bounded())

    return run


def reviewer(tmp_path: Path, **bounds: float) -> ChildReviewer:
    return ChildReviewer(tmp_path, Log(io.StringIO()), **{"patience": 50.0, **bounds})  # type: ignore[arg-type]


async def answered(asked: ChildReviewer, question: Question = ASKED) -> str:
    """The sentence in place of an answer."""
    with pytest.raises(NotAnswered) as found:
        await asked.ask(question)
    return str(found.value)


@awaited
async def test_what_was_answered_is_answered_again_without_a_process_until_something_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHILD", LOUD.format(file=str(tmp_path / "calls"), said='{"lasts": true}'))
    asked = reviewer(tmp_path)
    first, second = await asyncio.gather(asked.ask(ASKED), asked.ask(ASKED))
    assert {"lasts": True} == first == second == await asked.ask(ASKED)
    assert "x" == (tmp_path / "calls").read_text()
    await asked.ask(Question("commits", (), ("another", "served", "plan")))
    assert "xx" == (tmp_path / "calls").read_text()


@awaited
async def test_what_does_not_last_is_worked_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(module, "_CHILD", LOUD.format(file=str(tmp_path / "calls"), said='{"lasts": false}'))
    asked = reviewer(tmp_path)
    await asked.ask(ASKED)
    await asked.ask(ASKED)
    assert "xx" == (tmp_path / "calls").read_text()


@awaited
async def test_a_process_that_does_not_end_is_killed_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHILD", ENDLESS.format(file=str(tmp_path / "pid")))
    said = await answered(reviewer(tmp_path, seconds=2.0))
    assert "It takes longer than the 2 s that a page may have; ask on the command line." == said
    await gone(int((tmp_path / "pid").read_text()))


@awaited
async def test_what_takes_long_is_asked_for_again_and_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHILD", ENDLESS.format(file=str(tmp_path / "pid")))
    asked = reviewer(tmp_path, patience=0.0)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert await asked.ask(ASKED) is None
        await asyncio.sleep(0.01)
    asked.close()
    await gone(int((tmp_path / "pid").read_text()))


async def gone(process: int) -> None:
    while Path(f"/proc/{process}").exists():
        await asyncio.sleep(0.01)


@awaited
async def test_too_many_questions_are_told_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHILD", ENDLESS.format(file=os.devnull))
    asked = reviewer(tmp_path, patience=0.0)
    for number in range(module.MOST_WAITING):
        assert await asked.ask(Question("why", (str(number),))) is None
    assert "Too much is asked at once" in await answered(asked)
    asked.close()


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ("import os; os.abort()", "by a defect"),
        ("print('no document')", "by a defect"),
        ("print('[1]')", "by a defect"),
        ("print('x' * (9 << 20))", "too long for a page"),
        ('print(\'{"trouble": "So it is."}\')', "So it is."),
    ],
)
@awaited
async def test_what_is_no_answer_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, said: str) -> None:
    monkeypatch.setattr(module, "_CHILD", child)
    assert said in await answered(reviewer(tmp_path))


@awaited
async def test_a_defect_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHILD", 'print(\'{"trouble": "A defect.", "defect": "Traceback"}\')')
    asked = reviewer(tmp_path)
    assert "A defect." == await answered(asked)
    assert [("defect", "Traceback")] == [(line["event"], line["traceback"]) for line in logged(asked._log)]


@awaited
async def test_only_so_many_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    monkeypatch.setattr(module, "_CHILD", LOUD.format(file=os.devnull, said='{"lasts": true}'))
    asked = reviewer(tmp_path)
    for number in range(3):
        await asked.ask(Question("why", (str(number),)))
    assert ["1", "2"] == [each.subject[0] for each in asked._kept]


@awaited
async def test_without_a_state_directory_there_is_a_sentence(tmp_path: Path) -> None:
    assert "No commit was read yet; `gitboot status` says why." == await answered(reviewer(tmp_path))


@awaited
async def test_what_takes_more_memory_than_a_page_may_have_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has to be read whole, and is as long on no disk."""
    monkeypatch.setattr(module, "MEMORY", 256 << 20)
    with (tmp_path / "reconcile.json").open("wb") as file:
        file.truncate(1 << 30)
    assert "memory" in await answered(reviewer(tmp_path))


def test_a_process_that_nobody_ends_ends_by_itself(tmp_path: Path) -> None:
    """It waits for what never comes, as for a repository on a disk that is gone."""
    os.mkfifo(tmp_path / "reconcile.json")
    asked = {"kind": "commits", "subject": [], "at": [], "state": str(tmp_path), "floor": "", "memory": 1 << 30, "seconds": 1}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", module._CHILD], input=json.dumps(asked).encode(), timeout=60, check=False
    )
    assert -signal.SIGALRM == ended.returncode
