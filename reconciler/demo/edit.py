"""The commit that the demo makes: one machine gets a new host name, and the workflow it ran is to run once more.

Core. The law: text is replaced only where it can be meant in one way, so an inventory that spells things otherwise is left
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    files: Mapping[str, str]
    """Path → its new text."""
    message: str
    """Of the commit."""
    host_name: str
    """The new one."""
    work: str
    """What runs again, as `burn-in-storage run 2`; empty when nothing does."""


def propose(files: Mapping[str, str], host_name: str, workflow: str = "", run: int = 0) -> Edit | None:
    """`workflow` and `run`: what the machine ran, or "" and 0. None when the host name is not written in one place alone."""
    new = f"{host_name}-renamed"
    renamed = _replace(files, rf"(\bhostname:\s*[\"']?){re.escape(host_name)}(?=[\"',}}\s])", rf"\g<1>{new}")
    if not host_name or renamed is None:
        return None
    changed = {renamed[0]: renamed[1]}
    message, work = f"Rename {host_name}", ""
    again = _replace(_workflows({**files, **changed}, workflow), rf"(?m)^(\s*run:\s*){run}\b", rf"\g<1>{run + 1}")
    if workflow and again is not None:
        changed[again[0]] = again[1]
        work = f"{workflow} run {run + 1}"
        message += f", do {work}"
    return Edit(changed, message, new, work)


def _workflows(files: Mapping[str, str], name: str) -> dict[str, str]:
    pattern = re.compile(rf"\bname:\s*[\"']?{re.escape(name)}(?=[\"',}}\s])")
    return {path: text for path, text in files.items() if "kind: Workflow" in text and pattern.search(text)}


def _replace(files: Mapping[str, str], pattern: str, replacement: str) -> tuple[str, str] | None:
    """The one file with the one match, replaced; None when there are more or none."""
    found = [(path, *re.subn(pattern, replacement, text)) for path, text in files.items()]
    hits = [(path, text) for path, text, count in found for _ in range(count)]
    return hits[0] if len(hits) == 1 else None
