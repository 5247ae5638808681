"""A container engine in memory: containers run until a test ends them, and the engine goes away when told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.container import RUN_LABEL
from agent.engine import Refused, Unavailable

DEADLINE = 20.0


@dataclass
class Container:
    specification: Mapping[str, Any]
    status: str = "created"
    code: int = 0
    error: str = ""
    oom: bool = False
    output: list[bytes] = field(default_factory=list)


class FakeEngine:
    """`trouble(verb, name)` may raise before a verb is carried out; `journal` has what was done, in order."""

    log_driver = "local"

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.registry: dict[str, dict[str, Any]] = {}
        self.archives: dict[bytes, list[str]] = {}
        self.logins: dict[str, Mapping[str, str]] = {}
        """Image → what opens its registry."""
        self.journal: list[str] = []
        self.trouble: Callable[[str, str], None] = lambda verb, name: None
        self.changed = threading.Condition()

    # What tests do

    def say(self, name: str, *output: bytes) -> None:
        with self.changed:
            self.containers[name].output += output
            self.changed.notify_all()

    def end(self, name: str, code: int = 0, **more: Any) -> None:
        with self.changed:
            vars(self.containers[name]).update(status="exited", code=code, **more)
            self.changed.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, DEADLINE), self.journal

    # What the runtime does

    def create(self, name: str, specification: Mapping[str, Any]) -> None:
        self._do("create", name)
        if name in self.containers:
            raise Refused(409, f"Conflict. The container name {name} is already in use")
        self.containers[name] = Container(specification)

    def start(self, name: str) -> None:
        self._do("start", name)
        with self.changed:
            self.containers[name].status = "running"
            self.changed.notify_all()

    def state(self, name: str) -> Mapping[str, Any] | None:
        self._do("", name)
        found = self.containers.get(name)
        if found is None:
            return None
        labels = found.specification["Labels"]
        state = {"Status": found.status, "Running": found.status == "running", "ExitCode": found.code, "Labels": labels}
        return {**state, "OOMKilled": found.oom, "Error": found.error, "Pid": 0}

    def wait(self, name: str, seconds: float) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: self._ended(name), DEADLINE):
                raise Unavailable("it runs on")

    def stop(self, name: str, grace: int) -> None:
        self._do("stop", name)
        if name in self.containers and not self._ended(name):
            self.end(name, 137)

    def remove(self, name: str) -> None:
        self._do("remove", name)
        with self.changed:
            self.containers.pop(name, None)
            self.changed.notify_all()

    def of_run(self, run: str) -> list[str]:
        self._do("", run)
        return [name for name, one in self.containers.items() if one.specification["Labels"][RUN_LABEL] == run]

    def output(self, name: str) -> Iterator[bytes]:
        said = 0
        while new := self._news(name, said):
            yield from new
            said += len(new)

    def pull(self, image: str, login: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        self._do("pull", image)
        if login != self.logins.get(image):
            raise Refused(500, f"Head {image}: no basic auth credentials")
        if image not in self.registry:
            raise Refused(404, f"manifest for {image} not found: manifest unknown")
        yield {"status": "Pulling"}
        self.images[re.sub(r":\w+@", "@", image)] = self.registry[image]  # of a name with a digest the tag says nothing

    def load(self, archive: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
        self._do("load", "")
        whole = b"".join(archive)
        for name in self.archives[whole]:
            self.images[name] = {"Id": f"id of {name}"}
            yield {"stream": f"Loaded image: {name}\n"}

    def image(self, image: str) -> Mapping[str, Any] | None:
        by_id = {one["Id"]: one for one in self.images.values()}
        return self.images.get(image) or by_id.get(image)

    def _do(self, verb: str, name: str) -> None:
        self.trouble(verb, name)
        if verb:
            with self.changed:
                self.journal.append(f"{verb} {name}".strip())
                self.changed.notify_all()

    def _ended(self, name: str) -> bool:
        return name not in self.containers or self.containers[name].status == "exited"

    def _news(self, name: str, said: int) -> list[bytes]:
        """What it has put out after the first `said` chunks; nothing when it has ended."""

        def output() -> list[bytes]:
            return self.containers[name].output[said:] if name in self.containers else []

        with self.changed:
            assert self.changed.wait_for(lambda: self._ended(name) or bool(output()), DEADLINE)
            return output()
