"""`gitboot status MACHINE` is the machine's story: where it is, how long that takes, what it waits for, what was said."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from netboot.chronicle import Chronicle
from netboot.events import BootAdvanced
from netboot.expectations import ENOUGH, Expectations
from netboot.heard import Heard
from netboot.recording import Exchange
from netboot.run_documents import Document
from netboot.status_documents import hardware_document
from netboot.stories import stories_document
from netboot.story import PATIENCE, story_document, story_of
from reconciler.commands import telling
from tests.netboot.story import MAC, Story, begun
from tests.netboot.test_status_documents import NODE


def told(story: Story, known: Expectations | None = None) -> Document:
    following = story_of(NODE, story.observed, expectations=known or Expectations())
    return hardware_document(NODE, story.observed) | {"story": story_document("node-01", following)}


def printed(*tables: Table) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    console.print(*tables)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def facts(story: Story, later: float = 0.0, known: Expectations | None = None) -> dict[str, str]:
    return dict(telling.facts(told(story, known), story.now + later))


def loading() -> Story:
    """A machine that fetches its kernel."""
    story = Story()
    boot = story.boot()
    story.happen(BootAdvanced(at=story.tick(), boot=boot, phase="script", reason="runs workflow install", profile="inspect"))
    story.happen(BootAdvanced(at=story.tick(), boot=boot, phase="kernel", reason="fetches vmlinuz"))
    return story


def test_it_says_for_how_long_it_waits_for_what_and_when_that_is_overdue() -> None:
    story = loading()
    assert "kernel for 20 s: fetches vmlinuz" == facts(story, 20)["boot"]
    assert "the agent in its in-memory OS asks for work, within 40 s" == facts(story, 20)["waits for"]
    late = facts(story, 60 + 300)["waits for"]
    assert late.endswith(", overdue for 5m 0s"), "the boot timeout of this site is a minute, less than any patience"
    assert PATIENCE["kernel"] > NODE.boot_timeout


def test_it_says_how_long_that_usually_takes() -> None:
    story, known = loading(), Expectations()
    past = loading()
    (boot,) = past.observed.boots
    past.happen(BootAdvanced(at=past.now + 41.0, boot=boot, phase="agent"))
    for _ in range(ENOUGH):
        known.apply(past.journal[-1], past.observed)
    assert "kernel for 20 s, usually 41 s: fetches vmlinuz" == facts(story, 20, known)["boot"]
    assert (
        "kernel 1970-01-01 00:16:43 20 s … 41 s fetches vmlinuz"
        == printed(*telling.phases(told(story, known), story.now + 20))[-1]
    )


def test_each_phase_is_a_line_and_each_action_knows_how_long_it_takes() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    known = Expectations()
    known.learn_all(story.observed)
    machine = told(story, known)
    lines = printed(*telling.phases(machine, story.now))
    assert ["PHASE", "firmware", "agent", "actions", "agent"] == [line.split()[0] for line in lines]
    assert lines[3].endswith("7.0 s 7.0 s workflow install run 1: SUCCESS")
    assert ("1.0 s", "-") == (telling.usually(machine, "disk", "wipe"), telling.usually(machine, "disk", "no such"))


def test_a_machine_that_was_never_seen_and_a_server_that_tells_no_stories() -> None:
    assert {"boot": "never", "because": "it has never been seen"}.items() <= facts(Story()).items()
    old = hardware_document(NODE, loading().observed)
    assert {"boot": "kernel: fetches vmlinuz"} == dict(telling.facts(old, 0.0))
    assert ([], [], "-") == (
        list(telling.phases(old, 0.0)), list(telling.events(old, lambda path: None, False)), telling.usually(old, "a", "b")
    )  # fmt: skip


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_said_is_told_and_cannot_speak_to_the_terminal(everything: bool) -> None:
    story, said = loading(), Chronicle()
    (boot,) = story.observed.boots
    for number in range(20):
        for _ in range(2):
            said.note(Exchange(at=1000.0 + number, kind="dns", boot=boot, said=f"\x1b[2Jhost-{number}", outcome="answered"))
    heard = Heard(said=said.of)

    def read(path: str) -> dict[str, Any]:
        assert "stories/node-01.json" == path
        return stories_document("node-01", (MAC,), story.observed, heard)

    lines = printed(*telling.events(told(story), read, everything))
    assert "1970-01-01 00:16:59 DNS \\x1b[2Jhost-19: answered (2 times until 1970-01-01 00:16:59)" == lines[-1]
    assert (21, "host-0:") == (len(lines), lines[1].split("[2J")[1].split()[0]) if everything else len(lines) == 14
    assert everything or "8 before these: -o wide" in lines[1]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (-1.0, "0.0 s"),
        (0.34, "0.3 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (200.0, "3m 20s"),
        (7500.0, "2h 5m"),
        (180000.0, "2d 2h"),
    ],
)
def test_a_span_is_as_exact_as_it_is_of_use(span: float, expected: str) -> None:
    assert expected == telling.seconds(span)
