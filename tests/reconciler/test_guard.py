"""No commit is served that nobody listed stands behind: real git, real ssh-keygen, real gpg."""

from __future__ import annotations

import errno
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from netboot.trust import Commits, Signer, Trust
from reconciler.signers import ssh_key as parsed_key
from reconciler.trust import Floor
from tests.reconciler.gitkit import free_port, git_daemon
from tests.reconciler.inventories import SOUND
from tests.reconciler.signkit import Key, Signed, site_with, ssh_key

pytestmark = pytest.mark.shell
MACHINE = SOUND["hardware.yaml"]
OTHER = MACHINE.replace("10.1.0.11", "10.1.0.12")
THIRD = MACHINE.replace("10.1.0.11", "10.1.0.13")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: ssh_key(folder, name) for name in ("ann", "bob", "eve", "forge")}


@pytest.fixture
def ann(keys: dict[str, Key]) -> Key:
    return keys["ann"]


@pytest.fixture
def eve(keys: dict[str, Key]) -> Key:
    return keys["eve"]


@pytest.fixture(params=["in place", "mirror"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Signed]:
    """Read in place, and through a mirror, which has no history until it is asked for."""
    site = Signed(tmp_path)
    if request.param == "in place":
        yield site
    else:
        with git_daemon(tmp_path / "served", free_port()) as base:
            site.url = f"{base}/work"
            site.restart()
            yield site
    site.close()


def floor_of(key: Key, since: str = "") -> Floor:
    return Floor(Trust("required", (Signer(key.name, ssh=parsed_key(key.public)),)), since)


def test_an_unsigned_commit_is_refused_by_name_and_the_last_good_plan_keeps_serving(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    bad = site.commit(None, hardware=OTHER)
    said = site.refused()
    assert f'Commit {bad[:12]} by Ann <ann@lab.example>, "change": it has no signature.' in said
    assert "docs/signing.md" in said
    site.restart()
    assert bad[:12] in site.refused()


def test_a_commit_that_a_listed_signer_signed_is_served(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    good = site.commit(ann, hardware=OTHER)
    assert good == site.served()


def test_a_key_that_is_not_listed_does_not_count(site: Signed, ann: Key, eve: Key) -> None:
    site.begin("required", ann)
    site.commit(eve, hardware=OTHER)
    assert "of no key that is listed" in site.refused()


def test_a_forges_own_key_counts_only_if_it_is_listed(site: Signed, keys: dict[str, Key]) -> None:
    """Of what its button squashes, nobody else signs anything."""
    site.begin("required", keys["ann"])
    site.commit(keys["forge"], hardware=OTHER)
    assert "of no key that is listed" in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(keys["ann"], site=site_with("required", keys["ann"], keys["forge"]))
    site.served()
    assert site.commit(keys["forge"], hardware=OTHER) == site.served()


def test_a_signed_commit_of_another_branch_that_follows_on_what_is_served_is_served(site: Signed, ann: Key) -> None:
    """Whoever pushes it to ours: a signature knows no branch."""
    site.begin("required", ann)
    site.work.git("checkout", "-q", "-b", "experiment")
    meant_for_elsewhere = site.commit(ann, hardware=OTHER)
    site.work.git("checkout", "-q", "main")
    site.work.git("merge", "-q", "--ff-only", "experiment")
    assert meant_for_elsewhere == site.served()


def test_what_lies_under_another_id_in_a_local_object_store_is_served_and_no_git_protocol_carries_it(
    site: Signed, ann: Key
) -> None:
    site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    blob = site.work.git("rev-parse", "HEAD:hardware.yaml")
    forged = THIRD.encode()
    loose = site.work.path / ".git/objects" / blob[:2] / blob[2:]
    loose.unlink()
    loose.write_bytes(zlib.compress(b"blob %d\0" % len(forged) + forged))
    if site.url == str(site.work.path):
        site.served()
        plan = site.plans.load(site.plans.current_id() or "")
        assert "10.1.0.13" == plan.machines["node-01"].interfaces[0].address, "which no commit ever said"
    else:
        site.delayed()


def test_a_commit_that_lists_its_own_signer_is_judged_by_the_list_before_it(site: Signed, ann: Key, eve: Key) -> None:
    site.begin("required", ann)
    site.commit(eve, site=site_with("required", eve))
    assert "of no key that is listed" in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(None, site=site_with("off"))
    assert "it has no signature" in site.refused()


def test_a_signed_change_on_top_launders_no_unsigned_one(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    bad = site.commit(None, hardware=OTHER)
    site.work.write("README.md", "hello")
    good = site.commit(ann)
    said = site.refused()
    assert bad[:12] in said
    assert good[:12] not in said


def test_a_commit_that_leaves_the_inventory_alone_needs_no_signature(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.work.write("README.md", "hello")
    site.commit(None)
    site.work.write(".github/workflow.yaml", "on: push")
    assert site.commit(None) == site.served()


def test_a_signed_merge_vouches_for_what_it_brings_in_and_an_unsigned_one_does_not(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.work.git("checkout", "-q", "-b", "topic")
    bad = site.commit(None, hardware=OTHER)
    site.work.git("checkout", "-q", "main")
    site.merge(None, "topic")
    assert bad[:12] in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    assert site.merge(ann, "topic") == site.served()


def test_a_signed_merge_does_not_vouch_for_the_branch_that_it_is_made_on(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.work.git("checkout", "-q", "-b", "topic")
    site.work.write("README.md", "hello")
    site.commit(ann)
    site.work.git("checkout", "-q", "main")
    bad = site.commit(None, hardware=OTHER)
    site.merge(ann, "topic")
    assert bad[:12] in site.refused()


def test_a_merge_of_signed_commits_that_adds_nothing_needs_no_signature(site: Signed, ann: Key) -> None:
    """As a forge's button makes it."""
    site.begin("required", ann)
    site.work.git("checkout", "-q", "-b", "topic")
    site.commit(ann, hardware=OTHER)
    site.work.git("checkout", "-q", "main")
    assert site.merge(None, "topic") == site.served()


def test_a_merge_that_brings_back_an_older_inventory_is_a_change(site: Signed, ann: Key) -> None:
    """Without the change that is dropped, each of its parents would do."""
    first = site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    site.served()
    old = site.work.git("rev-parse", f"{first}^{{tree}}")
    merge = site.work.git("commit-tree", old, "-p", first, "-p", "HEAD", "-m", "back")
    site.work.git("reset", "-q", "--hard", merge)
    assert merge[:12] in site.refused()


def test_a_signed_tag_vouches_for_all_that_lies_before_it(site: Signed, ann: Key, eve: Key) -> None:
    site.begin("required", ann)
    site.commit(None, hardware=OTHER)
    head = site.commit(None, hardware=THIRD)
    site.tag(eve, "by-a-stranger")
    site.tag(None, "by-nobody")
    site.tag(ann, "too-early", "HEAD~1")
    said = site.refused()
    assert head[:12] in said
    assert 1 == said.count("it has no signature")
    site.tag(ann, "reviewed")
    assert head == site.served(), "no new commit was needed for this"


def test_a_branch_that_is_set_back_or_rewritten_is_refused_and_the_floor_names_the_way_on(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    site.served()
    site.work.git("reset", "-q", "--hard", first)
    assert "History was rewritten" in site.refused()
    other = site.commit(ann, hardware=THIRD)
    assert "History was rewritten" in site.refused()
    site.restart(Floor(since=other))
    assert other == site.served()
    assert site.commit(ann, hardware=OTHER) == site.served()


def test_who_lost_every_key_comes_back_through_the_floor(site: Signed, ann: Key, keys: dict[str, Key]) -> None:
    site.begin("required", ann)
    site.commit(keys["bob"], site=site_with("required", keys["bob"]))
    site.refused()
    site.restart(floor_of(keys["bob"]))
    site.served()
    site.restart(Floor())
    assert site.commit(keys["bob"], hardware=OTHER) == site.served()


def test_a_first_commit_must_be_signed_where_the_floor_requires_it(site: Signed, ann: Key) -> None:
    site.restart(floor_of(ann))
    for path, content in SOUND.items():
        site.work.write(path, content)
    site.commit(None)
    assert "it has no signature" in site.refused()
    second = site.commit(ann, hardware=OTHER)
    assert second == site.served(), "history before the first commit cannot be judged"


def test_a_floor_that_names_a_commit_judges_all_that_follows(site: Signed, ann: Key) -> None:
    for path, content in SOUND.items():
        site.work.write(path, content)
    first = site.commit(None)
    bad = site.commit(None, hardware=OTHER)
    site.work.write("README.md", "hello")
    site.commit(ann)
    site.restart(floor_of(ann, first))
    assert bad[:12] in site.refused()
    site.tag(ann, "reviewed")
    site.served()


def test_a_rule_is_in_force_from_the_commit_after_the_one_that_made_it(site: Signed, ann: Key) -> None:
    site.begin("off")
    site.commit(None, hardware=OTHER)
    site.served()
    site.commit(None, site=site_with("required", ann))
    site.served()
    site.commit(None, hardware=THIRD)
    site.refused()


def test_a_warning_names_the_commit_and_serves_it(site: Signed, ann: Key) -> None:
    site.begin("warn", ann)
    bad = site.commit(None, hardware=OTHER)
    assert bad[:12] in site.warned()
    assert site.commit(ann, hardware=THIRD) == site.served()


# What only some changes need ---------------------------------------------------------------------------------------------


def test_in_destructive_mode_work_needs_a_signature_and_an_address_does_not(site: Signed, ann: Key) -> None:
    site.begin("destructive", ann)
    assert site.commit(None, hardware=OTHER) == site.served()
    site.commit(None, workflow=SOUND["workflow.yaml"].replace("node-01}", "node-01, run: 2}"))
    said = site.refused()
    assert "A signature is needed because the change has node-01 do run 2 of the workflow look-at-01." in said
    site.restart()
    assert "run 2" in site.refused(), "a restart knows what is served"
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(ann, workflow=SOUND["workflow.yaml"].replace("node-01}", "node-01, run: 2}"))
    site.served()


def test_in_destructive_mode_every_commit_up_to_the_destructive_one_must_be_signed(site: Signed, ann: Key) -> None:
    site.begin("destructive", ann)
    quiet = site.commit(None, hardware=OTHER)
    site.commit(ann, workflow=SOUND["workflow.yaml"].replace("node-01}", "node-01, run: 2}"))
    assert quiet[:12] in site.refused(), "or what was served in between would be laundered"


@pytest.mark.parametrize(
    ("rule", "names", "said"),
    [
        ("off", "", "lowers the rule for commits from destructive to off"),
        ("warn", "ann", "lowers the rule for commits from destructive to warn"),
        ("destructive", "ann eve", "adds the signer eve"),
    ],
)
def test_to_loosen_trust_takes_a_signer_of_the_list_before(
    site: Signed, keys: dict[str, Key], rule: Commits, names: str, said: str
) -> None:
    site.begin("destructive", keys["ann"])
    after = site_with(rule, *(keys[name] for name in names.split()))
    site.commit(keys["eve"], site=after)
    assert said in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(keys["ann"], site=after)
    site.served()


def test_a_stricter_rule_needs_no_signature_where_none_was_needed(site: Signed, ann: Key) -> None:
    site.begin("destructive", ann)
    site.commit(None, site=site_with("required", ann))
    site.served()
    site.commit(None, hardware=OTHER)
    site.refused()


# State -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [None, b"", b"{", b"\xff", b"[]"])
def test_a_lost_memory_keeps_the_rule_of_the_served_plan(site: Signed, ann: Key, damage: bytes | None) -> None:
    """And the commit is judged as a first one: what lies before it is not known."""
    site.begin("required", ann)
    memory = site.root / "state/trusted.json"
    memory.unlink()
    if damage is not None:
        memory.write_bytes(damage)
    site.restart()
    site.commit(None, hardware=OTHER)
    assert "it has no signature" in site.refused()
    site.commit(ann, hardware=THIRD)
    site.served()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_killed_between_judging_and_publishing_the_commit_stays_judged(
    site: Signed, ann: Key, eve: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.begin("required", ann)
    head = site.commit(ann, site=site_with("required", eve))
    monkeypatch.setattr(site.plans, "publish", full)
    site.delayed()
    monkeypatch.undo()
    site.restart()
    assert head == site.served()
    assert site.commit(eve, hardware=OTHER) == site.served()


def test_what_a_killed_judgement_left_behind_is_in_nobodys_way(site: Signed, ann: Key, eve: Key) -> None:
    site.begin("required", ann)
    left = site.root / "state/signers"
    left.mkdir()
    (left / "allowed_signers").write_text(f"signer-0 {eve.public}\n")
    site.commit(eve, hardware=OTHER)
    assert "of no key that is listed" in site.refused()
    assert not left.exists()


def test_another_folder_of_the_repository_was_never_judged(site: Signed, ann: Key) -> None:
    for folder in ("lab", "hall"):
        for path, content in SOUND.items():
            site.work.write(f"{folder}/{path}", content)
        site.work.write(f"{folder}/site.yaml", site_with("required", ann))
    site.path = "lab"
    site.restart()
    site.commit(None)
    site.served()
    site.path = "hall"
    site.restart()
    assert "it has no signature" in site.refused(), "though the commit itself is the trusted one"
    site.tag(ann, "reviewed")
    site.served()


def test_what_lies_outside_of_the_folder_needs_no_signature(site: Signed, ann: Key) -> None:
    site.path = "lab"
    site.restart()
    for path, content in SOUND.items():
        site.work.write(f"lab/{path}", content)
    (site.work.path / "lab/site.yaml").write_text(site_with("required", ann))
    site.commit(None)
    site.served()
    assert site.commit(None, hardware=OTHER) == site.served()
    site.work.write("lab/hardware.yaml", OTHER)
    site.commit(None)
    site.refused()


def test_too_many_commits_are_not_looked_at(site: Signed, ann: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.lineage.MOST_COMMITS", 3)
    site.begin("required", ann)
    for _ in range(3):
        site.commit(None)
    site.served()
    for _ in range(4):
        last = site.commit(None)
    assert "More than" in site.refused()
    site.restart(Floor(since=last))
    assert last == site.served()


def test_a_mirror_that_was_lost_has_its_history_again(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    shutil.rmtree(site.root / "state/git", ignore_errors=True)
    site.restart()
    bad = site.commit(None, hardware=OTHER)
    site.commit(ann, hardware=THIRD)
    assert bad[:12] in site.refused()
    shutil.rmtree(site.root / "state/git", ignore_errors=True)
    site.restart()
    assert bad[:12] in site.refused()


def test_a_branch_that_began_before_the_trusted_commit_is_merged(site: Signed, ann: Key) -> None:
    """What lies before the trusted commit is in nobody's way, though a mirror had not fetched it."""
    for path, content in SOUND.items():
        site.work.write(path, content)
    site.commit(None)
    site.commit(None)
    site.work.git("branch", "topic")
    site.begin("required", ann)
    site.work.git("checkout", "-q", "topic")
    site.work.write("README.md", "hello")
    site.commit(None)
    site.work.git("checkout", "-q", "main")
    assert site.merge(None, "topic") == site.served()


def test_a_shallow_clone_says_that_history_is_missing(tmp_path: Path, ann: Key) -> None:
    site = Signed(tmp_path)
    first = site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    head = site.commit(ann, hardware=THIRD)
    site.url = str(tmp_path / "shallow.git")
    site.work.git("clone", "-q", "--bare", "--depth=1", f"file://{site.work.path}", site.url)
    site.restart(Floor(since=first))
    assert f"and {head[:12]} cannot be read" in site.refused()
    site.close()


def test_a_warning_holds_nothing_up_where_signatures_cannot_be_verified(
    site: Signed, ann: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.begin("warn", ann)
    monkeypatch.setattr("reconciler.signatures.shutil.which", lambda name: None)
    site.commit(ann, hardware=OTHER)
    assert "install the package `openssh-client`" in site.warned()


def test_in_destructive_mode_a_branch_without_the_floors_commit_is_refused(site: Signed, ann: Key) -> None:
    first = site.begin("destructive", ann)
    site.work.git("checkout", "-q", "--orphan", "other")
    site.work.write("README.md", "another beginning")
    site.commit(None)
    site.work.git("branch", "-f", "main", "other")
    site.work.git("checkout", "-q", "main")
    site.served()
    site.restart(Floor(since=first))
    site.commit(None, hardware=OTHER)
    assert "History was rewritten" in site.refused()


def test_tags_without_end_vouch_for_nothing(site: Signed, ann: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.signatures._MOST_TAG_BYTES", 10)
    site.begin("required", ann)
    site.commit(None, hardware=OTHER)
    site.tag(ann, "reviewed")
    assert "it has no signature" in site.refused()
    monkeypatch.undo()
    site.served()
