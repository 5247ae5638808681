"""The files that profiles name: what of the artefact folder belongs to a plan, and what is missing from it.

Core. The law: every file that some profile, archive or firmware folder of the inventory names is in the plan once, or is an
error of the line that names it. Where the folder is not known here, files are taken at their word.
"""

from __future__ import annotations

from collections.abc import Mapping

from netboot import plan as boot
from reconciler.images import archive_places
from reconciler.inventory import ArtifactRef, Inventory, Place
from reconciler.problems import Problem


def key_of(reference: ArtifactRef) -> str:
    return reference.path or reference.url or ""


def artifacts_of(inventory: Inventory, found: Mapping[str, boot.Artifact] | None) -> tuple[list[boot.Artifact], list[Problem]]:
    """Every file some profile names, once; a file that is not in the folder is an error of the line that names it.

    A URL that one profile gives a digest is verified for all.
    """
    artifacts: dict[str, boot.Artifact] = {}
    digests: dict[str, tuple[str, Place]] = {}
    problems: list[Problem] = []
    for place, path, reference in _references(inventory):
        key = key_of(reference)
        if reference.sha256 is not None:
            digest, first = digests.setdefault(key, (reference.sha256, place))
            if digest != reference.sha256:
                problems.append(_conflict(place, path, key, first))
        if reference.url is not None and reference.sha256 is None:
            artifacts.setdefault(key, boot.Artifact(key, url=key))
        elif found is None:
            artifacts[key] = boot.Artifact(key, sha256=reference.sha256 or "")
        elif key in found:
            artifacts[key] = found[key]
        else:
            problems.append(_missing(place, path, key))
    for place, path, key in archive_places(inventory.site):
        if found is None:
            artifacts[key] = boot.Artifact(key)
        elif key in found:
            artifacts[key] = found[key]
        else:
            problems.append(_missing(place, path, key, f"`gitboot actions build --out DIR/{key}` makes one, "))
    firmware, missing = _firmware(inventory, found)
    return [*(artifacts | firmware).values()], [*problems, *missing]


def _firmware(
    inventory: Inventory, found: Mapping[str, boot.Artifact] | None
) -> tuple[dict[str, boot.Artifact], list[Problem]]:
    """Every file of the folders that machines name; an empty folder is an error of the first of them."""
    artifacts: dict[str, boot.Artifact] = {}
    problems: list[Problem] = []
    for folder, hardware in inventory.firmware.items():
        files = {path: artifact for path, artifact in (found or {}).items() if path.startswith(f"{folder}/")}
        artifacts |= files
        if found is not None and not files:
            problems.append(_missing(hardware.where("spec.rpi.firmware"), "spec.rpi.firmware", folder))
    return artifacts, problems


def _references(inventory: Inventory) -> list[tuple[Place, str, ArtifactRef]]:
    """Place, path within the profile, and reference."""
    named: list[tuple[Place, str, ArtifactRef]] = []
    for profile in inventory.profiles.values():
        if profile.kernel is not None:
            named.append((profile.where("spec.kernel"), "spec.kernel", profile.kernel))
        for index, initrd in enumerate(profile.initrd):
            path = f"spec.initrd[{index}]"
            named.append((profile.where(path), path, initrd))
    return named


def _missing(place: Place, path: str, key: str, how: str = "") -> Problem:
    if key.startswith("os/"):
        how = "`gitboot os build --out DIR` makes the in-memory OS there, "
    message = (
        f"The artefact {key!r} is not in the artefact folder, which --artifacts names: {how}put it there, or correct the path."
    )
    return Problem(*place, path, "missing-artifact", "error", message)


def _conflict(place: Place, path: str, key: str, first: Place) -> Problem:
    message = f"{key} has another sha256 in {first}: one URL is one file; correct one of the two."
    return Problem(*place, path, "bad-value", "error", message)
