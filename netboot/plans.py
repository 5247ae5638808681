"""Plans on disk: what the reconciler publishes and the servers follow.

Shell. The layout is the contract between the two processes:

    plans/shards/<digest>         content-addressed, shared between plans
    plans/<id>/manifest.json      one plan
    plans/<id>/holds.json         which of its runs may not start yet; it is replaced when some are released
    plans/revisions/<commit>.json the plan a commit compiled to, and where each value came from
    plans/judged                  empty: a plan without holds has lost them
    plans/current -> <id>         the served plan, changed by one rename

Everything a plan needs is on disk, fsynced, before `current` names it: killed anywhere, a reader sees the old plan or the
new one. Reading is safe beside a writer; of writers there is one (`reconciler.service` holds a lock).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from netboot.holds import NAME, Holds, decode_holds, encode_holds, unknown
from netboot.plan import BootPlan, Dump, load, manifest_artifacts, manifest_shards

KEEP = 5
"""Plans kept for a look back, besides the current and the pinned ones."""
KEEP_REVISIONS = 20
JUDGED = "judged"
_PLAN = "[0-9a-f]" * 64
"""Glob of the plans' folders: `current` is a link to one of them and not another one."""


class Revision(msgspec.Struct, frozen=True):
    """One commit, the plan it compiled to, and the shards that say where each of its values came from."""

    revision: str
    plan: str
    provenance: dict[str, str]
    """Bucket of machine names → digest of a shard: machine → value → [file, line]."""


class PlanStore:
    """One `plans/` folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def current_id(self) -> str | None:
        """The id `current` names; None before the first plan, or when it is no link. Raises OSError: the disk's fault."""
        try:
            return os.readlink(self.directory / "current")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL):
                return None
            raise

    def stamp(self) -> tuple[int, int] | None:
        """Differs after every `publish`, also of the same plan. Cheap: one system call. Raises OSError."""
        try:
            status = os.lstat(self.directory / "current")
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_ctime_ns

    def load(self, plan_id: str, previous: BootPlan | None = None) -> BootPlan:
        """Raises FileNotFoundError when a part is missing, and ValueError for a damaged plan."""
        manifest = (self.directory / plan_id / "manifest.json").read_bytes()
        plan = load(manifest, self._read_shard, previous)
        if plan.id != plan_id:
            raise ValueError(f"plan {plan_id} is damaged: its manifest has the digest {plan.id}")
        return plan

    def damage(self, plan_id: str) -> str:
        """What is missing or changed of a stored plan, as half a sentence; "" when all of it is what its id says. O(bytes)."""
        try:
            manifest = (self.directory / plan_id / "manifest.json").read_bytes()
            if hashlib.sha256(manifest).hexdigest() != plan_id:
                return "its manifest has another digest"
            for digest in manifest_shards(manifest):
                if hashlib.sha256(self._read_shard(digest)).hexdigest() != digest:
                    return f"its shard {digest[:12]} has another digest"
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Those shards that are not stored. Raises OSError."""
        try:
            present = set(os.listdir(self.directory / "shards"))
        except FileNotFoundError:
            present = set()
        return [digest for digest in digests if digest not in present]

    def publish(self, dump: Dump, anew: bool = False, holds: Holds | None = None) -> None:
        """Make it the current plan. A crash before the last line changes nothing that is served.

        `anew` writes also the shards that are stored already: for a plan that was found damaged. `holds`: its own; None: none
        of its runs is held. Raises OSError.
        """
        self.keep(dump, anew, holds or Holds(dump.plan.id))
        self._point(dump.plan.id)

    def keep(self, dump: Dump, anew: bool, holds: Holds) -> None:
        """Everything of `publish` but that it becomes the current plan."""
        shards = self.directory / "shards"
        shards.mkdir(parents=True, exist_ok=True)
        for digest in dump.shards if anew else self.lacking(dump.shards):
            _write(shards / digest, dump.shards[digest])
        target = self.directory / dump.plan.id
        target.mkdir(exist_ok=True)
        self._write_holds(holds)
        _write(target / "manifest.json", dump.manifest)
        for folder in (shards, target, self.directory, self.directory.parent):
            _sync_folder(folder)

    def write_holds(self, holds: Holds) -> None:
        """Of a plan that is stored. Raises OSError."""
        self._write_holds(holds)
        _sync_folder(self.directory / holds.plan)
        _sync_folder(self.directory)

    def ever_judged(self) -> bool:
        """Whether holds were ever written, of any plan. Raises OSError."""
        return (self.directory / JUDGED) in self.directory.iterdir() or any(self.directory.glob(f"{_PLAN}/{NAME}"))

    def holds(self, plan_id: str) -> Holds:
        """Those of a stored plan; where they cannot be read, every new run is held."""
        try:
            return decode_holds((self.directory / plan_id / NAME).read_bytes(), plan_id)
        except FileNotFoundError:
            return decode_holds(None, plan_id)
        except OSError as error:
            return unknown(plan_id, f"they cannot be read: {error.strerror}")

    def holds_stamp(self, plan_id: str) -> tuple[int, int] | None:
        """Differs after every change of a plan's holds; None: there are none."""
        try:
            status = os.stat(self.directory / plan_id / NAME)
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def write_revision(self, revision: Revision, shards: Mapping[str, bytes]) -> None:
        """Keep where one commit's values came from; `shards` are the parts not stored before, by digest. Raises OSError."""
        for folder in ("shards", "revisions"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        for digest, data in shards.items():
            _write(self.directory / "shards" / digest, data)
        _write(self.directory / "revisions" / f"{revision.revision}.json", msgspec.json.encode(revision))

    def revision(self, revision: str) -> Revision | None:
        """What a commit compiled to, or None when it is not (or no longer) known."""
        try:
            data = (self.directory / "revisions" / f"{revision}.json").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=Revision)

    def revisions(self) -> list[str]:
        """The commits that were accepted, as far as they are kept; the newest first."""
        return [path.stem for path in _newest(list((self.directory / "revisions").glob("*.json")))]

    def artifacts(self) -> set[str]:
        """Digests of every artefact that some stored plan names. Raises OSError, and ValueError for a damaged manifest."""
        manifests = (path.read_bytes() for path in self.directory.glob(f"{_PLAN}/manifest.json"))
        return {digest for manifest in manifests for digest in manifest_artifacts(manifest)}

    def prune(self, pinned: Collection[str]) -> None:
        """Remove what no one can ask for any more, and what a crash left half made. For the writer alone.

        Kept: the current plan, pinned ones, the newest few plans and revisions, and every shard those name. A manifest that
        cannot be read stops it (ValueError): nobody knows then which shards are in use.
        """
        plans = _newest([path.parent for path in self.directory.glob(f"{_PLAN}/manifest.json")])
        keep = {*pinned, self.current_id(), *(path.name for path in plans[:KEEP])}
        for path in plans:
            if path.name not in keep:
                (path / "manifest.json").unlink()  # from here on it is no plan, however far the rest gets
                shutil.rmtree(path)
        for path in _newest(list((self.directory / "revisions").glob("*.json")))[KEEP_REVISIONS:]:
            path.unlink()
        self._sweep()

    def _sweep(self) -> None:
        named: set[str] = set()
        for path in self.directory.glob(f"{_PLAN}/manifest.json"):
            named |= manifest_shards(path.read_bytes())
        for path in (self.directory / "revisions").glob("*.json"):
            named |= set(msgspec.json.decode(path.read_bytes(), type=Revision).provenance.values())
        for shard in (self.directory / "shards").iterdir():
            if shard.name not in named:  # leftovers of a crash are named by nobody either
                shard.unlink()
        for left in (*self.directory.glob(f"{_PLAN}/*.json.new"), *self.directory.glob("revisions/*.new")):
            left.unlink()
        for folder in self.directory.glob(_PLAN):
            if not (folder / "manifest.json").exists():
                shutil.rmtree(folder)

    def _write_holds(self, holds: Holds) -> None:
        _write(self.directory / holds.plan / NAME, encode_holds(holds))
        if not (self.directory / JUDGED).exists():
            _write(self.directory / JUDGED, b"")

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
