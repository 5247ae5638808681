"""An attempt as a container: what the engine is asked to make, and what its answer says about how it ended.

Core, standard library only. Law: the container's name follows from run and attempt alone, so that an agent that knows nothing
else finds it again. The shapes are those of the Docker Engine API 1.40 (`ContainerCreate`, `ContainerInspect`), podman's too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from agent.commands import Exited
from agent.messages import Attempt
from agent.workflow import Action

GRACE = 5
"""Seconds between SIGTERM and SIGKILL."""
FOLDER = "/gitboot"
"""Where a container sees the folder of its run."""
RUN_LABEL = "gitboot.run"
OFFSET_LABEL = "gitboot.log-offset"
"""Bytes that the attempt's log had before the container's own output began."""
KEPT_LOG = 64 << 20
"""Bytes of an attempt's log that are kept, as many as the server takes of a run: all of it is in memory."""
ENGINE_LOG = "128m"
"""What the engine keeps before it drops the beginning: more than is ever asked of it."""
_LOGGED = re.compile(r'time="[^"]*" level=\w+ msg="((?:[^"\\]|\\.)*)"')
"""What podman tells of a runtime that failed: the runtime's own log line, and words about that."""
KILLED = 128 + 9
NO_SECRETS: Mapping[str, str] = MappingProxyType({})
_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}


@dataclass(frozen=True, slots=True)
class Around:
    """What all containers of a run have in common."""

    run: str
    server: str
    """URL of the server."""
    folder: str
    """The folder of the run, on this machine."""


def container_name(run: str, attempt: Attempt) -> str:
    """The same for the same attempt, another for any other."""
    whole = "\0".join((run, attempt.task, attempt.action, str(attempt.number)))
    return f"gitboot-{sha256(whole.encode(errors='surrogatepass')).hexdigest()[:32]}"


def environment(
    around: Around, attempt: Attempt, action: Action, folder: str, secrets: Mapping[str, str] = NO_SECRETS
) -> dict[str, str]:
    """What an action is told; what git says about the action itself never hides what it is told about its run."""
    return {
        **action.environment,
        **secrets,
        "GITBOOT_RUN": around.run,
        "GITBOOT_TASK": attempt.task,
        "GITBOOT_ACTION": attempt.action,
        "GITBOOT_ATTEMPT": str(attempt.number),
        "GITBOOT_IMAGE": action.image,
        "GITBOOT_SERVER": around.server,
        "GITBOOT_MACHINE": f"{folder}/machine.json",
    }


def specification(
    around: Around,
    attempt: Attempt,
    action: Action,
    command: tuple[str, ...],
    image: str,
    offset: int,
    log_driver: str,
    secrets: Mapping[str, str] = NO_SECRETS,
    files: Iterable[str] = (),
) -> dict[str, Any]:
    """The body of `ContainerCreate`. `image` is the id of what was fetched; without a `command` it runs the image's own.
    `secrets`: further variables; `files`: further binds.
    """
    told = environment(around, attempt, action, FOLDER, secrets)
    return {
        "Image": image,
        "Cmd": list(command) or None,
        "Env": [f"{key}={value}" for key, value in told.items()],
        "Labels": {RUN_LABEL: around.run, OFFSET_LABEL: str(offset)},
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "Binds": [*mounts(action.volumes, around.folder), *files],
            "NetworkMode": "host",
            "PidMode": action.pid,
            "Privileged": True,
            "LogConfig": log_config(log_driver),
        },
    }


def mounts(volumes: Iterable[str], folder: str) -> list[str]:
    """Of two volumes with one target the later counts, so an action's over its task's; /dev and the run's folder always."""
    by_target = {"/dev": "/dev:/dev"} | {_target(volume): volume for volume in volumes}
    return list((by_target | {FOLDER: f"{folder}:{FOLDER}"}).values())


def log_config(driver: str) -> dict[str, Any]:
    """`local` keeps every byte as it was written; `json-file` cannot keep what is not UTF-8."""
    options = {"max-size": ENGINE_LOG, "max-file": "1", "compress": "false"}
    return {"Type": driver, "Config": options if driver == "local" else {}}


def has_begun(state: Mapping[str, Any]) -> bool:
    """From `State` of `ContainerInspect`: whether its command was ever started."""
    return str(state.get("Status")) not in ("created", "configured", "initialized")


def exit_of(state: Mapping[str, Any], starved: bool = False) -> Exited | None:
    """From `State` of `ContainerInspect`; None while it runs. `starved`: the kernel has killed for memory since it was started.

    An engine says 128 + n both for signal n and for a program that chose that number: we say what it looks like. It hears of
    the end and of a want of memory apart, and at times of the latter too late.
    """
    if state.get("Running") or state.get("Paused") or state.get("Restarting"):
        return None
    code = int(state.get("ExitCode", 0))
    if not has_begun(state):
        return Exited(None, reason=sentence(str(state.get("Error") or "it was made and never started")))
    if state.get("OOMKilled") or (starved and code == KILLED):
        return Exited(code, reason="out of memory: the kernel killed it")
    if state.get("Error"):
        return Exited(code or None, reason=sentence(str(state["Error"])))
    if code < 0:  # podman waits five seconds for what watches a container to write its end down, and then for nothing
        return Exited(None, reason="the engine does not know how it ended; was this machine too busy for it?")
    signal = _SIGNALS.get(code - 128)
    return Exited(code, reason=f"exit code {code}, as after signal {code - 128} ({signal})" if signal else "")


def kills_for_memory(vmstat: str) -> int:
    """How often the kernel has killed for want of memory since it started, from /proc/vmstat; 0 before Linux 4.13."""
    counts = dict(line.split() for line in vmstat.splitlines())
    return int(counts.get("oom_kill", 0))


def ran(state: Mapping[str, Any]) -> float:
    """Seconds between the start and the end of a container that has ended; 0 where the engine does not say."""
    try:
        begin, end = (datetime.fromisoformat(str(state[key])) for key in ("StartedAt", "FinishedAt"))
        return max(0.0, (end - begin).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0


def sentence(error: str) -> str:
    """What an engine says, on one line and without its inner life: the last cause is what a person can do something about."""
    line = " ".join(error.split())
    if logged := _LOGGED.search(line):
        line = logged[1].replace('\\"', '"')
    for noise in ("OCI runtime create failed: ", "failed to create shim task: ", "runc create failed: ", "crun: "):
        line = line.replace(noise, "")
    return line.removesuffix(": unknown")


def _target(volume: str) -> str:
    """`source:target[:options]`; a lone path is an anonymous volume there."""
    parts = volume.split(":")
    return (parts[1] if len(parts) > 1 else parts[0]).rstrip("/") or "/"
