"""Plans on disk: what the reconciler publishes and the servers follow.

Shell. The layout is the contract between the two processes:

    plans/shards/<digest>         content-addressed, shared between plans
    plans/<id>/manifest.json      one plan
    plans/revisions/<commit>.json the plan a commit compiled to, and where each value came from
    plans/current -> <id>         the served plan, changed by one rename

Everything a plan needs is on disk, fsynced, before `current` names it: killed anywhere, a reader sees the old plan or the
new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from netboot.plan import BootPlan, Dump, load, manifest_shards

KEEP = 5
"""Plans kept for a look back, besides the current and the pinned ones."""
KEEP_REVISIONS = 20


class Revision(msgspec.Struct, frozen=True):
    """One commit, the plan it compiled to, and the shards that say where each of its values came from."""

    revision: str
    plan: str
    provenance: dict[str, str]
    """Bucket of machine names → digest of a shard: machine → value → [file, line]."""


class PlanStore:
    """One `plans/` folder. Reading is safe beside a writer; there is one writer (the state directory's lock)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def current_id(self) -> str | None:
        """The id `current` names, or None before the first plan."""
        try:
            return os.readlink(self.directory / "current")
        except FileNotFoundError:
            return None

    def load(self, plan_id: str, previous: BootPlan | None = None) -> BootPlan:
        """Raises FileNotFoundError for an unknown id and ValueError for a damaged plan."""
        manifest = (self.directory / plan_id / "manifest.json").read_bytes()
        plan = load(manifest, self._read_shard, previous)
        if plan.id != plan_id:
            raise ValueError(f"plan {plan_id} is damaged: its manifest has the digest {plan.id}")
        return plan

    def publish(self, dump: Dump) -> None:
        """Make it the current plan. A crash before the last line changes nothing that is served."""
        shards = self.directory / "shards"
        shards.mkdir(parents=True, exist_ok=True)
        for digest, data in dump.shards.items():
            _write_once(shards / digest, data)
        target = self.directory / dump.plan.id
        target.mkdir(exist_ok=True)
        _write(target / "manifest.json", dump.manifest)
        for folder in (shards, target, self.directory):
            _sync_folder(folder)
        self._point(dump.plan.id)

    def write_revision(self, revision: Revision, shards: Mapping[str, bytes]) -> None:
        """Keep where one commit's values came from; `shards` are the parts not stored before, by digest."""
        for folder in ("shards", "revisions"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        for digest, data in shards.items():
            _write_once(self.directory / "shards" / digest, data)
        _write(self.directory / "revisions" / f"{revision.revision}.json", msgspec.json.encode(revision))

    def revision(self, revision: str) -> Revision | None:
        """What a commit compiled to, or None when it is not (or no longer) known."""
        try:
            data = (self.directory / "revisions" / f"{revision}.json").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=Revision)

    def prune(self, pinned: Collection[str]) -> None:
        """Remove what no one can ask for any more.

        Kept: the current plan, pinned ones, the newest few plans and revisions, and every shard those name.
        """
        plans = _newest([path.parent for path in self.directory.glob("*/manifest.json")])
        keep = {*pinned, self.current_id(), *(path.name for path in plans[:KEEP])}
        for path in plans:
            if path.name not in keep:
                shutil.rmtree(path)
        for path in _newest(list((self.directory / "revisions").glob("*.json")))[KEEP_REVISIONS:]:
            path.unlink()
        self._sweep_shards()

    def _sweep_shards(self) -> None:
        named: set[str] = set()
        for path in self.directory.glob("*/manifest.json"):
            named |= manifest_shards(path.read_bytes())
        for path in (self.directory / "revisions").glob("*.json"):
            named |= set(msgspec.json.decode(path.read_bytes(), type=Revision).provenance.values())
        for shard in (self.directory / "shards").iterdir():
            if shard.name not in named and not shard.name.endswith(".new"):
                shard.unlink()

    def _read_shard(self, digest: str) -> bytes:
        return (self.directory / "shards" / digest).read_bytes()

    def _point(self, plan_id: str) -> None:
        link = self.directory / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(plan_id)
        link.replace(self.directory / "current")
        _sync_folder(self.directory)


def _newest(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _write_once(path: Path, data: bytes) -> None:
    """A file named by its digest has this content already when it exists."""
    if not path.exists():
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    partial = path.with_name(path.name + ".new")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
