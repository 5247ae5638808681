"""Each commit of a history (`plan_history`), as a reviewer is told of it."""

from __future__ import annotations

import pytest

from reconciler.diff import facts_of_plan, patched
from reconciler.plan_document import as_document
from tests.reconciler.plan_history import GOLDENS, HISTORY, Told, told

pytestmark = pytest.mark.shell
NAMES = [commit.name for commit in HISTORY]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return {each.commit.name: each for each in told(tmp_path_factory.mktemp("history"))}


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_of_a_commit_is_told_as_its_goldens_tell_it(history: dict[str, Told], name: str) -> None:
    for file, text in history[name].texts().items():
        assert (GOLDENS / file).read_text() == text, "`python -m tests.reconciler.plan_history` writes the goldens anew"


@pytest.mark.parametrize("name", NAMES)
def test_each_machine_has_the_class_that_the_commit_was_made_for(history: dict[str, Told], name: str) -> None:
    each = history[name]
    found = as_document(each.difference, "", "")["consequences"]
    assert sorted(each.commit.classes) == sorted(consequence for consequence, number in found.items() if number)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_of_a_commit_leads_from_the_plan_before_to_its_own(history: dict[str, Told], name: str) -> None:
    each = history[name]
    hides = name == "a line of user-data"  # in which a password is another one too
    assert facts_of_plan(each.after) == patched(facts_of_plan(each.before), each.difference) or hides


def test_no_golden_is_of_a_commit_that_is_no_more(history: dict[str, Told]) -> None:
    assert sorted(file for each in history.values() for file in each.texts()) == sorted(path.name for path in GOLDENS.iterdir())


def test_every_class_is_in_the_history() -> None:
    classes = {consequence for commit in HISTORY for consequence in commit.classes}
    assert {"none", "next boot", "needs a reboot", "runs a workflow", "destructive"} == classes
    assert len(HISTORY) >= 30
