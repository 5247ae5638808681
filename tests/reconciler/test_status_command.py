"""What `gitboot status` says of a site; of machines and terminals, test_commands.py."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from netboot.endings import LOST
from netboot.holds import Hold, Holds, gate
from netboot.inventory_document import Kept, decode_inventory, inventory_document, inventory_link
from netboot.observed import Observed
from netboot.run_documents import Document
from netboot.status_documents import hardware_document
from reconciler.cli import main
from tests.netboot.live_machine import Agent
from tests.netboot.live_server import Live
from tests.netboot.plan_example import work
from tests.netboot.story import begun
from tests.netboot.test_inventory_document import SAID
from tests.netboot.test_status_documents import NODE, goes_to_its_disk
from tests.reconciler.answers import answering, said
from tests.reconciler.test_commands import call, written


@pytest.mark.parametrize(
    ("file", "line", "said"), [("", 0, "  error: no"), ("loop", 0, "  loop: error: no"), ("a.yaml", 3, "  a.yaml:3: error: no")]
)
def test_status_names_no_place_that_a_problem_has_not(tmp_path: Path, file: str, line: int, said: str) -> None:
    written(tmp_path, problems=({"file": file, "line": line, "severity": "error", "message": "no"},))
    assert said in call("status", "--state", tmp_path).output.splitlines()


def test_status_before_the_first_commit_names_none(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "status/reconcile.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"revision": ""}))
    assert "no commit of /srv/site was accepted so far" == call("status", "--state", tmp_path).output.splitlines()[0]


def test_status_says_what_boots_machines_by_the_packages_it_is_from(tmp_path: Path) -> None:
    written(tmp_path)
    assert "boot programs: 1 (1 of no package); artefacts: 1; digests in /status/served.json" in printed(tmp_path)
    path = tmp_path / "status/served.json"
    document = json.loads(path.read_bytes())
    (program,) = document["programs"]
    of = [program | {"package": "ipxe", "version": "1.2-3"}] * 2 + [program | {"package": "shim-signed", "version": "1.5"}]
    path.write_text(json.dumps(document | {"programs": of}))
    assert "boot programs: 3 (ipxe 1.2-3, shim-signed 1.5); artefacts: 1; digests in /status/served.json" in printed(tmp_path)


def test_status_says_which_try_a_run_is(tmp_path: Path) -> None:
    written(tmp_path)
    run = {"workflow": "look", "number": 1, "state": "RUNNING", "reason": "", "tasks": []}
    change(tmp_path, {"run": run | {"try": 1, "tries": 1}})
    assert "look run 1: RUNNING" in call("status", "--state", tmp_path, "node-01").output
    change(tmp_path, {"run": run | {"try": 2, "tries": 3}})
    assert "look run 1, try 2 of 3: RUNNING" in call("status", "--state", tmp_path, "node-01").output


def looping() -> Document:
    story, boot, run = begun()
    story.install(boot, run)
    for _ in range(4):
        goes_to_its_disk(story, 60)
    return hardware_document(NODE, story.observed, now=story.now)


def failed_and_lost() -> Document:
    story, boot, run = begun()
    story.observed.touch(boot, story.now)
    document = hardware_document(NODE, story.observed, now=story.now + LOST + 1)
    story.finish(boot, run, "FAILED", "disk/wipe: exit code 1")
    failed = hardware_document(NODE, story.observed)["conditions"]
    return document | {"conditions": failed[:-3] + document["conditions"][-3:]}


@pytest.mark.parametrize("machine", [(), ("node-01",)])
@pytest.mark.parametrize(
    ("now", "wrong"),
    [
        (looping, {"BootLoop": "ComesBack"}),
        (failed_and_lost, {"Stalled": "Failed", "AgentLost": "NotHeard"}),
    ],
)
def test_status_says_what_is_wrong_with_a_machine_since_when_and_why(
    tmp_path: Path, machine: tuple[str, ...], now: Callable[[], Document], wrong: dict[str, str]
) -> None:
    written(tmp_path)
    assert "CONDITION" not in call("status", "--state", tmp_path, *machine).output
    told = now()["conditions"]
    change(tmp_path, {"conditions": told})
    lines = [" ".join(line.split()) for line in call("status", "--state", tmp_path, *machine).output.splitlines()]
    start = lines.index("MACHINE CONDITION REASON SINCE MESSAGE") + 1
    named = {each["type"]: each for each in told}
    assert [
        f"node-01 {kind} {reason} {named[kind]['lastTransitionTime']} {named[kind]['message']}"
        for kind, reason in wrong.items()
    ] == [line for line in lines[start:] if line.startswith("node-01 ")]


def change(state: Path, fields: dict[str, Any]) -> None:
    """Give node-01's document other fields."""
    path = state / "status/hardware/node-01.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))


def printed(state: Path) -> list[str]:
    return call("status", "--state", state).output.splitlines()


def test_status_of_a_machine_shows_its_disks_and_cables_and_lets_none_of_them_speak_to_the_terminal(tmp_path: Path) -> None:
    written(tmp_path)
    assert "not known: no agent has told of it" in call("status", "--state", tmp_path, "node-01").output
    said = json.dumps({"boot": "b1", "system": "os-1", "hardware": SAID}).replace("leaf-1", "leaf\\u001b[2J")
    kept = Kept(time.time() - 7200, decode_inventory(said.encode()))
    known = json.loads((tmp_path / "status/hardware/node-01.json").read_bytes())
    known["inventory"] = inventory_link("node-01", kept)
    (tmp_path / "status/hardware/node-01.json").write_text(json.dumps(known))
    (tmp_path / "status/inventory").mkdir()
    (tmp_path / "status/inventory/node-01.json").write_text(json.dumps(inventory_document("node-01", kept)))
    lines = [" ".join(line.split()) for line in call("status", "--state", tmp_path, "node-01").output.splitlines()]
    assert f"hardware {known['inventory']['summary']}; seen 2h ago" in lines
    assert "/dev/sda 480103981056 S3Z9NB0K naa.5002538e40b1a2c3 -" in lines
    assert "eno1 52:54:00:12:34:01 i40e 10000 Mb/s Ethernet1/7 of leaf\\x1b[2J, VLAN 100" in lines
    assert "eno2 - -" in lines


def two(tmp_path: Path) -> None:
    """`written` has node-01 and node-02; they get labels."""
    written(tmp_path)
    for name, rack in (("node-01", "r1"), ("node-02", "r2")):
        path = tmp_path / f"status/hardware/{name}.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"labels": {"rack": rack, "role": "web"}}))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), ["node-01", "node-02"]),
        (("node-[01-02]",), ["node-01", "node-02"]),
        (("node-02,node-02",), ["node-02"]),
        (("-l", "rack=r2"), ["node-02"]),
        (("-l", "rack=r2", "--label", "role=web"), ["node-02"]),
        (("-l", "rack=r2", "-l", "rack=r1"), []),
    ],
)
def test_status_shows_the_machines_that_are_meant(tmp_path: Path, asked: tuple[str, ...], expected: list[str]) -> None:
    two(tmp_path)
    found = json.loads(call("status", "--state", tmp_path, *asked, "-o", "json").output)
    assert expected == [each["name"] for each in found["machines"]]
    assert found == yaml.safe_load(call("status", "--state", tmp_path, *asked, "-o", "yaml").output)


def test_status_is_wider_on_request(tmp_path: Path) -> None:
    two(tmp_path)
    wide = call("status", "--state", tmp_path, "-o", "wide").output
    assert "rack=r1,role=web" in wide
    assert "rack=r1" not in call("status", "--state", tmp_path).output


def test_watched_it_shows_the_state_of_each_moment_until_ctrl_c_which_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two(tmp_path)
    path = tmp_path / "status/hardware/node-01.json"
    said = ["at first", "at last"]

    def sleeps(_: float) -> None:
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"next": said.pop(0)}))
        if not said:
            raise KeyboardInterrupt

    monkeypatch.setattr("reconciler.commands.status.time.sleep", sleeps)
    monkeypatch.setattr("sys.argv", ["gitboot", "status", "--state", str(tmp_path), "--watch"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (130, "") == (ended.value.code, err.strip())
    assert (2, 1) == (out.count("MACHINE"), out.count("at first"))
    assert out.index("at first") > out.rindex("MACHINE")


def test_a_table_from_a_server_asks_for_the_documents_of_those_machines_alone_that_are_named(tmp_path: Path) -> None:
    two(tmp_path)
    asked: list[str] = []
    row = {"address": "10.9.0.1", "phase": "agent", "workflow": "look", "state": "RUNNING", "lastSeen": None, "next": "goes on"}
    rows = [row | {"name": f"node-0{number}", "labels": {"rack": f"r{number}"}} for number in (1, 2)]

    def answer(path: str, _: str) -> tuple[int, bytes]:
        asked.append(path.removeprefix("/status/hardware/"))
        of_all = {"/status/fleet.json": said({"machines": rows}), "/status/issues.json": said({"issues": []})}
        file = tmp_path / path.lstrip("/")
        return (200, of_all.get(path) or file.read_bytes()) if path in of_all or file.exists() else (404, b"")

    with answering(answer) as url:
        table = call("status", "--server", url).output
        assert ["node-01 10.9.0.1 agent look RUNNING never goes on"] == lines_of("node-01", table)
        assert [] == lines_of("node-02", call("status", "--server", url, "-l", "rack=r1").output)
        assert not {"node-01.json", "node-02.json"} & set(asked)
        assert lines_of("node-02", call("status", "--server", url, "-l", "rack=r2", "-o", "wide").output)
        assert ["node-02.json"] == [path for path in asked if path.startswith("node-")]


def lines_of(name: str, table: str) -> list[str]:
    return [" ".join(line.split()) for line in table.splitlines() if line.startswith(name)]


@pytest.mark.shell
def test_a_table_is_the_same_from_rows_and_from_documents(tmp_path: Path) -> None:
    with Live(tmp_path) as netboot:
        url = f"http://127.0.0.1:{netboot.http_port}"
        agent = Agent.of(netboot)
        for begins in (False, True):
            if begins:
                agent.begin()
            (row,), (long,) = (lines_of("node-01", call("status", *m, "--server", url).output) for m in ((), ("node-01,",)))
            assert re.sub(r" \d+s ", " ", long) == re.sub(r" \d+s ", " ", row)


def test_labels_that_no_machine_has_are_said_to_be_such(tmp_path: Path) -> None:
    two(tmp_path)
    assert "No machine has these labels." in call("status", "--state", tmp_path, "-l", "rack=nowhere").output
    assert "No machine has" not in call("status", "--state", tmp_path, "-l", "rack=r1").output


def test_how_a_hold_is_released_is_told_of_one_machine_and_not_in_each_line_of_all(tmp_path: Path) -> None:
    two(tmp_path)
    held = Hold("destructive", "at most 2", "there are 3", "a commit on top", {"node-02": (("look", 1),)})
    why = gate(Holds("p", held=(held,))).holds("node-02", work("look"), Observed())
    path = tmp_path / "status/hardware/node-02.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"next": f"look is due but held: {why}"}))
    table, alone = (call("status", "--state", tmp_path, *words).output for words in ((), ("node-02",)))
    assert table.rstrip().splitlines()[-1].endswith("look is due but held: policy allows at most 2, and there are 3")
    assert "there are 3; to release it: a commit on top" in alone


def test_a_server_that_does_not_answer_is_told_of_without_a_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    result = call("status", "--server", url)
    assert (1, True) == (result.exit_code, f"{url} does not answer (Connection refused); name the server" in result.output)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("node-[01-09]",), "There is no machine 'node-03'"),
        (("NODE-02",), "did you mean node-02?"),
        (("node-[",), "write node[01-16]"),
        (("-l", "rack"), "write --label rack=r1"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path: Path, asked: tuple[str, ...], said: str) -> None:
    two(tmp_path)
    result = call("status", "--state", tmp_path, *asked)
    assert (2, True) == (result.exit_code, said in result.output)
