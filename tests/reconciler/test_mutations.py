"""Five hundred damaged inventories: each is accepted, or rejected with problems that have a place; nothing else happens."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from reconciler.compile import Compiler
from reconciler.problems import Problem
from reconciler.reader import Reader
from reconciler.yaml import read
from tests.reconciler.inventories import RICH, SOUND, example, snapshot

Random = random.Random
Files = dict[str, bytes]

HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    " ",
    "{{ .x }}",
    "{{",
    "no",
    "*x",
    "10.1.0.1",
    "\u2028",
    [],
    [[]],
    {},
    {"": {}},
]
HOSTILE_TEXT = [
    b"\t",
    b"{{",
    b"}}",
    b": ",
    b"- ",
    b"#",
    b"'",
    b'"',
    b"&a ",
    b"*a",
    b"!!x ",
    b"|",
    b"\xff",
    b"\x00",
    b"\r",
    b"---\n",
    b"<<: ",
]


def encoded(files: dict[str, Any]) -> Files:
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}


BASES = [encoded(example()), encoded(RICH), encoded(SOUND)]


# Damage to text --------------------------------------------------------------------------------------------------------


def flip_a_bit(data: bytes, dice: Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def insert(data: bytes, dice: Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(HOSTILE_TEXT) + data[at:]


def cut(data: bytes, dice: Random) -> bytes:
    start, end = sorted(dice.randrange(len(data) + 1) for _ in "ab")
    return data[:start] + data[end:] if dice.random() < 0.5 else data[:start]


def shuffle_lines(data: bytes, dice: Random) -> bytes:
    """Drop, double, indent, unindent or move a line."""
    lines = data.splitlines(keepends=True)
    at = dice.randrange(len(lines))
    line = lines.pop(at)
    kept = dice.choice([[], [line, line], [b"  " + line], [line.removeprefix(b"  ")], [b"\t" + line]])
    if dice.random() < 0.2:
        kept, at = [line], dice.randrange(len(lines) + 1)
    return b"".join([*lines[:at], *kept, *lines[at:]])


def swap_words(data: bytes, dice: Random) -> bytes:
    words = data.split(b" ")
    one, other = dice.randrange(len(words)), dice.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return b" ".join(words)


# Damage to meaning -----------------------------------------------------------------------------------------------------


def change_a_value(data: bytes, dice: Random) -> bytes:
    """Any value of any document becomes something else, or trades places with another; written as JSON, which is YAML."""
    documents = [document.value for document in read(data).documents]
    spots = [spot for document in documents for spot in spots_of(document)]
    if not spots:
        return data
    holder, key = dice.choice(spots)
    if dice.random() < 0.3:
        other, place = dice.choice(spots)
        holder[key], other[place] = other[place], json.loads(json.dumps(holder[key]))
    elif dice.random() < 0.2:
        del holder[key]
    else:
        holder[key] = dice.choice(HOSTILE)
    try:
        return b"\n---\n".join(json.dumps(document).encode() for document in documents)
    except ValueError:  # a value was moved into itself
        return data


def spots_of(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key or index in a document."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [spot for key in keys for spot in ((value, key), *spots_of(value[key]))]


DAMAGE: list[Callable[[bytes, Random], bytes]] = [
    flip_a_bit,
    insert,
    cut,
    shuffle_lines,
    shuffle_lines,
    swap_words,
    swap_words,
    *[change_a_value] * 5,
]


def mutated(seed: int, bases: Sequence[Files] = BASES) -> Files:
    """One of the inventories, with one to three damages. The same seed gives the same inventory."""
    dice = Random(seed)
    files = dict(dice.choice(bases))
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(sorted(files))
        if files[path]:
            files[path] = dice.choice(DAMAGE)(files[path], dice)
        if dice.random() < 0.05:
            files[f"copy-of-{path}"] = files.pop(path) if dice.random() < 0.5 else files[path]
    return files


# What must hold --------------------------------------------------------------------------------------------------------


def failed(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


@pytest.mark.parametrize("block", range(20))
def test_a_damaged_inventory_is_accepted_or_rejected_with_problems_that_have_a_place(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        files = mutated(seed)
        inventory, problems = Reader().read(snapshot(files))
        assert failed(problems) == (inventory is None), f"mutated({seed})"
        if inventory is not None:
            compiled = Compiler().compile(inventory)
            assert failed(compiled.problems) == (compiled.dump is None), f"mutated({seed})"
        for problem in problems:
            assert problem.file in files or problem.code in ("missing-site", "empty-inventory"), f"mutated({seed}): {problem}"
            lines = len(files.get(problem.file, b"").splitlines())
            assert problem.line <= lines + 1, f"mutated({seed}): {problem}"
            assert (problem.line > 0) == (problem.column > 0) == (problem.file != ""), f"mutated({seed}): {problem}"
            assert problem.message == problem.message.strip(), f"mutated({seed}): {problem}"
            assert problem.message.endswith((".", "?")), f"mutated({seed}): {problem}"
            assert (problem.message + problem.path).isprintable(), f"mutated({seed}): {problem}"


@pytest.mark.parametrize("block", range(5))
def test_a_reader_that_knew_the_sound_inventory_finds_what_a_fresh_one_finds(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        reader = Reader()
        for base in BASES:
            reader.read(snapshot(base))
        files = snapshot(mutated(seed))
        assert reader.read(files) == Reader().read(files), f"mutated({seed})"


def test_the_damage_is_worth_its_name() -> None:
    """Most inventories are rejected, some survive, and the problems are of many kinds: else the mutator tests nothing."""
    results = [Reader().read(snapshot(mutated(seed))) for seed in range(200)]
    rejected = sum(inventory is None for inventory, _ in results)
    codes = {problem.code for _, problems in results for problem in problems}
    assert 60 < rejected < 190
    assert len(codes) >= 15
