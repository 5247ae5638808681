"""`why` is right for every value: goldens that name file and line, and lines that are changed to see which values follow.

`python -m tests.reconciler.test_why` writes the goldens anew; what changed then is to be read in the diff.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from netboot.boot import next_step
from netboot.observed import Observed
from netboot.plan import BootPlan
from reconciler.compile import Compiler
from reconciler.facts import facts_of
from reconciler.inventory import Inventory
from reconciler.origins import Origin
from reconciler.reader import Reader
from reconciler.why import NEXT, Explained, Next, explain
from tests.reconciler.inventories import RICH, example, snapshot

GOLDENS = Path(__file__).parents[1] / "goldens"
FILES: Mapping[str, Mapping[str, str | bytes]] = {"example": example(), "rich": RICH}


class Compiled:
    """One inventory after another, as a server has them."""

    def __init__(self) -> None:
        self._reader, self._compiler = Reader(), Compiler()

    def read(self, files: Mapping[str, str | bytes]) -> tuple[Inventory, BootPlan] | None:
        """None for an inventory that is rejected."""
        inventory, _ = self._reader.read(snapshot(files))
        dump = self._compiler.compile(inventory).dump if inventory else None
        return (inventory, dump.plan) if inventory and dump else None

    def facts(self, files: Mapping[str, str | bytes]) -> dict[str, dict[str, str]]:
        """Of each machine; nothing for an inventory that is rejected."""
        found = self.read(files)
        return {name: facts_of(found[1], machine) for name, machine in found[1].machines.items()} if found else {}

    def explained(self, files: Mapping[str, str | bytes]) -> dict[str, tuple[Explained, ...]]:
        found = self.read(files)
        assert found is not None
        inventory, plan = found
        return {
            name: explain(inventory, plan, name, Next.of(next_step(plan, machine, Observed(), "", "")))
            for name, machine in plan.machines.items()
        }


def golden(files: Mapping[str, str | bytes]) -> str:
    """A line for each value, and below it one for each line that had a part in it."""
    text = ""
    for name, known in sorted(Compiled().explained(files).items()):
        text += f"{name}\n"
        for each in known:
            text += f"  {each.setting} = {each.value.splitlines()[0]}\n"
            text += "".join(f"    {told(origin)}\n" for origin in each.reason.by)
            text += "".join(f"    beats {told(origin)}\n" for origin in each.reason.beaten)
    return text


def told(origin: Origin) -> str:
    return f"{origin.line[0]}:{origin.line[1]}: {origin.what}" if origin.line else origin.what


@pytest.mark.parametrize("name", FILES)
def test_every_value_names_the_file_and_the_line_that_its_golden_names(name: str) -> None:
    assert (GOLDENS / f"why-{name}.txt").read_text() == golden(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_every_value_has_a_reason_and_only_defaults_have_no_line(name: str) -> None:
    for known in Compiled().explained(FILES[name]).values():
        assert NEXT == known[0].setting
        for each in known:
            assert each.reason.by, each.setting
            nobody = [origin.what for origin in (*each.reason.by, *each.reason.beaten) if origin.line is None]
            assert [] == [what for what in nobody if not what.startswith("gitboot's default: ")]


VALUE = re.compile(r"[\w.:/-]*[0-9a-zA-Z](?![\w]*:(?: |$))")


def changed_lines(files: Mapping[str, str | bytes]) -> Iterator[tuple[str, int, dict[str, str | bytes]]]:
    """The same files with another last letter in one word of one line, for each value of each line."""
    for file, content in files.items():
        lines = (content if isinstance(content, str) else content.decode()).split("\n")
        for at, line in enumerate(lines):
            for word in VALUE.finditer("" if line.lstrip().startswith("#") else line.partition(" #")[0]):
                last = line[word.end() - 1]
                other = str((int(last) + 1) % 10) if last.isdecimal() else "y" if last == "x" else "x"
                changed = f"{line[: word.end() - 1]}{other}{line[word.end() :]}"
                yield file, at + 1, {**files, file: "\n".join([*lines[:at], changed, *lines[at + 1 :]])}


@pytest.mark.parametrize(("name", "least"), [("example", 130), ("rich", 50)])
def test_whatever_follows_a_line_names_that_line(name: str, least: int) -> None:
    """Where a change of it leaves the machine with the same settings. A text of several lines is named by its first."""
    compiled = Compiled()
    before = {machine: {each.setting: each for each in known} for machine, known in compiled.explained(FILES[name]).items()}
    followed: set[tuple[str, str]] = set()
    for file, line, files in changed_lines(FILES[name]):
        for machine, facts in compiled.facts(files).items():
            known = before.get(machine, {})
            if [NEXT, *facts] != list(known):
                continue
            for setting in (setting for setting, value in facts.items() if value != known[setting].value):
                named = [origin.line for origin in known[setting].reason.by if origin.line]
                rows = known[setting].value.count("\n") + 1
                near = [first for which, first in named if which == file and first <= line <= first + (rows if rows > 1 else 0)]
                assert near, f"{machine}: {setting} follows {file}:{line}, and names {named}"
                followed.add((machine, setting))
    assert len(followed) > least


if __name__ == "__main__":
    for each in FILES:
        (GOLDENS / f"why-{each}.txt").write_text(golden(FILES[each]))
