"""`gitboot demo` as a user runs it: what it shows, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.shell

EXAMPLE = Path(__file__).parent.parent.parent / "example-inventory"
COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()", "demo", "--pace", "0")
DEADLINE = 60.0
NAP = "600.0815"
"""Seconds, and the mark by which the action is found among all processes."""


def environment(folder: Path) -> dict[str, str]:
    """Temporary files go to the test's own folder, and a git hook's variables and a proxy are there to be ignored."""
    trap = {"GIT_DIR": "/nonexistent", "GITBOOT_SERVE_DHCP_PORT": "67", "http_proxy": "http://127.0.0.1:9"}
    return {**os.environ, "TMPDIR": str(folder), **trap}


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*COMMAND, *words), env=environment(folder), capture_output=True, text=True, timeout=DEADLINE)


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen((*COMMAND, *words), env=environment(folder), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """Reads until it is said; the test's timeout is the deadline."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"the demo ended without saying {text!r}: {process.stderr.read() if process.stderr else ''}")


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def processes_of(mark: str) -> list[int]:
    """Those that name it in their command line, but for a search for it."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
        except OSError:
            continue
        if mark.encode() in words and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def nothing_is_left(folder: Path) -> bool:
    return not list(folder.iterdir()) and not processes_of(str(folder)) and not processes_of(NAP)


@pytest.fixture
def napping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inventory whose machines have an action that does not end."""
    inventory = tmp_path_factory.mktemp("napping") / "inventory"
    shutil.copytree(EXAMPLE, inventory)
    template = inventory / "templates" / "inspect.yaml"
    text = template.read_text()
    changed = text.replace('"echo this is {{ .device_1 }}; uname -a"', f'"exec sleep {NAP}"')
    assert text != changed
    template.write_text(changed)
    return inventory


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told = demo(tmp_path, "--once")
    assert (0, "") == (told.returncode, told.stderr)
    for said in (
        "4 machines are switched on",
        "2 stay off: their work needs containers",
        "/status/index.json",
        "BIOS is 10.1.0.12 node-02",
        "sha256",
        "burn/report SUCCESS",
        "every machine has done its work",
        "DHCP says node-03 -> node-03-renamed",
        "node-03 booted as node-03-renamed and did burn-in-storage run 2",
    ):
        assert said in told.stdout
    assert "\x1b" not in told.stdout
    assert nothing_is_left(tmp_path)


def test_machines_react_to_commits_until_it_is_interrupted(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        repository = line_with(process, "Edit: ").split()[-1]
        git = ("git", "-C", repository, "-c", "commit.gpgsign=false")
        (Path(repository) / "hardware" / "node-01.yaml").write_text("kind: nothing\n")
        subprocess.run((*git, "commit", "-qam", "break it"), check=True)
        assert "hardware/node-01.yaml:1:" in line_with(process, "is rejected")
        subprocess.run((*git, "revert", "--no-edit", "HEAD"), check=True, capture_output=True)
        line_with(process, "is served")
        workflow = Path(repository) / "workflows" / "burn-in.yaml"
        workflow.write_text(workflow.read_text().replace("run: 2", "run: 5"))
        subprocess.run((*git, "commit", "-qam", "once more"), check=True)
        line_with(process, "workflow burn-in-storage run 5 ended SUCCESS")
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(DEADLINE)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_nothing_runs_on(number: signal.Signals, tmp_path: Path, napping: Path) -> None:
    with running(tmp_path, "--inventory", str(napping)) as process:
        line_with(process, "inspect/look-around starts")
        assert eventually(lambda: bool(processes_of(NAP)))
        process.send_signal(number)
        assert (-9 if number == signal.SIGKILL else 128 + number) == process.wait(DEADLINE)
        assert eventually(lambda: nothing_is_left(tmp_path))


def test_a_broken_inventory_is_refused_with_its_problems(tmp_path: Path, napping: Path) -> None:
    (napping / "site.yaml").write_text((napping / "site.yaml").read_text().replace("unknown:", "unknwon:"))
    told = demo(tmp_path, "--once", "--inventory", str(napping))
    assert (1, "") == (told.returncode, told.stdout)
    assert "site.yaml:" in told.stderr
    assert "unknwon" in told.stderr
    assert "Traceback" not in told.stderr
    assert nothing_is_left(tmp_path)


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = demo(tmp_path, "--once", "--http-port", str(port))
    assert 1 == told.returncode
    assert f"The server did not start: TCP port {port} cannot be opened" in told.stderr
    assert "Traceback" not in told.stderr
    assert nothing_is_left(tmp_path)


def test_a_run_that_fails_fails_the_demo_with_the_servers_last_words(tmp_path: Path, napping: Path) -> None:
    """Where all of them do, too: a machine that is kept for a look hears of no commit, and that is not what failed."""
    for file, command in (
        ("templates/inspect.yaml", f"exec sleep {NAP}"),
        ("templates/burn-in.yaml", "echo burning"),
        ("workflows/serverless.yaml", "for sheep"),
    ):
        text = (napping / file).read_text()
        assert command in text
        (napping / file).write_text(text.replace(command, f"exit 3; {command}").replace("retries: 2", "retries: 0"))
    told = demo(tmp_path, "--once", "--inventory", str(napping))
    assert 1 == told.returncode
    assert "The demo failed: not every run succeeded: node-01: waits inspect-node-01 run 1 FAILED" in told.stderr
    assert "  server: " in told.stderr
    assert nothing_is_left(tmp_path)


def test_a_folder_that_is_full_is_a_sentence(tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = (*COMMAND, "--once")
    told = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, preexec_fn=little_room)
    assert (1, "") == (told.returncode, told.stdout)
    assert (
        "Error: The demo cannot go on (File too large); it works in a temporary folder, and TMPDIR names another."
        in told.stderr
    )
    assert nothing_is_left(tmp_path)
