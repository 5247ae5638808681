"""The report of a benchmark run."""

from datetime import UTC, datetime

from benchmarks.measure import Figures
from benchmarks.push import Latency
from benchmarks.run import report

KEA = Figures("Kea", 125.0, 2000, 0.2, 13_000, 83.0)
OURS = Figures("gitboot", 50.0, 2000, 0.1, 26_000, 60.0)
PUSHES = Latency(10_000, (0.5, 0.4, 0.6, 0.5, 1.5), 8_000, 0)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_table_compares_everyone_with_kea() -> None:
    text = report([OURS, KEA], None, "a machine", NOW)
    assert "| gitboot | 50 µs at 2,000/s | 0.40 | 26,000 | 2.00 | 0.10 ms | 60 MB |" in text
    assert "| Kea | 125 µs at 2,000/s | 1.00 | 13,000 | 1.00 | 0.20 ms | 83 MB |" in text


def test_pushes_are_told_by_median_tail_and_loss() -> None:
    text = report([], PUSHES, "a machine", NOW)
    assert text.startswith("Measured 2026-01-02 on a machine with `make bench`.")
    assert "median 500 ms, p95 1320 ms of 5 pushes" in text
    assert "Of 8,000 exchanges with other machines meanwhile, 0 packets were not answered in time." in text
