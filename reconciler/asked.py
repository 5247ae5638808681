"""Which setting of a machine somebody asks for, in their own words.

Core. The law: a question is answered by every setting whose name has its words in their order, the closest names alone; what
nobody could have meant is nothing, and then the nearest names are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

from reconciler.why import BOOT, NEXT, Explained

_IDLE_WORDS = frozenset(("why", "is", "it", "does", "do", "the", "a", "an", "its", "get", "this", "that", "to"))
_DOING = frozenset(
    ("netbooting", "netboots", "netboot", "booting", "boots", "installing", "installs", "waiting", "doing", "next")
)
_MAC = re.compile(r" [0-9a-f]{2}(:[0-9a-f]{2}){5}\b")
_NAME = r'(?:"(?:[^"\\]|\\.)*"|[^\s/"]+)'
ACTION = re.compile(rf"(?P<workflow>workflow \S+(?: part \d+)?) action (?P<action>{_NAME}/{_NAME})(?: (?P<setting>.+))?")
"""The name of a setting that is an action's."""
MOST_OFFERED = 3
_WRITTEN = {
    "gateway": "routers",
    "nameServers": "domain-name-servers",
    "timeServers": "ntp-servers",
    "leaseTime": "dhcp-lease-time",
    "hostname": "host name",
}
"""What an inventory calls it → what a fact does."""


def answers(question: str, known: Sequence[Explained]) -> tuple[Explained, ...]:
    """The settings that are meant; none when no name has these words."""
    exact = [each for each in known if each.setting == question]
    words = [word for word in _words(question) if word not in _IDLE_WORDS]
    if exact or not words:
        return tuple(exact)
    if _DOING.intersection(words) and not any(each.setting == " ".join(words) for each in known):
        return tuple(each for each in known if each.setting in (NEXT, BOOT))
    spoken = {each.setting: [_words(name) for name in names] for each, names in _spellings(known)}
    for fits in (_is_all, _is_begun, _is_within):
        if found := [each for each in known if any(fits(words, name) for name in spoken[each.setting])]:
            return tuple(found)
    return ()


def nearest(question: str, known: Iterable[Explained]) -> tuple[str, ...]:
    """Names that somebody may have meant, the likeliest first, without the MACs of interfaces."""
    asked = " ".join(_words(question))
    names = dict.fromkeys(_MAC.sub("", each.setting) for each in known)
    rated = sorted(names, key=lambda name: -_likeness(asked, name))
    return tuple(rated[:MOST_OFFERED])


def _likeness(asked: str, name: str) -> float:
    """How like the question is to as many words of the name, wherever they stand in it; a word that is there is no slip."""
    words, count = _words(_apart(name)), max(1, asked.count(" ") + 1)
    parts = (" ".join(words[at : at + count]) for at in range(max(1, len(words) - count + 1)))
    meant = [word for word in asked.split() if word.isalpha()]
    whole = sum(word in words for word in meant) / max(1, len(meant))
    return max(SequenceMatcher(None, asked, part).ratio() for part in parts) + whole / 2


def _spellings(known: Sequence[Explained]) -> Iterable[tuple[Explained, tuple[str, ...]]]:
    """Each setting with its names: without the MAC, as an inventory calls it, and actions by their number in the workflow."""
    numbers: dict[tuple[str | Any, ...], int] = {}
    for each in known:
        if (found := ACTION.fullmatch(each.setting)) and found.group("workflow", "action") not in numbers:
            numbers[found.group("workflow", "action")] = 1 + sum(workflow == found["workflow"] for workflow, _ in numbers)
    for each in known:
        found = ACTION.fullmatch(each.setting)
        names = [each.setting, _MAC.sub("", each.setting), _apart(each.setting)]
        if found:
            number = numbers[found.group("workflow", "action")]
            names.append(f"{found['workflow']} action {number} {found['setting'] or ''}")
        names += [
            written for written, label in _WRITTEN.items() if f"({label})" in each.setting or each.setting.startswith(label)
        ]
        yield each, tuple(dict.fromkeys(names))


def _apart(name: str) -> str:
    """With the words of an option's label, and an action's name without its task's."""
    return re.sub(r"\(([\w-]+)\)", lambda found: found[1].replace("-", " "), re.sub(r"(?<= action )\S+/", "", name))


def _words(text: str) -> list[str]:
    return [word.strip("()?\"'").lower() for word in text.replace("=", " ").split() if word.strip("()?\"'")]


def _is_all(words: Sequence[str], name: Sequence[str]) -> bool:
    return list(words) == list(name)


def _is_begun(words: Sequence[str], name: Sequence[str]) -> bool:
    return list(words) == list(name[: len(words)])


def _is_within(words: Sequence[str], name: Sequence[str]) -> bool:
    """In the same order, with others between them."""
    rest = iter(name)
    return all(word in rest for word in words)
