"""What machines are served, byte for byte: every boot program and artefact with its digest and where it came from.

Core. The law: what the document does not name is not served, and whoever doubts a byte on a machine can compare it with a
digest, and the digest with a package of the distribution. The shape is `schemas/status-served.json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from netboot.boot import Plans
from netboot.plan import Artifact
from netboot.run_documents import Document

SERVED_PATH = "served.json"


class Program(Protocol):
    """A network boot program."""

    @property
    def name(self) -> str: ...
    @property
    def content(self) -> bytes: ...
    @property
    def sha256(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def package(self) -> str: ...
    @property
    def version(self) -> str: ...


def served_document(plans: Plans, programs: Iterable[Program]) -> Document:
    """Artefacts are those of the current plan and of the plans that open boots keep to."""
    artifacts = {each for plan in (plans.current, *plans.pinned.values()) for each in plan.artifacts.values()}
    return {
        "apiVersion": "gitboot/v1",
        "kind": "ServedStatus",
        "plan": plans.current.id,
        "programs": [_program(each) for each in sorted(programs, key=lambda each: each.name)],
        "artifacts": [_artifact(each) for each in sorted(artifacts, key=lambda each: (each.path, each.sha256))],
    }


def _program(program: Program) -> Document:
    return {
        "name": program.name,
        "sha256": program.sha256,
        "size": len(program.content),
        "path": program.path,
        "package": program.package,
        "version": program.version,
    }


def _artifact(artifact: Artifact) -> Document:
    """Without a digest machines fetch it from its origin themselves, and nobody knows what they get."""
    origin = "unverified" if artifact.url else "mirror" if "://" in artifact.path else "folder"
    return {"path": artifact.path, "sha256": artifact.sha256, "size": artifact.size, "origin": origin}
