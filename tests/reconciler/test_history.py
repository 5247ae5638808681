"""A machine's history is the commits that changed what it is sent, and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netboot.plan import BootPlan
from reconciler.compile import Compiler
from reconciler.history import Changed, history
from reconciler.reader import Reader
from tests.reconciler.inventories import MACHINE, SITE, SOUND, snapshot

MAC = "52:54:00:12:34:01"
OTHER = MACHINE.replace("node-01", "node-02").replace(":01", ":02").replace("10.1.0.11", "10.1.0.12")
RENAMED = MACHINE.replace("node-01", "node-1")
WORKLESS = {name: text for name, text in SOUND.items() if name != "workflow.yaml"}


class Past:
    """Commits by name, oldest first: what each changes of its first parent's files (None: takes the file away), and parents."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, str]] = {}
        self._parents: dict[str, tuple[str, ...]] = {}
        self._plans: dict[str, BootPlan | None] = {}
        self._reader, self._compiler = Reader(), Compiler()

    def commit(self, name: str, change: Mapping[str, str | None], parents: Sequence[str] = ()) -> None:
        files = {**(self._files[parents[0]] if parents else {}), **change}
        self._files[name] = {path: text for path, text in files.items() if text is not None}
        self._parents[name] = tuple(parents)
        inventory, _ = self._reader.read(snapshot(self._files[name]))
        dump = self._compiler.compile(inventory).dump if inventory else None
        self._plans[name] = dump.plan if dump else self._plans[parents[0]] if parents else None

    def line(self, *changes: Mapping[str, str | None]) -> str:
        """Commits `1`, `2`, … one after the other; the last."""
        for number, change in enumerate(changes, start=1):
            self.commit(str(number), change, [str(number - 1)] if number > 1 else [])
        return str(len(changes))

    def of(self, machine: str, head: str) -> list[Changed]:
        return list(history(head, machine, dict(reversed(self._parents.items())), self._plans.__getitem__))


def told(changes: list[Changed]) -> list[tuple[str, str, str]]:
    return [(each.commit, each.kind, each.was) for each in changes]


def test_only_commits_that_change_what_the_machine_is_sent_are_told_of() -> None:
    past = Past()
    head = past.line(
        WORKLESS,
        {"more.yaml": OTHER},
        {"hardware.yaml": MACHINE.replace("10.1.0.11", "10.1.0.13")},
        {"hardware.yaml": f"# words\n{MACHINE.replace('10.1.0.11', '10.1.0.13')}"},
        {"site.yaml": SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2")},
        {"more.yaml": None},
    )
    assert [("5", "changed", "node-01"), ("3", "changed", "node-01"), ("1", "added", "")] == told(past.of("node-01", head))
    (gateway,) = past.of("node-01", head)[0].settings
    assert (f"option 3 (routers) {MAC}", "10.1.0.1", "10.1.0.2") == (gateway.name, gateway.before, gateway.after)


def test_a_machine_keeps_its_history_when_it_is_renamed_and_when_its_file_is() -> None:
    past = Past()
    head = past.line(
        WORKLESS,
        {"hardware.yaml": RENAMED},
        {"hardware.yaml": None, "moved.yaml": RENAMED},
        {"moved.yaml": RENAMED.replace("10.1.0.11", "10.1.0.13")},
    )
    assert [("4", "changed", "node-1"), ("2", "renamed", "node-01"), ("1", "added", "")] == told(past.of("node-1", head))


def test_a_name_that_goes_on_with_another_mac_is_the_same_machine() -> None:
    past = Past()
    head = past.line(WORKLESS, {"hardware.yaml": MACHINE.replace(":01", ":09"), "more.yaml": OTHER.replace(":02", ":01")})
    assert [("2", "changed", "node-01"), ("1", "added", "")] == told(past.of("node-01", head))


def test_a_machine_that_was_away_for_a_while_has_a_history_before_that() -> None:
    past = Past()
    head = past.line(WORKLESS, {"more.yaml": OTHER}, {"hardware.yaml": None}, {"more.yaml": f"# words\n{OTHER}"}, WORKLESS)
    assert [("5", "added", ""), ("3", "removed", "node-01"), ("1", "added", "")] == told(past.of("node-01", head))


def test_a_commit_that_cannot_be_served_changes_nothing() -> None:
    past = Past()
    head = past.line(
        WORKLESS,
        {"site.yaml": "broken"},
        {"hardware.yaml": MACHINE.replace(".11", ".13")},
        {"site.yaml": SITE},
        {"x.yaml": OTHER},
    )
    assert [("4", "changed", "node-01"), ("1", "added", "")] == told(past.of("node-01", head))


def test_a_merge_leads_to_the_side_that_it_took_and_is_told_of_when_it_took_neither() -> None:
    past = Past()
    past.commit("root", WORKLESS)
    past.commit("address", {"hardware.yaml": MACHINE.replace(".11", ".13")}, ["root"])
    past.commit("other", {"more.yaml": OTHER}, ["root"])
    past.commit("taken", {"hardware.yaml": MACHINE.replace(".11", ".13")}, ["other", "address"])
    assert ["address", "root"] == [each.commit for each in past.of("node-01", "taken")]
    past.commit("gateway", {"site.yaml": SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2")}, ["root"])
    merged = {
        "hardware.yaml": MACHINE.replace(".11", ".13"),
        "site.yaml": SITE.replace("gateway: 10.1.0.1", "gateway: 10.1.0.2"),
    }
    past.commit("both", merged, ["address", "gateway"])
    assert ["both", "gateway", "address", "root"] == [each.commit for each in past.of("node-01", "both")]
