"""What a simulated iPXE does with its script: as far as it needs to understand one, it follows it line by line.

Core. The law: a script ends in one of three ways, a kernel to boot, the local disk, or a wait after which it is asked for
again; whatever this reader does not know raises `Unreadable` and is never taken for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_HARMLESS = frozenset({"echo", "set", "iseq", "isset", "goto", "imgfree", "imgstat"})


class Unreadable(Exception):
    """The script asks for more than this simulation can do; the message says what."""


@dataclass(frozen=True, slots=True)
class Kernel:
    url: str
    cmdline: str
    initrds: tuple[str, ...]
    """URLs, in the order they are joined in memory."""

    @property
    def words(self) -> dict[str, str]:
        """`gitboot.server`, `gitboot.boot` and others of the command line, without the prefix."""
        pairs = (word.removeprefix("gitboot.").split("=", 1) for word in self.cmdline.split() if word.startswith("gitboot."))
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


@dataclass(frozen=True, slots=True)
class Disk:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Script:
    end: Kernel | Disk | Wait
    why: str
    """What the script told the console last before it acted: the server's reason."""


def read_script(text: str) -> Script:
    """Raises Unreadable."""
    lines = text.splitlines()
    if not lines or lines[0] != "#!ipxe":
        raise Unreadable("it does not begin with #!ipxe")
    said: list[str] = []
    kernel, initrds = None, []
    for command, words in _commands(lines[1:]):
        match command:
            case "echo":
                said.append(" ".join(words))
            case "kernel":
                kernel = _image(words)
            case "initrd":
                initrds.append(_image(words)[0])
            case "boot" if kernel is not None:
                return Script(Kernel(kernel[0], " ".join(kernel[1:]), tuple(initrds)), _reason(said))
            case _ if _to_disk(command, words):
                return Script(Disk(), _reason(said))
            case "sleep":
                return Script(Wait(float(words[0])), _reason(said))
            case _ if command not in _HARMLESS:
                raise Unreadable(f"this simulated iPXE has no command {command!r}")
    raise Unreadable("it ends without booting anything")


def _to_disk(command: str, words: list[str]) -> bool:
    """Back to the firmware, to the disk itself, or to the loader that does nothing but start what is installed."""
    return command in ("exit", "sanboot") or (command == "chain" and any("/ipxe/disk-" in word for word in words))


def _commands(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line up to its first `||` or `&&`: nothing ever fails here. Labels and empty lines are left out."""
    for line in lines:
        words = line.split("||")[0].split("&&")[0].split()
        if words and not words[0].startswith((":", "#")):
            yield words[0], words[1:]


def _image(words: list[str]) -> list[str]:
    """The URL and its arguments, without `--name NAME`."""
    if words[:1] == ["--name"]:
        words = words[2:]
    if not words:
        raise Unreadable("an image has no URL")
    return words


def _reason(said: list[str]) -> str:
    """The second line the console is told is the reason; the first says who it is."""
    return said[1].removeprefix("gitboot: ") if len(said) > 1 else ""
