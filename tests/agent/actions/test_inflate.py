"""Unpacking what comes in pieces, whole, cut off, damaged, or far too well compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from agent.actions.inflate import PIECE, begin, kind_of, unpacked
from agent.actions.settings import Failed

pytestmark = pytest.mark.shell

CONTENT = random.Random(1).randbytes(500_000) + bytes(3_000_000)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
    "zstd": zstd,
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [997, 65536, 10_000_000])
@pytest.mark.parametrize("kind", PACK)
def test_what_was_packed_comes_out_whatever_the_pieces(kind: str, size: int) -> None:
    packed = PACK[kind](CONTENT)
    assert kind == kind_of(packed)
    found = list(unpacked(pieces(packed, size), kind))
    assert CONTENT == b"".join(found)
    assert max(map(len, found)) <= PIECE


@pytest.mark.parametrize("kind", PACK)
def test_streams_that_follow_each_other_are_one(kind: str) -> None:
    assert b"onetwo" == b"".join(unpacked([PACK[kind](b"one") + PACK[kind](b"two")], kind))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_zeros_after_the_end_are_padding(kind: str) -> None:
    assert b"one" == b"".join(unpacked([PACK[kind](b"one"), bytes(1000)], kind))


@pytest.mark.parametrize("kind", PACK)
def test_what_is_cut_off_or_damaged_is_not_taken_for_the_end(kind: str) -> None:
    packed = PACK[kind](CONTENT)
    for wrong in (packed[: len(packed) // 2], packed[:-1], packed[:1000] + b"\xff" * 50 + packed[1050:], packed + b"more"):
        with pytest.raises(Failed):
            list(unpacked(pieces(wrong, 4096), kind))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_bomb_takes_no_more_memory_than_anything_else(kind: str) -> None:
    packed = PACK[kind](bytes(100 << 20))
    tracemalloc.start()
    try:
        assert 100 << 20 == sum(map(len, unpacked([packed], kind)))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_trouble_with_the_source_is_what_is_raised() -> None:
    def source() -> Iterator[bytes]:
        yield zstd(CONTENT)[:1000]
        raise Failed("the network is gone")

    with pytest.raises(Failed, match="the network is gone"):
        list(unpacked(source(), "zstd"))


def test_whoever_stops_reading_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **others: Any) -> None:
            super().__init__(*args, **others)
            started.append(self)

    packed = zstd(CONTENT)
    monkeypatch.setattr("agent.actions.inflate.subprocess.Popen", Recorded)
    found = unpacked(pieces(packed, 1000), "zstd")
    next(found)
    assert started[0].poll() is None
    del found
    assert started[0].poll() is not None


def test_the_beginning_can_be_looked_at_and_is_not_lost() -> None:
    first, rest = begin([b"a", b"bc", b"d"], 2)
    assert (b"ab", b"abcd") == (first, b"".join(rest))
    first, rest = begin([], 2)
    assert (b"", []) == (first, list(rest))


def test_what_is_not_compressed_stays_as_it_is() -> None:
    assert "" == kind_of(b"QFI\xfb") == kind_of(b"")
    assert [b"a", b"b"] == list(unpacked([b"a", b"b"], ""))
