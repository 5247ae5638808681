"""References to secrets: whether what workflows and the site name is there.

Core. The law: a `secretRef` leads to a key of a Secret document of the same commit, or the commit is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netboot.secrets import Keys, locked
from reconciler.inventory import Inventory, TemplateDoc
from reconciler.places import Path, path_text
from reconciler.problems import Problem
from reconciler.shape import suggestion


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """Secret → its keys. Equal ones judge alike."""

    keys: Mapping[str, frozenset[str]]

    def missing(self, document: Mapping[str, Any], template: TemplateDoc) -> tuple[Problem, ...]:
        """What a rendered workflow names in vain."""
        return tuple(
            Problem(*template.where(path), path_text(path), "unknown-reference", "error", message)
            for path, ref in _refs(document, template)
            if (message := self.objection(ref["name"], ref["key"]))
        )

    def objection(self, name: str, key: str) -> str:
        if name not in self.keys:
            return f"There is no Secret named {name!r}{suggestion(name, self.keys) or ': add one, or correct the name.'}"
        if key not in self.keys[name]:
            there = suggestion(key, self.keys[name]) or f": it has {', '.join(sorted(self.keys[name]))}."
            return f"The Secret {name!r} has no key {key!r}{there}"
        return ""


def secret_keys(inventory: Inventory) -> SecretKeys:
    return SecretKeys({name: each.sealed.keys for name, each in inventory.secrets.items()})


def check_pull_secrets(inventory: Inventory, known: SecretKeys) -> list[Problem]:
    """Those of the site: that they are there, and that no password travels where everybody reads it."""
    site, problems = inventory.site, list[Problem]()
    for index, each in enumerate(site.images.pull_secrets):
        path = f"spec.images.pullSecrets[{index}].secretRef"
        if message := known.objection(each.name, each.key):
            problems.append(Problem(*site.where(path), path, "unknown-reference", "error", message))
        if each.registry in site.images.insecure_registries:
            message = (
                f"{each.registry} is one of the insecure registries, and no login travels where everybody reads it: give the "
                "registry a certificate, or take away one of the two."
            )
            problems.append(Problem(*site.where(path), path, "readable-login", "error", message))
    return problems


def unopened(inventory: Inventory, keys: Keys) -> tuple[Problem, ...]:
    """The secrets that a server with these keys could not read: it would serve the commit, and hold what needs them."""
    why = locked([each.sealed for each in inventory.secrets.values()], inventory.site.images.pull_secrets, keys)
    places = {name: inventory.secrets[name].where("spec.data") for name in why}
    return tuple(
        Problem(*places[name], "spec.data", "locked-secret", "warning", f"Secret {name!r} cannot be read: {reason}.")
        for name, reason in why.items()
    )


def _refs(document: Mapping[str, Any], template: TemplateDoc) -> Iterator[tuple[Path, Mapping[str, str]]]:
    for at, task in enumerate(document["tasks"]):
        for index, action in enumerate(task["actions"]):
            for number, ref in enumerate(action.get("secrets", ())):
                path: Path = ("spec", "tasks", at, "actions", index, "secrets", number, "secretRef")
                if template.text is not None:
                    path = ("spec", "data") if "spec" in template.source else ()
                yield path, ref
