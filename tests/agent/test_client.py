"""The client against a real HTTP server on which answers are lost, refused, garbled and late."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable

import pytest

from agent.client import Refused, Server, Unavailable, pauses
from agent.commands import Accepted, Cancelled, Gone
from agent.given import Given
from agent.messages import ActionEnded, ActionStarted, Attempt, Claim, Event, Idle, RunEnded
from agent.workflow import Action, Secret, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, TOKEN, FaultyServer

pytestmark = pytest.mark.shell

WORKFLOW = Workflow("install", (Task("os", "m", (Action("disk", "img"), Action("boot", "img"))),))
DISK = Attempt("os", "disk", 1)


def faults(*kinds: str) -> Callable[[str, int], str]:
    """These faults, one per request, then none."""
    plan = iter(kinds)
    return lambda path, number: next(plan, "")


def client(server: FaultyServer, **changes: object) -> Server:
    return Server(**{"url": server.url, "boot": BOOT, "token": TOKEN, "pause": lambda _: None, **changes})  # type: ignore[arg-type]  # keywords are fields of Server


def test_a_run_is_claimed() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        assert client(server).claim("s1") == Claim("r1", WORKFLOW, 0, 0.0)


def test_a_finished_run_is_told_as_nothing_to_do() -> None:
    fake = FakeServer(WORKFLOW)
    fake.report(1, {"type": "run-ended", "state": "SUCCESS", "reason": ""})
    with FaultyServer(fake) as server:
        assert client(server).claim("s1") == Idle("reboot", "the work is done", 0.0)


@pytest.mark.parametrize("kind", ["500", "429", "deaf", "lost", "html"])
def test_a_claim_is_asked_again_until_it_is_answered(kind: str) -> None:
    said: list[str] = []
    with FaultyServer(FakeServer(WORKFLOW), faults(kind, kind, kind)) as server:
        assert isinstance(client(server, say=said.append).claim("s1"), Claim)
        assert server.requests == ["/agent/claim"] * 4
    assert len(said) == 1
    assert said[0].startswith(server.url)


def test_a_report_whose_answer_was_lost_is_accepted_once() -> None:
    fake = FakeServer(WORKFLOW)
    with FaultyServer(fake, faults("lost", "lost", "500", "deaf")) as server:
        assert Accepted(1) == client(server).report("r1", 1, ActionStarted(DISK))
    assert len(fake.accepted) == 1


@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_lost_or_doubled_however_the_network_behaves(seed: int) -> None:
    """Reports and log chunks in order, each through several faults drawn by the seed."""
    dice = random.Random(seed)
    fake = FakeServer(WORKFLOW)
    log = dice.randbytes(3000)
    with FaultyServer(fake, lambda path, n: dice.choice(["", "lost", "deaf", "500", "html"])) as server:
        ours = client(server)
        events: list[Event] = [
            ActionStarted(DISK),
            ActionEnded(DISK, "FAILED", 1, "exit code 1"),
            RunEnded("FAILED", "os/disk"),
        ]
        for number, event in enumerate(events, 1):
            assert Accepted(number) == ours.report("r1", number, event)
        offset = 0
        while offset < len(log):
            try:
                offset = ours.log("r1", DISK, offset, log[offset : offset + 700])
            except Unavailable:
                continue
    assert [event["type"] for event in fake.accepted] == ["action-started", "action-ended", "run-ended"]
    assert fake.logs == {("os", "disk", 1): log}


def test_a_report_out_of_order_means_that_our_picture_is_wrong() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        assert Gone("report 7 after 0") == client(server).report("r1", 7, ActionStarted(DISK))


def test_a_run_that_is_gone_is_gone() -> None:
    with FaultyServer(FakeServer(WORKFLOW, gone="taken over by boot-2")) as server:
        assert Gone("taken over by boot-2") == client(server).report("r1", 1, ActionStarted(DISK))
        assert Gone("taken over by boot-2") == client(server).heartbeat("r1")


def test_heartbeats_bring_the_cancellation() -> None:
    fake = FakeServer(WORKFLOW)
    with FaultyServer(fake) as server:
        assert client(server).heartbeat("r1") is None
        fake.cancel = True
        assert Cancelled() == client(server).heartbeat("r1")


def test_a_heartbeat_is_not_insisted_upon() -> None:
    with FaultyServer(FakeServer(WORKFLOW), faults("500")) as server:
        with pytest.raises(Unavailable, match="HTTP 500"):
            client(server).heartbeat("r1")
        assert len(server.requests) == 1


@pytest.mark.parametrize(("change", "status"), [({"token": "wrong"}, 401), ({"boot": "unknown"}, 404)])
def test_a_refusal_is_final(change: dict[str, str], status: int) -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        ours = client(server, **change)
        for ask in (lambda: ours.claim("s1"), lambda: ours.report("r1", 1, ActionStarted(DISK)), lambda: ours.heartbeat("r1")):
            with pytest.raises(Refused) as refusal:
                ask()
            assert status == refusal.value.status
        assert len(server.requests) == 3


def test_the_server_says_where_a_log_goes_on() -> None:
    fake = FakeServer(WORKFLOW, logs={("os", "disk", 1): b"12345"})
    with FaultyServer(fake) as server:
        assert client(server).log("r1", DISK, 0, b"123") == 5
        assert client(server).log("r1", DISK, 5, b"678") == 8
    assert fake.logs[("os", "disk", 1)] == b"12345678"


def test_names_in_a_log_address_are_escaped() -> None:
    fake = FakeServer(WORKFLOW)
    with FaultyServer(fake) as server:
        client(server).log("r1", Attempt("os & more", "disk:on-failure/ä", 2), 0, b"x")
    assert fake.logs == {("os & more", "disk:on-failure/ä", 2): b"x"}


def test_nobody_there_is_the_worlds_fault() -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        ours = Server(f"http://127.0.0.1:{placeholder.getsockname()[1]}", BOOT, TOKEN)
        with pytest.raises(Unavailable, match="does not answer"):
            ours.heartbeat("r1")


def test_a_server_that_accepts_and_keeps_silent_is_the_worlds_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ours = Server(f"http://127.0.0.1:{silent.getsockname()[1]}", BOOT, TOKEN, timeout=0.05)
        with pytest.raises(Unavailable, match="timed out"):
            ours.heartbeat("r1")


def test_pauses_grow_to_ten_seconds_and_are_spread() -> None:
    drawn = [list(itertools.islice(pauses(), 12)) for _ in range(20)]
    assert all(0.1 <= first[0] <= 0.2 and 5 <= first[-1] <= 10 for first in drawn)
    assert len({first[-1] for first in drawn}) > 10


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Server("http://x", BOOT, "secret"))


SECRETS = Workflow("w", (Task("os", "m", (Action("disk", "img", secrets=(Secret("db", "pw", env="PW"),)),)),))


def test_secrets_are_asked_for_until_they_are_given_and_leave_in_no_report() -> None:
    fake = FakeServer(SECRETS)
    with FaultyServer(fake, faults("", "500", "lost", "html")) as server:
        ours = client(server)
        ours.report("r1", 1, ActionStarted(DISK))
        assert Given({"PW": "secret db/pw"}) == ours.secrets("r1", DISK)
        ours.report("r1", 2, ActionEnded(DISK, "FAILED", 1, "exit code 1: it is secret db/pw"))
        ours.inventory("s1", {"disks": [{"model": "c2VjcmV0IGRiL3B3 secret db/pw"}]})
    assert "exit code 1: it is ************" == fake.accepted[1]["reason"]
    assert [{"disks": [{"model": "**************** ************"}]}] == fake.inventories
    assert "secret db/pw" not in repr(ours)


def test_secrets_that_are_refused_are_refused() -> None:
    with FaultyServer(FakeServer(SECRETS)) as server, pytest.raises(Refused, match="os/disk is not in flight"):
        client(server).secrets("r1", DISK)
