"""What is kept of the past, and for how long."""

from __future__ import annotations

from msgspec import structs

from netboot.events import BootClosed
from netboot.observed import Observed, fold
from netboot.plan import BootPlan
from netboot.records import KEPT_BOOTS
from netboot.retention import REMOVED, owned, superfluous_inventories, superfluous_logs
from tests.netboot.site import machine, plan
from tests.netboot.story import SECOND_MAC, Story, begun

NOW = 1e9
WITH_NODE, WITHOUT = plan(machine(1)).plan, plan(machine(3)).plan
WITH_ITS_MAC = plan(structs.replace(machine(1), name="other")).plan


def kept(plan: BootPlan, observed: Observed, folders: dict[str, float]) -> set[str]:
    known = owned(plan, observed.boots.values(), observed.runs.values())
    return folders.keys() - set(superfluous_logs(folders, known, NOW))


def boots(story: Story, count: int) -> list[str]:
    """Folders of the consoles of node-01's boots, in order."""
    made = []
    for _ in range(count):
        made.append(story.boot())
        story.happen(BootClosed(at=story.tick(), boot=made[-1], reason="done"))
    return [f"boot-{boot}" for boot in made]


def test_of_a_machine_the_consoles_of_its_last_boots_are_kept_however_old() -> None:
    story = Story()
    names = boots(story, KEPT_BOOTS + 5)
    assert set(names[-KEPT_BOOTS:]) == kept(WITH_NODE, story.observed, dict.fromkeys(names, 0.0))
    assert set(names[-KEPT_BOOTS:]) == kept(WITH_NODE, fold(story.journal), dict.fromkeys(names, NOW))


def test_another_machines_boots_push_none_of_its_consoles_out() -> None:
    story = Story()
    names = boots(story, 3)
    for _ in range(KEPT_BOOTS):
        story.boot("node-02", (SECOND_MAC,))
    assert set(names) == kept(WITH_NODE, story.observed, dict.fromkeys(names, 0.0))


def test_the_logs_of_its_runs_are_kept_as_long_as_git_names_it_by_any_of_its_names() -> None:
    story, boot, run = begun()
    for served in (WITH_NODE, WITH_ITS_MAC):
        assert {run, f"boot-{boot}"} == kept(served, story.observed, {run: 0.0, f"boot-{boot}": 0.0})


def test_what_git_has_removed_is_kept_for_a_month_in_case_it_comes_back() -> None:
    story, boot, run = begun()
    for age, there in ((REMOVED, {run, f"boot-{boot}", "nobodys"}), (REMOVED + 1, set[str]())):
        assert there == kept(WITHOUT, story.observed, dict.fromkeys((run, f"boot-{boot}", "nobodys"), NOW - age))


def test_the_console_of_a_boot_whose_agent_is_still_at_work_is_kept() -> None:
    story, boot, run = begun()
    boots(story, KEPT_BOOTS + 1)
    assert story.observed.runs[run].active
    assert {f"boot-{boot}"} == kept(WITH_NODE, story.observed, {f"boot-{boot}": 0.0})


def test_an_inventory_is_kept_for_a_month_too() -> None:
    assert ["old"] == superfluous_inventories({"old": NOW - REMOVED - 1, "new": NOW - REMOVED}, NOW)
