"""Images: where each action's container image comes from, decided at commit.

Core. The law: an image that names no registry has the site's prefix put before it, and is looked for in the site's archives
with the prefix and then without; what is in none is pulled from its registry, and nothing from Docker's own without a warning.
What names a registry is Docker's rule: a first part with a dot, a colon, or `localhost`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netboot.plan import Artifact
from reconciler.inventory import Inventory, Place, Site, TemplateDoc
from reconciler.places import Path, path_text
from reconciler.problems import Problem, Severity


@dataclass(frozen=True, slots=True)
class Held:
    """What an archive of the artefact folder holds."""

    artifact: Artifact
    names: tuple[str, ...]
    fault: str = ""
    """Why it cannot be read."""


MOST_NAMED = 5
"""Images that one message names."""
_STREAM = frozenset({"image2disk", "qemuimg2disk"})
"""The standard actions that write what a URL gives, and verify it only when they are told a digest."""
_DIGESTS = frozenset({"IMG_SHA256", "CHECKSUM"})
Archives = Mapping[str, Held]
"""By path; an archive that is not there is not in it."""


@dataclass(frozen=True, slots=True)
class Images:
    """A site's rule. Equal ones resolve alike."""

    prefix: str
    known: bool
    """Whether all archives could be looked at."""
    index: Mapping[str, tuple[str, Artifact]]
    """Normal form → the name as its archive has it, and the archive."""
    logins: frozenset[str] = frozenset()
    """The registries that the site has a secret for."""
    require_digest: bool = False
    unverified: Severity = "warning"
    """What it is to write an image to a disk that nobody can verify."""

    def resolve(self, image: str) -> tuple[str, Artifact | None]:
        """The full reference, and the archive that holds it under that name."""
        written = [image] if _names_registry(image) or not self.prefix else [self.prefix + image, image]
        for candidate in written:
            if (found := self.index.get(_normal(candidate))) is not None:
                return found
        return written[0], None

    def _other_tags(self, image: str) -> list[str]:
        """What the archives hold under the same name."""
        written = {_untagged(_normal(image)), _untagged(_normal(self.prefix + image))}
        return sorted(name for normal, (name, _) in self.index.items() if _untagged(normal) in written)

    def resolved(self, document: Mapping[str, Any], template: TemplateDoc) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """A rendered workflow with every image resolved, and what is to be said about it."""
        problems: list[Problem] = []
        tasks = []
        for at, task in enumerate(document["tasks"]):
            actions = []
            for index, action in enumerate(task["actions"]):
                image, archive = self.resolve(action["image"])
                place = ("spec", "tasks", at, "actions", index, "image")
                if archive is None and self.known and not _names_registry(image):
                    problems.append(_from_docker(template, place, image, self._other_tags(action["image"])))
                if archive is None and self.known and self.require_digest and "@sha256:" not in image:
                    problems.append(_without_digest(template, place, image))
                if _is_unverified(action):
                    problems.append(_about(template, place, "unverified-image", self.unverified, _NO_CHECKSUM))
                login = {"login": registry} if archive is None and (registry := registry_of(image)) in self.logins else {}
                actions.append({**action, "image": image, "archive": _archive(archive), **login})
            tasks.append({**task, "actions": actions})
        return {**document, "tasks": tasks}, tuple(problems)


def images_of(inventory: Inventory, archives: Archives | None) -> tuple[Images, list[Problem]]:
    """`archives`: None when nobody looked (`gitboot check` without the artefact folder)."""
    site = inventory.site
    index: dict[str, tuple[str, Artifact]] = {}
    problems: list[Problem] = []
    for place, path, archive in archive_places(site):
        if archive not in (archives or {}):
            continue
        held = (archives or {})[archive]
        if held.fault:
            message = f"The archive {archive!r} cannot be read: {held.fault}. `gitboot actions build` makes one."
            problems.append(Problem(*place, path, "bad-archive", "error", message))
        for name in held.names:
            first = index.setdefault(_normal(name), (name, held.artifact))[1]
            if first.path != archive:
                message = f"The image {name!r} is in {first.path!r} too: nobody can tell which is meant; take it out of one."
                problems.append(Problem(*place, path, "duplicate-image", "error", message))
    readable = {path for path, held in (archives or {}).items() if not held.fault}
    logins = frozenset(each.registry for each in site.images.pull_secrets)
    known = readable.issuperset(site.images.archives)
    unverified: Severity = "error" if site.unverified == "reject" else "warning"
    return Images(site.images.prefix, known, index, logins, site.images.require_digest, unverified), problems


def archive_places(site: Site) -> Iterator[tuple[Place, str, str]]:
    """Place, path within the site, and archive."""
    for index, archive in enumerate(site.images.archives):
        path = f"spec.images.archives[{index}]"
        yield site.where(path), path, archive


def _names_registry(image: str) -> bool:
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def registry_of(image: str) -> str:
    """The registry that a reference is pulled from."""
    return image.partition("/")[0] if _names_registry(image) else "docker.io"


def _normal(image: str) -> str:
    """As Docker shortens what is its own: `docker.io/library/x` is `x:latest`."""
    name = image.removeprefix("docker.io/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def _untagged(normal: str) -> str:
    return normal.partition("@")[0].rpartition(":")[0]


def _archive(artifact: Artifact | None) -> dict[str, Any] | None:
    if artifact is None:
        return None
    name = artifact.path.rpartition("/")[2]
    return {"url": f"/artifacts/sha256/{artifact.sha256}/{name}", "sha256": artifact.sha256, "size": artifact.size}


def _about(template: TemplateDoc, path: Path, code: str, severity: Severity, message: str) -> Problem:
    """About a value of a template, or about its text as a whole."""
    if template.text is not None:
        path = ("spec", "data") if "spec" in template.source else ()
    return Problem(*template.where(path), path_text(path), code, severity, message)


_NO_CHECKSUM = "Nobody can tell whether this writes the right image to the disk: give it IMG_SHA256 (or CHECKSUM)."


def _is_unverified(action: Mapping[str, Any]) -> bool:
    """Whoever sets one of them to nothing says that it is meant so."""
    return _name(action["image"]) in _STREAM and not _DIGESTS & action["environment"].keys()


def _name(image: str) -> str:
    """The last part, without tag and digest: what says which standard action it is."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _without_digest(template: TemplateDoc, path: Path, image: str) -> Problem:
    message = (
        f"The image {image!r} comes from a registry and has no digest, which the site requires: write it as "
        "name@sha256:…; `skopeo inspect docker://NAME` shows it."
    )
    return _about(template, path, "image-without-digest", "error", message)


def _from_docker(template: TemplateDoc, path: Path, image: str, there: list[str]) -> Problem:
    message = (
        f"The image {image!r} names no registry and is in no archive of the site, so that it is pulled from docker.io: "
        + (f"an archive has {', '.join(map(repr, there[:MOST_NAMED]))}: correct the tag, " if there else "")
        + "give the site 'images' with a 'prefix' or 'archives', or write the registry."
    )
    return _about(template, path, "docker-hub-image", "warning", message)
