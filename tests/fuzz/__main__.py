"""Every target for long: `make fuzz`, or `python -m tests.fuzz --inputs 10000000 --processes 1`.

Each process goes through all targets with a seed of its own; each target has its part of the time or of the inputs. Guided by
coverage where atheris is installed, by chance elsewhere. What breaks a law is in `tests/fuzz/found`, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import COUNT

CORPORA = Path(".cache/fuzz")


class Result(NamedTuple):
    target: str
    inputs: int
    seconds: float
    trouble: str
    """What the worker said, when it did not end well."""


def main() -> int:
    atheris = importlib.util.find_spec("atheris") is not None
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--minutes", type=float, default=60, help="on the wall's clock, for everything")
    options.add_argument("--inputs", type=int, help="end sooner, after as many in all")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--engine", choices=("own", "atheris"), default="atheris" if atheris else "own")
    options.add_argument("--seed", type=int, default=int(time.time()), help="the same seed: the same inputs")
    options.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = options.parse_args()
    if unknown := sorted(set(given.targets) - TARGETS.keys()):
        options.error(f"there is no target {unknown[0]!r}")
    print(f"engine {given.engine}, {given.processes} processes, {given.minutes:g} minutes, seed {given.seed}", flush=True)
    with ThreadPoolExecutor(given.processes) as pool:
        results = [
            each for part in pool.map(lambda number: list(_one_process(given, number)), range(given.processes)) for each in part
        ]
    return _tell(results)


def _one_process(given: argparse.Namespace, number: int) -> Iterator[Result]:
    """All targets, one after the other."""
    chosen = {name: share for name, (_, share) in TARGETS.items() if name in (given.targets or TARGETS)}
    for name, share in chosen.items():
        part = share / sum(chosen.values())
        argv = [sys.executable, "-m", "tests.fuzz.worker", name, f"--engine={given.engine}", f"--seed={given.seed + number}"]
        argv += [f"--seconds={max(1.0, given.minutes * 60 * part):.1f}", f"--corpus={CORPORA / name}"]
        if given.inputs:
            argv.append(f"--inputs={max(1, round(given.inputs * part / given.processes))}")
        began = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
        yield Result(name, _count(done.stderr), time.monotonic() - began, done.stderr if done.returncode else "")


def _count(said: str) -> int:
    return sum(int(line.removeprefix(COUNT)) for line in said.splitlines() if line.startswith(COUNT))


def _tell(results: list[Result]) -> int:
    for name in TARGETS:
        of_target = [result for result in results if result.target == name]
        if of_target:
            inputs, seconds = sum(each.inputs for each in of_target), sum(each.seconds for each in of_target)
            print(f"{name:<14} {inputs:>10} inputs {seconds:>7.0f} s {inputs / seconds:>7.0f}/s")
    troubled = [result for result in results if result.trouble]
    for result in troubled:
        print(f"\n{result.target} did not end well; what its worker said last:\n{result.trouble[-4000:]}")
    print(f"{sum(result.inputs for result in results)} inputs, {len(troubled)} workers in trouble")
    return 1 if troubled else 0


if __name__ == "__main__":
    sys.exit(main())
