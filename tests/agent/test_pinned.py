"""The agent speaks by TLS to the server that its boot named, and to nobody else."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from agent.client import Keeper, Refused, Server, Unavailable
from agent.messages import Claim
from agent.pinned import read_pins
from agent.session import Session, Signer
from agent.workflow import Action, Task, Workflow
from netboot.certificate import load_tls
from netboot.settings import Settings
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, TOKEN, FaultyServer

pytestmark = pytest.mark.shell
WORKFLOW = Workflow("install", (Task("os", "m", (Action("disk", "img"),)),))


def agent(url: str, *pins: str) -> Server:
    return Server(url, BOOT, TOKEN, pause=lambda _: None, pins=frozenset(pins))


def at_work(url: str, pin: str, timeout: float = 10.0) -> Server:
    """An agent that has a session."""
    kept = Keeper(signer=Signer(Session("5" * 16, "c" * 64, "d" * 32)))
    return Server(url, BOOT, TOKEN, pause=lambda _: None, timeout=timeout, pins=frozenset({pin}), kept=kept)


def test_it_claims_from_the_server_that_is_pinned_by_any_of_the_pins(tmp_path: Path) -> None:
    tls = load_tls(Settings(tmp_path))
    with FaultyServer(FakeServer(WORKFLOW), tls=tls.context) as server:
        assert isinstance(agent(server.url, "0" * 64, tls.pin).claim("s1"), Claim)


def test_a_server_with_another_certificate_is_told_nothing_and_refused_with_a_sentence(tmp_path: Path) -> None:
    ours, liar = load_tls(Settings(tmp_path / "a")), load_tls(Settings(tmp_path / "b"))
    with FaultyServer(FakeServer(WORKFLOW), tls=liar.context) as server:
        with pytest.raises(Unavailable) as refused:
            at_work(server.url, ours.pin).heartbeat("r1")
        assert [] == server.requests
    assert f"it shows the certificate {liar.pin}, and the boot script named {ours.pin}" in str(refused.value)
    assert "look for another server on this network" in str(refused.value)


def test_it_comes_back_to_its_server_when_the_liar_is_gone(tmp_path: Path) -> None:
    ours, liar = load_tls(Settings(tmp_path / "a")), load_tls(Settings(tmp_path / "b"))
    said: list[str] = []
    with FaultyServer(FakeServer(WORKFLOW), tls=liar.context) as server:

        def gone(_: float) -> None:
            server.show(ours.context)

        patient = Server(server.url, BOOT, TOKEN, said.append, gone, pins=frozenset({ours.pin}))
        assert isinstance(patient.claim("s1"), Claim)
    assert ["is not the server that this machine booted from" in line for line in said] == [True]


def test_a_server_in_clear_is_not_spoken_to(tmp_path: Path) -> None:
    with FaultyServer(FakeServer(WORKFLOW)) as server:
        with pytest.raises(Unavailable, match="does not answer"):
            at_work(server.url.replace("http:", "https:"), "0" * 64).heartbeat("r1")
        assert [] == server.requests


def test_a_server_that_sends_it_elsewhere_is_not_followed(tmp_path: Path) -> None:
    tls = load_tls(Settings(tmp_path))
    with FaultyServer(FakeServer(WORKFLOW), lambda path, n: "307", tls=tls.context) as server, pytest.raises(Refused):
        agent(server.url, tls.pin).claim("s1")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_is_not_spoken(tmp_path: Path) -> None:
    tls = load_tls(Settings(tmp_path))
    tls.context.minimum_version = ssl.TLSVersion.TLSv1
    tls.context.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with FaultyServer(FakeServer(WORKFLOW), tls=tls.context) as server:
        with pytest.raises(Unavailable, match="does not answer"):
            at_work(server.url, tls.pin).heartbeat("r1")
        assert [] == server.requests


def test_a_server_that_never_ends_its_handshake_is_the_worlds_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = at_work(f"https://127.0.0.1:{silent.getsockname()[1]}", "0" * 64, timeout=0.05)
        with pytest.raises(Unavailable, match="timed out"):
            slow.heartbeat("r1")


def test_pins_are_digests() -> None:
    assert {"a" * 64, "b" * 64} == read_pins(f"{'A' * 64},{'b' * 64}")
    assert frozenset() == read_pins("")
    for wrong in ("a" * 63, "g" * 64, f"{'a' * 64} ", "a" * 128):
        with pytest.raises(ValueError, match="is no SHA-256 in 64 hexadecimal digits"):
            read_pins(wrong)
