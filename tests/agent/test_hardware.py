"""The report beside the work: when it is sent, what may go wrong, and that none of it is heard of."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import hardware
from agent.client import Refused, Unavailable
from agent.hardware import Ears, reporting
from agent.inventory import Document
from agent.lldp import Neighbour
from agent.main import main
from agent.workflow import Workflow
from netboot.inventory_document import decode_inventory
from tests.agent.fakes import FakeServer
from tests.agent.http_server import FaultyServer
from tests.agent.test_main import options

LEAF = Neighbour("52:54:00:aa:00:00", "Ethernet1/7", 120)


class FakeEars(Ears):
    """Hears one neighbour when it is let, and then nobody."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.heard: Iterator[bool] = iter((True, False))
        self.let = threading.Event()

    def listen(self, names: object) -> None:
        """On no wire."""

    def hear(self) -> bool:
        assert self.let.wait(30)
        more = next(self.heard)
        if more:
            self.neighbours["eth0"] = LEAF
        return more

    def stop(self) -> None:
        self.heard = iter((False,))
        self.let.set()


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> list[FakeEars]:
    """What was listened with."""
    made: list[FakeEars] = []

    def make(seconds: float) -> FakeEars:
        made.append(FakeEars(seconds))
        return made[-1]

    monkeypatch.setattr(hardware, "Ears", make)
    monkeypatch.setattr(hardware, "read_inventory", lambda neighbours: {"cards": sorted(neighbours)})
    monkeypatch.setattr(hardware, "pauses", lambda: iter([0.0] * 99))
    return made


class Told:
    """What a server was told; `trouble` is what it does first."""

    def __init__(self, *trouble: Exception) -> None:
        self.trouble = list(trouble)
        self.documents: list[Document] = []
        self.enough = threading.Semaphore(0)

    def __call__(self, document: Document) -> None:
        self.enough.release()
        if self.trouble:
            raise self.trouble.pop(0)
        self.documents.append(document)


def test_it_is_told_at_once_and_again_when_a_neighbour_was_heard(tmp_path: Path, ears: list[FakeEars]) -> None:
    told = Told()
    with reporting(tmp_path, "os-1", told):
        assert told.enough.acquire(timeout=30)
        ears[0].let.set()
        assert told.enough.acquire(timeout=30)
    assert [{"cards": []}, {"cards": ["eth0"]}] == told.documents


def test_one_start_of_the_system_tells_it_once(tmp_path: Path, ears: list[FakeEars]) -> None:
    told = Told()
    for system in ("os-1", "os-1", "os-2"):
        with reporting(tmp_path, system, told):
            for each in ears:
                each.let.set()
            threads = [thread for thread in threading.enumerate() if thread.name == "hardware"]
            for thread in threads:
                thread.join(30)
    assert 2 == len(ears)
    assert [{"cards": []}, {"cards": ["eth0"]}] * 2 == told.documents


def test_a_server_that_is_away_is_asked_until_it_has_it(tmp_path: Path, ears: list[FakeEars]) -> None:
    told = Told(Unavailable("away"), Unavailable("away"))
    with reporting(tmp_path, "os-1", told):
        for _ in range(3):
            assert told.enough.acquire(timeout=30)
    assert [{"cards": []}] == told.documents


@pytest.mark.parametrize("trouble", [Refused(404, "an older server"), RuntimeError("a defect")])
def test_a_refusal_or_a_defect_costs_the_report_and_nothing_else(
    tmp_path: Path, ears: list[FakeEars], capfd: pytest.CaptureFixture[str], trouble: Exception
) -> None:
    told = Told(trouble)
    with reporting(tmp_path, "os-1", told):
        assert told.enough.acquire(timeout=30)
    assert ([], ("", "")) == (told.documents, tuple(capfd.readouterr()))
    assert not (tmp_path / "inventory").exists()


def test_work_that_is_over_waits_for_nothing_but_the_first_report(tmp_path: Path, ears: list[FakeEars]) -> None:
    told = Told()
    with reporting(tmp_path, "os-1", told):
        pass
    assert {"cards": []} == told.documents[0]
    assert not [thread for thread in threading.enumerate() if thread.name == "hardware"]


@pytest.mark.shell
def test_an_agent_tells_of_the_machine_it_runs_on(tmp_path: Path) -> None:
    fake = FakeServer(Workflow("w", ()))
    with FaultyServer(fake) as server:
        assert 0 == main(options(server, tmp_path))
        assert "/agent/inventory" in server.requests
    (told,) = fake.inventories
    assert (os.uname().machine, True) == (told["cpu"]["arch"], told["memory"] > 1 << 20)


@pytest.mark.shell
def test_ears_that_are_stopped_hear_nothing_more() -> None:
    ears = Ears(3600)
    ears.listen(["no-such-interface"])
    ears.stop()
    assert not ears.hear()
    ears.close()
    ears.stop()


@pytest.mark.shell
def test_a_wire_that_is_full_of_nonsense_is_listened_to_for_no_longer_than_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ears, heard = Ears(0.1), 0

    def nonsense(ear: socket.socket) -> bool:
        nonlocal heard
        heard += 1
        assert time.monotonic() < until + 5
        return False

    until = time.monotonic() + 0.1
    mouth, ear = socket.socketpair()
    mouth.send(b"always there")
    monkeypatch.setattr(hardware, "_lldp_socket", lambda names: ear)
    monkeypatch.setattr(ears, "_heard", nonsense)
    ears.listen(["eth0"])
    assert not ears.hear()
    assert heard
    mouth.close()
    ears.close()


def test_files_and_links_are_read_as_text_and_folders_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/eth0/queues").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/address").write_bytes(b"52:\xff\n")
    (tmp_path / "sys/class/net/eth0/device").symlink_to("../../pci")
    expected = {"sys/class/net/eth0/address": "52:\ufffd\n", "sys/class/net/eth0/device": "../../pci"}
    assert expected == hardware.read_files(tmp_path)


def test_a_card_that_is_not_there_has_no_permanent_address() -> None:
    assert "" == hardware.permanent_mac("no-such-card")


def test_this_machine_is_read_as_the_server_takes_it() -> None:
    import json

    body = json.dumps({"boot": "b", "system": "s", "hardware": hardware.read_inventory({})}).encode()
    assert decode_inventory(body).hardware.cpu.threads > 0
