"""The demo's site: a repository made from an inventory, files to boot, and a real `gitboot serve` in front of them.

Shell. Everything lies in one temporary folder, and git is run as on a host where nobody ever configured it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.demo.children import PYTHON, leashed, lines_of
from reconciler.demo.edit import Edit
from reconciler.demo.log_lines import last_words, readable
from reconciler.demo.wire import Network
from reconciler.sentence import Sentence

HOST = "127.0.0.1"
ARTIFACT_BYTES = 256 * 1024
START_SECONDS = 20.0
LOG_TAIL = 12
"""Lines of the server's log that are shown with a failure."""
_GIT_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


class Failed(Exception):
    """The demo did not go as it should; the message is a sentence. `log`: the last lines of the server, for people."""

    def __init__(self, message: str, log: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.log = tuple(log)


@dataclass(frozen=True, slots=True)
class Site:
    folder: Path
    environment: Mapping[str, str]
    """Of every child process."""

    @property
    def repository(self) -> Path:
        return self.folder / "inventory"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def git(self, *words: str) -> str:
        """Raises Sentence when git is missing, Failed when it refuses."""
        try:
            done = subprocess.run(
                ("git", "-C", str(self.repository), *words),
                env={**self.environment, **_GIT_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            raise Sentence("git is not installed; get it with `apt-get install git`.") from None
        except subprocess.CalledProcessError as error:
            raise Failed(f"git {words[0]} failed: {error.stderr.strip()}") from None
        return done.stdout.strip()

    def texts(self) -> dict[str, str]:
        """The YAML files of the repository, by path."""
        files = sorted(self.repository.rglob("*.y*ml"))
        return {str(file.relative_to(self.repository)): file.read_text(errors="replace") for file in files}

    def commit(self, edit: Edit) -> str:
        """Its short id."""
        for path, text in edit.files.items():
            (self.repository / path).write_text(text)
        self.git("commit", "-q", "-a", "-m", edit.message)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "--short", "HEAD")


@contextmanager
def site(
    inventory: Path, artifacts: Iterable[str], environment: Mapping[str, str], images: Iterable[str] = ()
) -> Iterator[Site]:
    """A temporary folder with a commit of the inventory and something to boot at each path it names. `images` are what its
    archives, files that end in .tar, are said to hold.
    """
    with tempfile.TemporaryDirectory(prefix="gitboot-demo-", ignore_cleanup_errors=True) as folder:
        made = Site(Path(folder), environment)
        shutil.copytree(inventory, made.repository, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        made.git("init", "-q", "-b", "main")
        made.git("config", "user.name", "gitboot demo")
        made.git("config", "user.email", "demo@gitboot.invalid")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", f"Begin with {inventory.name}")
        made.artifacts.mkdir()
        left = sorted(images)
        for path in sorted(artifacts):
            if path.endswith(".tar"):
                _make_archive(made.artifacts, path, left)
                left = []
            else:
                _make_artifact(made.artifacts, path)
        yield made


def _make_archive(folder: Path, path: str, images: list[str]) -> None:
    """A docker-archive's index and nothing behind it: the demo's machines have no containers."""
    file = folder / path
    if file.resolve().is_relative_to(folder.resolve()):
        file.parent.mkdir(parents=True, exist_ok=True)
        index = json.dumps([{"Config": "config.json", "RepoTags": images, "Layers": []}]).encode()
        with tarfile.open(file, "w") as tar:
            member = tarfile.TarInfo("manifest.json")
            member.size = len(index)
            tar.addfile(member, io.BytesIO(index))


def _make_artifact(folder: Path, path: str) -> None:
    """Bytes that no machine can boot, but that can be fetched and held to their digest."""
    file = folder / path
    if file.resolve().is_relative_to(folder.resolve()):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(hashlib.shake_256(path.encode()).digest(ARTIFACT_BYTES))


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, as seen from outside."""

    process: Process
    network: Network
    log: deque[str]
    """Its last lines."""

    def check(self) -> None:
        """Raises Failed when it has ended."""
        if self.process.returncode is not None:
            raise self.failure(f"the server ended with status {self.process.returncode}")

    def failure(self, message: str) -> Failed:
        return Failed(message, self.log)


@asynccontextmanager
async def serving(site: Site, http_port: int) -> AsyncIterator[Server]:
    """Entered when it listens. Raises Sentence with the server's own sentence when it cannot, such as for a taken port."""
    ports = ("--dhcp-port", "0", "--tftp-port", "0", "--http-port", str(http_port), "--https-port", "0", "--dns-port", "-1")
    folders = ("--repo", str(site.repository), "--artifacts", str(site.artifacts), "--state", str(site.folder / "state"))
    flags = ("--listen", HOST, "--poll", "2", "--new-site", "--reply-to-source", "--trusted-proxy", f"{HOST}/32")
    command = (*PYTHON, "-c", "from reconciler.cli import main; main()", "serve", *folders, *ports, *flags)
    async with leashed(command, site.folder, site.environment, remove=site.folder) as process:
        log: deque[str] = deque(maxlen=LOG_TAIL)
        listening: asyncio.Future[Network | None] = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(_read(process, site.folder / "server.log", log, listening))
        try:
            network = await _in_time(listening, log)
            if network is None:
                raise Sentence(f"The server did not start: {last_words(log)}")
            yield Server(process, network, log)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def _in_time(listening: asyncio.Future[Network | None], log: deque[str]) -> Network | None:
    try:
        async with asyncio.timeout(START_SECONDS):
            return await listening
    except TimeoutError:
        raise Failed(f"the server did not listen after {START_SECONDS:.0f} seconds", log) from None


async def _read(process: Process, file: Path, tail: deque[str], listening: asyncio.Future[Network | None]) -> None:
    """Its log goes to a file, the last lines to memory, the bound ports to whoever waits for them; None when it ends before."""
    with file.open("w") as log:
        async for line in lines_of(process):
            log.write(f"{line}\n")
            log.flush()
            tail.append(readable(line))
            if '"event":"listening"' in line:
                ports = json.loads(line)
                listening.set_result(Network(HOST, ports["dhcp"], ports["tftp"], ports["http"]))
    if not listening.done():
        listening.set_result(None)
