"""`python -m agent` and `gitboot agent`: carry out this machine's work until the server has no more.

Shell, standard library only. Law: argv, the kernel command line and the OS's id are read here and nowhere else, into a frozen
`Settings`. Exit status 0: the server has nothing more to do, and the last line is `then: reboot` or `then: wait`, for the init
that called; 1: we cannot go on, and the last line says why; 2: called wrongly.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.client import Keeper, Refused, Server, Unavailable
from agent.container import Around
from agent.disks import BY_NAME
from agent.docker_runtime import DockerRuntime
from agent.engine import Engine, NoSdk, connect
from agent.engine import Unavailable as EngineUnavailable
from agent.hardware import reporting
from agent.images import Images
from agent.logs import LogUpload
from agent.machine import Machine
from agent.messages import Idle, Rehearse
from agent.pinned import read_pins
from agent.rehearsal import finding_to_json
from agent.rehearser import Rehearser
from agent.runtime import ProcessRuntime, Runtime, directory_of
from agent.scrub import Scrubber
from agent.supervisor import system_id
from agent.worker import Every, Pace, Worker

RUNTIMES = ("docker", "process")
SOCKET = "unix:///var/run/docker.sock"
_WORDS = ("server", "pin", "http", "boot", "token")
"""Options that are words of the kernel command line too, which begin with `gitboot.` there."""
PATIENCE = 10.0
"""Seconds until the server is asked again that said `wait` and not how long."""


class Unusable(Exception):
    """The settings cannot work; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`system` is the id of this start of the OS; everything else comes from argv or the kernel command line."""

    server: str
    boot: str
    token: str = field(repr=False)
    system: str
    state: Path
    runtime: str
    console: Path | None = None
    """What the console says, to be sent to the server."""
    stay: bool = False
    """Ask again for as long as the server says `wait`."""
    engine: str = SOCKET
    pins: frozenset[str] = frozenset()
    """Of the server's certificates; none with plain HTTP."""
    files: str = ""
    """Where archives of images are had, and what actions know as the server: a URL that needs no pin."""
    links: Path = Path(BY_NAME)
    """Where the machine's disks get their names."""


def read_settings(argv: Sequence[str], kernel: str, system: str) -> Settings:
    """Options win over the kernel command line (`gitboot.server= …pin= …http= …boot= …token=`). Raises Unusable, SystemExit."""
    given = _parser().parse_args(argv)
    words = dict(
        word.removeprefix("gitboot.").split("=", 1) for word in kernel.split() if word.startswith("gitboot.") and "=" in word
    )
    server, pin, http, boot, token = (getattr(given, name) or words.get(name, "") for name in _WORDS)
    values: dict[str, Any] = {"server": server, "boot": boot, "token": token}
    if missing := [name for name, value in values.items() if not value]:
        named, kernel_words = (", ".join(f"{before}{name}" for name in missing) for before in ("--", "gitboot."))
        raise Unusable(f"missing: {named}; give them as options or on the kernel command line ({kernel_words})")
    for url in filter(None, (values["server"], http)):
        _check_url(url)
    values |= {"pins": _pins(values["server"], pin), "files": http or values["server"]}
    options = {name: getattr(given, name) for name in ("state", "runtime", "console", "stay", "engine", "links")}
    return Settings(**values, **options, system=system)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; progress goes to standard output, trouble too: both belong on the console."""
    try:
        kernel = Path("/proc/cmdline").read_text(errors="replace")
        settings = read_settings(sys.argv[1:] if argv is None else argv, kernel, system_id())
        with _only_agent(settings.state):
            return work(settings, _say)
    except (Unusable, Refused, OSError) as error:
        _say(f"the agent cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what runs goes on, and the next agent finds it")
        return 1


def work(settings: Settings, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep) -> int:
    """Claim and carry out runs until there is none."""
    scrubber = Scrubber()

    def aloud(line: str) -> None:  # whoever stands before the machine sees its console
        say(scrubber.text(line))

    kept = Keeper(settings.state / "session")
    server = Server(
        settings.server, settings.boot, settings.token, aloud, pause, pins=settings.pins, scrubber=scrubber, kept=kept
    )
    known = reporting(settings.state, settings.system, lambda hardware: server.inventory(settings.system, hardware))
    with _sent(settings.console, server, aloud), known:
        return _work(settings, server, aloud)


def _work(settings: Settings, server: Server, say: Callable[[str], None]) -> int:
    told, images = "", _images(settings)
    runtime_for = _runtimes(settings, images, server.scrubber)
    while True:
        claim = server.claim(settings.system)
        if isinstance(claim, Rehearse):
            _rehearse(claim, server, images[1] if images else None, say)
            continue
        if isinstance(claim, Idle):
            later = f" (ask again in {claim.retry:g} s)" if claim.retry and claim.then == "wait" else ""
            if told != (told := f"nothing to do: {claim.reason}{later}"):
                say(told)
            if settings.stay and claim.then == "wait":
                server.pause(claim.retry or PATIENCE)
                continue
            say(f"then: {claim.then}")
            return 0
        told = ""
        say(f"workflow {claim.workflow.name}, run {claim.run}")
        folder = directory_of(settings.state, claim.run) / "gitboot"
        around = Around(claim.run, settings.files, str(folder))
        machine = Machine(folder, claim.machine, say, settings.links)
        finish = Worker(claim, server, runtime_for(around), machine, say).work()
        if finish.state == "GONE":
            say(f"the run is no longer ours: {finish.reason}")
            time.sleep(1)  # a server that gives and takes in turn is not to be asked as fast as we can


def _rehearse(claim: Rehearse, server: Server, images: Images | None, say: Callable[[str], None]) -> None:
    """Nothing that could start anything is at hand here."""

    def beat() -> None:
        with suppress(Unavailable, Refused):
            server.heartbeat("")

    heartbeat = Every(Pace().heartbeat, beat)
    try:
        findings = Rehearser(images, lambda attempt: server.secrets("", attempt).login, say).go_through(claim.works)
    finally:
        heartbeat.stop()
    server.rehearsed([finding_to_json(finding) for finding in findings])


def _images(settings: Settings) -> tuple[Engine, Images] | None:
    """None for a runtime without an engine. Raises Unusable when there should be one and is none."""
    if settings.runtime == "process":
        return None
    try:
        engine = connect(settings.engine)
    except (EngineUnavailable, NoSdk) as error:
        raise Unusable(str(error)) from error
    return engine, Images(engine, settings.files, settings.state / "images", pins=settings.pins)


def _runtimes(settings: Settings, images: tuple[Engine, Images] | None, scrubber: Scrubber) -> Callable[[Around], Runtime]:
    """What makes the runtime of a run."""
    if images is None:
        return lambda around: ProcessRuntime(settings.state, around, scrubber)
    return lambda around: DockerRuntime(settings.state, around, *images, scrubber=scrubber)


@contextmanager
def _sent(console: Path | None, server: Server, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile and at the end the server gets what is in the file `console`."""
    if console is None:
        yield
        return
    upload = LogUpload(console, server.console, say, server.scrubber)
    sender = Every(1.0, upload.ship)
    try:
        yield
    finally:
        sender.stop()
        upload.ship()


@contextmanager
def _only_agent(state: Path) -> Iterator[None]:
    """Two agents on one state directory would both find the same action. Raises Unusable."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Unusable(f"another agent works in {state}; give this one its own --state") from error
    finally:
        os.close(lock)


def _pins(url: str, text: str) -> frozenset[str]:
    """Raises Unusable: whoever names a certificate is not sent in clear, and by TLS nobody is trusted unnamed."""
    try:
        pins = read_pins(text)
    except ValueError as error:
        raise Unusable(f"--pin: {error}") from error
    secure = urlsplit(url).scheme == "https"
    if secure and not pins:
        raise Unusable(f"{url} needs --pin (kernel: gitboot.pin=), the SHA-256 of its certificate: the server's log has it")
    if pins and not secure:
        raise Unusable(f"--pin goes with an https URL, and {url} is none; take the server's HTTPS port, or leave --pin out")
    return pins


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Unusable(f"--server {url!r} is not a URL such as http://10.1.0.1")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gitboot agent", description="Carry out this machine's workflow.")
    parser.add_argument("--server", metavar="URL", help="the gitboot server, such as http://10.1.0.1 (kernel: gitboot.server=)")
    parser.add_argument(
        "--pin", metavar="SHA256[,…]", help="its certificate and no other, for an https URL (kernel: gitboot.pin=)"
    )
    parser.add_argument("--http", metavar="URL", help="where its files are had in clear, by digest (kernel: gitboot.http=)")
    parser.add_argument("--boot", metavar="ID", help="id of this boot (kernel: gitboot.boot=)")
    parser.add_argument("--token", metavar="TOKEN", help="this boot's capability (kernel: gitboot.token=)")
    parser.add_argument("--state", metavar="DIR", type=Path, default=Path("/run/gitboot-agent"), help="default: %(default)s")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="process", help="actions as containers, or as processes of this system"
    )
    parser.add_argument(
        "--engine", metavar="URL", default=SOCKET, help="where dockerd (or podman) listens, for `--runtime docker`"
    )
    parser.add_argument(
        "--console", metavar="FILE", type=Path, help="a growing file that is sent to the server as this boot's console"
    )
    parser.add_argument("--stay", action="store_true", help="ask again when there is nothing to do and the server says `wait`")
    parser.add_argument(
        "--links", metavar="DIR", type=Path, default=Path(BY_NAME), help="where disks get their names; default: %(default)s"
    )
    return parser


def _say(line: str) -> None:
    encoding = sys.stdout.encoding  # a console may know less than a name has
    sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
