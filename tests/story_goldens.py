"""A boot's story as text without times and ids, to be held to a golden: `goldens/stories/NAME.txt`.

A golden that is not there is written, and the test fails once to say so: to write one anew, remove it, run its test, and read
the difference.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from netboot.run_documents import Document
from netboot.tftp_server import REPEATED

FOLDER = Path(__file__).parent / "goldens" / "stories"
_ID = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-)?[0-9a-f]{12,64}\b")
_SPAN = re.compile(r"\b\d+ seconds\b")


def held(name: str, *lines: str) -> None:
    """AssertionError unless the lines are those of the golden, ids and spans of time apart."""
    text = _SPAN.sub("N seconds", _ID.sub("ID", "\n".join(lines))) + "\n"
    path = FOLDER / f"{name}.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        raise AssertionError(f"{path} was not there; it is now: read it, and run the test again")
    golden = path.read_text()
    assert golden == text, "\n".join(
        difflib.unified_diff(golden.splitlines(), text.splitlines(), path.name, "now", lineterm="")
    )


def story(told: Document) -> Iterator[str]:
    """`told`: `story` of a machine's status."""
    yield from phases(told)
    yield f"next: {told['next']['what']}{' by then' if told['next']['by'] else ''}"
    yield f"  because {told['next']['why']}"


def phases(told: Document) -> Iterator[str]:
    """Of a story, or of one of a machine's boots."""
    for phase in told["phases"]:
        goes_on = " …" if phase["ended"] is None else ""
        yield f"{phase['name']}{goes_on}{f': {what}' if (what := phase['what']) else ''}"
        for part in phase["parts"]:
            again = f", try {part['attempt']}" if part["attempt"] > 1 else ""
            yield f"  {part['task']}/{part['action']} {part['state']}{again}{f': {why}' if (why := part['reason']) else ''}"


def events(boot: Document, kinds: Collection[str] = ()) -> Iterator[str]:
    """Those of some kinds alone, then each once in a row and without what loaders look for in vain: how often they ask again is
    chance, and for what, their next version's affair. PXELINUX asks again after 110 ms, so it does whenever a disk takes longer
    to journal the script that it asks for."""
    last = ""
    for event in boot["events"]:
        if not kinds:
            yield f"- {event['text']}{' (again)' if event['times'] > 1 else ''}"
        elif event["kind"] in kinds and not _is_chance(event) and event["text"] != last:
            last = event["text"]
            yield f"- {last}"


def _is_chance(event: Document) -> bool:
    return event["outcome"] == "refused" or (event["outcome"], event["reason"]) == ("ignored", REPEATED)
