"""The agent with a real container engine on this host, a real registry, and a server that keeps it to the rules.

The engine is dockerd and, where the two might differ, podman.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent.workflow import Action, Archive, Secret, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, TOKEN, FaultyServer
from tests.images import docker_archive
from tests.lab.docker import Docker, Podman
from tests.lab.process import Process

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
SDKS = {"PyPI": sys.executable, "Debian": "/usr/bin/python3"}
"""Python with docker's SDK from there."""
PAIRS = [(Docker, "PyPI"), (Docker, "Debian"), (Podman, "Debian")]
BOTH = [Docker, Podman]
IMAGE = f"{Docker.registry}/busybox:1"
ENTRY = {"Entrypoint": ["/bin/sh", "-c", "echo own entry point: $0 $*"], "Cmd": ["own", "command"]}


@pytest.fixture(scope="module", params=[Docker])
def docker(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Docker]:
    with request.param(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, docker: Docker) -> Path:
    """Two images; one of them is in the registry as well."""
    path = docker_archive(tmp_path_factory.mktemp("images") / "actions.tar", {"busybox:1": {}, "greeter:v1": ENTRY})
    docker.push(path, "busybox:1", "busybox:1")
    return path


def shell(name: str, script: str, image: str = IMAGE, **options: Any) -> Action:
    return Action(name, image, ("sh", "-c", script), **options)


def workflow(*actions: Action) -> Workflow:
    return Workflow("w", (Task("t", "m", actions),))


class Machine:
    """This host as a machine with an agent; `start` it, and again after it was killed."""

    def __init__(self, docker: Docker, folder: Path, sdk: str = "PyPI") -> None:
        self.docker, self.folder, self.sdk = docker, folder, sdk
        self.agents: list[Process] = []

    def start(self, server: FaultyServer, program: Sequence[str] = ("-m", "agent")) -> Process:
        argv = [SDKS[self.sdk], *program, "--runtime", "docker", "--engine", self.docker.socket, "--server", server.url]
        argv += ["--boot", BOOT, "--token", TOKEN, "--state", str(self.folder / "state")]
        self.agents.append(Process(argv, self.folder / f"agent-{len(self.agents)}.log"))
        return self.agents[-1]

    def carry_out(self, fake: FakeServer, files: dict[str, bytes] | None = None) -> str:
        """What the agent said when there was nothing more to do."""
        with FaultyServer(fake) as server:
            server.files = files or {}
            agent = self.start(server)
            assert agent.wait(within=90) == 0, agent.transcript.text()
        return agent.transcript.text()

    def containers(self) -> str:
        return self.docker.ask("docker", "ps", "--all", "--quiet", "--filter=label=gitboot.run")


@pytest.fixture
def machine(docker: Docker, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    machine = Machine(docker, tmp_path)
    yield machine
    for agent in machine.agents:
        agent.stop()


def log_of(fake: FakeServer, name: str, attempt: int = 1) -> str:
    """What the container wrote, without our own lines before it."""
    lines = fake.logs[("t", name, attempt)].decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("gitboot: "))


def reason_of(fake: FakeServer, name: str) -> str:
    return next(str(event["reason"]) for event in fake.accepted if event["type"] == "action-ended" and event["action"] == name)


@pytest.mark.parametrize(("docker", "sdk"), PAIRS, indirect=["docker"])
def test_actions_run_with_all_that_they_were_promised(machine: Machine, sdk: str) -> None:
    machine.sdk = sdk
    (machine.folder / "task").mkdir()
    (machine.folder / "action").mkdir()
    for place in ("task", "action"):
        (machine.folder / place / "here").write_text(place)
    volumes = ("/dev:/dev", "/dev/console:/dev/console", f"{machine.folder}/task:/mnt/x", f"{machine.folder}/action:/mnt/x")
    look = "cat /mnt/x/here; echo; echo $DISK $GITBOOT_ACTION.$GITBOOT_ATTEMPT; cat $GITBOOT_MACHINE; echo; "
    look += "echo /dev/no-disk >> /gitboot/written"
    fake = FakeServer(
        workflow(
            shell("look", look, volumes=volumes, environment={"DISK": "/dev/sda"}),
            shell("share", "cat /gitboot/written /proc/1/comm; ls /dev/null", pid="host"),
            shell("raw", "printf 'a\\377\\000b'; seq 3 >&2"),
        ),
        machine={"name": "node-01"},
    )
    said = machine.carry_out(fake)
    assert "then: reboot" in said
    assert fake.ends() == [("look", 1, "SUCCESS"), ("share", 1, "SUCCESS"), ("raw", 1, "SUCCESS")], (fake.accepted, fake.logs)
    assert log_of(fake, "look") == 'action\n/dev/sda look.1\n{"name": "node-01"}\n'
    assert log_of(fake, "share").splitlines() == ["/dev/no-disk", Path("/proc/1/comm").read_text().strip(), "/dev/null"]
    assert sorted(fake.logs[("t", "raw", 1)].split(b" s\n")[-1]) == sorted(b"a\xff\x00b1\n2\n3\n")
    assert machine.containers() == ""


@pytest.mark.parametrize("docker", BOTH, indirect=True)
def test_how_an_action_failed_is_said(machine: Machine) -> None:
    fake = FakeServer(
        workflow(shell("bad", "echo no disk here >&2; exit 3", retries=1, on_failure=("sh", "-c", "echo $GITBOOT_ACTION")))
    )
    machine.carry_out(fake)
    assert fake.ends() == [("bad", 1, "FAILED"), ("bad", 2, "FAILED"), ("bad:on-failure", 1, "SUCCESS")]
    assert log_of(fake, "bad", 2) == "no disk here\n"
    assert log_of(fake, "bad:on-failure") == "bad:on-failure\n"
    assert fake.ended == {"type": "run-ended", "state": "FAILED", "reason": "t/bad (attempt 2): exit code 3: no disk here"}


@pytest.mark.parametrize("docker", BOTH, indirect=True)
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (shell("a", "kill -9 $$ & wait", pid="host"), r"exit code 137, as after signal 9 \(SIGKILL\)"),
        (shell("a", "exec sh -c 'kill -SEGV $$'", pid="host"), r"exit code 139, as after signal 11 \(SIGSEGV\)"),
        (
            Action("a", IMAGE, ("nope",)),
            r'process: exec: "nope": executable file not found in \$PATH',
        ),
        (shell("a", "true", f"{Docker.registry}/nope:1"), "manifest unknown"),
        (shell("a", "true", f"{Docker.registry}/busybox@sha256:{'0' * 64}"), "manifest unknown"),
        (shell("a", "true", volumes=("relative:x",)), r"path.* must be (an )?absolute"),
    ],
    ids=["signal", "crash", "no program", "no image", "wrong digest", "bad volume"],
)
def test_why_an_action_could_not_do_it_is_a_sentence(machine: Machine, action: Action, reason: str) -> None:
    fake = FakeServer(workflow(action))
    machine.carry_out(fake)
    assert re.search(reason, reason_of(fake, "a"))
    assert [("a", 1, "FAILED")] == fake.ends()


@pytest.mark.parametrize("docker", BOTH, indirect=True)
def test_an_image_by_its_digest_is_run(machine: Machine, archive: Path) -> None:
    digest = machine.docker.push(archive, "busybox:1", "pinned:1")
    fake = FakeServer(workflow(shell("a", "echo pinned", f"{Docker.registry}/pinned@{digest}")))
    machine.carry_out(fake)
    assert log_of(fake, "a") == "pinned\n"


@pytest.mark.parametrize(("docker", "sdk"), PAIRS, indirect=["docker"])
def test_images_come_from_the_servers_archive_in_one_piece(machine: Machine, archive: Path, sdk: str) -> None:
    machine.sdk = sdk
    whole = archive.read_bytes()
    named = Archive("/artifacts/actions.tar", sha256(whole).hexdigest(), len(whole))
    fake = FakeServer(
        workflow(
            Action("greet", "greeter:v1", archive=named),
            Action("again", "greeter:v1", ("other",), archive=named),
            shell("third", "echo $GITBOOT_IMAGE", "busybox:1", archive=named),
        )
    )
    with FaultyServer(fake) as server:
        server.files = {named.url: whole}
        assert machine.start(server).wait(within=90) == 0
        assert server.requests.count(named.url) == 1
    logs = [log_of(fake, name) for name in ("greet", "again", "third")]
    assert logs == ["own entry point: own command\n", "own entry point: other\n", "busybox:1\n"]


@pytest.mark.parametrize("docker", BOTH, indirect=True)
def test_an_archive_that_is_not_what_git_named_is_not_run(machine: Machine, archive: Path) -> None:
    whole = archive.read_bytes()
    for image in ("greeter:v1", "busybox:1"):
        machine.docker.run("docker", "rmi", "--force", image)
    wrong = Archive("/artifacts/actions.tar", "0" * 64, len(whole))
    fake = FakeServer(workflow(Action("greet", "greeter:v1", archive=wrong)))
    machine.carry_out(fake, {wrong.url: whole})
    assert f"SHA-256 {sha256(whole).hexdigest()}, and git named {wrong.sha256}" in reason_of(fake, "greet")
    assert "greeter" not in machine.docker.ask("docker", "images")


@pytest.mark.parametrize(
    ("docker", "told"),
    [(Docker, "skopeo copy oci-archive:"), (Podman, "")],
    indirect=["docker"],
)
def test_an_oci_archive_is_run_or_refused_with_the_command_that_converts_it(machine: Machine, archive: Path, told: str) -> None:
    oci = machine.folder / "oci.tar"
    machine.docker.ask("skopeo", "copy", "--quiet", f"docker-archive:{archive}:busybox:1", f"oci-archive:{oci}:busybox:1")
    named = Archive("/artifacts/oci.tar", sha256(oci.read_bytes()).hexdigest(), oci.stat().st_size)
    fake = FakeServer(workflow(shell("a", "true", "busybox:1", archive=named)))
    machine.carry_out(fake, {named.url: oci.read_bytes()})
    assert ("FAILED" if told else "SUCCESS") == fake.ends()[0][2]
    assert told in reason_of(fake, "a")


def test_a_registry_that_is_away_for_a_while_is_waited_for_and_costs_no_time_of_the_action(
    machine: Machine, archive: Path
) -> None:
    machine.docker.push(archive, "busybox:1", "late:1")
    machine.docker.stop_registry()
    fake = FakeServer(workflow(shell("a", "echo at last", f"{Docker.registry}/late:1", timeout=1)))
    with FaultyServer(fake) as server:
        agent = machine.start(server)
        server.wait_until(lambda: b"trying again" in fake.logs.get(("t", "a", 1), b""))
        machine.docker.start_registry()
        assert agent.wait(within=60) == 0
    assert fake.ends() == [("a", 1, "SUCCESS")]
    assert log_of(fake, "a") == "at last\n"


@pytest.mark.parametrize(
    ("script", "code"), [("trap 'echo asked; exit 7' TERM; sleep 300 & wait", 7), ("trap '' TERM; sleep 300", 137)]
)
def test_what_takes_too_long_is_asked_to_stop_and_then_made_to(machine: Machine, script: str, code: int) -> None:
    fake = FakeServer(workflow(shell("a", f"echo began; {script}", timeout=1, on_timeout=("sh", "-c", "echo late"))))
    machine.carry_out(fake)
    assert fake.ends() == [("a", 1, "TIMEOUT"), ("a:on-timeout", 1, "SUCCESS")]
    assert log_of(fake, "a").startswith("began\n")
    assert code == next(event["exit_code"] for event in fake.accepted if event["type"] == "action-ended")


def test_a_cancelled_run_leaves_no_container(machine: Machine) -> None:
    fake = FakeServer(workflow(shell("a", "echo began; sleep 300")))
    with FaultyServer(fake) as server:
        agent = machine.start(server)
        server.wait_until(lambda: b"began" in fake.logs.get(("t", "a", 1), b""))
        fake.cancel = True
        assert agent.wait(within=60) == 0
    assert fake.ends() == [("a", 1, "INTERRUPTED")]
    assert machine.containers() == ""


@pytest.mark.parametrize(("docker", "sdk"), PAIRS, indirect=["docker"])
def test_a_container_outlives_its_agent_and_the_next_one_goes_on_with_it(machine: Machine, sdk: str) -> None:
    machine.sdk = sdk
    os.mkfifo(machine.folder / "go")
    script = "seq 1000; cat /mnt/go; seq 1000 2000"
    fake = FakeServer(workflow(shell("a", script, volumes=(f"{machine.folder}:/mnt",))))
    with FaultyServer(fake) as server:
        agent = machine.start(server)
        server.wait_until(lambda: b"\n1000\n" in fake.logs.get(("t", "a", 1), b""))
        agent.kill()
        again = machine.start(server)
        again.wait_for("t/a still runs")
        (machine.folder / "go").write_text("")
        assert again.wait(within=60) == 0
    assert fake.ends() == [("a", 1, "SUCCESS")]
    assert log_of(fake, "a") == "".join(f"{n}\n" for n in (*range(1, 1001), *range(1000, 2001)))


@pytest.mark.parametrize(
    ("docker", "seed"), [(Docker, seed) for seed in range(8)] + [(Podman, seed) for seed in range(3)], indirect=["docker"]
)
def test_an_agent_killed_anywhere_runs_no_attempt_twice(machine: Machine, seed: int) -> None:
    dice = random.Random(seed)
    kills = {dice.randint(1, 9) for _ in range(2)}
    script = "echo $GITBOOT_ACTION.$GITBOOT_ATTEMPT >> /mnt/ran; seq 50"
    volumes = (f"{machine.folder}:/mnt",)
    fake = FakeServer(workflow(*(shell(name, script, volumes=volumes, retries=3) for name in "ab")))

    def kill_at(path: str, number: int) -> None:
        if number in kills:
            machine.agents[-1].kill()

    with FaultyServer(fake) as server:
        server.after = kill_at
        while machine.start(server).wait(within=60):
            assert len(machine.agents) < 10, machine.agents[-1].transcript.text()
    ran = (machine.folder / "ran").read_text().split()
    assert len(ran) == len(set(ran)), "an attempt ran twice"
    assert {f"{name}.{attempt}" for name, attempt, state in fake.ends() if state == "SUCCESS"} <= set(ran)
    assert fake.ended is not None
    assert fake.ended["state"] == "SUCCESS"
    whole = "".join(f"{n}\n" for n in range(1, 51))
    assert all(log_of(fake, name, attempt) == whole for name, attempt, state in fake.ends() if state == "SUCCESS")
    assert machine.containers() == ""


HASTY = """
from functools import partial
from agent import docker_runtime, engine, main
engine.ANSWER_TIME, docker_runtime.LOOK = 4.0, 0.5
main.DockerRuntime = partial(docker_runtime.DockerRuntime, patience={patience})
raise SystemExit(main.main())
"""
"""An agent that loses its patience with a silent engine within a test's time."""


@pytest.mark.parametrize("docker", BOTH, indirect=True)
def test_an_engine_that_hangs_for_a_while_costs_nothing(machine: Machine) -> None:
    os.mkfifo(machine.folder / "go")
    fake = FakeServer(workflow(shell("a", "echo began; cat /mnt/go; seq 100", volumes=(f"{machine.folder}:/mnt",))))
    with FaultyServer(fake) as server:
        agent = machine.start(server, ("-c", HASTY.format(patience=60)))
        server.wait_until(lambda: b"began" in fake.logs.get(("t", "a", 1), b""))
        with machine.docker.engine.stopped():
            (machine.folder / "go").write_text("")
            beats = server.requests.count("/agent/heartbeat")
            server.wait_until(lambda: server.requests.count("/agent/heartbeat") > beats)
            assert [] == fake.ends()
        assert agent.wait(within=60) == 0
    assert [("a", 1, "SUCCESS")] == fake.ends()
    assert log_of(fake, "a") == "began\n" + "".join(f"{n}\n" for n in range(1, 101))


@pytest.mark.parametrize("docker", BOTH, indirect=True)
def test_an_engine_that_hangs_for_good_fails_its_action_with_a_sentence(machine: Machine) -> None:
    fake = FakeServer(workflow(shell("a", "echo began; sleep 300")))
    with FaultyServer(fake) as server:
        agent = machine.start(server, ("-c", HASTY.format(patience=2)))
        server.wait_until(lambda: b"began" in fake.logs.get(("t", "a", 1), b""))
        with machine.docker.engine.stopped():
            assert agent.wait(within=60) == 0
    assert [("a", 1, "FAILED")] == fake.ends()
    assert "it was lost: the container engine does not answer: " in reason_of(fake, "a")


def limit_memory(pid: int) -> None:
    """Of the control group of a process, to 16 MiB."""
    groups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "memory" in groups:
        Path(f"/sys/fs/cgroup/memory{groups['memory']}/memory.limit_in_bytes").write_text("16M")
    else:
        Path(f"/sys/fs/cgroup{groups['']}/memory.max").write_text("16M")


def test_an_action_that_the_kernel_killed_for_its_memory_is_told_so(machine: Machine) -> None:
    os.mkfifo(machine.folder / "go")
    eat = "echo began; cat /mnt/go; exec dd if=/dev/zero of=/dev/null bs=256M count=1"
    fake = FakeServer(workflow(shell("a", eat, volumes=(f"{machine.folder}:/mnt",))))
    with FaultyServer(fake) as server:
        agent = machine.start(server)
        server.wait_until(lambda: b"began" in fake.logs.get(("t", "a", 1), b""))
        limit_memory(int(machine.docker.ask("docker", "inspect", "--format={{.State.Pid}}", *machine.containers().split())))
        (machine.folder / "go").write_text("")
        assert agent.wait(within=60) == 0
    assert [("a", 1, "FAILED")] == fake.ends()
    assert reason_of(fake, "a") == "out of memory: the kernel killed it"


def test_without_an_engine_the_agent_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from agent import engine, main; engine.PATIENCE = 0.0; raise SystemExit(main.main())"
    words = ["--server", "http://127.0.0.1:1", "--boot", "b", "--token", "t", "--state", str(tmp_path / "state")]
    argv = [sys.executable, "-c", script, *words, "--runtime", "docker", "--engine", f"unix://{tmp_path}/none.sock"]
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"no container engine answers at unix://{tmp_path}/none.sock within 0 s; is it started?" in done.stdout


# Secrets ---------------------------------------------------------------------------------------------------------------


def test_a_locked_registry_gives_its_image_to_the_login_alone(machine: Machine, archive: Path) -> None:
    docker = machine.docker
    docker.start_locked_registry()
    docker.push(archive, "busybox:1", "busybox:1", docker.locked_registry)
    image = f"{docker.locked_registry}/busybox:1"
    username, password = docker.login
    for login, state in ((None, "FAILED"), ({"username": username, "password": "wrong password"}, "FAILED"),
                         ({"username": username, "password": password}, "SUCCESS")):  # fmt: skip
        registry = docker.locked_registry if login else ""
        fake = FakeServer(workflow(shell("a", "echo ran", image, login=registry)), login=login)
        machine.carry_out(fake)
        assert [("a", 1, state)] == fake.ends(), fake.logs
        if state == "FAILED":
            assert "images.pullSecrets" in reason_of(fake, "a")
    assert "ran\n" == log_of(fake, "a")
    assert [] == holding(machine, password)


def test_a_container_gets_its_secrets_and_nothing_of_them_is_left(machine: Machine) -> None:
    secrets = (Secret("db", "pw", env="PW"), Secret("tls", "key", file="/run/secrets/key"))
    script = "echo $PW; cat /run/secrets/key; echo; echo x > /run/secrets/key; echo $PW | base64; test \"$PW\" = 'secret db/pw'"
    next_one = 'ls /run/secrets/key; echo "<$PW>"; find /dev/shm -type f'
    fake = FakeServer(workflow(shell("a", script, secrets=secrets), shell("b", next_one)))
    said = machine.carry_out(fake)
    assert [("a", 1, "SUCCESS"), ("b", 1, "SUCCESS")] == fake.ends(), fake.logs
    lines = log_of(fake, "a").splitlines()  # of two streams, in whatever order
    assert {"*" * len("secret db/pw"), "*" * len("secret tls/key")} <= set(lines)
    assert "Read-only file system" in log_of(fake, "a")
    assert "<>" in log_of(fake, "b")
    assert "gitboot" not in log_of(fake, "b")
    told = repr((fake.accepted, fake.logs)) + said
    assert not any(form in told for form in ("secret db/pw", "secret tls/key", "c2VjcmV0IGRi"))
    assert [] == holding(machine, "secret db/pw") + holding(machine, "secret tls/key")


def holding(machine: Machine, secret: str) -> list[str]:
    """The files of the agent, and of the engine, that hold a secret; what tests were given to know of it apart."""
    places = [machine.folder, machine.docker.folder / "root" / "containers"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return [str(path) for path in files if secret.encode() in path.read_bytes()]
