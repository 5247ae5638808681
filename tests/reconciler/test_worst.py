"""The world's worst YAML: each document of `tests/reconciler/worst/` meets the verdict that was written down for it.

`verdicts.json` says of each file what it is about, and either the labels of node-02 that come of it, or every problem with its
place. A document is added to a sound inventory, for it is the neighbours that a bad one must not harm.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.compile import Compiler
from reconciler.reader import Reader
from tests.reconciler.inventories import SOUND, snapshot

FOLDER = Path(__file__).parent / "worst"
VERDICTS: dict[str, dict[str, Any]] = json.loads((FOLDER / "verdicts.json").read_bytes())


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_on_a_document_is_the_one_written_down(name: str) -> None:
    verdict = VERDICTS[name]
    inventory, problems = Reader().read(snapshot({**SOUND, name: (FOLDER / name).read_bytes()}))
    places = [f"{problem.code} {problem.line}:{problem.column}" for problem in problems]
    assert verdict.get("rejected", verdict.get("warnings", [])) == places
    assert {name} >= {problem.file for problem in problems}
    assert ("accepted" in verdict) == (inventory is not None)
    if inventory is not None:
        compiled = Compiler().compile(inventory)
        assert compiled.dump is not None, compiled.problems
        labels = inventory.hardware["node-02"].labels if "node-02" in inventory.hardware else {}
        assert verdict["accepted"].items() <= labels.items()


def test_every_document_has_a_verdict() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*VERDICTS, "verdicts.json"}


def test_a_new_reader_is_not_needed_after_any_of_them() -> None:
    """What one reader saw before changes no verdict, whatever it was."""
    reader = Reader()
    for name in VERDICTS:
        commit = snapshot({**SOUND, name: (FOLDER / name).read_bytes()})
        assert Reader().read(commit) == reader.read(commit), name
