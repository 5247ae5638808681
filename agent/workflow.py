"""The workflow: what a machine is asked to do, as plain frozen values.

Core, standard library only: the agent runs alone in an in-memory OS, so nothing here may need the rest of gitboot.
The names are Tinkerbell's (Template document v0.1). Times are seconds; 0 means unlimited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Then = Literal["reboot", "poweroff", "kexec", "wait"]
"""What a machine does when its work is done."""
If = Literal["success", "failure", "always"]
"""After what an action is carried out: while all is well, after an earlier action of its task has failed for good, or both."""

STANDARD: Mapping[str, bool] = {
    **dict.fromkeys(("archive2disk", "cexec", "disk-partition", "disk-wipe", "grub2disk", "image2disk"), True),
    **dict.fromkeys(
        ("install-grub", "install-root-fs", "network", "oci2disk", "qemuimg2disk", "shell", "user", "writefile"), True
    ),
    **dict.fromkeys(("kexec", "reboot", "slurp"), False),
}
"""The standard actions, and whether each writes to disks: who claims one here that it does not is refused. Containers are
privileged: what is none of these may write to any.
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar that holds an image (docker-archive or oci-archive), fetched from the server in place of a registry."""

    url: str
    """A path on this server."""
    sha256: str
    """Of the whole file, in lower-case hex."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What an action is given of a secret: which one, and where to. Its value is asked for when the action starts."""

    name: str
    key: str
    env: str = ""
    """Name of an environment variable; either this or `file` is set."""
    file: str = ""
    """Absolute path in the container."""


@dataclass(frozen=True, slots=True)
class Action:
    """One container (or, in the process runtime, one command)."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    timeout: int = 0
    """Seconds one attempt may take; 0: unlimited."""
    volumes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    pid: str = ""
    retries: int = 0
    """Further attempts after the first one failed or timed out."""
    on_failure: tuple[str, ...] = ()
    """Command run in the same image after the last attempt failed; its own outcome changes nothing."""
    on_timeout: tuple[str, ...] = ()
    archive: Archive | None = None
    """Holds `image` under that very name; None: it is pulled from the registry that it names."""
    if_: If = "success"
    """`if` in JSON."""
    secrets: tuple[Secret, ...] = ()
    login: str = ""
    """The registry of its image, if the server has a secret for it."""


@dataclass(frozen=True, slots=True)
class Task:
    """Actions in order, carried out by one worker. Volumes and environment are already merged into each action."""

    name: str
    worker: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    name: str
    tasks: tuple[Task, ...]
    global_timeout: int = 0
    then: Then = "reboot"
    """What the machine does after SUCCESS when nothing more is asked of it."""

    def action(self, task: str, action: str) -> Action:
        """Raises KeyError if the workflow has no such action."""
        for candidate in self.tasks:
            if candidate.name == task:
                for found in candidate.actions:
                    if found.name == action:
                        return found
        raise KeyError(f"{task}/{action}")


def to_json(workflow: Workflow) -> dict[str, Any]:
    """A document of JSON values; `from_json` is its inverse. Secrets and logins are there where there are some."""
    return asdict(
        workflow, dict_factory=lambda items: {name.rstrip("_"): value for name, value in items if _is_told(name, value)}
    )


def _is_told(name: str, value: object) -> bool:
    return bool(value) or name not in ("secrets", "login")


def from_json(document: Mapping[str, Any]) -> Workflow:
    """Raises KeyError, TypeError or ValueError when the document is not a workflow."""
    return Workflow(
        name=str(document["name"]),
        global_timeout=int(document.get("global_timeout", 0)),
        tasks=tuple(_task(task) for task in document["tasks"]),
        then=_one_of(Then, document.get("then", "reboot")),
    )


def _task(document: Mapping[str, Any]) -> Task:
    return Task(str(document["name"]), str(document["worker"]), tuple(_action(action) for action in document["actions"]))


def _action(document: Mapping[str, Any]) -> Action:
    lists = {key: tuple(document.get(key, ())) for key in ("command", "volumes", "on_failure", "on_timeout")}
    return Action(
        name=str(document["name"]),
        image=str(document["image"]),
        timeout=int(document.get("timeout", 0)),
        environment=dict(document.get("environment", {})),
        pid=str(document.get("pid", "")),
        retries=int(document.get("retries", 0)),
        archive=_archive(document.get("archive")),
        if_=_one_of(If, document.get("if", "success")),
        secrets=tuple(Secret(**{key: str(value) for key, value in each.items()}) for each in document.get("secrets", ())),
        login=str(document.get("login", "")),
        **lists,
    )


def _archive(document: Mapping[str, Any] | None) -> Archive | None:
    return None if document is None else Archive(str(document["url"]), str(document["sha256"]), int(document["size"]))


def _one_of(kind: Any, value: object) -> Any:
    """`value`, if it is one of the literals. Raises ValueError."""
    if value not in get_args(kind):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(kind))}")
    return value
