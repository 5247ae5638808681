"""What was said in a boot is remembered in order, the same again as a count, and never without end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netboot import chronicle
from netboot.chronicle import LONGEST, MOST_OF_BOOT, Chronicle, words
from netboot.recording import Exchange


def exchange(at: float, said: str = "DISCOVER", boot: str = "b1", kind: str = "dhcp", **more: Any) -> Exchange:
    return Exchange(at=at, kind=kind, boot=boot, said=said, **more)


def told(*exchanges: Exchange) -> Chronicle:
    here = Chronicle()
    for each in exchanges:
        here.note(each)
    return here


def test_the_same_again_is_counted_with_when_it_was_said_last() -> None:
    here = told(exchange(1.0), exchange(2.0, "REQUEST"), exchange(3.0), exchange(4.0, outcome="nak"))
    assert [(1.0, 3.0, 2), (2.0, 2.0, 1), (4.0, 4.0, 1)] == [(each.at, each.last, each.times) for each in here.of("b1")]


def test_the_same_after_something_of_another_kind_is_told_again() -> None:
    here = told(exchange(1.0), exchange(2.0, "ipxe.efi", kind="tftp"), exchange(3.0))
    assert [("dhcp", 1), ("tftp", 1), ("dhcp", 1)] == [(each.kind, each.times) for each in here.of("b1")]


def test_each_boot_has_its_own_and_what_is_in_no_boot_is_not_kept() -> None:
    here = told(
        exchange(1.0), exchange(2.0, boot="b2"), exchange(3.0, boot=""), exchange(4.0, "", kind="report", outcome="accepted")
    )
    assert (1, 1, 0, 2) == (len(here.of("b1")), len(here.of("b2")), len(here.of("b3")), len(here))


def test_a_boot_keeps_the_last_and_of_all_boots_the_most_silent_goes() -> None:
    here = Chronicle(most=MOST_OF_BOOT + 1)
    here.note(exchange(0.0, boot="silent"))
    for number in range(MOST_OF_BOOT + 5):
        here.note(exchange(float(number), f"file-{number}"))
    assert (MOST_OF_BOOT, "file-5", 1) == (len(here.of("b1")), here.of("b1")[0].said, len(here.of("silent")))
    here.note(exchange(1000.0, boot="third"))
    assert (0, MOST_OF_BOOT + 1, MOST_OF_BOOT + 1) == (len(here.of("silent")), len(here), len(here.of("b1")) + 1)


def test_what_an_earlier_server_remembered_comes_before() -> None:
    here = told(exchange(2.0, "REQUEST"))
    here.before = told(exchange(1.0))
    assert ["DISCOVER", "REQUEST"] == [each.said for each in here.of("b1")]


def test_what_a_peer_asks_for_is_cut_and_can_be_told_whatever_its_bytes_are() -> None:
    (line,) = told(exchange(1.0, "\udcff\udcfe" + "x" * 1000)).of("b1")
    assert len(line.said) < LONGEST + 20
    assert msgspec.json.encode(words(line))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (exchange(1.0, outcome="offer", reason="reserved 10.1.0.11"), "DHCP DISCOVER: offer, reserved 10.1.0.11"),
        (exchange(1.0, outcome="ignored", client="ipxe"), "DHCP DISCOVER by iPXE: ignored"),
        (exchange(1.0, "undionly.kpxe", kind="tftp", outcome="completed"), "TFTP undionly.kpxe"),
        (exchange(1.0, "vmlinuz", kind="artifact"), "fetches vmlinuz"),
        (exchange(1.0, "", kind="claim", outcome="nothing", reason="all is done"), "asks for work: nothing, all is done"),
        (exchange(1.0, "", kind="session", outcome="opened"), "session: opened"),
    ],
)
def test_an_exchange_is_a_line_for_people(said: Exchange, expected: str) -> None:
    (line,) = told(said).of("b1")
    assert expected == words(line)


def test_of_the_last_ones_only_is_anything_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle, "ALIKE", 1)
    assert 3 == len(told(exchange(1.0), exchange(2.0, "REQUEST"), exchange(3.0)))
