"""Groups: changes that are alike, told once.

Core. The law: every change is in exactly one group, and what a group says is true of each machine in it once the machine's own
name, addresses and MACs are put in place of `<name>`, `<address>` and `<mac>`. A change that is alone keeps its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reconciler.changes import GRAVITY, Change, Consequence, Kind, Setting

_MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


_TELLING = re.compile(
    r"address |host name |idle$|option 15 |Raspberry Pi$|workflow \S+( part \d+)? (run|actions)$"
    r"|profile \S+ (kernel|chain|script|kernel command line)$"
)
"""What is told of a machine that is new, or gone: the rest follows from that, or is as everywhere."""


@dataclass(frozen=True, slots=True)
class Group:
    changes: tuple[Change, ...]
    """In order of name; never empty."""
    settings: tuple[Setting, ...]
    """Of machines that are new, or gone, what tells them from others."""
    reasons: tuple[str, ...]

    @property
    def untold(self) -> int:
        """How many settings each of them has beside."""
        return len(self.changes[0].settings) - len(self.settings)

    @property
    def consequence(self) -> Consequence:
        return self.changes[0].consequence

    @property
    def kind(self) -> Kind:
        return self.changes[0].kind


def grouped(changes: Iterable[Change]) -> list[Group]:
    """The gravest first; among equals the larger, then by name."""
    found: dict[object, list[Change]] = {}
    said: dict[object, tuple[tuple[Setting, ...], tuple[str, ...]]] = {}
    for change in changes:
        common = _common(change, _told(change))
        key = (change.consequence, change.kind, *common)
        found.setdefault(key, []).append(change)
        said[key] = common
    groups = [_group(members, *said[key]) for key, members in found.items()]
    return sorted(groups, key=lambda each: (-GRAVITY.index(each.consequence), -len(each.changes), each.changes[0].machine))


def _group(members: Sequence[Change], settings: tuple[Setting, ...], reasons: tuple[str, ...]) -> Group:
    alone = members[0]
    if len(members) == 1:
        return Group((alone,), _without_mac(_told(alone)), alone.reasons)
    return Group(tuple(members), settings, reasons)


def _told(change: Change) -> tuple[Setting, ...]:
    if change.kind in ("added", "removed"):
        return tuple(each for each in change.settings if _TELLING.match(each.name))
    return change.settings


def _common(change: Change, told: tuple[Setting, ...]) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """What it says, without what is this machine's alone."""
    text = "\n".join((*change.reasons, *(text for each in told for text in _texts(each))))
    own = {word: called for word, called in _own(change).items() if word in text}
    if not own:
        return told, change.reasons
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(own, key=len, reverse=True)))

    def general(text: str) -> str:
        return pattern.sub(lambda match: own[match[0]], text)

    settings = (
        Setting(general(each.name), *(None if text is None else general(text) for text in (each.before, each.after)))
        for each in told
    )
    return _without_mac(tuple(settings)), tuple(map(general, change.reasons))


def _texts(setting: Setting) -> Iterator[str]:
    return (text for text in (setting.name, setting.before, setting.after) if text)


def _own(change: Change) -> Mapping[str, str]:
    """What is this machine's alone → how it is called instead."""
    names = {change.was: "<old name>", change.machine: "<name>"}
    macs: dict[str, None] = {}
    old, new = set[str](), set[str]()
    for setting in change.settings:
        macs |= dict.fromkeys(_MAC.findall(setting.name))
        if setting.name.startswith("interfaces"):
            macs |= dict.fromkeys(_MAC.findall(f"{setting.before} {setting.after}"))
        elif setting.name.startswith(("address ", "DNS ")):
            old |= {*_ADDRESS.findall(f"{setting.name if setting.before else ''} {setting.before}")}
            new |= {*_ADDRESS.findall(f"{setting.name if setting.after else ''} {setting.after}")}
        elif setting.name.startswith("host name "):
            names |= {setting.before or "": "<old name>"} | {setting.after or "": "<name>"}
    addresses = _counted("old address", old - new if new else ()) | _counted("address", new or old)
    return {word: called for word, called in (names | _counted("mac", macs) | addresses).items() if word}


def _counted(what: str, words: Iterable[str]) -> dict[str, str]:
    return {word: f"<{what} {at}>" if at > 1 else f"<{what}>" for at, word in enumerate(sorted(words), 1)}


def _without_mac(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Where only one port is spoken of nobody needs to be told which."""
    ports = {found for setting in settings for found in _port(setting.name)}
    if len(ports) != 1:
        return settings
    end = f" {ports.pop()}"
    return tuple(Setting(each.name.removesuffix(end), each.before, each.after) for each in settings)


@lru_cache(maxsize=4096)
def _port(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r" ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}|<mac[ 0-9]*>)$", name))
