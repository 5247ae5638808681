"""`gitboot logs`: whole lines, of each log once, in order, and nothing that a terminal would obey."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from reconciler.commands.logs import LONGEST, Log, _Printer
from tests.reconciler.answers import answering, said
from tests.reconciler.test_commands import call

pytestmark = pytest.mark.shell
BAR = b"1%\r50%\r\n"


def attempt(log: str, number: int = 1, ended: bool = True, reset: int = 0) -> dict[str, Any]:
    at = f"2026-01-31T12:00:0{number}Z"
    return {"attempt": number, "reset": reset, "started": at, "ended": at if ended else None, "log": f"/logs/{log}.log"}


def run(state: str, machine: str = "node-01", number: int = 2, **actions: list[dict[str, Any]]) -> dict[str, Any]:
    tasks = [{"name": "os", "actions": [{"name": name, "attempts": each} for name, each in actions.items()]}]
    return {"workflow": "install", "number": number, "machine": machine, "state": state, "started": "2026", "tasks": tasks}


def hardware(run: dict[str, Any] | None, action: str = "disk", **more: Any) -> dict[str, Any]:
    return {"name": "node-01", "run": run, "step": {"action": action}, "boot": None, **more}


class Said:
    """What there is by path; a function is asked anew each time."""

    def __init__(self) -> None:
        self.documents: dict[str, Callable[[], dict[str, Any]] | dict[str, Any]] = {}
        self.logs: dict[str, bytes] = {}
        self.asked: list[str] = []

    def answer(self, path: str, ranged: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path.startswith("/logs/"):
            first, last = map(int, ranged.removeprefix("bytes=").split("-"))
            part = self.logs.get(path.removeprefix("/logs/").removesuffix(".log"), b"")[first : last + 1]
            return (206, part) if part else (416, b"")
        document = self.documents.get(path.removeprefix("/status/").removesuffix(".json"))
        return (200, said(document() if callable(document) else document)) if document else (404, b"")

    def logs_of(self, *words: str) -> Result:
        with answering(self.answer) as url:
            return call("logs", *words, "--server", url)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setattr("reconciler.commands.logs.PAUSE", 0.0)
    return Said()


def test_a_machine_s_latest_run_is_printed_log_by_log(server: Said) -> None:
    run_ = run("FAILED", wipe=[attempt("wipe")], grub=[attempt("grub", 1, reset=1), attempt("again", 2)])
    server.documents["hardware/node-01"] = hardware(run_)
    server.logs = {"wipe": b"one\ntwo \x1b[31m\xff\tx\n", "grub": b"", "again": BAR + b"no end"}
    assert [
        "==> node-01: install run 2, os/wipe <==", "one", r"two \x1b[31m\xff" + "\tx", "",
        "==> node-01: install run 2, os/grub, attempt 2 <==", "1%", "50%", "no end",
    ] == server.logs_of("node-01").output.splitlines()  # fmt: skip


def test_one_action_alone_is_printed_and_a_wrong_name_is_told_the_others(server: Said) -> None:
    server.documents["hardware/node-01"] = hardware(run("SUCCESS", wipe=[attempt("wipe")], grub=[attempt("grub")]))
    server.logs = {"wipe": b"one\n", "grub": b"two\n"}
    assert "two" in (only := server.logs_of("node-01", "--action", "grub").output)
    assert "one" not in only
    wrong = server.logs_of("node-01", "--action", "grob")
    assert (2, True) == (wrong.exit_code, "there are wipe, grub" in wrong.output)


def rack(server: Said) -> None:
    """node-01 has run install, node-02 has run nothing, node-03, in another rack, has run inspect."""
    names = [f"node-0{number}" for number in (1, 2, 3)]
    runs = [run("SUCCESS", wipe=[attempt("one")]), None,
            run("SUCCESS", "node-03", look=[attempt("three")]) | {"workflow": "inspect"}]  # fmt: skip
    for name, last in zip(names, runs, strict=True):
        server.documents[f"hardware/{name}"] = hardware(last) | {"name": name}
    server.documents["index"] = {"documents": [f"/status/hardware/{name}.json" for name in names]}
    rows = [{"name": name, "labels": {"rack": "r2" if name == "node-03" else "r1"}} for name in names]
    server.documents["fleet"] = {"machines": rows}
    server.logs = {"one": b"1\n", "three": b"3\n"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("node-[01-03]",), ["1", "3"]),
        (("node-03,node-01",), ["3", "1"]),
        (("-l", "rack=r1"), ["1"]),
        (("node-[01-03]", "-l", "rack=r2"), ["3"]),
        (("node-[01-03]", "--action", "look"), ["3"]),
        (("node-[01-03]", "-f"), ["1", "3"]),
    ],
)
def test_a_list_is_printed_machine_by_machine(server: Said, words: tuple[str, ...], expected: list[str]) -> None:
    rack(server)
    assert expected == [line for line in server.logs_of(*words).output.splitlines() if line and not line.startswith("==>")]


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ((), 2, "Say whose logs"),
        (("node-[01-04]",), 2, "There is no machine 'node-04'"),
        (("node-[01-03]", "--action", "grob"), 2, "install, inspect has no action 'grob'; there are wipe, look."),
        (("-l", "rack=r9"), 1, "no machine with these labels has printed"),
        (("node-[01-03]", "--console"), 1, "node-01, node-02, node-03 has printed nothing so far; `gitboot status` says"),
    ],
)
def test_a_list_of_which_nothing_can_be_printed(server: Said, words: tuple[str, ...], code: int, expected: str) -> None:
    rack(server)
    result = server.logs_of(*words)
    assert (code, True) == (result.exit_code, expected in result.output), result.output


def test_a_workflow_is_printed_of_all_its_machines_and_only_its_latest_run(server: Said) -> None:
    runs = [run("SUCCESS", "node-02", a=[attempt("two")]), run("SUCCESS", a=[attempt("one")]), run("FAILED", number=1)]
    server.documents["workflows/install"] = {"runs": runs, "run": 2, "state": "SUCCESS"}
    server.logs = {"one": b"1\n", "two": b"2\n"}
    lines = server.logs_of("install").output.splitlines()
    assert ["==> node-01: install run 2, os/a <==", "1"] == lines[:2]
    assert ["==> node-02: install run 2, os/a <==", "2"] == lines[3:]


def test_following_ends_with_the_run_and_prints_every_line_once(server: Said) -> None:
    steps = [b"", b"one\n", b"one\ntw", b"one\ntwo\n", b"one\ntwo\nthree\n"]

    def document() -> dict[str, Any]:
        over = len(steps) == 1
        server.logs["a"] = steps[0] if over else steps.pop(0)
        return hardware(run("SUCCESS" if over else "RUNNING", a=[attempt("a", ended=over)]))

    server.documents["hardware/node-01"] = document
    lines = server.logs_of("node-01", "--follow").output.splitlines()
    assert ["one", "two", "three"] == [line for line in lines if not line.startswith(("==>", "node-01 has"))]
    assert 1 == sum(line.startswith("node-01 has printed nothing so far; waiting") for line in lines)


def test_a_log_that_is_complete_is_not_asked_for_again(server: Said) -> None:
    server.logs = {"a": b"one\n", "b": b"two\n"}
    states = ["RUNNING", "RUNNING", "SUCCESS"]
    server.documents["hardware/node-01"] = lambda: hardware(
        run(states.pop(0), a=[attempt("a")], b=[attempt("b", 2, ended=not states)])
    )
    server.logs_of("node-01", "-f")
    assert (2, 4) == (server.asked.count("/logs/a.log"), server.asked.count("/logs/b.log"))


def test_the_console_of_the_latest_boot(server: Said) -> None:
    server.documents["hardware/node-01"] = hardware(None, boot={"console": "/logs/boot-1/os/console.1.log", "closed": None})
    server.logs["boot-1/os/console.1"] = b"gitboot: starts\n"
    assert "==> node-01: console <==\ngitboot: starts\n" == server.logs_of("node-01", "--console").output


def test_nothing_printed_and_nobody_of_that_name_are_sentences(server: Said) -> None:
    server.documents["hardware/node-01"] = hardware(None)
    silent = server.logs_of("node-01")
    assert (1, True) == (silent.exit_code, "has printed nothing so far; `gitboot status node-01` says" in silent.output)
    nobody = server.logs_of("node-x")
    assert (2, True) == (nobody.exit_code, "no machine and no workflow 'node-x'" in nobody.output)


def test_logs_are_read_from_a_state_directory_too(tmp_path: Path) -> None:
    (tmp_path / "status/hardware").mkdir(parents=True)
    (tmp_path / "status/hardware/node-01.json").write_bytes(said(hardware(run("SUCCESS", a=[attempt("a")]))))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("from a file\n")
    assert "from a file" in call("logs", "node-01", "--state", str(tmp_path)).output


def test_what_it_sent_by_syslog_in_its_last_boot(server: Said) -> None:
    server.documents["hardware/node-01"] = hardware(
        None, boot={"console": None, "closed": "x"}, syslog="/logs/boot-1/os/syslog.1.log"
    )
    server.logs["boot-1/os/syslog.1"] = b"12:00 kern.info starts\n"
    assert "==> node-01: syslog <==\n12:00 kern.info starts\n" == server.logs_of("node-01", "--syslog").output
    server.documents["hardware/node-01"] = hardware(None, boot=None, syslog=None)
    assert "has printed nothing so far" in server.logs_of("node-01", "--syslog").output


def test_of_a_line_without_an_end_no_more_than_a_piece_is_waited_with(capsys: pytest.CaptureFixture[str]) -> None:
    class Read:
        def log(self, path: str, offset: int) -> bytes:
            return b"x" * LONGEST if offset < 10 * LONGEST else b""

    printer = _Printer()
    printer.catch_up(Read(), Log("/logs/a.log", "a", over=False))  # type: ignore[arg-type]
    _, *lines = capsys.readouterr().out.splitlines()
    assert [2 * LONGEST] * 5 == [len(line) for line in lines]
