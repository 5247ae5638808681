"""A log on its way: it grows, the server is away, the server knows better."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.client import Refused, Unavailable
from agent.logs import CHUNK, LAST_WORDS, LogUpload, last_words
from agent.scrub import Scrubber
from tests.agent.fakes import FakeServer
from tests.agent.test_client import WORKFLOW

KEY = ("os", "disk", 1)


class Away:
    """A server that is unavailable for the first `times`."""

    def __init__(self, times: int = 0, held: bytes = b"") -> None:
        self.fake = FakeServer(WORKFLOW, logs={KEY: held})
        self.times = times
        self.sizes: list[int] = []

    def send(self, offset: int, chunk: bytes) -> int:
        if self.times:
            self.times -= 1
            raise Unavailable("away")
        self.sizes.append(len(chunk))
        size = self.fake.log(KEY, offset, chunk)[1]["size"]
        assert isinstance(size, int)
        return size

    @property
    def held(self) -> bytes:
        return self.fake.logs[KEY]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_log_is_sent_as_it_grows(log: Path) -> None:
    server = Away()
    upload = LogUpload(log, server.send)
    assert upload.ship()  # there is none yet
    for part in (b"one\n", b"", b"two\n"):
        with log.open("ab") as output:
            output.write(part)
        assert upload.ship()
    assert server.held == b"one\ntwo\n"
    assert server.sizes == [4, 4]


def test_a_long_log_goes_in_chunks(log: Path) -> None:
    log.write_bytes(b"x" * (2 * CHUNK + 1))
    server = Away()
    assert LogUpload(log, server.send).ship()
    assert server.sizes == [CHUNK, CHUNK, 1]


def test_a_new_agent_goes_on_where_the_server_stands(log: Path) -> None:
    log.write_bytes(b"one\ntwo\n")
    server = Away(held=b"one\n")
    assert LogUpload(log, server.send).ship()
    assert server.held == b"one\ntwo\n"


def test_a_server_that_holds_more_than_there_is_gets_nothing(log: Path) -> None:
    log.write_bytes(b"one\n")
    server = Away(held=b"longer than that")
    assert LogUpload(log, server.send).ship()
    assert server.held == b"longer than that"


def test_the_rest_is_sent_when_the_server_is_back(log: Path) -> None:
    log.write_bytes(b"one\n")
    server = Away(times=3)
    upload = LogUpload(log, server.send)
    assert not upload.ship()
    paused: list[float] = []
    assert upload.flush(paused.append)
    assert server.held == b"one\n"
    assert len(paused) == 2


def test_a_flush_has_patience_but_not_for_ever(log: Path) -> None:
    log.write_bytes(b"one\n")
    paused: list[float] = []
    assert not LogUpload(log, Away(times=10**9).send).flush(paused.append, patience=30)
    assert 30 <= sum(paused) <= 40


def test_a_refusal_is_told_once_and_does_not_hold_up_the_run(log: Path) -> None:
    def refuse(offset: int, chunk: bytes) -> int:
        raise Refused(413, "the disk is full")

    said: list[str] = []
    log.write_bytes(b"one\n")
    upload = LogUpload(log, refuse, said.append)
    assert upload.ship()
    assert upload.flush(lambda _: None)
    assert said == ["the server takes no more of this log: the disk is full (HTTP 413)"]


def test_a_server_that_takes_and_stays_where_it_was_is_not_asked_for_ever(log: Path) -> None:
    log.write_bytes(b"one\n")
    said: list[str] = []
    assert LogUpload(log, lambda offset, chunk: offset, said.append).ship()
    assert "stays at 0 bytes" in said[0]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"one\nno such mirror\n", "no such mirror"),
        (b"no such mirror", "no such mirror"),
        (b"no such mirror\n\n   \n", "no such mirror"),
        (b"no such mirror\ngitboot: image fetched\n", "no such mirror"),
        (b"\x1b[31mred\x07\xff\n", "[31mred \N{REPLACEMENT CHARACTER}"),
        (b"x" * 100_000, "x" * LAST_WORDS),
        (b"", ""),
        (b"gitboot: image fetched\n", ""),
    ],
)
def test_the_last_words_of_a_log_are_its_last_line_that_says_something(log: Path, written: bytes, words: str) -> None:
    log.write_bytes(written)
    assert words == last_words(log)


def test_a_log_that_never_was_has_no_last_words(tmp_path: Path) -> None:
    assert "" == last_words(tmp_path / "none")


@pytest.mark.parametrize("cut", range(1, 30, 3))
def test_no_secret_is_sent_however_the_file_grows(log: Path, cut: int) -> None:
    """The console of a boot, on which everybody may write."""
    scrubber, server = Scrubber(), Away()
    scrubber.learn(["correct horse"])
    upload = LogUpload(log, server.send, scrubber=scrubber)
    said = b"it is correct horse, correct horse.\n"
    for part in (said[:cut], said[cut : cut + 7], said[cut + 7 :]):
        with log.open("ab") as output:
            output.write(part)
        assert upload.ship()
    assert b"it is *************, *************.\n" == server.held


def test_a_secret_on_the_border_of_two_chunks_is_not_sent(log: Path) -> None:
    scrubber, server = Scrubber(), Away()
    scrubber.learn(["correct horse"])
    log.write_bytes(b"x" * (CHUNK - 5) + b"correct horse" + b"x" * 100)
    assert LogUpload(log, server.send, scrubber=scrubber).ship()
    assert b"x" * (CHUNK - 5) + b"*" * 13 + b"x" * 100 == server.held
