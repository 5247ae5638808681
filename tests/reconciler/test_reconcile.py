"""Reconcile: what git says is served, and nothing else ever changes what is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netboot import plans as plans_module
from netboot.artifacts import ArtifactStore
from netboot.plan import manifest_shards
from netboot.plans import PlanStore
from reconciler.compile import Compiler
from reconciler.git import open_repository
from reconciler.guard import Guard
from reconciler.policing import Policing
from reconciler.reconcile import Delayed, Published, Reconciler, Refused
from reconciler.source import Source
from reconciler.trust import Floor
from tests.netboot.killed import survivals
from tests.netboot.test_image_archive import docker_archive
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND

pytestmark = pytest.mark.shell
SECOND_MACHINE = (
    SOUND["hardware.yaml"].replace("node-01", "node-02").replace("34:01", "34:02").replace("10.1.0.11", "10.1.0.12")
)
BROKEN = SOUND["hardware.yaml"].replace("mac:", "mack:")


class Site:
    """A repository, an artefact folder, and the plans that come of them."""

    def __init__(self, root: Path) -> None:
        self.work = Work(root / "work")
        self.plans = PlanStore(root / "state/plans")
        self.kernel = root / "art/inspect/vmlinuz"
        self.kernel.parent.mkdir(parents=True)
        self.kernel.write_bytes(b"kernel")
        (root / "state").mkdir()
        self.root = root
        self.floor = Floor()
        self.reconciler = self.restart()

    def restart(self, path: str = "") -> Reconciler:
        repository = open_repository(Source(str(self.work.path), "main", path), self.root / "state/git")
        artifacts = ArtifactStore(self.root / "art", self.root / "state")
        guard = Guard(repository, self.root / "state", self.plans, self.floor)
        policing = Policing(repository, self.root / "state", self.plans, self.floor)
        self.reconciler = Reconciler(repository, self.plans, artifacts, guard, policing)
        return self.reconciler

    def commit(self, **files: str) -> str:
        return self.work.commit(**files)

    def published(self) -> Published:
        outcome = self.reconciler.step()
        assert isinstance(outcome, Published), outcome
        assert "" == self.plans.damage(outcome.plan)
        assert outcome.plan == self.plans.current_id()
        revision = self.plans.revision(outcome.revision)
        assert revision is not None
        assert [] == self.plans.lacking(revision.provenance.values())
        return outcome

    def refused(self) -> list[str]:
        before = self.plans.current_id()
        outcome = self.reconciler.step()
        assert isinstance(outcome, Refused), outcome
        assert before == self.plans.current_id()
        return [problem.code for problem in outcome.problems if problem.severity == "error"]

    def delayed(self) -> str:
        before = self.plans.current_id()
        outcome = self.reconciler.step()
        assert isinstance(outcome, Delayed), outcome
        assert before == self.plans.current_id()
        return outcome.reason


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    for path, content in SOUND.items():
        site.work.write(path, content)
    site.commit()
    return site


def test_a_commit_is_served_and_the_same_commit_changes_nothing(site: Site) -> None:
    first = site.published()
    assert first.changed
    again = site.published()
    assert (first.revision, first.plan, False) == (again.revision, again.plan, again.changed)


def test_a_commit_that_touches_the_readme_swaps_nothing(site: Site) -> None:
    first = site.published()
    site.work.write("README.md", "hello")
    revision = site.commit()
    second = site.published()
    assert (revision, first.plan, False) == (second.revision, second.plan, second.changed)


def test_a_restart_finds_its_plan_served(site: Site) -> None:
    first = site.published()
    site.restart()
    assert (first.plan, False) == (site.published().plan, False)


def test_a_rejected_commit_keeps_the_last_good_plan_also_across_a_restart(site: Site) -> None:
    good = site.published()
    site.commit(hardware=BROKEN)
    for _ in range(2):
        assert "unknown-field" in site.refused()
    site.restart()
    assert "unknown-field" in site.refused()
    assert good.plan == site.plans.current_id()


def test_what_a_rejected_commit_changed_besides_is_complete_when_the_next_one_is_good(site: Site) -> None:
    site.published()
    site.commit(hardware2=SECOND_MACHINE, profile=SOUND["profile.yaml"].replace("vmlinuz", "missing"))
    assert ["missing-artifact"] == site.refused()
    site.commit(profile=SOUND["profile.yaml"])
    plan = site.plans.load(site.published().plan)
    assert {"node-01", "node-02"} == set(plan.machines)


def test_an_empty_tree_and_a_vanished_folder_are_rejections(site: Site) -> None:
    site.published()
    site.restart("lab")
    assert site.refused()
    site.restart()
    site.work.git("rm", "-rq", ".")
    site.commit()
    assert site.refused()


def test_a_repository_that_is_gone_is_waited_for(site: Site) -> None:
    site.published()
    site.work.path.rename(site.root / "away")
    assert "no git repository" in site.delayed()
    (site.root / "away").rename(site.work.path)
    assert not site.published().changed


def test_a_replaced_artefact_is_a_new_plan_at_the_same_revision(site: Site) -> None:
    first = site.published()
    site.kernel.write_bytes(b"another kernel")
    second = site.published()
    assert (first.revision, True) == (second.revision, second.changed)
    assert first.plan != second.plan


def test_a_missing_artefact_rejects_until_it_is_there(site: Site) -> None:
    site.kernel.rename(site.root / "elsewhere")
    assert ["missing-artifact"] == site.refused()
    (site.root / "elsewhere").rename(site.kernel)
    assert site.published().changed


def test_an_artefact_that_vanishes_rejects_and_its_plan_keeps_serving(site: Site) -> None:
    good = site.published()
    site.kernel.unlink()
    assert ["missing-artifact"] == site.refused()
    assert good.plan == site.plans.current_id()


def test_an_archive_of_images_is_an_artefact_of_the_plan_and_a_replaced_one_a_new_plan(site: Site) -> None:
    site.commit(site=SOUND["site.yaml"] + "  images: {archives: [actions.tar]}\n")
    assert ["missing-artifact"] == site.refused()
    archive = site.root / "art/actions.tar"
    archive.write_bytes(b"no tar")
    assert ["bad-archive"] == site.refused()
    archive.write_bytes(docker_archive("look:v1"))
    first = site.plans.load(site.published().plan)
    action = first.machines["node-01"].work[0].document["tasks"][0]["actions"][0]
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    url = f"/artifacts/sha256/{sha256}/actions.tar"
    assert ("look:v1", {"url": url, "sha256": sha256, "size": archive.stat().st_size}) == (action["image"], action["archive"])
    assert sha256 in site.plans.artifacts()
    archive.write_bytes(docker_archive("look:v2"))
    warned = site.published()
    assert (True, ["docker-hub-image"]) == (warned.changed, [problem.code for problem in warned.warnings])


def test_an_origin_that_fails_delays_its_commit(site: Site) -> None:
    site.published()
    url = f'{{url: "http://127.0.0.1:9/vmlinuz", sha256: {"1" * 64}}}'
    site.commit(profile=SOUND["profile.yaml"].replace("inspect/vmlinuz", url))
    assert "could not be fetched" in site.delayed()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "damage", ["shard gone", "shard changed", "manifest gone", "manifest changed", "current gone", "all gone"]
)
def test_a_damaged_plan_is_written_again_at_the_next_look(site: Site, damage: str, restarted: bool) -> None:
    plan = site.published().plan
    manifest = site.plans.directory / plan / "manifest.json"
    shard = site.plans.directory / "shards" / manifest_shards(manifest.read_bytes()).pop()
    match damage:
        case "shard gone":
            shard.unlink()
        case "shard changed":
            shard.write_bytes(b"[]")
        case "manifest gone":
            manifest.unlink()
        case "manifest changed":
            manifest.write_bytes(b"{}")
        case "current gone":
            (site.plans.directory / "current").unlink()
        case "all gone":
            shutil.rmtree(site.plans.directory)
    if restarted:
        site.restart()
    mended = site.published()
    assert (plan, True) == (mended.plan, mended.changed)
    assert not site.published().changed


@contextmanager
def full_disk(after: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every write of a plan's part fails after the first few."""
    write, written = plans_module._write, []

    def failing(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > after:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(plans_module, "_write", failing)
        yield


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_delays_and_what_it_left_out_is_written_later(
    site: Site, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.published()
    site.commit(hardware2=SECOND_MACHINE)
    with full_disk(after, monkeypatch):
        outcome = site.reconciler.step()
    assert isinstance(outcome, Delayed), outcome
    assert "free space" in outcome.reason
    assert {"node-01", "node-02"} == set(site.plans.load(site.published().plan).machines)


def test_a_defect_on_one_commit_is_told_with_its_traceback_and_ends_with_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.published()
    revision = site.commit(hardware2=SECOND_MACHINE)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Compiler, "compile", broken)
        outcome = site.reconciler.step()
    assert isinstance(outcome, Delayed)
    assert (revision, True) == (outcome.revision, "ZeroDivisionError" in outcome.defect)
    assert site.published().changed


def test_killed_at_any_step_the_next_look_goes_on_from_the_old_plan_or_the_new(site: Site) -> None:
    old = site.published()
    site.commit(hardware2=SECOND_MACHINE)
    backup = site.root / "backup"
    shutil.copytree(site.plans.directory, backup, symlinks=True)

    def prepare() -> None:
        shutil.rmtree(site.plans.directory)
        shutil.copytree(backup, site.plans.directory, symlinks=True)
        site.restart()

    def look() -> None:
        site.reconciler.step()

    new, seen = None, set()
    for _ in survivals(site.plans.directory, prepare, look):
        current = site.plans.current_id()
        assert current is not None
        assert "" == site.plans.damage(current)
        seen.add(current)
        site.restart()
        new = site.published()
    assert new is not None
    assert {old.plan, new.plan} == seen


def test_a_pis_firmware_is_a_folder_of_which_every_file_counts(site: Site) -> None:
    site.commit(hardware=SOUND["hardware.yaml"].replace("spec:", 'spec:\n  rpi: {serial: "d7bb3e8b", firmware: rpi4}'))
    assert ["missing-artifact"] == site.refused()
    folder = site.root / "art/rpi4"
    folder.mkdir()
    (folder / "start4.elf").write_bytes(b"firmware")
    first = site.published()
    assert not site.published().changed
    (folder / "config.txt").write_bytes(b"arm_64bit=1")
    second = site.published()
    assert (first.revision, True) == (second.revision, second.changed)
    assert {"inspect/vmlinuz", "rpi4/config.txt", "rpi4/start4.elf"} == set(site.plans.load(second.plan).artifacts)
