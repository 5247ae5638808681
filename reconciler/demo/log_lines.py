"""The server's log as people read it.

Core. A line that is not the log's JSON is shown as it is: it says what went wrong before there was a log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def readable(line: str) -> str:
    """`10:02:59.004 listening dhcp=51627 …` for a line of JSON."""
    try:
        document: dict[str, Any] = json.loads(line)
        clock, level, event = (str(document.pop(key)) for key in ("time", "level", "event"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return line
    values = " ".join(f"{key}={value}" for key, value in document.items() if value not in ("", None))
    return f"{clock[11:23]} {'' if level == 'info' else level.upper() + ' '}{event} {values}".rstrip()


def last_words(lines: Iterable[str]) -> str:
    """The command's own sentence when there is one, else the last line."""
    said = [line for line in lines if line]
    sentences = [line.removeprefix("Error: ") for line in said if line.startswith("Error: ")]
    return (sentences or said or ["it said nothing"])[-1]
