"""Every target, every seed and a few thousand damaged inputs: the same ones each time. `make fuzz` goes on from here."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from pathlib import Path

import pyrage
import pytest

from netboot import dhcp, dns, reports, tftp, tftp_packets
from netboot.errors import Malformed
from tests.fuzz import corpus
from tests.fuzz.engine import LONGEST, inputs, run
from tests.fuzz.targets import TARGETS

INPUTS = 30_000
"""In all, shared as `TARGETS` says: some three seconds."""


def damaged(name: str, seed: int, number: int) -> list[bytes]:
    return list(itertools.islice(inputs(corpus.seeds(name), corpus.words(name), seed), number))


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_law(name: str) -> None:
    target, share = TARGETS[name]
    report = run(target, inputs(corpus.seeds(name), corpus.words(name), seed=1), INPUTS * share // 100)
    assert report.inputs > len(corpus.seeds(name)), "the seeds alone have used it up"
    assert not report.broken, f"{report.broken[0][0]!r}\n{report.broken[0][1]}"


# --- whether a broken law would be seen ------------------------------------------------------------------------------------


def apprentice(transfer: tftp.Transfer, block: int, now: float) -> None:
    """Answers every ACK, a repeated one too."""
    transfer._oack = None
    transfer._next = transfer._acked + 1


PLANTED = {
    "dhcp": ("netboot.dhcp_packet._SIZES", {53: 1}),
    "dhcp-options": ("netboot.dhcp_options._show_ip", lambda data: data[4]),
    "tftp": ("netboot.tftp.normalise", lambda path: path.strip("/")),
    "tftp-transfer": ("netboot.tftp.Transfer._acknowledge", apprentice),
    "dns": ("netboot.dns_query._LONGEST_LABEL", 255),
    "router": ("netboot.router_advertisement.NEIGHBOURS_ONLY", 64),
    "lldp": ("agent.lldp._vlan", lambda value: int.from_bytes(value, "big")),
    "secret": ("netboot.secrets._open_age", lambda text, keys: pyrage.decrypt(text.encode(), list(keys.identities))),
    "yaml": ("reconciler.yaml._position", lambda before: (before.count(" ") + 9, 1)),
    "template": ("reconciler.template.evaluate", lambda *_: "x" * 9999),
    "journal": ("netboot.journal_format._line", lambda seq, payload: payload),
    "agent": ("agent.messages._attempt", lambda document: document["attempt"].bit_length()),
    "http": ("netboot.agent_api._number", int),
    "syslog": ("netboot.syslog._escaped", str),
    "metadata": ("netboot.imds._mac", lambda key, machine, expiry: "0" * 64),
}
"""A fault for each target: what is replaced, and by what."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, fault = PLANTED[name]
    monkeypatch.setattr(place, fault)
    assert run(TARGETS[name][0], iter(damaged(name, 3, 1500)), None).broken


def test_each_way_to_break_a_law_is_told_once_with_its_first_input() -> None:
    def target(data: bytes) -> None:
        if data == b"a":
            raise ValueError
        assert data != b"b"

    report = run(target, iter([b"x", b"a", b"a", b"b"]), None)
    assert [b"a", b"b"] == [data for data, _ in report.broken]
    assert 4 == report.inputs
    assert "ValueError" in report.broken[0][1]


def test_an_input_that_takes_too_long_breaks_a_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.engine.SLOW", 0.01)

    def target(data: bytes) -> None:
        end = time.process_time() + 5
        while time.process_time() < end:
            pass

    assert "TooSlow" in run(target, iter([b"x"]), None).broken[0][1]


def test_the_same_seed_damages_the_same_way_and_no_input_is_longer_than_a_datagram() -> None:
    assert damaged("dns", 5, 500) == damaged("dns", 5, 500) != damaged("dns", 6, 500)
    assert max(map(len, damaged("yaml", 5, 2000))) <= max(LONGEST, *map(len, corpus.seeds("yaml")))


def test_the_damage_is_worth_its_name() -> None:
    """Some inputs pass the codec and some do not: else what is behind it is never reached, or the codec never tried."""

    def decodes(name: str, decode: object) -> float:
        assert callable(decode)
        tried = damaged(name, 7, 1000)
        passed = 0
        for data in tried:
            try:
                decode(data)
                passed += 1
            except Malformed:
                pass
        return passed / len(tried)

    assert 0.2 < decodes("dhcp", dhcp.decode) < 0.95
    assert 0.2 < decodes("tftp", tftp_packets.decode) < 0.95
    assert 0.01 < decodes("agent", reports.decode_report) < 0.95
    answered = [dns.respond(data, corpus.ZONE, tcp=False) for data in damaged("dns", 7, 1000)]
    assert {dns.NOERROR, dns.FORMERR, dns.NXDOMAIN, dns.REFUSED, dns.NOTIMP} <= {
        each.rcode for each in answered if isinstance(each, dns.Reply)
    }


def test_what_broke_a_law_once_is_a_seed_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOUND", tmp_path / "found")
    corpus.seeds.cache_clear()
    try:
        path = corpus.keep("dns", b"found")
        assert "dns." in path.name
        assert b"found" == corpus.seeds("dns")[-1]
    finally:
        corpus.seeds.cache_clear()


@pytest.mark.shell
def test_the_long_run_goes_through_the_targets_in_every_process_and_counts() -> None:
    argv = [sys.executable, "-m", "tests.fuzz", "--engine=own", "--inputs=2000", "--processes=2", "--minutes=1", "dns", "tftp"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    told = dict(re.findall(r"^(\S+) +(\d+) inputs", done.stdout, re.MULTILINE))
    assert {"dns": "1428", "tftp": "572"} == told  # as their parts are, by process
    assert "2000 inputs, 0 workers in trouble" in done.stdout
