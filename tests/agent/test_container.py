"""What an engine is asked for, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import Exited
from agent.container import Around, container_name, exit_of, kills_for_memory, mounts, ran, sentence, specification
from agent.messages import Attempt
from agent.workflow import Action

AROUND = Around("r1", "http://10.1.0.1", "/run/x")
ATTEMPT = Attempt("os", "wipe", 2)


def made(action: Action, *command: str, driver: str = "local") -> dict[str, Any]:
    return specification(AROUND, ATTEMPT, action, command, "sha256:1", 17, driver)


def test_a_container_has_all_that_an_action_may_need() -> None:
    host = made(Action("wipe", "img", pid="host"), "disk", "all")["HostConfig"]
    assert (True, "host", "host") == (host["Privileged"], host["NetworkMode"], host["PidMode"])
    assert ["/dev:/dev", "/run/x:/gitboot"] == host["Binds"]


def test_it_runs_what_was_fetched_with_the_command_or_the_images_own() -> None:
    assert ("sha256:1", ["disk", "all"]) == (
        made(Action("a", "img"), "disk", "all")["Image"],
        made(Action("a", "i"), "disk", "all")["Cmd"],
    )
    assert made(Action("a", "img"))["Cmd"] is None


def test_an_action_is_told_its_parameters_and_which_run_it_is_of() -> None:
    told = made(Action("wipe", "img", environment={"DISK": "/dev/sda", "GITBOOT_RUN": "forged"}))["Env"]
    expected = ["DISK=/dev/sda", "GITBOOT_RUN=r1", "GITBOOT_TASK=os", "GITBOOT_ACTION=wipe", "GITBOOT_ATTEMPT=2"]
    expected += ["GITBOOT_IMAGE=img", "GITBOOT_SERVER=http://10.1.0.1", "GITBOOT_MACHINE=/gitboot/machine.json"]
    assert sorted(expected) == sorted(told)


def test_the_container_remembers_whose_it_is_and_where_its_output_begins() -> None:
    assert {"gitboot.run": "r1", "gitboot.log-offset": "17"} == made(Action("a", "img"))["Labels"]


def test_output_is_kept_byte_for_byte_and_bounded() -> None:
    expected = {"Type": "local", "Config": {"max-size": "128m", "max-file": "1", "compress": "false"}}
    assert expected == made(Action("a", "img"))["HostConfig"]["LogConfig"]
    assert {"Type": "k8s-file", "Config": {}} == made(Action("a", "i"), driver="k8s-file")["HostConfig"]["LogConfig"]


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        (("/dev:/dev", "/dev/console:/dev/console"), ["/dev:/dev", "/dev/console:/dev/console", "/run/x:/gitboot"]),
        (("/lib/firmware:/lib/firmware:ro",), ["/dev:/dev", "/lib/firmware:/lib/firmware:ro", "/run/x:/gitboot"]),
        (("/a:/x", "/b:/x/"), ["/dev:/dev", "/b:/x/", "/run/x:/gitboot"]),
        (("/evil:/gitboot",), ["/dev:/dev", "/run/x:/gitboot"]),
        (("/dev:/dev:ro",), ["/dev:/dev:ro", "/run/x:/gitboot"]),
    ],
)
def test_no_target_is_mounted_twice_and_the_later_volume_wins(volumes: tuple[str, ...], expected: list[str]) -> None:
    assert expected == mounts(volumes, "/run/x")


names = st.text(max_size=4)
attempts = st.tuples(names, st.builds(Attempt, names, names, st.integers(1, 12)))


@given(st.lists(attempts, unique=True))
def test_different_attempts_never_share_a_container(many: list[tuple[str, Attempt]]) -> None:
    assert len(many) == len({container_name(run, attempt) for run, attempt in many})


def test_a_container_is_found_by_its_name_after_any_restart() -> None:
    """This very name: an agent of the next version has to find what this one started."""
    assert "gitboot-669722cb5c5d1dfd1e10d03e4e1e4d06" == container_name("r1", ATTEMPT)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Status": "running", "Running": True}, None),
        ({"Status": "paused", "Running": True, "Paused": True}, None),
        ({"Status": "exited", "ExitCode": 0}, Exited(0)),
        ({"Status": "exited", "ExitCode": 3}, Exited(3)),
        ({"Status": "exited", "ExitCode": 200}, Exited(200)),
        ({"Status": "exited", "ExitCode": 137}, Exited(137, reason="exit code 137, as after signal 9 (SIGKILL)")),
        ({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, Exited(137, reason="out of memory: the kernel killed it")),
        ({"Status": "created", "ExitCode": 127, "Error": "no such\n file"}, Exited(None, reason="no such file")),
        ({"Status": "configured"}, Exited(None, reason="it was made and never started")),
        ({"Status": "exited", "ExitCode": 0, "Error": "shim died"}, Exited(None, reason="shim died")),
        (
            {"Status": "stopped", "ExitCode": -1},
            Exited(None, reason="the engine does not know how it ended; was this machine too busy for it?"),
        ),
    ],
)
def test_the_state_says_how_it_ended(state: dict[str, Any], expected: Exited | None) -> None:
    assert expected == exit_of(state)


def test_sigkill_while_the_kernel_killed_for_memory_is_a_want_of_memory_and_no_other_end_is() -> None:
    assert Exited(137, reason="out of memory: the kernel killed it") == exit_of({"Status": "exited", "ExitCode": 137}, True)
    for code in (0, 3, 143):
        assert exit_of({"Status": "exited", "ExitCode": code}) == exit_of({"Status": "exited", "ExitCode": code}, True)


def test_the_kernel_counts_what_it_kills_for_memory() -> None:
    assert 6 == kills_for_memory("pgfault 12\noom_kill 6\nnr_oom_kill 7\n")
    assert 0 == kills_for_memory("pgfault 12\n")


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("2026-11-20T13:02:04.000000001Z", "2026-11-20T13:02:14.5Z", 10.5),
        ("2026-11-20T13:02:04.134Z", "2026-11-20T13:02:04.133Z", 0.0),
        ("0001-01-01T00:00:00Z", "", 0.0),
        (None, None, 0.0),
    ],
)
def test_how_long_it_ran_comes_from_the_engine(begin: str | None, end: str | None, expected: float) -> None:
    assert expected == ran({"StartedAt": begin, "FinishedAt": end})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start:\n exec: no: unknown",
            "unable to start: exec: no",
        ),
        (
            'runc: time="2026-11-20T16:08:35Z" level=error msg="unable to start container process: exec: \\"no\\": not found":'
            " OCI runtime attempted to invoke a command that was not found",
            'unable to start container process: exec: "no": not found',
        ),
    ],
    ids=["dockerd", "podman"],
)
def test_an_engines_error_is_told_by_its_cause(error: str, told: str) -> None:
    assert told == sentence(error)
