"""What happened, line by line, from the status documents that tell of it.

Core. The law: a happening has a key that stays the same in every later document, so who remembers keys is told each once; its
text may be about what was known when it was first seen. Times are as the documents have them, so that they sort as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from netboot.notices import MANY

Document = dict[str, Any]


class Happening(NamedTuple):
    at: str
    """RFC 3339, in UTC."""
    machine: str
    """"": of the site."""
    key: str
    text: str
    state: str = ""
    """What the text says of something that is over, for its colour."""


def of_machine(document: Document) -> Iterator[Happening]:
    """Of a HardwareStatus: the phases of its last boot, its actions, and its run's end. Older servers tell no story."""
    name, run, story = document["name"], document["run"], document.get("story") or {"boot": "", "phases": ()}
    for phase in story["phases"]:
        title = f"{phase['workflow']} run {phase['run']}" if phase["workflow"] else phase["name"]
        text = f"begins workflow {title}" if phase["workflow"] else f"comes to {title}"
        yield Happening(phase["began"], name, f"{story['boot']} {title} {phase['began']}", text)
        for part in phase["parts"]:
            yield from _of_part(name, title, part)
    if run and run["ended"]:
        why = f": {run['reason']}" if run["reason"] else ""
        text = f"workflow {run['workflow']} run {run['number']} ends {run['state']}{why}"
        yield Happening(run["ended"], name, f"{run['id']} ends", text, run["state"])


def _of_part(machine: str, run: str, part: Document) -> Iterator[Happening]:
    title = f"{part['task']}/{part['action']}" + (f", attempt {part['attempt']}" if part["attempt"] > 1 else "")
    key = f"{run} {title} {part['began']}"
    yield Happening(part["began"], machine, key, f"{title} starts")
    if part["ended"]:
        why = f": {part['reason']}" if part["reason"] else ""
        text = f"{title} ends {part['state']} after {part['seconds']:.1f} s{why}"
        yield Happening(part["ended"], machine, f"{key} ends", text, part["state"])


def of_site(document: Document) -> Iterator[Happening]:
    """Of a ReconcileStatus: what is true now of git and of what is served."""
    for each in document["conditions"]:
        if each["type"] in ("Ready", "RunsHeld"):
            yield Happening(each["lastTransitionTime"], "", f"{each['type']} {each['message']}", each["message"])


def of_issues(document: Document, now: str) -> Iterator[Happening]:
    """Of all issues: each that is open. Its key has no beginning: what is known of that may change while it lasts."""
    for each in document["issues"]:
        since = each["since"] or now
        key = f"{each['kind']} {each['machine']} {each['message'] if each['kind'] in MANY else ''}"
        yield Happening(since, each["machine"] or "", key, f"issue {each['kind']}: {each['message']}", "FAILED")
