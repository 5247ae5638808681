"""What policy holds of real commits: signed by real keys, released by them, kept over restarts and kills."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from netboot.artifacts import ArtifactStore
from netboot.holds import Holds, gate
from netboot.plan import BootPlan
from netboot.policy import Kind, Policy, Rolling, Window
from netboot.trust import Signer, Trust
from netboot.try_files import asked_for
from reconciler.approvals import Approved, approved
from reconciler.changes import HeldBack
from reconciler.reconcile import Published, Waiting
from reconciler.signers import ssh_key as parsed_key
from reconciler.trier import Trier
from reconciler.trust import Floor
from tests.netboot.killed import survivals
from tests.reconciler.inventories import SOUND
from tests.reconciler.signkit import Key, Signed, site_with, ssh_key

pytestmark = pytest.mark.shell
LIMITS = "  policy:\n    limits:\n    - {change: destructive, machines: 0}\n    - {change: remove, machines: 0}\n"
IDLE = (
    SOUND["workflow.yaml"]
    .replace("metadata", "spec: {template: look, hardware: node-01, cancel: true}\nmetadata")
    .replace("spec: {template: look, hardware: node-01}\n", "")
)
OTHER = SOUND["hardware.yaml"].replace("node-01", "node-02").replace(":01", ":02").replace("10.1.0.11", "10.1.0.12")
QUIET = SOUND["profile.yaml"].replace("inspect/vmlinuz}", 'inspect/vmlinuz, cmdline: "quiet"}')


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: ssh_key(folder, name) for name in ("ann", "bob", "eve")}


@pytest.fixture
def site(tmp_path: Path, keys: dict[str, Key]) -> Iterator[Signed]:
    """Served: two machines without work, nothing destructive allowed, ann may approve; nobody need sign."""
    site = Signed(tmp_path)
    for path, content in {**SOUND, "workflow.yaml": IDLE, "other.yaml": OTHER}.items():
        site.work.write(path, content)
    site.commit(None, site=site_with("off", keys["ann"]) + LIMITS)
    assert () == published(site).held
    yield site
    site.close()


def published(site: Signed) -> Published:
    outcome = site.step()
    assert isinstance(outcome, Published), outcome
    assert outcome.plan == site.plans.current_id()
    return outcome


def waiting(site: Signed) -> Waiting:
    before = site.plans.current_id()
    outcome = site.step()
    assert isinstance(outcome, Waiting), outcome
    assert before == site.plans.current_id()
    return outcome


def held(site: Signed) -> set[tuple[str, str, int]]:
    """As the servers see it."""
    current = site.plans.current_id()
    assert current
    found = gate(site.plans.holds(current))
    assert "" == found.everything
    return set(found.of_run)


def plan(site: Signed) -> BootPlan:
    return site.plans.load(site.plans.current_id() or "")


def deed(here: Signed, **more: str) -> Published:
    """The commit that has node-01 carry out something that nobody knows what it does to disks; it is held."""
    here.commit(None, workflow=SOUND["workflow.yaml"], **more)
    outcome = published(here)
    assert RUN == held(here)
    return outcome


RUN = {("node-01", "look-at-01", 1)}


def approval(plan_id: str) -> tuple[str, ...]:
    return "-m", f"Gitboot-Approve: {plan_id}"


def kinds(said: tuple[HeldBack, ...]) -> list[str]:
    return [each.kind for each in said]


# HeldBack and released --------------------------------------------------------------------------------------------------------


def test_a_held_commit_s_harmless_part_is_served_and_the_status_says_how_to_release_it(site: Signed) -> None:
    outcome = deed(site, profile=QUIET)
    assert "quiet" == plan(site).profiles["inspect"].cmdline
    (said,) = outcome.held
    assert ("destructive runs on at most 0 machines per site", ("node-01",), False) == (said.rule, said.machines, said.whole)
    assert f"signed by ann, with the trailer `Gitboot-Approve: {outcome.plan}`" in said.release


def test_a_signed_commit_with_the_trailer_releases_it(site: Signed, keys: dict[str, Key]) -> None:
    before = deed(site)
    site.commit(keys["ann"], *approval(before.plan))
    after = published(site)
    assert (before.plan, False, ()) == (after.plan, after.changed, after.held)
    assert set() == held(site)


def unheeded(site: Signed) -> list[str]:
    return [each.message for each in published(site).warnings if each.code == "unheeded-approval"]


def test_an_approval_that_releases_nothing_is_told_with_its_reason(site: Signed, keys: dict[str, Key]) -> None:
    plan_id = deed(site).plan
    for key, named, reason in (
        (None, plan_id, "it has no signature"),
        (keys["eve"], plan_id, "its signature is of no key that is listed"),
        (keys["ann"], "0" * 64, f"approves plan 000000000000, and {plan_id[:12]} is the one that is held"),
        (keys["ann"], plan_id[:12], "has the whole id of the plan"),
    ):
        revision = site.commit(key, *approval(named))
        (said,) = [each for each in unheeded(site) if revision[:12] in each]
        assert reason in said
        assert RUN == held(site)
    site.commit(keys["ann"], *approval(plan_id))
    assert ([], set()) == (unheeded(site), held(site))


def test_one_commit_may_be_deed_and_approval_at_once(site: Signed, keys: dict[str, Key]) -> None:
    outcome = deed(site)
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(None, readme="nothing: here")
    assert set() == (published(site), held(site))[1]
    site.commit(keys["ann"], *approval(outcome.plan), workflow=SOUND["workflow.yaml"])
    assert (outcome.plan, ()) == ((again := published(site)).plan, again.held)
    assert set() == held(site)


NO_APPROVALS = {
    "nobody signed it": (None, "Gitboot-Approve: {plan}"),
    "somebody else signed it": ("eve", "Gitboot-Approve: {plan}"),
    "it names another plan": ("ann", "Gitboot-Approve: {other}"),
    "it names a part of the id": ("ann", "Gitboot-Approve: {short}"),
    "it is no trailer": ("ann", "Gitboot-Approve: {plan}\n\nas said above"),
    "it is another trailer": ("ann", "X-Gitboot-Approve: {plan}"),
}


@pytest.mark.parametrize("what", NO_APPROVALS)
def test_nothing_else_releases_it(site: Signed, keys: dict[str, Key], what: str) -> None:
    before = deed(site)
    who, text = NO_APPROVALS[what]
    said = text.format(plan=before.plan, other="0" * 64, short=before.plan[:12])
    site.commit(keys[who] if who else None, "-m", said)
    assert ["destructive"] == kinds(published(site).held)
    assert RUN == held(site)


def test_an_approval_is_of_what_was_seen_and_of_nothing_that_came_between(site: Signed, keys: dict[str, Key]) -> None:
    before = deed(site)
    site.commit(None, template=SOUND["template.yaml"].replace("look:v1", "wipe:v1"))
    site.commit(keys["ann"], *approval(before.plan))
    assert published(site).plan != before.plan
    assert RUN == held(site)


def test_a_restart_does_not_release_and_neither_does_another_commit(site: Signed, keys: dict[str, Key]) -> None:
    before = deed(site)
    site.restart()
    assert ["destructive"] == kinds(published(site).held)
    site.commit(None, profile=QUIET)
    after = published(site)
    assert after.plan != before.plan
    assert RUN == held(site)
    site.restart()
    site.commit(keys["ann"], *approval(after.plan))
    assert () == published(site).held
    site.restart()
    assert () == published(site).held
    assert set() == held(site)


@pytest.mark.parametrize("order", [("destructive", "remove"), ("remove", "destructive")])
def test_what_an_approval_does_not_release_is_told_whatever_else_it_does(
    site: Signed, keys: dict[str, Key], order: tuple[Kind, ...]
) -> None:
    plan_id = deed(site).plan
    since = site.work.git("rev-parse", "HEAD").strip()
    revision = site.commit(keys["ann"], *approval(plan_id))
    signers = {name: (Signer(name, ssh=parsed_key(keys[name].public)),) for name in ("ann", "bob")}
    may = {kind: signers["ann" if kind == "destructive" else "bob"] for kind in order}
    assert site.repository is not None
    found = approved(site.repository, revision, since, plan_id, may, site.root / "keys")
    assert {"destructive"} == found.kinds
    (why,) = found.unheeded
    assert f"Commit {revision[:12]} does not release all that is held, for its signature is of no key" in why
    may["remove"] = signers["ann"]
    assert Approved(frozenset(order)) == approved(site.repository, revision, since, plan_id, may, site.root / "keys")


def test_a_commit_that_removes_too_much_waits_whole_until_it_is_approved(site: Signed, keys: dict[str, Key]) -> None:
    before = plan(site)
    site.work.git("rm", "-q", "other.yaml")
    site.commit(None, profile=QUIET)
    outcome = waiting(site)
    assert [("remove", ("node-02",), True)] == [(each.kind, each.machines, each.whole) for each in outcome.held]
    assert before == plan(site)
    site.restart()
    assert outcome.held == waiting(site).held
    site.commit(keys["eve"], *approval(outcome.plan))
    waiting(site)
    site.commit(keys["ann"], *approval(outcome.plan))
    assert (outcome.plan, ()) == ((after := published(site)).plan, after.held)


def test_a_commit_that_waits_is_forgotten_when_it_is_taken_back(site: Signed) -> None:
    before = plan(site)
    site.work.git("rm", "-q", "other.yaml")
    site.commit(None)
    waiting(site)
    site.commit(None, other=OTHER)
    outcome = published(site)
    assert (before.id, ()) == (outcome.plan, outcome.held)


# By whose rules -----------------------------------------------------------------------------------------------------------


def test_a_commit_that_raises_its_own_limit_is_held_by_the_old_one(site: Signed, keys: dict[str, Key]) -> None:
    outcome = deed(site, site=site_with("off", keys["ann"]) + LIMITS.replace("machines: 0", "machines: 9"))
    assert ["destructive", "loosen"] == kinds(outcome.held)


def test_a_commit_that_adds_its_own_signer_is_not_released_by_it(site: Signed, keys: dict[str, Key]) -> None:
    outcome = deed(site, site=site_with("off", keys["ann"], keys["eve"]) + LIMITS)
    site.commit(keys["eve"], *approval(outcome.plan))
    assert ["destructive", "loosen"] == kinds(published(site).held)
    assert RUN == held(site)
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held


def test_a_signer_that_nobody_approved_counts_for_nothing_until_somebody_does(site: Signed, keys: dict[str, Key]) -> None:
    state = site.root / "state"
    site.commit(None, site=site_with("required", keys["ann"], keys["eve"]) + LIMITS)
    outcome = published(site)
    assert ["loosen"] == kinds(outcome.held)

    def asked(number: int) -> list[str]:
        assert site.repository
        site.tag(keys["eve"], f"try/node-01/{number}")
        guard = site.reconciler._guard
        Trier(site.repository, state, site.plans, ArtifactStore(site.root / "art", state), guard).step()
        return [each.machine for each in asked_for(state)]

    assert [] == asked(1)
    (state / "trusted.json").unlink()
    site.restart()
    assert [] == asked(2), "nor where what was trusted is lost"
    site.commit(keys["eve"], profile=QUIET)
    assert "of no key that is listed" in site.refused(), "the stricter rule of the same commit holds already"
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held
    assert ["node-01"] == asked(3)
    site.commit(keys["eve"], profile=QUIET)
    assert () == published(site).held


def test_a_lower_rule_for_commits_counts_once_it_is_approved(site: Signed, keys: dict[str, Key]) -> None:
    site.commit(None, site=site_with("required", keys["ann"]) + LIMITS)
    assert () == published(site).held
    site.commit(keys["ann"], site=site_with("off", keys["ann"]) + LIMITS)
    (said,) = (outcome := published(site)).held
    assert ("loosen", True) == (said.kind, "lowers the rule for commits from required to off" in said.why)
    site.commit(None, profile=QUIET)
    assert "it has no signature" in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held
    site.commit(None, profile=QUIET)
    assert () == published(site).held


def test_a_signer_whose_approval_is_not_known_any_more_counts_for_nothing(site: Signed, keys: dict[str, Key]) -> None:
    site.commit(None, site=site_with("required", keys["ann"], keys["eve"]) + LIMITS)
    (site.plans.directory / published(site).plan / "holds.json").unlink()
    site.restart()
    published(site)
    site.commit(keys["eve"], profile=QUIET)
    assert "of no key that is listed" in site.refused()


def test_a_commit_that_removes_protect_together_with_the_deed_is_held(site: Signed, keys: dict[str, Key]) -> None:
    bare = SOUND["hardware.yaml"]
    site.commit(None, hardware=bare.replace("  profile:", "  protect: true\n  profile:"), site=site_with("off", keys["ann"]))
    site.commit(keys["ann"], *approval(published(site).plan))
    assert () == published(site).held, "the limits are gone, and approved to be"
    outcome = deed(site, hardware=bare)
    assert ["protect", "protect"] == kinds(outcome.held)
    site.restart()
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held


def test_to_protect_a_machine_no_more_is_approved_on_top_before_there_is_a_deed(site: Signed, keys: dict[str, Key]) -> None:
    bare = SOUND["hardware.yaml"]
    site.commit(None, hardware=bare.replace("  profile:", "  protect: true\n  profile:"))
    published(site)
    site.commit(None, hardware=bare)
    outcome = published(site)
    site.restart()
    assert ["protect"] == kinds(outcome.held) == kinds(published(site).held)
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held
    assert site.plans.holds(outcome.plan).kept is None


def test_where_nobody_is_listed_the_floor_s_signer_approves(site: Signed, keys: dict[str, Key]) -> None:
    site.commit(None, site=site_with("off") + LIMITS)
    assert () == published(site).held
    outcome = deed(site)
    assert "nobody is listed who may approve it" in outcome.held[0].release
    site.commit(keys["ann"], *approval(outcome.plan))
    assert RUN == (published(site), held(site))[1]
    site.restart(Floor(Trust(signers=(Signer("ann", ssh=parsed_key(keys["ann"].public)),))))
    assert () == published(site).held, "it was pushed before the key counted"


def test_another_floor_counts_for_the_plan_that_is_served_already(site: Signed) -> None:
    before = published(site)
    own = site.plans.holds(before.plan).policies
    floor = Policy(windows=(Window(("sat",), 0, 60),), rolling=Rolling(1, 1))
    site.restart(Floor(policy=floor))
    assert before.plan == published(site).plan
    assert (*own, floor) == site.plans.holds(before.plan).policies
    site.restart(Floor())
    published(site)
    assert own == site.plans.holds(before.plan).policies


# Files that are not as they were left ---------------------------------------------------------------------------------------


def test_killed_at_any_step_there_is_the_old_plan_or_the_new_one_with_its_holds(site: Signed, tmp_path: Path) -> None:
    store, kept = site.plans, tmp_path / "kept"
    old = store.current_id()
    shutil.copytree(store.directory, kept, symlinks=True)
    site.commit(None, workflow=SOUND["workflow.yaml"])

    def prepare() -> None:
        shutil.rmtree(store.directory)
        shutil.copytree(kept, store.directory, symlinks=True)
        site.restart()

    seen = set()
    for _ in survivals(tmp_path, prepare, lambda: (site.step(), None)[1]):
        current = store.current_id()
        seen.add(current)
        assert "" == store.holds(current or "").everything
        assert (set() if current == old else RUN) == held(site)
        site.restart()
        assert RUN == (published(site), held(site))[1]
    assert 2 == len(seen)


DAMAGES = {"gone": None, "empty": b"", "half": b'{"plan": "', "of another plan": b'{"plan": "0"}'}


@pytest.mark.parametrize("damage", DAMAGES)
def test_holds_that_cannot_be_read_hold_everything_until_that_is_approved(
    site: Signed, keys: dict[str, Key], damage: str
) -> None:
    before = published(site)
    file = site.plans.directory / before.plan / "holds.json"
    file.unlink() if (data := DAMAGES[damage]) is None else file.write_bytes(data)
    assert site.plans.holds(before.plan).everything
    site.restart()
    outcome = published(site)
    assert ["destructive"] == kinds(outcome.held)
    assert site.plans.holds(outcome.plan).everything
    site.commit(keys["ann"], *approval(outcome.plan))
    assert () == published(site).held
    assert set() == held(site)


def test_a_plan_from_before_there_were_holds_is_free_where_no_policy_says_anything(site: Signed, keys: dict[str, Key]) -> None:
    site.commit(keys["ann"], site=site_with("off"))
    site.commit(keys["ann"], *approval(published(site).plan))
    outcome = published(site)
    for left in site.plans.directory.glob("*/holds.json"):
        left.unlink()
    (site.plans.directory / "judged").unlink()
    site.restart()
    assert () == published(site).held
    holds = site.plans.holds(outcome.plan)
    assert Holds(outcome.plan, outcome.revision) == holds
    (site.plans.directory / outcome.plan / "holds.json").unlink()
    site.restart()
    assert ["destructive"] == kinds(published(site).held), "there were holds since"


@pytest.mark.parametrize("lost", ["holds.json of the plan", "every holds.json", "the mark alone, and holds.json of the plan"])
def test_a_plan_that_drops_policy_and_protection_stays_held_when_its_holds_are_lost(
    site: Signed, keys: dict[str, Key], lost: str
) -> None:
    site.commit(None, hardware=SOUND["hardware.yaml"].replace("  profile:", "  protect: true\n  profile:"))
    published(site)
    plan_id = deed(site, hardware=SOUND["hardware.yaml"], site=site_with("off", keys["ann"])).plan
    for left in site.plans.directory.glob("*/holds.json" if lost.startswith("every") else f"{plan_id}/holds.json"):
        left.unlink()
    if lost.startswith("the mark"):
        (site.plans.directory / "judged").unlink()
    site.restart()
    assert ["destructive"] == kinds(published(site).held)
    assert gate(site.plans.holds(plan_id)).everything
    site.commit(None, profile=QUIET)
    assert gate(site.plans.holds(published(site).plan)).everything
