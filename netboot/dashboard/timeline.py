"""The way of one boot as spans of time.

Core. The law: each phase lasts until the next that was reached; the last of an open boot lasts until now, and what a boot never
reached is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from netboot.events import PHASES


@dataclass(frozen=True, slots=True)
class Span:
    phase: str
    began: float
    """Seconds since the epoch."""
    seconds: float
    left: float
    """Where it begins and how wide it is, in hundredths of the whole."""
    width: float


def spans(boot: Mapping[str, Any], now: float) -> tuple[Span, ...]:
    """Of `boot` in a machine's status."""
    began = {phase: _instant(boot["phases"][phase]) for phase in PHASES if phase in boot["phases"]}
    if not began:
        return ()
    end = max(_instant(boot["closed"]) if boot["closed"] else now, *began.values())
    order = sorted(began, key=lambda phase: (began[phase], PHASES.index(phase)))
    starts = [began[phase] for phase in order]
    first, whole = starts[0], max(end - starts[0], 0.001)
    return tuple(
        Span(phase, start, until - start, 100 * (start - first) / whole, 100 * (until - start) / whole)
        for phase, start, until in zip(order, starts, [*starts[1:], end], strict=True)
    )


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
