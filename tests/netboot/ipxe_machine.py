"""An iPXE that runs our scripts and does nothing else: Debian 12's commands and options, settings, `goto`, `||`, no network.

What is not in it, an iPXE of 2019 may lack; a script that needs more fails its test. `vcreate` came later: `works` says whether
it is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

OPTIONS = {
    "boot": (), "chain": ("--autofree", "--replace"), "dhcp": (), "echo": (), "exit": (), "goto": (), "ifclose": (),
    "ifopen": (), "imgfree": (), "inc": (), "initrd": ("--name",), "iseq": (), "isset": (), "kernel": ("--name",),
    "sanboot": ("--no-describe", "--drive"), "set": (), "shell": (), "sleep": (),
    "vcreate": ("--tag",),
}  # fmt: skip
WANTED: dict[str, Callable[[int], bool]] = {"||": lambda code: code != 0, "&&": lambda code: code == 0, ";": lambda code: True}
"""Separator → whether the command after it is wanted, given the exit code before it."""


class Left(Exception):
    """The script is over: `exit`, a system booted, another script took over, or a command failed with nothing to catch it."""


@dataclass
class Ipxe:
    """`works(command, arguments)` says whether a command that needs the world succeeds."""

    works: Callable[[str, list[str]], bool] = lambda command, arguments: True
    settings: dict[str, str] = field(
        default_factory=lambda: {"platform": "pcbios", "buildarch": "x86_64", "net0/mac": "52:54:00:12:34:01"}
    )
    did: list[str] = field(default_factory=list)
    """Commands as executed, in order; without labels, tests and jumps."""
    slept: int = 0
    label: str = ""
    """Where `goto` goes next."""

    def run(self, script: str, sleeps: int = 3) -> list[str]:
        """Until it leaves, or has slept so often. A thousand lines without a sleep are a loop that would never end."""
        lines = script.replace("\\\n", "").split("\n")
        assert lines[0] == "#!ipxe"
        at, quiet = 0, 0
        try:
            while at < len(lines) and self.slept < sleeps:
                before, quiet = self.slept, quiet + 1
                assert quiet < 1000, "it loops without sleeping"
                if not lines[at].startswith((":", "#")) and self._system(lines[at]):
                    raise Left
                at = lines.index(f":{self.label}") if self.label else at + 1
                self.label = ""
                quiet = quiet if self.slept == before else 0
        except Left:
            pass
        return self.did

    def _system(self, line: str) -> int:
        """One line; its exit code."""
        words, code, wanted = self._expand(line).split(), 0, True
        while words and not self.label:
            end = next((at for at, word in enumerate(words) if word in WANTED or word.startswith("#")), len(words))
            if wanted:
                code = self._command(words[:end])
            if end == len(words) or words[end].startswith("#"):
                break
            wanted = WANTED[words[end]](code)
            words = words[end + 1 :]
            if wanted and not words:
                code = 0
        return code

    def _expand(self, line: str) -> str:
        while found := re.search(r"\$\{([^${}]*)\}", line):
            name = found[1].split(":")[0]
            value = self.settings.get(name, "")
            line = line[: found.start()] + (value.replace(":", "-") if ":hexhyp" in found[1] else value) + line[found.end() :]
        return line

    def _command(self, words: list[str]) -> int:
        if not words:
            return 0
        name, arguments = words[0], words[1:]
        assert name in OPTIONS, f"Debian 12's iPXE has no {name}, or nobody says so"
        options = [word for word in arguments[:4] if word.startswith("--")] if OPTIONS[name] else []
        assert set(options) <= set(OPTIONS[name]), f"{name} has no such option: {options}"
        if name == "iseq":
            return int(len(arguments) != 2 or arguments[0] != arguments[1])
        if name == "isset":
            return int(not arguments)
        if name in ("set", "inc"):
            key = arguments[0].split(":")[0]
            self.settings[key] = str(int(self.settings[key]) + 1) if name == "inc" else " ".join(arguments[1:])
            if name == "inc":
                return 0
        if name == "goto":
            self.label = arguments[0]
            return 0
        self.did.append(" ".join(words))
        return self._do(name, arguments)

    def _do(self, name: str, arguments: list[str]) -> int:
        self.slept += name == "sleep"
        worked = self.works(name, arguments)
        if name == "exit" or (worked and name in ("boot", "sanboot", "chain")):
            raise Left
        return int(not worked)
