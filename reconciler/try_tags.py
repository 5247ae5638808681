"""Tries that are asked for by a signed tag: `try/<machine>/…`, and `try/<machine>/rehearse…` for a rehearsal.

Core. Law: what counts is what the signature covers, the tag's own bytes: its name, its commit and its date. So a tag that was
made for something else is no try under whatever name it is pushed, and an old one is none when it is pushed again.
"""

from __future__ import annotations

import re

from netboot.tries import Asked
from reconciler.commits import Tag

FOLDER = "try"
FRESH = 86400.0
"""Seconds for which a tag may ask for something: who lost all memory of it must not try it again."""
SKEW = 3600.0
"""Seconds by which a clock may be ahead."""

_NAME = re.compile(r"try/(?P<machine>[^/]+)/(?P<what>.+)")


def asked_by(name: str, tag: Tag, now: float) -> Asked | None:
    """What a tag asks for that is pushed as `name` and signed by a listed signer; None: nothing."""
    found = _NAME.fullmatch(tag.name)
    if found is None or tag.name != name or not -SKEW <= now - tag.made <= FRESH:
        return None
    rehearse = found["what"].startswith("rehearse")
    return Asked(tag.id[:16], found["machine"], name, rehearse, f"the signed tag {name}", float(tag.made), tag.commit, tag.id)
