"""Sessions: one per machine whatever the order of calls, and nothing that is said counts twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.session import Session, Signature, Signer, from_header, from_json, to_json
from netboot.events import BootClosed, SessionEnded, SessionOpened
from netboot.observed import PATIENCE, fold
from netboot.scripts import Script
from netboot.sessions import WINDOW, Denied, Opened, Parked, Sessions, Window
from netboot.tokens import LIFETIME, objection, session_key
from tests.effort import examples
from tests.netboot.plan_example import IPXE, SECOND, Room, machine, port, work

KEY = b"the server's key"
BODY, TARGET = b'{"boot": "b"}', "/agent/report"


# The window


@given(st.lists(st.integers(0, 200), max_size=200))
def test_a_number_counts_once_and_none_that_is_far_behind(numbers: list[int]) -> None:
    window, taken = Window(), set[int]()
    for n in numbers:
        highest = max(taken, default=-1)
        assert (n not in taken and n > highest - WINDOW) == window.take(n)
        taken |= {n} if n > highest - WINDOW else set()


def test_requests_may_overtake_each_other_and_numbers_may_jump() -> None:
    window = Window()
    assert all(window.take(n) for n in (5, 3, 4, 10**17, 10**17 - WINDOW + 1))
    assert not any(window.take(n) for n in (5, 10**17, 10**17 - WINDOW, 10**17 - WINDOW + 1))


# The header


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits)


@given(hexadecimal(16), hexadecimal(32), st.integers(0, 10**18 - 1), hexadecimal(64))
def test_a_signature_is_read_as_it_was_written(session: str, nonce: str, n: int, mac: str) -> None:
    said = Signature(session, nonce, n, mac)
    assert said == from_header(str(said))


@given(st.text())
def test_anything_else_is_no_signature(text: str) -> None:
    assert from_header(text) is None
    assert from_header(f"Gitboot session={'0' * 16}, nonce={'0' * 32}, n=1, mac={'0' * 64}{text}x") is None


@pytest.mark.parametrize(
    "document", [{}, {"session": 1, "key": "", "nonce": ""}, {"session": "x", "key": "0" * 64, "nonce": "0" * 32}]
)
def test_what_is_no_session_is_none(document: dict[str, Any]) -> None:
    assert from_json(document) is None
    session = Session("0" * 16, "1" * 64, "2" * 32)
    assert session == from_json(to_json(session))


# Any order of calls


MACS = {"node-01": "52:54:00:12:34:01", "node-02": SECOND}
NAMES = st.sampled_from(sorted(MACS))


@dataclass(frozen=True)
class Issued:
    """A token that a script brought."""

    text: str
    machine: str
    boot: str
    until: float


class Calls(RuleBasedStateMachine):
    """Two machines that boot, are reset, fall silent and are restarted; a server that is; and whoever records all of it, every
    token too. What ought to be is known here by what was said, and not by asking what is tested.
    """

    @initialize()
    def begin(self) -> None:
        parts = enumerate(MACS.items(), 11)
        nodes = [machine(name, port(mac, f"10.1.0.{n}"), work=(work(f"work-{n}"),)) for n, (name, mac) in parts]
        self.room = Room.of(*nodes)
        self.sessions = Sessions(KEY, "0" * 32)
        self.starts = 0
        self.signers: dict[str, list[Signer]] = {name: [] for name in MACS}
        """Of each machine: every session that was ever given away, the last one at the end."""
        self.issued: list[Issued] = []
        self.heard: dict[str, float] = {}
        """Of each machine: when its session was opened or last accepted in a request, or the server was started since."""
        self.spoken_for: dict[str, str] = {}
        """Of each machine: the boot of its last session."""
        self.recorded: list[tuple[str, str, bytes]] = []
        """(header, target, body) of every request that was accepted."""

    @rule(name=NAMES)
    def boot(self, name: str) -> None:
        self.room.discover(MACS[name], said=IPXE)
        script = self.room.fetch(MACS[name])
        if isinstance(script, Script):
            self.issued += [
                Issued(text, name, script.boot, self.room.now + LIFETIME)
                for text in re.findall(r"gitboot\.token=([0-9a-f]{64})", script.text)
            ]

    @rule(seconds=st.sampled_from([1.0, 8.0, PATIENCE + 1, 4000.0]))
    def nothing_is_heard(self, seconds: float) -> None:
        self.room.now += seconds

    @rule()
    def the_server_is_started_again(self) -> None:
        self.starts += 1
        observed = fold(self.room.journal)
        observed.listening = self.room.tick()
        self.room.observed, self.sessions = observed, Sessions(KEY, f"{self.starts:032x}")
        self.heard = dict.fromkeys(self.heard, self.room.now)

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), system=st.sampled_from(["os-1", "os-2"]))
    def exchange(self, data: st.DataObject, system: str) -> None:
        """Any token that there ever was, for its boot or for another's; the newest is drawn most."""
        newest = st.just(self.issued[-1])
        shown, wanted = (data.draw(newest | newest | st.sampled_from(self.issued)) for _ in range(2))
        boot = self.room.observed.boots.get(wanted.boot)
        if boot is None:
            assert wanted.boot in self.closed, "an open boot is not forgotten"
            return
        refused = objection(KEY, boot.machine, boot.plan, boot.id, shown.text, self.room.now)
        assert (shown.boot == wanted.boot and self.room.now <= shown.until) == (not refused)
        assert (wanted.boot in self.closed) == (boot.closed is not None)
        if not refused and boot.closed is None:
            self.open(wanted, system)

    def open(self, issued: Issued, system: str) -> None:
        name = issued.machine
        answer = self.room.exchange(system, issued.boot)
        over = self.spoken_for.get(name, "") in self.closed
        lived = name in self.heard and self.room.now - self.heard[name] <= PATIENCE and not over
        assert isinstance(answer, Parked) == lived, "while a session lives there is no second one"
        if isinstance(answer, Opened):
            session = Session(answer.session, session_key(KEY, answer.session), self.sessions.nonce)
            self.signers[name].append(Signer(session))
            self.heard[name], self.spoken_for[name] = self.room.now, issued.boot

    @property
    def closed(self) -> set[str]:
        return {event.boot for event in self.room.journal if isinstance(event, BootClosed)}

    @rule(name=NAMES, which=st.integers(0, 3))
    def speak(self, name: str, which: int) -> None:
        """The last session of a machine, or one that it had before."""
        for signer in self.signers[name][-1 - which :][:1]:
            self.say(name, signer, again=True)

    def say(self, name: str, signer: Signer, again: bool) -> None:
        header = str(signer.sign("POST", TARGET, BODY))
        found = self.sessions.authenticate(self.room.observed, header, "POST", TARGET, BODY, self.room.tick())
        current = signer is self.signers[name][-1]
        if isinstance(found, Denied) and found.nonce and again:
            signer.nonce = found.nonce
            self.say(name, signer, again=False)
            return
        assert isinstance(found, Denied) != current, "the last session that was given away speaks, and no other"
        if not isinstance(found, Denied):
            assert name == found.machine
            self.heard[name] = self.room.now
            self.recorded.append((header, TARGET, BODY))

    @precondition(lambda self: self.recorded)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        header, target, body = data.draw(st.sampled_from(self.recorded))
        found = self.sessions.authenticate(self.room.observed, header, "POST", target, body, self.room.tick())
        assert isinstance(found, Denied), "what was accepted once is never accepted again"

    @precondition(lambda self: self.recorded)
    @rule(data=st.data(), body=st.binary(max_size=9), to=st.sampled_from(["/agent/claim", TARGET, f"{TARGET}?boot=b"]))
    def forge(self, data: st.DataObject, body: bytes, to: str) -> None:
        header, *_ = data.draw(st.sampled_from(self.recorded))
        found = self.sessions.authenticate(self.room.observed, header, "POST", to, body, self.room.tick())
        assert isinstance(found, Denied)

    @invariant()
    def a_machine_has_one_session(self) -> None:
        if not hasattr(self, "room"):
            return
        machines = [session.machine for session in self.room.observed.sessions.values()]
        assert len(machines) == len(set(machines))
        opened = [event.session for event in self.room.journal if isinstance(event, SessionOpened)]
        ended = [event.session for event in self.room.journal if isinstance(event, SessionEnded)]
        assert set(self.room.observed.sessions) == set(opened) - set(ended)


Calls.TestCase.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase
