"""Seeds, damaged by chance, against one target: what runs where there is no coverage-guided fuzzer, and briefly in every check.

The same seed gives the same inputs. An input may cost a second of this process's time; more counts as a broken law, as does
whatever a target raises. Each way to break one (the type and the line) is reported once.
"""

from __future__ import annotations

import itertools
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from types import FrameType

LONGEST = 4096
"""Bytes of an input: more than any datagram may have."""
SLOW = 2.0
"""Seconds of processor time for one input: under a debugger or on a busy machine, too."""
ODD = (0, 1, 2, 3, 4, 6, 7, 15, 16, 31, 32, 63, 64, 127, 128, 191, 192, 254, 255)


@dataclass
class Report:
    inputs: int = 0
    broken: list[tuple[bytes, str]] = field(default_factory=list)
    """The first input for each way to break a law, and the traceback."""


class TooSlow(Exception):
    """An input took more than `SLOW`."""


def inputs(seeds: Sequence[bytes], words: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """The seeds as they are, then damaged ones without end."""
    yield from seeds
    dice = Random(seed)
    while True:
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5, 9))):
            dice.choice(_DAMAGE)(data, dice, seeds, words)
        yield bytes(data[:LONGEST])


def run(target: Callable[[bytes], None], each: Iterator[bytes], most: int | None, seconds: float = 1e9) -> Report:
    """Until there were `most` inputs or the time is over. `seconds` are of the wall's clock."""
    report, ways, end = Report(), set(), time.monotonic() + seconds
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    try:
        for data in itertools.islice(each, most):
            if not report.inputs % 256 and time.monotonic() > end:
                break
            report.inputs += 1
            signal.setitimer(signal.ITIMER_VIRTUAL, SLOW)
            try:
                target(data)
            except Exception as error:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                if (way := _way(error)) not in ways:
                    ways.add(way)
                    report.broken.append((data, traceback.format_exc()))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return report


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {SLOW} seconds")


def _way(error: Exception) -> tuple[str, object, int | None]:
    if isinstance(error, TooSlow):
        return type(error).__name__, "", 0
    last = traceback.extract_tb(error.__traceback__)[-1]
    return type(error).__name__, last.filename, last.lineno


# --- damage ----------------------------------------------------------------------------------------------------------------

Damage = Callable[[bytearray, Random, Sequence[bytes], Sequence[bytes]], None]


def _place(data: bytearray, dice: Random) -> int:
    return int(dice.random() * len(data)) if data else 0


def _flip(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[_place(data, dice)] ^= 1 << int(dice.random() * 8)


def _odd_byte(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[_place(data, dice)] = dice.choice(ODD)


def _count(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """A length or a number that is off by a little."""
    if data:
        at = _place(data, dice)
        data[at] = data[at] + dice.choice((-2, -1, 1, 2)) & 0xFF


def _cut(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    del data[_place(data, dice) :]


def _remove(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice(ODD)]


def _repeat(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, dice)
    data[at:at] = data[at : at + dice.choice(ODD)] * dice.choice((1, 1, 2, 9))


def _insert(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, dice)
    data[at:at] = dice.randbytes(dice.choice((1, 1, 2, 4, 16)))


def _word(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """A word, in between or instead."""
    at, word = _place(data, dice), dice.choice(words)
    data[at : at + len(word) * int(dice.random() * 2)] = word


def _splice(data: bytearray, dice: Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """From here on as another seed has it."""
    other = dice.choice(seeds)
    at = _place(data, dice)
    data[at:] = other[min(at, len(other)) if dice.random() < 0.5 else int(dice.random() * len(other)) :]


_DAMAGE: tuple[Damage, ...] = (
    _flip, _flip, _flip, _odd_byte, _odd_byte, _count, _count, _cut, _remove, _repeat, _insert, _word, _word, _splice,
)  # fmt: skip
