"""The client against a real HTTP server on which answers are lost, refused, garbled and late."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.client import SIGNATURES, Keeper, Refused, Server, Unavailable, pauses
from agent.commands import Accepted, Cancelled, Gone
from agent.given import Given
from agent.messages import ActionEnded, ActionStarted, Attempt, Claim, Event, Idle, RunEnded
from agent.session import Session, Signer
from agent.workflow import Action, Secret, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, SESSION, TOKEN, FaultyServer, at_work

pytestmark = pytest.mark.shell

WORKFLOW = Workflow("install", (Task("os", "m", (Action("disk", "img"), Action("boot", "img"))),))
FOREIGN = Session("0" * 16, "1" * 64, SESSION.nonce)
DISK = Attempt("os", "disk", 1)


def faults(*kinds: str) -> Callable[[str, int], str]:
    """These faults, one per request, then none."""
    plan = iter(kinds)
    return lambda path, number: next(plan, "")


def client(server: FaultyServer, **changes: object) -> Server:
    return Server(**{"url": server.url, "boot": BOOT, "token": TOKEN, "pause": lambda _: None, "kept": at_work(), **changes})  # type: ignore[arg-type]  # keywords are fields of Server


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


@pytest.mark.parametrize(("change", "status"), [({"kept": Keeper(signer=Signer(FOREIGN))}, 401), ({"boot": "unknown"}, 404)])
def test_a_refusal_is_final(change: dict[str, object], status: int) -> None:
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
        ours = Server(f"http://127.0.0.1:{placeholder.getsockname()[1]}", BOOT, TOKEN, kept=at_work())
        with pytest.raises(Unavailable, match="does not answer"):
            ours.heartbeat("r1")


def test_a_server_that_accepts_and_keeps_silent_is_the_worlds_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ours = Server(f"http://127.0.0.1:{silent.getsockname()[1]}", BOOT, TOKEN, timeout=0.05, kept=at_work())
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


def test_the_token_and_the_sessions_key_leave_in_no_free_text() -> None:
    """Every program on the machine can read the kernel's command line."""
    fake, token = FakeServer(SECRETS), "6553f100" * 8
    with FaultyServer(fake) as server:
        ours = Server(server.url, BOOT, TOKEN)
        ours.claim("s1")
        ours.inventory("s1", {"cmdline": f"gitboot.token={TOKEN} {SESSION.key}"})
    assert [{"cmdline": f"gitboot.token={'*' * len(TOKEN)} {'*' * 64}"}] == fake.inventories
    assert f"gitboot.token={'*' * 64} quiet" == Server("http://x", BOOT, token).scrubber.text(f"gitboot.token={token} quiet")


def test_secrets_that_are_refused_are_refused() -> None:
    with FaultyServer(FakeServer(SECRETS)) as server, pytest.raises(Refused, match="os/disk is not in flight"):
        client(server).secrets("r1", DISK)


# The session


def asking(server: FaultyServer, file: Path | None = None, **changes: object) -> Server:
    return client(server, kept=Keeper(file), **changes)


def test_the_first_claim_opens_a_session_that_an_agent_started_again_goes_on_with(tmp_path: Path) -> None:
    file = tmp_path / "session"
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        first, again = asking(server, file), asking(server, file)
        for each in (first, again):
            assert isinstance(each.claim("s1"), Claim)
        assert (1, 0o600) == (server.exchanges, file.stat().st_mode & 0o777)
        assert first.kept.signer
        assert again.kept.signer
        assert next(again.kept.signer.numbers) > next(first.kept.signer.numbers), "no number is used twice"
        asking(server, file).claim("another start of the system")
        assert 2 == server.exchanges


@pytest.mark.parametrize("kept", [b"", b"[]", b"{", b'{"boot": "boot-1", "system": "s1", "session": 1}', b"\xff"])
def test_what_cannot_be_read_is_no_session(tmp_path: Path, kept: bytes) -> None:
    file = tmp_path / "session"
    file.write_bytes(kept)
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        assert isinstance(asking(server, file).claim("s1"), Claim)
        assert 1 == server.exchanges


def test_a_parked_agent_says_so_once_and_asks_again_when_it_was_told_to() -> None:
    said: list[str] = []
    paused: list[float] = []
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        server.turned_away = [(423, {"error": "an agent is at work", "retry": 7.5})] * 3
        assert isinstance(asking(server, say=said.append, pause=paused.append).claim("s1"), Claim)
    assert (["parked: an agent is at work; trying again"], [7.5] * 3) == (said, paused)


def test_a_boot_that_is_over_restarts_its_machine_and_a_wrong_token_ends_the_agent() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        server.turned_away = [(410, {"error": "boot boot-1 is closed"})]
        assert Idle("reboot", "boot boot-1 is closed", 0.0) == asking(server).claim("s1")
        with pytest.raises(Refused):
            asking(server, token="wrong").claim("s1")


def test_a_server_that_was_started_again_is_told_the_same_with_its_new_nonce() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        ours = asking(server)
        ours.claim("s1")
        server.nonce = "0b" * 16
        assert Accepted(1) == ours.report("r1", 1, ActionStarted(DISK))
        assert ours.heartbeat("r1") is None
        assert ["/agent/claim", "/agent/report", "/agent/report", "/agent/heartbeat"] == server.requests


def test_a_session_that_has_ended_is_opened_anew_by_the_next_claim(tmp_path: Path) -> None:
    with FaultyServer(FakeServer(WORKFLOW), faults("410")) as server:
        assert isinstance(asking(server, tmp_path / "session").claim("s1"), Claim)
        assert 2 == server.exchanges


def test_before_the_first_claim_there_is_nothing_to_sign_with() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server, pytest.raises(Unavailable, match="no session is open yet"):
        asking(server).heartbeat("r1")


def test_a_server_that_wants_ever_new_signatures_is_the_worlds_fault() -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        ours = client(server)
        server.nonce = "0b" * 16
        server.after = lambda path, number: setattr(server, "nonce", f"{number:032x}")
        with pytest.raises(Unavailable, match="takes none of our signatures"):
            ours.heartbeat("r1")
        assert SIGNATURES == len(server.requests)


def test_a_key_is_not_shown() -> None:
    assert SESSION.key not in repr(Server("http://x", BOOT, "secret", kept=at_work()))
    assert SESSION.key not in repr(SESSION)
