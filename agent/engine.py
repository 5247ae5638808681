"""The container engine as the agent uses it: Docker's API, which podman serves as well, on a Unix socket of this machine.

Shell; the one module of the agent that needs more than Python: docker's SDK (Debian's python3-docker 5.0.3, or 7 from PyPI),
imported when an engine is asked for. Law: whatever the SDK raises comes out as `Refused` (the engine's word, with its HTTP
status) or `Unavailable` (no answer, or a broken one); what was asked for by name and does not exist is None or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from agent.container import RUN_LABEL, sentence

ANSWER_TIME = 60.0
"""Seconds an engine may take for an answer; making a container waits for a slow disk at most."""

PATIENCE = 60.0
"""Seconds for which an engine may be starting."""


class Refused(Exception):
    """The engine says no; asking again gets the same answer, unless `status` is 500, which registries' trouble is told with."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(sentence(error))
        self.status = status


class Unavailable(Exception):
    """The engine does not answer."""


class NoSdk(Exception):
    """Docker's SDK is not installed."""


class Engine(Protocol):
    """What the runtime needs of an engine. Every method raises Refused and Unavailable."""

    log_driver: str
    """Under which name it keeps a container's output byte by byte."""

    def create(self, name: str, specification: Mapping[str, Any]) -> None:
        """Make a container; it does not run yet."""

    def start(self, name: str) -> None: ...

    def state(self, name: str) -> Mapping[str, Any] | None:
        """`State` of `ContainerInspect`, and `Labels`; None: there is no such container."""

    def wait(self, name: str, seconds: float) -> None:
        """Block until it has ended; Unavailable after so many seconds."""

    def stop(self, name: str, grace: int) -> None:
        """SIGTERM, SIGKILL `grace` seconds later; return when it is dead."""

    def remove(self, name: str) -> None:
        """Kill it if it runs, and forget it."""

    def of_run(self, run: str) -> list[str]:
        """The containers of a run, whatever became of them."""

    def output(self, name: str) -> Iterator[bytes]:
        """All of its output from the beginning, both streams in order, until it has ended."""

    def pull(self, image: str, login: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        """`login`: `username` and `password`. Progress, as `ImageCreate` tells it; an item with `error` is the end."""

    def load(self, archive: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
        """Progress, as `ImageLoad` tells it, of a docker-archive. What `archive` raises comes out, and nothing is loaded."""

    def image(self, image: str) -> Mapping[str, Any] | None:
        """`ImageInspect` of a name or id that the engine has; None: it does not."""


class DockerEngine:
    """`Engine` by docker's SDK. Raises NoSdk, Unavailable."""

    def __init__(self, url: str) -> None:
        try:
            import docker
        except ImportError as error:
            raise NoSdk(f"docker's SDK for Python is not installed (apt-get install python3-docker): {error}") from error
        with _translated():
            self._api: Any = docker.APIClient(base_url=url, version="auto", timeout=ANSWER_TIME)
            parts = self._api.version().get("Components") or ()
        podman = any("podman" in str(part.get("Name")).lower() for part in parts)
        self.log_driver = "k8s-file" if podman else "local"

    def create(self, name: str, specification: Mapping[str, Any]) -> None:
        with _translated():
            self._api.create_container_from_config(specification, name)

    def start(self, name: str) -> None:
        with _translated():
            self._api.start(name)

    def state(self, name: str) -> Mapping[str, Any] | None:
        found = _if_there(lambda: self._api.inspect_container(name))
        return {**found["State"], "Labels": found["Config"].get("Labels") or {}} if found else None

    def wait(self, name: str, seconds: float) -> None:
        with _translated():
            self._api.wait(name, timeout=seconds)

    def stop(self, name: str, grace: int) -> None:
        _if_there(lambda: self._api.stop(name, timeout=grace))

    def remove(self, name: str) -> None:
        _if_there(lambda: self._api.remove_container(name, v=True, force=True))

    def of_run(self, run: str) -> list[str]:
        with _translated():
            found = self._api.containers(all=True, filters={"label": f"{RUN_LABEL}={run}"})
            return [str(container["Id"]) for container in found]

    def output(self, name: str) -> Iterator[bytes]:
        with _translated():
            yield from self._api.logs(name, stdout=True, stderr=True, stream=True, follow=True)

    def pull(self, image: str, login: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        with _translated():
            yield from self._api.pull(image, stream=True, decode=True, auth_config=dict(login) if login else None)

    def load(self, archive: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
        with _translated():
            yield from self._api.load_image(archive, quiet=True)

    def image(self, image: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = _if_there(lambda: self._api.inspect_image(image))
        return found


def connect(url: str) -> DockerEngine:
    """The engine at `url`, which may be starting just now. Raises Unavailable after `PATIENCE` seconds, NoSdk at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return DockerEngine(url)
        except Unavailable as error:
            if time.monotonic() >= deadline:
                reason = f"no container engine answers at {url} within {PATIENCE:g} s; is it started? ({error})"
                raise Unavailable(reason) from error
            time.sleep(0.2)


def _if_there(ask: Callable[[], Any]) -> Any:
    """The answer, or None for 404. 304 (already stopped) and 409 (already being removed) are what was wanted."""
    try:
        with _translated():
            return ask()
    except Refused as refused:
        if refused.status in (304, 404, 409):
            return None
        raise


@contextmanager
def _translated() -> Iterator[None]:
    """The SDK lets through what requests and urllib3 raise, and urllib3's errors are no OSError."""
    import docker.errors
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise Refused(error.response.status_code, str(error.explanation or error)) from error
    except (docker.errors.DockerException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"the container engine does not answer: {error}") from error
