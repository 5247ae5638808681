"""The last boots of a machine, with what was said and done in each."""

from __future__ import annotations

from jsonschema import Draft202012Validator

import schemas
from netboot.chronicle import Chronicle
from netboot.events import BootClosed
from netboot.heard import Heard
from netboot.recording import Exchange
from netboot.run_documents import Document
from netboot.stories import stories_document
from tests.netboot.story import MAC, Story, begun


def stories(story: Story, said: Chronicle | None = None) -> Document:
    heard = Heard(said=(said or Chronicle()).of, commit_of={"plan-1": "c0ffee"}.__getitem__, model_of=lambda name: "A Box")
    document = stories_document("node-01", (MAC,), story.observed, heard)
    Draft202012Validator(schemas.load("status-stories")).validate(document)
    return document


def texts(boot: Document) -> list[str]:
    return [event["text"] for event in boot["events"]]


def test_a_machine_that_was_never_seen_has_no_stories() -> None:
    assert ([], "A Box") == (stories(Story())["boots"], stories(Story())["model"])


def test_what_was_said_stands_among_what_was_done_in_order_of_time() -> None:
    story, boot, run = begun()
    said = Chronicle()
    said.note(Exchange(at=story.now - 0.5, kind="claim", boot=boot, plan="plan-1"))
    story.do(boot, run, "disk", "wipe")
    asked = {"boot": boot, "said": "mirror.example", "outcome": "answered"}
    said.note(Exchange(at=story.now + 0.5, kind="dns", plan="plan-0", commit="bad", **asked))  # type: ignore[arg-type]
    story.start(boot, run, "disk", "write")
    (told,) = stories(story, said)["boots"]
    assert [
        "asks for work",
        "workflow install run 1 begins",
        "disk/wipe begins",
        "disk/wipe ends SUCCESS",
        "DNS mirror.example: answered",
        "disk/write begins",
    ] == texts(told)
    assert ["c0ffee", "bad"] == list(dict.fromkeys(event["commit"] for event in told["events"]))
    assert ("agent", None, None) == (told["phase"], told["closed"], told["seconds"])


def test_a_failure_and_the_end_of_a_boot_say_why() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.end(boot, run, "disk", "wipe", "FAILED", reason="no such disk")
    story.finish(boot, run, "FAILED", "disk/wipe FAILED")
    story.happen(BootClosed(at=story.tick(), boot=boot, reason="powered off"))
    (told,) = stories(story)["boots"]
    assert [
        "disk/wipe ends FAILED: no such disk",
        "workflow install run 1 ends FAILED: disk/wipe FAILED",
        "the boot is over: powered off",
    ] == texts(told)[2:]
    assert told["seconds"] == story.now - 1002.0


def test_boots_before_the_last_one_are_told_too_the_newest_first() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    story.happen(BootClosed(at=story.tick(), boot=boot, reason="powered off"))
    story.boot()
    fresh, old = stories(story)["boots"]
    assert (["firmware"], ["firmware", "agent", "actions", "agent"]) == tuple(
        [phase["name"] for phase in each["phases"]] for each in (fresh, old)
    )
    assert "configure/grub ends SUCCESS" in texts(old)
    assert ("c0ffee", "powered off") == (old["commit"], old["reason"])
