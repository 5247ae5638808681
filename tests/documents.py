"""What the documentation consists of: pages, their headings, links and fenced blocks; what our sources say that pages repeat;
and a shell that carries blocks out.

A comment on the line before a fence says what a block is for: `<!-- run -->` is executed, `<!-- file: PATH -->` is written to
PATH. The blocks of a page are one session, from top to bottom, in a folder of its own.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = (".", "docs", "docs/decisions", "example-inventory", "benchmarks", "tests")
PAGES = sorted(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))
SECONDS = 240
"""For one page's session: ten where nobody else is at work, a minute beside eight programs that never rest."""
END = "\x1e"


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str
    mark: str
    """What the comment before it says, as `run` or `file: site.yaml`; mostly ""."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    fences = re.finditer(r"^(?:<!-- ([^\n]+) -->\n)?```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(fence[2], fence[3], fence[1] or "") for fence in fences]


def prose(page: Path) -> str:
    """The page without its fenced blocks, whose brackets are no links."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    plain = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\[[^\]\n]*\]\(([^)\s]+)\)", re.sub(r"\s*\n\s*", " ", plain))


def anchors(page: Path) -> set[str]:
    """Of every heading, as the usual hosts make them: lower case, punctuation away, spaces to hyphens."""
    headings = re.findall(r"^#+ (.+?)\s*$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sayings() -> str:
    """Every text in our sources, one a line, with `…` for what is filled in."""
    found = []
    for package in ("agent", "netboot", "reconciler"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.JoinedStr(parts):
                        found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts))
                    case ast.Constant(str(text)):
                        found.append(text)
    return "\n".join(text.replace("\n", " ") for text in found)


def metrics() -> Iterator[tuple[str, str]]:
    """Name and meaning, as the source says them."""
    for node in ast.walk(ast.parse((ROOT / "netboot/metrics.py").read_text())):
        match node:
            case ast.Call(ast.Name(kind), [ast.Constant(str(name)), ast.Constant(str(about)), *_]):
                yield name + ("_total" if kind == "CounterMetricFamily" else ""), about


def commands(block: Block) -> Iterator[tuple[str, str | None]]:
    """Each command and what it prints; None: not said. In `sh` every line is a command, in `console` those after `$ `."""
    if block.language == "sh":
        yield block.text.strip(), None
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:] if block.language == "console" else ():
        command, _, output = part.partition("\n")
        yield command, output


def same(expected: str, actual: str) -> bool:
    """`…` stands for anything within a line; alone on a line, for any number of lines."""
    patterns = [
        "(?:.*\n)*" if line.strip() == "…" else re.escape(line).replace("…", ".*") + "\n" for line in expected.splitlines()
    ]
    return re.fullmatch("".join(patterns), actual) is not None


class Session:
    """One page, carried out as its reader would: what it says is printed is compared with what is."""

    def __init__(self, page: Path, folder: Path, port: int) -> None:
        """8080 on the page is `port` here, which is free."""
        self._steps: list[tuple[str, str | None]] = []
        self._folder = folder
        for block in blocks(page):
            text = Block(block.language, block.text.replace("8080", str(port)), block.mark)
            if block.mark == "run":
                self._steps += commands(text)
            elif block.mark.startswith("file: "):
                path = block.mark.removeprefix("file: ")
                self._steps.append((f"cat > {path} <<'END'\n{text.text}END", ""))

    def run(self) -> list[str]:
        """What went otherwise than the page says. A command may fail when the page says what it prints then."""
        wrong = []
        printed = self._shell().split(END)[:-1]
        for (command, expected), said in zip(self._steps, printed, strict=False):
            output, _, status = said.rpartition("\n")
            output = output.rstrip("\n") + "\n" if output.strip("\n") else ""
            if int(status) and not expected:
                wrong.append(f"$ {command}\n{output}exit code {status}")
            elif expected is not None and not same(expected, output):
                wrong.append(f"$ {command}\n{output}--- but the page says\n{expected}")
        if len(printed) < len(self._steps):
            logs = "".join(f"--- {log.name} says:\n{log.read_text()[-2000:]}" for log in sorted(self._folder.glob("*.log")))
            wrong.append(f"$ {self._steps[len(printed)][0]}\n--- did not end within {SECONDS} seconds\n{logs}")
        return wrong

    def _shell(self) -> str:
        """Everything printed: after each command its exit status and `END`."""
        steps = (f"{command}\nprintf '\\n%s{END}' $?\n" for command, _ in self._steps)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shell = subprocess.Popen(
            ["bash", "-c", f"set -m\ntrap 'kill $(jobs -p) 2> jobs.log' EXIT\n{''.join(steps)}"],
            cwd=self._folder,
            env={
                "PATH": path,
                "PYTHONPATH": str(ROOT),  # these pages are about the code beside them, whatever is installed
                "HOME": str(self._folder),
                "LC_ALL": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        alarm = threading.Timer(SECONDS, _end, [shell.pid])
        alarm.start()
        with shell:
            output = shell.communicate()[0]
        alarm.cancel()
        return output


def _end(session: int) -> None:
    """With job control each job is a process group of its own, in the shell's session (proc(5), field 6 of `stat`)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)
