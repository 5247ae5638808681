"""gitboot as a process: how it starts, what it survives, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.reconciler.gitkit import Work, wait_until
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import FREE, Gitboot, environment, gitboot, sound_site
from tests.reconciler.test_reconcile import BROKEN, SECOND_MACHINE

pytestmark = pytest.mark.shell
SCRIPT = "/ipxe/52-54-00-12-34-01/boot.ipxe"
ADDRESS = "10.1.0.11"


@pytest.fixture
def site(tmp_path: Path) -> Work:
    return sound_site(tmp_path, "site")


def serve(site: Work, *more: str | Path, state: str = "state") -> Gitboot:
    root = site.path.parent
    return Gitboot(
        "serve", "--repo", site.path, "--state", root / state, "--artifacts", root / "art", "--poll", "1", *FREE, *more
    )


def reconcile_status(server: Gitboot) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(server.get("/status/reconcile.json"))
    return document


def eventually(condition: Callable[[], object]) -> None:
    assert wait_until(lambda: bool(condition()))


# Failures to start: one sentence, a next step, an exit status


def start(site: Work, **changed: str | Path | None) -> list[str | Path]:
    """The words of a `serve` that would work, with some flags changed or (None) left out."""
    root = site.path.parent
    flags: dict[str, str | Path | None] = {
        "repo": site.path,
        "state": root / "state",
        "listen": "127.0.0.1",
        "dhcp-port": "0",
        "tftp-port": "0",
        "http-port": "0",
        "https-port": "0",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return ["serve", *(word for name, value in flags.items() if value is not None for word in (f"--{name}", value))]


def as_nobody(words: list[str | Path]) -> list[str]:
    command = [sys.executable, "-m", "reconciler", *map(str, words)]
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]


FAILURES: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no repository named": ({"repo": None}, 2, "Missing option '--repo'"),
    "no state directory named": ({"state": None}, 2, "Missing option '--state'"),
    "a repository that is not there": ({"repo": "/nowhere/site"}, 1, "/nowhere/site is no git repository: .*check the path"),
    "an address that is none": ({"repo": "ext::sh -c id"}, 2, "are not allowed: use one of"),
    "a folder outside": ({"path": "../x"}, 2, "give it from the top"),
    "a file as state directory": ({"state": "FILE"}, 2, "is a file"),
    "a state directory below a file": ({"state": "FILE/state"}, 1, "cannot be used: Not a directory; check its owner"),
    "no artefact folder": ({"artifacts": "/nowhere"}, 2, "does not exist"),
    "no loaders": ({"loaders": "/nowhere"}, 2, "does not exist"),
    "a wrong address": ({"listen": "192.0.2.1"}, 1, "has no address 192.0.2.1; `ip address` lists them"),
    "a wrong interface": ({"interface": "nowhere0"}, 1, "no interface 'nowhere0'; `ip link` lists them"),
    "a port that is none": ({"http_port": "99999"}, 2, "is not in the range"),
    "a port that is a word": ({"http_port": "http"}, 2, "'http' is not a valid port number"),
    "no HTTP at all": ({"http_port": "-1"}, 2, "is not in the range"),
    "a poll that is none": ({"poll": "0"}, 2, "is not in the range"),
    "a taken port": ({"http_port": "TAKEN"}, 1, "Address already in use.*`ss -lnp` names it.*--http-port"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_start_is_a_sentence_with_a_next_step(site: Work, failure: str) -> None:
    flags, exit_code, said = FAILURES[failure]
    file = site.path.parent / "file"
    file.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = {
            name: value and value.replace("FILE", str(file)).replace("TAKEN", str(taken.getsockname()[1]))
            for name, value in flags.items()
        }
        done = gitboot(*start(site, **words))
    assert (exit_code, True) == (done.returncode, bool(re.search(said, done.stderr, re.DOTALL))), done.stderr
    assert "Traceback" not in done.stderr
    assert 1 == done.stderr.count("Error: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to give privileges away")
def test_a_privileged_port_without_privilege_is_a_sentence(site: Work) -> None:
    command = as_nobody(start(site, http_port="80"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment(), check=False)
    assert 1 == done.returncode
    assert (
        "TCP port 80 needs root or the capability CAP_NET_BIND_SERVICE; run as root or choose a port above 1023" in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tools", [["env"], []], ids=["no git", "no program at all"])
@pytest.mark.parametrize("words", [("check", "SITE@HEAD"), ("render", "SITE@HEAD", "node-01"), ("serve",), ("demo", "--once")])
def test_a_host_without_git_is_a_sentence(site: Work, words: tuple[str, ...], tools: list[str], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in tools:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    flags = start(site) if words == ("serve",) else [word.replace("SITE", str(site.path)) for word in words]
    done = gitboot(*flags, PATH=str(tmp_path / "bin"))
    assert 0 != done.returncode
    assert "Error: git is not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_journal_is_a_sentence(site: Work) -> None:
    with serve(site, "--new-site") as server:
        server.wait_for("plan-served")
    segment = next((site.path.parent / "state/journal").glob("*.jsonl"))
    segment.write_bytes(b"damage\n" + segment.read_bytes())
    done = gitboot(*start(site))
    assert (1, True) == (done.returncode, "is damaged at byte 0" in done.stderr)
    assert "Traceback" not in done.stderr


# Side by side


def test_two_servers_on_one_state_directory_fail_by_a_lock(site: Work) -> None:
    with serve(site) as first:
        first.wait_for("listening")
        done = gitboot(*start(site))
        assert 1 == done.returncode
        assert re.search(rf"is in use by another gitboot \(process {first.process.pid}\).*--state", done.stderr)
        assert 0 == first.stop()
    with serve(site) as second:
        second.wait_for("listening")


def test_reconciler_and_servers_work_apart_on_one_state_directory(site: Work) -> None:
    state, art = site.path.parent / "state", site.path.parent / "art"
    reconcile = ("reconcile", "--repo", site.path, "--state", state, "--artifacts", art, "--poll", "1")
    with Gitboot("netboot", "--state", state, "--artifacts", art, *FREE) as netboot:
        assert b"no plan is served yet" in netboot.ask("GET", "/readyz")[1]
        with Gitboot(*reconcile) as reconciler:
            first = netboot.wait_for("plan-served")
            assert first["plan"] == reconciler.wait_for("published")["plan"]
            done = gitboot(*reconcile)
            assert re.search(rf"already followed by another gitboot \(process {reconciler.process.pid}\)", done.stderr)
            revision = site.commit(more=SECOND_MACHINE)
            eventually(lambda: b"node-02" in netboot.ask("GET", "/ipxe/52-54-00-12-34-02/boot.ipxe")[1])
            eventually(lambda: reconcile_status(netboot)["revision"] == revision)
            assert 0 == reconciler.stop()
        assert b"node-02" in netboot.get("/ipxe/52-54-00-12-34-02/boot.ipxe")
        assert 0 == netboot.stop()


# The world goes wrong


def test_a_restart_with_git_down_serves_the_last_plan_and_says_so(site: Work) -> None:
    with serve(site, "--new-site") as server:
        plan = server.wait_for("plan-served")["plan"]
        eventually(lambda: reconcile_status(server)["revision"])
        assert 0 == server.stop()
    revision = site.git("rev-parse", "HEAD")
    site.path.rename(site.path.parent / "away")
    with serve(site) as server:
        assert plan == server.wait_for("plan-served")["plan"]
        assert b"node-01" in server.get(SCRIPT, ADDRESS)
        eventually(lambda: "no git repository" in json.dumps(reconcile_status(server)["conditions"]))
        assert (revision, plan) == (reconcile_status(server)["revision"], reconcile_status(server)["plan"])
        frozen = gitboot("freeze", "--state", site.path.parent / "state", "--reason", "git is down")
        assert 0 == frozen.returncode
        eventually(lambda: "git is down" in reconcile_status(server)["hold"])
        (site.path.parent / "away").rename(site.path)
        eventually(lambda: "no git repository" not in json.dumps(reconcile_status(server)["conditions"]))


def test_a_rejected_commit_leaves_the_last_good_plan_across_a_restart(site: Work) -> None:
    good = site.git("rev-parse", "HEAD")
    with serve(site) as server:
        plan = server.wait_for("plan-served")["plan"]
        bad = site.commit(hardware=BROKEN)
        server.wait_for("rejected")
    with serve(site) as server:
        assert plan == server.wait_for("plan-served")["plan"]
        eventually(lambda: reconcile_status(server)["problems"])
        shown = reconcile_status(server)
        assert (good, bad, plan) == (shown["revision"], shown["head"], shown["plan"])
        assert "unknown-field" in [problem["code"] for problem in shown["problems"]]


def test_a_plan_damaged_on_disk_serves_on_and_is_mended(site: Work) -> None:
    with serve(site) as server:
        plan = server.wait_for("plan-served")["plan"]
        manifest = site.path.parent / "state/plans" / plan / "manifest.json"
        manifest.write_bytes(b"")
        eventually(lambda: manifest.stat().st_size)
        assert plan.encode() in server.get("/readyz")
        manifest.unlink()
    with serve(site) as server:  # at start there is nothing to serve until the reconciler has looked
        assert plan == server.wait_for("plan-served")["plan"]


def test_a_replaced_artefact_is_served_within_the_poll_at_the_same_revision(site: Work) -> None:
    with serve(site, "--new-site") as server:
        server.wait_for("plan-served")
        before = server.get(SCRIPT, ADDRESS)
        (site.path.parent / "art/inspect/new").write_bytes(b"another kernel")
        (site.path.parent / "art/inspect/new").rename(site.path.parent / "art/inspect/vmlinuz")
        eventually(lambda: len([line for line in server.lines if line["event"] == "plan-served"]) == 2)
        pinned = re.search(rb"/artifacts/\S+", before)
        assert pinned is not None
        status, text = server.ask("GET", pinned[0].decode())
        assert (404, True) == (status, b"has changed or is gone" in text)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to mount a small disk")
def test_a_full_disk_acknowledges_nothing_and_recovers(site: Work) -> None:
    state = site.path.parent / "state"
    with small_disk(state), serve(site, "--new-site") as server:
        server.wait_for("plan-served")
        script = server.get(SCRIPT, ADDRESS).decode()
        boot, token = (re.search(rf"gitboot\.{name}=(\S+)", script) for name in ("boot", "token"))
        assert boot is not None
        assert token is not None
        ballast = state / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                for size in (1 << 16, 512, 1):
                    while file.write(bytes(size)) == size:
                        pass
            except OSError:
                pass
        claim = json.dumps({"boot": boot[1], "system": "os-1" + "x" * 8000}).encode()
        ask: Callable[[], tuple[int, bytes]] = lambda: server.ask(  # noqa: E731 - one request, asked again and again
            "POST", "/agent/session", claim, Authorization=f"Bearer {token[1]}"
        )
        status, text = ask()
        assert (503, True) == (status, b"No space left" in text)
        assert 503 == server.ask("GET", "/healthz")[0]
        ballast.unlink()
        eventually(lambda: ask()[0] == 200)
        assert 423 == ask()[0], "there is one session"
        assert 200 == server.ask("GET", "/healthz")[0]


# A run, and the end


def test_the_real_agent_carries_out_a_run_of_the_real_server(site: Work, tmp_path: Path) -> None:
    command = 'command: [sh, -c, "echo looked around"]'
    site.write("template.yaml", SOUND["template.yaml"].replace("timeout: 60", f"timeout: 60, {command}"))
    site.commit()
    with serve(site, "--new-site") as server:
        server.wait_for("plan-served")
        words = dict(re.findall(r"gitboot\.(\w+)=(\S+)", server.get(SCRIPT, ADDRESS).decode()))
        words["server"] = f"https://127.0.0.1:{server.secure_port}"
        flags = [f"--{name}={value}" for name, value in words.items()]
        done = subprocess.run(
            [sys.executable, "-m", "agent", *flags, "--state", str(tmp_path / "agent"), "--links", str(tmp_path / "links")],
            capture_output=True, text=True, timeout=30, env=environment(), check=False,
        )  # fmt: skip
        assert (0, "then: reboot") == (done.returncode, done.stdout.splitlines()[-1])
        shown = json.loads(server.get("/status/workflows/look-at-01.json"))
        assert "SUCCESS" == shown["state"]
        (attempt,) = shown["runs"][0]["tasks"][0]["actions"][0]["attempts"]
        assert b"looked around\n" == server.get(attempt["log"])
        assert b"booting from the local disk" in server.get(SCRIPT, ADDRESS)
        table = gitboot("status", "--server", f"http://127.0.0.1:{server.port}")
        assert re.search(r"node-01 .*look-at-01 SUCCESS", table.stdout)


def test_it_ends_in_time_with_connections_open(site: Work) -> None:
    with serve(site) as server, ExitStack() as stack:
        server.wait_for("plan-served")
        for beginning in (b"", b"GET /", b"POST /agent/claim HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"):
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.port))))
            connection.sendall(beginning)
        assert b"ok" in server.get("/healthz")
        assert 0 == server.stop()
        assert [] == server.said


def test_it_may_open_as_many_files_as_the_host_allows(site: Work) -> None:
    with serve(site) as server:
        server.wait_for("listening")
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()
        match = re.search(r"Max open files +(\d+) +(\d+)", limits)
        assert match is not None
        assert match[1] == match[2]
