"""Containers over an engine in memory: started once, found again, stopped in time, with a log that is whole."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agent.commands import Exited, Found, NotFound
from agent.container import Around, container_name, specification
from agent.docker_runtime import DockerRuntime
from agent.engine import Refused, Unavailable
from agent.given import Given
from agent.images import Images
from agent.messages import Attempt
from agent.scrub import Scrubber
from agent.workflow import Action
from tests.agent.fake_engine import DEADLINE, FakeEngine

ATTEMPT = Attempt("os", "disk", 1)
AROUND = Around("r1", "http://10.1.0.1", "/x")
NAME = container_name("r1", ATTEMPT)
ACTION = Action("disk", "img", ("write",))


@pytest.fixture
def engine() -> FakeEngine:
    made = FakeEngine()
    made.registry["img"] = {"Id": "sha256:1"}
    return made


Make = Callable[[], DockerRuntime]


@pytest.fixture
def scrubber() -> Scrubber:
    return Scrubber()


@pytest.fixture
def memory() -> Iterator[Path]:
    folder = Path("/dev/shm") / f"gitboot-test-{uuid4().hex}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def agent(engine: FakeEngine, tmp_path: Path, scrubber: Scrubber, memory: Path) -> Iterator[Make]:
    """Makes the runtime of one more agent on this machine."""

    def make() -> DockerRuntime:
        images = Images(engine, "http://10.1.0.1", tmp_path / "images", pause=lambda _: None)
        runtime = DockerRuntime(tmp_path, AROUND, engine, images, patience=0.0, scrubber=scrubber, memory=memory)
        runtime._pause = lambda _: None
        return runtime

    yield make
    for name in list(engine.containers):  # so that no thread of a test outlives it
        engine.remove(name)


def begin(runtime: DockerRuntime) -> DockerRuntime:
    runtime.start(ATTEMPT, ACTION, ACTION.command)
    runtime.begun(ATTEMPT)
    return runtime


def test_a_container_is_made_started_and_removed_when_its_end_and_log_are_written_down(engine: FakeEngine, agent: Make) -> None:
    runtime = begin(agent())
    engine.say(NAME, b"one\n", b"\xff\n")
    engine.end(NAME, 3)
    assert Exited(3) == runtime.wait(ATTEMPT)
    assert [f"create {NAME}", f"start {NAME}", f"remove {NAME}"] == engine.journal[1:]
    ours, theirs = runtime.log(ATTEMPT).read_bytes().split(b"one\n")
    assert b"\xff\n" == theirs
    assert ours.startswith(b"gitboot: pulling img\ngitboot: img is here after ")
    assert Found(0.0, Exited(3)) == agent().find(ATTEMPT)


def test_the_kernel_is_asked_whether_it_killed_for_memory_since_the_start(
    engine: FakeEngine, agent: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.docker_runtime.VMSTAT", tmp_path / "vmstat")
    for before, after, words in ((6, 7, "out of memory: the kernel killed it"), (7, 7, "exit code 137, as after signal 9")):
        (tmp_path / "vmstat").write_text(f"oom_kill {before}\n")
        runtime = begin(agent())
        (tmp_path / "vmstat").write_text(f"oom_kill {after}\n")
        engine.end(NAME, 137)
        assert runtime.wait(ATTEMPT).reason.startswith(words)


def left_by_a_dead_agent(
    engine: FakeEngine, runtime: DockerRuntime, log: bytes, status: str = "running", **more: object
) -> None:
    """An agent was killed: what it leaves is a container, and as much of a log as it had come to write."""
    runtime.log(ATTEMPT).parent.mkdir(parents=True)
    runtime.log(ATTEMPT).write_bytes(log)
    engine.create(NAME, specification(AROUND, ATTEMPT, ACTION, (), "sha256:1", len(b"ours\n"), "local"))
    vars(engine.containers[NAME]).update(status=status, **more)


@pytest.mark.parametrize("known", [b"ours\n", b"ours\no", b"ours\none\n", b"ours\none\ntw", b"ours\none\ntwo\n"])
def test_the_next_agent_finds_what_runs_and_goes_on_with_its_log(engine: FakeEngine, agent: Make, known: bytes) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, known, output=[b"one\n", b"two\n"])
    assert Found(0.0) == runtime.find(ATTEMPT)
    engine.say(NAME, b"three\n")
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert runtime.log(ATTEMPT).read_bytes() == b"ours\none\ntwo\nthree\n"


def test_what_ended_while_there_was_no_agent_is_found_with_its_whole_log(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"ours\non", "exited", code=4, output=[b"one\n"])
    assert Found(0.0, Exited(4)) == runtime.find(ATTEMPT)
    assert runtime.log(ATTEMPT).read_bytes() == b"ours\none\n"
    assert {} == engine.containers
    assert Found(0.0, Exited(4)) == agent().find(ATTEMPT)


def test_an_action_that_never_stops_writing_does_not_fill_the_memory(
    engine: FakeEngine, agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.docker_runtime.KEPT_LOG", 12)
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"ours\n", output=[b"one\n", b"two\n"])
    assert Found(0.0) == runtime.find(ATTEMPT)
    engine.say(NAME, b"three\n", b"four\n")
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert runtime.log(ATTEMPT).read_bytes() == b"ours\none\ntwo"


def test_the_last_words_are_kept_though_the_engine_stops_telling_before_them(engine: FakeEngine, agent: Make) -> None:
    """dockerd 20.10 may end a log that is followed before it has written the last line down."""
    tell, told = engine.output, []

    def too_soon(name: str) -> Iterator[bytes]:
        told.append(name)
        return iter([b"one\n"]) if len(told) == 1 else tell(name)

    engine.output = too_soon  # type: ignore[method-assign]  # the engine of this test
    runtime = begin(agent())
    engine.say(NAME, b"one\n", b"last words")
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert runtime.log(ATTEMPT).read_bytes().endswith(b" s\none\nlast words")


def test_what_was_made_and_not_started_never_starts(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"ours\n", "created")
    assert NotFound("the agent stopped before the action began") == runtime.find(ATTEMPT)
    assert {} == engine.containers


def test_what_the_engine_could_not_start_is_found_with_the_reason(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"ours\n", "created", error="no such file", code=127)
    assert Found(0.0, Exited(None, reason="no such file")) == runtime.find(ATTEMPT)


def test_what_was_never_made_is_not_found(agent: Make) -> None:
    assert NotFound("the agent stopped before the action began") == agent().find(ATTEMPT)


def test_whatever_is_left_of_the_run_is_removed_before_anything_starts(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"of the time before a reset\n")
    begin(runtime)
    engine.end(NAME)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert [f"remove {NAME}", "pull img", f"create {NAME}"] == engine.journal[1:4]
    assert b"reset" not in runtime.log(ATTEMPT).read_bytes()


def test_an_image_that_cannot_be_had_is_an_exit_with_a_reason(engine: FakeEngine, agent: Make) -> None:
    engine.registry.clear()
    ended = begin(agent()).wait(ATTEMPT)
    assert Exited(None, reason="img cannot be pulled: manifest for img not found: manifest unknown") == ended
    assert Found(0.0, ended) == agent().find(ATTEMPT)


@pytest.mark.parametrize(("verb", "error"), [("create", Refused(400, "bad mount")), ("start", Refused(400, "no such file"))])
def test_what_the_engine_refuses_is_an_exit_with_a_reason(engine: FakeEngine, agent: Make, verb: str, error: Exception) -> None:
    engine.trouble = failing(verb, error)
    assert Exited(None, reason=f"its container could not be started: {error}") == begin(agent()).wait(ATTEMPT)
    assert {} == engine.containers


def failing(verb: str, error: Exception) -> Callable[[str, str], None]:
    def trouble(asked: str, name: str) -> None:
        if asked == verb:
            raise error

    return trouble


def test_a_start_whose_answer_was_lost_does_not_run_on(engine: FakeEngine, agent: Make) -> None:
    start = engine.start

    def lose_answer(name: str) -> None:
        start(name)
        raise Unavailable("timed out")

    engine.start = lose_answer  # type: ignore[method-assign]  # the engine of this test
    assert "timed out" in begin(agent()).wait(ATTEMPT).reason
    assert {} == engine.containers


def test_an_engine_that_is_away_for_good_is_an_exit_with_a_reason(engine: FakeEngine, agent: Make) -> None:
    runtime = begin(agent())
    engine.trouble = lambda verb, name: away()
    assert Exited(None, reason="it was lost: nobody listens") == runtime.wait(ATTEMPT)
    assert NotFound("nobody knows what became of it: nobody listens") == agent().find(ATTEMPT)
    engine.trouble = lambda verb, name: None


def away() -> None:
    raise Unavailable("nobody listens")


def test_a_container_that_somebody_removed_has_ended(engine: FakeEngine, agent: Make) -> None:
    runtime = begin(agent())
    engine.remove(NAME)
    assert Exited(None, reason="its container was removed by somebody else") == runtime.wait(ATTEMPT)


def test_what_runs_is_stopped_by_the_engine(engine: FakeEngine, agent: Make) -> None:
    runtime = begin(agent())
    runtime.kill(ATTEMPT)
    assert runtime.wait(ATTEMPT).exit_code == 137
    assert f"stop {NAME}" in engine.journal


def test_what_an_earlier_agent_started_can_be_stopped(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, b"ours\n")
    runtime.find(ATTEMPT)
    runtime.kill(ATTEMPT)
    assert runtime.wait(ATTEMPT).exit_code == 137


def test_stopped_while_its_image_is_fetched_it_has_ended_at_once_and_never_begins(engine: FakeEngine, agent: Make) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slowly(verb: str, name: str) -> None:
        if verb == "pull":
            asked.set()
            assert go_on.wait(DEADLINE)

    engine.trouble = slowly
    runtime = agent()
    runtime.start(ATTEMPT, ACTION, ACTION.command)
    assert asked.wait(DEADLINE)
    runtime.kill(ATTEMPT)
    runtime.begun(ATTEMPT)
    assert Exited(None, reason="stopped before it began") == runtime.wait(ATTEMPT)
    go_on.set()
    runtime._threads[ATTEMPT].join(DEADLINE)
    assert ["pull img"] == engine.journal


def test_stopped_while_it_starts_it_is_stopped_when_it_has_started(engine: FakeEngine, agent: Make) -> None:
    runtime = agent()
    engine.trouble = lambda verb, name: runtime.kill(ATTEMPT) if verb == "start" else None
    begin(runtime)
    assert runtime.wait(ATTEMPT).exit_code == 137
    assert engine.journal.index(f"start {NAME}") < engine.journal.index(f"stop {NAME}")


def test_a_finished_run_leaves_nothing(engine: FakeEngine, agent: Make, tmp_path: Path) -> None:
    runtime = begin(agent())
    runtime.clear()
    assert {} == engine.containers
    assert [] == list(tmp_path.iterdir())


# Secrets ---------------------------------------------------------------------------------------------------------------

GIVEN = Given({"PW": "correct horse"}, {"/run/key": "battery staple\n"})


def begin_with(runtime: DockerRuntime, given: Given) -> DockerRuntime:
    runtime.start(ATTEMPT, ACTION, ACTION.command, given)
    runtime.begun(ATTEMPT)
    return runtime


def test_secrets_are_in_the_environment_and_in_files_of_memory_while_the_container_lives(
    engine: FakeEngine, agent: Make, tmp_path: Path, memory: Path
) -> None:
    runtime = begin_with(agent(), GIVEN)
    made = engine.containers[NAME].specification
    assert "PW=correct horse" in made["Env"]
    [bind] = [bind for bind in made["HostConfig"]["Binds"] if ":/run/key" in bind]
    source, _, target = bind.partition(":")
    assert "/run/key:ro" == target
    assert Path(source).is_relative_to(memory)
    assert "battery staple\n" == Path(source).read_text()
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert [] == [path for path in memory.rglob("*") if path.is_file()]
    assert not any(b"correct horse" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("known", [b"ours\n", b"ours\na ***", b"ours\na ************* b\n"])
def test_a_log_is_scrubbed_wherever_it_was_cut_and_taken_up_again(
    engine: FakeEngine, agent: Make, scrubber: Scrubber, known: bytes
) -> None:
    scrubber.learn(["correct horse"])
    runtime = agent()
    left_by_a_dead_agent(engine, runtime, known, output=[b"a corr", b"ect horse b\n", b"corr"])
    assert Found(0.0) == runtime.find(ATTEMPT)
    engine.say(NAME, b"ect ho")
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert b"ours\na ************* b\ncorrect ho" == runtime.log(ATTEMPT).read_bytes()


def test_what_the_engine_says_of_a_secret_is_scrubbed_too(
    engine: FakeEngine, agent: Make, scrubber: Scrubber, tmp_path: Path
) -> None:
    def trouble(verb: str, name: str) -> None:
        if verb == "create":
            raise Refused(400, "invalid environment variable: correct horse")

    scrubber.learn(GIVEN.values)
    engine.trouble = trouble
    runtime = begin_with(agent(), GIVEN)
    assert "invalid environment variable: *************" in str(runtime.wait(ATTEMPT).reason)
    assert not any(b"correct horse" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_without_memory_for_its_files_an_action_does_not_start(
    engine: FakeEngine, agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.memory._file_system", lambda path: "ext4")
    runtime = begin_with(agent(), GIVEN)
    assert "is not in memory: mount a tmpfs there" in str(runtime.wait(ATTEMPT).reason)
    assert {} == engine.containers


def test_the_login_of_a_registry_reaches_the_engine_and_nothing_else(
    engine: FakeEngine, agent: Make, scrubber: Scrubber, tmp_path: Path
) -> None:
    login = {"username": "me", "password": "pass word"}
    engine.logins["img"] = login
    runtime = begin_with(agent(), Given(login=login))
    assert "pass word" not in str(engine.containers[NAME].specification)
    engine.end(NAME, 0)
    assert Exited(0) == runtime.wait(ATTEMPT)
    assert not any(b"pass word" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
