"""The search for the highest rate, and what a process has used."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.measure import FASTEST, PRECISION, cpu_seconds, family, highest, keeps_up, memory
from benchmarks.perfdhcp import Half, Report


@pytest.mark.parametrize("limit", [1, 40, 677, 1_000, 1_001, 3_830, 13_000, 31_999])
def test_the_search_finds_the_limit_and_never_exceeds_it(limit: int) -> None:
    found = highest(lambda rate: rate <= limit)
    assert found <= limit <= max(PRECISION * found, found + 1)


def test_a_server_that_serves_nothing_reaches_zero() -> None:
    assert highest(lambda _: False) == 0


@pytest.mark.parametrize(("limit", "most"), [(FASTEST, 7), (13_000, 10), (600, 7)])
def test_the_search_takes_few_probes(limit: int, most: int) -> None:
    probes: list[int] = []

    def served(rate: int) -> bool:
        probes.append(rate)
        return rate <= limit

    highest(served)
    assert len(probes) <= most


def test_the_search_ends_at_what_the_load_generator_can_do() -> None:
    assert highest(lambda _: True) == FASTEST


@pytest.mark.parametrize(
    ("received", "answered"),
    [(2000, True), (1985, True), (1939, False), (1970, False)],
    ids=["all", "less than a hundredth lost", "not enough", "too many lost"],
)
def test_a_rate_is_served_when_nearly_every_exchange_is_whole(received: int, answered: bool) -> None:
    report = Report(offers=Half(2000, received, 0.1, 1.0), acks=Half(received, received - (2000 - received), 0.1, 1.0))
    assert keeps_up(2000, report) is answered


def test_answers_that_overflowed_the_load_generator_were_given() -> None:
    report = Report(offers=Half(2000, 1900, 0.1, 1.0), acks=Half(1900, 1900, 0.1, 1.0), overflowed=90)
    assert 10 == report.unanswered
    assert keeps_up(2000, report)
    assert not keeps_up(2000, replace(report, overflowed=0))


@pytest.mark.shell
def test_processor_time_and_memory_include_living_children() -> None:
    work = "sum(range(3_000_000)); print('ready', flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        parent_only, child = family(process.pid)
        assert parent_only == process.pid
        assert cpu_seconds(process.pid) >= cpu_seconds(child) > 0
        assert memory(process.pid) > memory(child) > 1
        process.communicate(b"\n")


def test_this_process_has_used_the_processor() -> None:
    times = os.times()
    assert cpu_seconds(os.getpid()) >= (times.user + times.system) / 2
