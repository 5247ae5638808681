"""gitboot against Kea and dnsmasq in one run, and from `git push` to the wire.

    python -m benchmarks.run [servers] [push]

The law: whoever is compared is measured in the same run, in turn, on the same machine. The figures are printed as
Markdown, and kept with the machine and the date in `benchmarks/results/`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gitboot import Gitboot
from benchmarks.measure import Figures, compare
from benchmarks.peers import Dnsmasq, Kea
from benchmarks.perfdhcp import Fleet
from benchmarks.push import Latency, measure_pushes

RESULTS = Path(__file__).parent / "results"
SERVED, PUSHED = Fleet(size=20_000), Fleet(size=10_000)
PARTS = ("servers", "push")


def main(parts: Sequence[str]) -> None:
    host = machine()
    figures: list[Figures] = []
    latency: Latency | None = None
    if "servers" in parts:
        with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as scratch:
            figures = compare([Gitboot(), Kea(), Dnsmasq()], Path(scratch), SERVED)
    if "push" in parts:
        with tempfile.TemporaryDirectory(prefix="gitboot-bench-") as scratch:
            latency = measure_pushes(Path(scratch), PUSHED)
    text = report(figures, latency, host, datetime.now(UTC))
    print(text)
    _keep(figures, latency, text)


def report(figures: Sequence[Figures], latency: Latency | None, host: str, now: datetime) -> str:
    """Markdown: a table of servers with ratios to Kea, and a paragraph about pushes."""
    parts = [f"Measured {now:%Y-%m-%d} on {host} with `make bench`."]
    if figures:
        parts.append("\n".join(_table(figures)))
    if latency:
        parts.append(
            f"From `git push` to the first DHCP answer, {latency.machines:,} machines, one file each, one address changed per "
            f"push: median {latency.median * 1000:.0f} ms, p95 {latency.p95 * 1000:.0f} ms of {len(latency.seconds)} pushes. "
            f"Of {latency.exchanges:,} exchanges with other machines meanwhile, "
            f"{latency.unanswered} packets were not answered in time."
        )
    return "\n\n".join(parts) + "\n"


def _table(figures: Sequence[Figures]) -> list[str]:
    kea = next(each for each in figures if each.name == "Kea")
    rows = [
        "| server | CPU per exchange | times Kea's | exchanges per second | times Kea's | DISCOVER to OFFER | memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in figures:
        cpu, rate = each.cpu_microseconds / kea.cpu_microseconds, each.saturation / kea.saturation
        rows.append(
            f"| {each.name} | {each.cpu_microseconds:.0f} µs at {each.calm_rate:,}/s | {cpu:.2f} | {each.saturation:,} "
            f"| {rate:.2f} | {each.average_delay:.2f} ms | {each.memory:.0f} MB |"
        )
    return rows


def machine() -> str:
    """This host in a phrase, and how busy it is with other work now."""
    model = next((row.partition(":")[2].strip() for row in _lines("/proc/cpuinfo") if row.startswith("model name")), "")
    kea = subprocess.run(["kea-dhcp4", "-v"], capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{os.cpu_count()} processors ({model or platform.machine()}; load average before {os.getloadavg()[0]:.1f}), "
        f"Python {platform.python_version()}, Kea {kea}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _keep(figures: Sequence[Figures], latency: Latency | None, text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}"
    name.with_suffix(".md").write_text(text)
    figures_as = {"servers": [asdict(each) for each in figures], "push": asdict(latency) if latency else None}
    name.with_suffix(".json").write_text(json.dumps(figures_as, indent=2) + "\n")


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("perfdhcp"):
        sys.exit(
            "The benchmark needs root, for network namespaces, and perfdhcp, kea-dhcp4 and dnsmasq: tests/lab/install-tools."
        )
    if unknown := set(sys.argv[1:]) - set(PARTS):
        sys.exit(f"There is no part {', '.join(sorted(unknown))}; the parts are: {', '.join(PARTS)}.")
    main(sys.argv[1:] or PARTS)
