"""The log: bounded, never in the way, and harmless to whoever reads it."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time

import pytest

from netboot import log as module
from netboot.log import MOST_PER_SECOND, MOST_TROUBLE, MOST_WAITING, Bridge, Log, Value
from tests.netboot.site import logged


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A second that does not end while a test floods the log."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(lambda: 1000.0)


def test_a_line_is_json_with_time_level_event_and_values() -> None:
    log = Log(io.StringIO())
    log.info("dhcp", mac="52:54:00:12:34:01", count=3, boot="")
    log.error("dhcp-failed", reason="x")
    first, second = logged(log)
    assert "2" == first.pop("time")[0]
    assert {"level": "info", "event": "dhcp", "mac": "52:54:00:12:34:01", "count": 3, "boot": ""} == first
    assert "error" == second["level"]


def test_a_flood_of_routine_lines_is_counted_and_what_matters_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Clock)
    log = Log(io.StringIO())
    for number in range(MOST_PER_SECOND + 500):
        log.info("dhcp", number=number)
    log.warning("rejected")
    lines = logged(log)
    assert MOST_PER_SECOND == sum(line["event"] == "dhcp" for line in lines)
    assert [{"event": "rejected"}, {"event": "lines-suppressed", "count": 500}] == [
        {key: line[key] for key in ("event", "count") if key in line} for line in lines[-2:]
    ]
    assert [] == logged(Log(io.StringIO()))


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_flood_of_one_kind_of_trouble_is_counted_and_hides_no_other(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Clock)
    log = Log(io.StringIO())
    for _ in range(MOST_TROUBLE + 500):
        getattr(log, level)("dhcp-failed")
    log.warning("rejected")
    lines = logged(log)
    assert MOST_TROUBLE == sum(line["event"] == "dhcp-failed" for line in lines)
    assert ["rejected", "lines-suppressed"] == [line["event"] for line in lines[-2:]]
    assert 500 == lines[-1]["count"]


def test_a_line_that_will_not_be_written_is_not_even_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Clock)
    log, described = Log(io.StringIO()), 0

    def describe() -> dict[str, Value]:
        nonlocal described
        described += 1
        return {}

    for _ in range(MOST_PER_SECOND + 5):
        log.routine("dhcp", describe)
    assert MOST_PER_SECOND == described


def test_lines_that_nobody_reads_are_bounded_too() -> None:
    log = Log(io.StringIO())
    for number in range(MOST_WAITING + 7):
        log.error(f"failed-{number}")
    log.flush(60)  # a busy host takes a while to write so many
    lines = logged(log)
    assert (MOST_WAITING + 1, 7) == (len(lines), lines[-1]["count"])


def test_a_person_at_a_terminal_gets_words_and_no_commands() -> None:
    stream = Terminal()
    log = Log(stream)
    log.warning("dhcp", client="\x1b]0;owned\x07", bidi="\u202ename", machine="", count=1)
    log.flush()
    assert stream.getvalue().endswith(" WARNING dhcp client='\\x1b]0;owned\\x07' bidi='\\u202ename' count=1\n")


def test_a_file_name_that_is_no_text_still_makes_a_line_of_json() -> None:
    log = Log(io.StringIO())
    log.info("tftp", path="caf\udce9\n")
    assert "caf\\udce9\n" == logged(log)[0]["path"]


@pytest.mark.shell
def test_a_reader_that_stopped_reading_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        log = Log(stream)
        began = time.monotonic()
        for _ in range(200):
            log.error("x" * 1000)
        for _ in range(5):
            log.flush_soon()
            log.info("more")
        log.flush(0.05)
        assert time.monotonic() - began < 20
        received = bytearray()
        drain = threading.Thread(target=lambda: received.extend(iter_all(reader)))
        drain.start()
        log.flush(5)
        stream.close()
        drain.join()
    assert 205 == received.count(b"\n")


def iter_all(reader: io.BufferedReader) -> bytes:
    return reader.read()


def test_a_stream_that_is_closed_or_full_costs_lines_only() -> None:
    stream = io.StringIO()
    log = Log(stream)
    stream.close()
    log.error("lost")
    log.flush()
    with open("/dev/full", "w") as full:
        log = Log(full)
        log.error("lost")
        log.flush()
    assert not log._lines


def test_many_threads_may_log_at_once() -> None:
    log = Log(io.StringIO())

    def say() -> None:
        for number in range(500):
            log.warning(f"x-{number}")
            log.flush_soon()

    threads = [threading.Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2000 == len(logged(log))


def test_what_libraries_say_is_a_line_too_with_its_traceback_inside() -> None:
    log = Log(io.StringIO())
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(Bridge(log))
    logger.info("not this")
    try:
        raise ValueError("some bug")
    except ValueError:
        logger.exception("Exception in %s\n", "application")
    (line,) = logged(log)
    assert ("error", "uvicorn.error", "Exception in application") == (line["level"], line["from"], line["message"])
    assert line["traceback"].endswith("ValueError: some bug")
    assert "\n" in json.loads(json.dumps(line))["traceback"]
