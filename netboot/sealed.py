"""Sealed secrets: what git says of a secret, as the plan has it, which is ciphertext.

Core. The law: nothing here is secret. A value is an ASCII-armoured age file (age-encryption.org/v1), or one of SOPS' in a file
whose data key is such a file; `netboot.secrets` opens both, with keys that git never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

DATA = "spec:data:"
"""How SOPS' paths of a secret's values begin; they end with the key and a colon."""


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """As the parts of a plan are."""


class Sops(_Part, frozen=True):
    """A document that SOPS has encrypted: everything that its message authentication code (MAC) covers."""

    keys: tuple[str, ...]
    """The data key as an armoured age file, for each of its recipients."""
    leaves: tuple[tuple[str, str], ...]
    """Every value of the document in its order: its path, as `spec:data:password:`, and its text, encrypted or not."""
    mac: str
    modified: str
    """What the MAC is bound to: `lastmodified` as written."""
    encrypted_only: bool = False
    """The MAC covers encrypted values only."""


class Secret(_Part, frozen=True):
    """One of `data` and `sops` holds its values."""

    name: str
    data: dict[str, str] = {}
    """Key → armoured age file."""
    sops: Sops | None = None

    @property
    def keys(self) -> frozenset[str]:
        """What a `secretRef` may name."""
        if self.sops is None:
            return frozenset(self.data)
        paths = (path for path, _ in self.sops.leaves if path.startswith(DATA))
        return frozenset(path.removeprefix(DATA).removesuffix(":") for path in paths)


class PullSecret(_Part, frozen=True):
    """Which secret opens a registry: `host` or `host:port`."""

    registry: str
    name: str
    key: str


def named_by(document: Mapping[str, Any], pull_secrets: tuple[PullSecret, ...]) -> frozenset[str]:
    """The secrets that a workflow (as `agent.workflow.to_json` has it) needs, those of its images' registries included."""
    actions = [action for task in document["tasks"] for action in task["actions"]]
    logins = {action.get("login") for action in actions}
    return frozenset(
        [ref["name"] for action in actions for ref in action.get("secrets", ())]
        + [each.name for each in pull_secrets if each.registry in logins]
    )


def held_by(names: Iterable[str], why: Mapping[str, str]) -> str:
    """Why work that needs these secrets cannot begin; "" when all of them can be read."""
    return next((f"secret {name} cannot be read: {why[name]}" for name in sorted(names) if name in why), "")
