"""What an action is given in secret: the answer of POST /agent/secrets.

Core, standard library only. Law: no `repr` shows a value. It goes into the action's environment and files, and into the
scrubber; nobody writes it to a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.messages import Malformed


@dataclass(frozen=True, slots=True)
class Given:
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Absolute path in the container → what it holds."""
    login: Mapping[str, str] | None = field(default=None, repr=False)
    """`username` and `password` of the registry of the action's image."""

    @property
    def values(self) -> list[str]:
        """What nobody else may read."""
        return [*self.environment.values(), *self.files.values(), *([self.login["password"]] if self.login else [])]


NOTHING = Given()


def given_from_json(document: Mapping[str, Any]) -> Given:
    """Raises Malformed."""
    environment, files = dict[str, str](), dict[str, str]()
    try:
        for each in document["secrets"]:
            target, name = (environment, each["env"]) if "env" in each else (files, each["file"])
            target[str(name)] = str(each["value"])
        login = document.get("login")
        return Given(environment, files, {key: str(login[key]) for key in ("username", "password")} if login else None)
    except (KeyError, TypeError, AttributeError):
        raise Malformed("the answer to the request for secrets is not one") from None
