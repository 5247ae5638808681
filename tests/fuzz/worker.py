"""One target in a process of its own: `python -m tests.fuzz.worker dns --engine own --seed 7 --seconds 60`.

With `--engine atheris` libFuzzer drives it, guided by what the inputs reach in our packages; it ends the process itself. An
input that breaks a law is written to `tests/fuzz/found`. The last line but libFuzzer's own says how many inputs there were.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PACKAGES = ["agent", "netboot", "reconciler"]
COUNT = "stat::number_of_executed_units:"
"""libFuzzer's word for it, and so ours."""


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("target")
    options.add_argument("--engine", choices=("own", "atheris"), required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=3600)
    options.add_argument("--inputs", type=int, default=None)
    options.add_argument("--corpus", type=Path, help="Folder where libFuzzer keeps what reached something new.")
    given = options.parse_args()
    return (_guided if given.engine == "atheris" else _by_chance)(given)


def _by_chance(given: argparse.Namespace) -> int:
    from tests.fuzz import corpus, engine
    from tests.fuzz.targets import TARGETS

    each = engine.inputs(corpus.seeds(given.target), corpus.words(given.target), given.seed)
    report = engine.run(TARGETS[given.target][0], each, given.inputs, given.seconds)
    for data, trace in report.broken:
        print(f"{corpus.keep(given.target, data)}\n{trace}", file=sys.stderr)
    print(f"{COUNT} {report.inputs}", file=sys.stderr)
    return 1 if report.broken else 0


def _guided(given: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz import corpus
        from tests.fuzz.targets import TARGETS
    target = TARGETS[given.target][0]

    def once(data: bytes) -> None:
        try:
            target(data)
        except Exception:
            print(corpus.keep(given.target, data), file=sys.stderr)
            raise

    given.corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus.seeds(given.target)):
        (given.corpus / f"seed-{number}").write_bytes(data)
    words = given.corpus.with_suffix(".words")
    words.write_text(
        "".join('"{}"\n'.format("".join(f"\\x{byte:02x}" for byte in word)) for word in corpus.words(given.target))
    )
    settings = {
        "max_total_time": int(given.seconds), "seed": given.seed + 1, "max_len": 4096, "dict": words, "print_final_stats": 1,
        "timeout": 20, "artifact_prefix": f"{given.corpus}-", "verbosity": 0, "runs": given.inputs or -1,
    }  # fmt: skip
    atheris.Setup([sys.argv[0], str(given.corpus), *(f"-{name}={value}" for name, value in settings.items())], once)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
