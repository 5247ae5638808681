"""A boot's conversation for a person: what was asked, the answer and its reason, with every field of every packet.

Core. The law: the same exchanges give the same text, and nothing is left out of it but what was never kept: a packet that
repeats most of the last one in its direction says so, and what it adds, changes and lacks. Bytes of a peer are escaped, and
passwords are masked as in a plan (`masks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import unified_diff
from itertools import groupby
from textwrap import indent, wrap

from msgspec.structs import replace

from netboot.dhcp import classify
from netboot.dhcp_options import escaped, label
from netboot.dhcp_packet import Packet, decode, describe
from netboot.errors import Malformed
from netboot.masks import masked_text
from netboot.recording import DhcpQuestion, Exchange, ScriptQuestion
from netboot.replay import Replayed

WIDTH = 120
_VERBS = {"script": "GET", "http": "GET", "artifact": "GET", "metadata": "GET", "tftp": "RRQ"}
_MARGIN = "      "
_LEAST_REPEATED = 5
"""Options in common with the packet before, from which on they are not said again."""
Fields = dict[str, str]
"""Option, as labelled → the line about it."""


def transcript(exchanges: Iterable[Exchange], *, clock: bool) -> str:
    """`clock`: with the time of day (UTC) of each; without, they are numbered."""
    teller = _Teller()
    return "".join(teller.tell(each, _time(each.at) if clock else f"{number:2}") for number, each in enumerate(exchanges, 1))


def replay_text(found: Iterable[Replayed]) -> str:
    """What was recorded, and below each exchange whether it is answered so again."""
    teller = _Teller()
    return "".join(f"{teller.tell(each.recorded, _time(each.recorded.at))}{_again(each)}\n" for each in found)


def difference(before: Exchange, after: Exchange) -> str:
    """Line by line."""
    old, new = ([line.strip() for line in _Teller().tell(each, "").splitlines()] for each in (before, after))
    lines = [line for line in list(unified_diff(old, new, lineterm="", n=0))[2:] if line[:2] != "@@"]
    return "\n".join(f"{_MARGIN}{line}" for line in lines or ["(another, where it is masked)"])


class _Teller:
    """Remembers the last packet of each direction."""

    def __init__(self) -> None:
        self._last: dict[str, Fields] = {}

    def tell(self, each: Exchange, mark: str) -> str:
        """A line that says who asked what, one that says what came of it and why, and below each what is in it."""
        question = each.question
        answer = f"    → {each.outcome.upper()}{_size(each)}{': ' if each.reason else ''}{each.reason}"
        parts = [
            f"{mark}  {_asked(each)}",
            self._packet("asked", question.datagram) if isinstance(question, DhcpQuestion) else "",
        ]
        return plain("\n".join(filter(None, [*parts, answer, self._body(each)])) + "\n")

    def _body(self, each: Exchange) -> str:
        if each.kind == "dhcp" and each.answer:
            return self._packet("answered", each.answer)
        return indent(masked_text(each.answer.decode(errors="backslashreplace").rstrip()), f"{_MARGIN}│ ")

    def _packet(self, direction: str, datagram: bytes) -> str:
        try:
            packet = decode(datagram)
        except Malformed as error:
            return f"{_MARGIN}{error}"
        header, fields = _fields(packet)
        last, self._last[direction] = self._last.get(direction, {}), fields
        return "\n".join(line for text in (header, *_news(last, fields)) for line in _wrapped(text))


def plain(text: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def _wrapped(text: str) -> list[str]:
    return wrap(masked_text(text), WIDTH, initial_indent=_MARGIN, subsequent_indent=f"{_MARGIN}    ")


def _asked(each: Exchange) -> str:
    what = f"{_VERBS.get(each.kind, '')} {each.said}".strip()
    return f"{each.kind.upper()} {what}  {_who(each)}"


def _who(each: Exchange) -> str:
    question = each.question
    if isinstance(question, ScriptQuestion) and question.asked.peer:
        return f"{each.mac} at {question.asked.peer}"
    if isinstance(question, DhcpQuestion):
        try:
            client = classify(decode(question.datagram))
        except Malformed:
            return each.mac
        return f"{each.mac} ({client.kind}{'' if client.arch is None else f', architecture {client.arch}'})"
    return each.mac


def _size(each: Exchange) -> str:
    to = f" to {each.to.address}:{each.to.port} by {each.to.kind}" if each.to else ""
    return f", {len(each.answer)} bytes{to}" if each.answer else ""


def _fields(packet: Packet) -> tuple[str, Fields]:
    """The header in one line, and a line for each option, as `describe` has them; those that hold codes or text as such."""
    head, *lines = describe(packet).split("\n")
    header = [line for line in lines if not line[:1].isdigit()]
    fields = dict(zip(map(label, packet.options), lines[len(header) :], strict=True))
    for code, show in ((55, _codes), (77, escaped)):
        if code in packet.options:
            fields[label(code)] = f"{label(code)}: {show(packet.options[code])}"
    return " ".join([head.partition(" ")[2], *header]), fields


def _news(last: Fields, fields: Fields) -> Iterator[str]:
    """All lines, or what differs from the packet before where most of it is the same."""
    same = {name for name, line in fields.items() if last.get(name) == line}
    if len(same) < _LEAST_REPEATED:
        yield from fields.values()
        return
    yield from (line for name, line in fields.items() if name not in same)
    gone = ", ".join(name for name in last if name not in fields)
    yield f"and {len(same)} options as in the packet before" + (f"; without {gone}" if gone else "")


def _codes(data: bytes) -> str:
    """`1-6 12 13`: runs of three or more are drawn together."""
    runs = [[code for _, code in run] for _, run in groupby(enumerate(data), lambda pair: pair[1] - pair[0])]
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs)


def _again(each: Replayed) -> str:
    if each.why:
        return f"{_MARGIN}✗ cannot be answered again: {each.why}"
    if each.again is None:
        return f"{_MARGIN}· is only told of"
    if each.same:
        return f"{_MARGIN}✓ the same again{_size(replace(each.recorded, to=None))}"
    return f"{_MARGIN}✗ answered otherwise:\n{difference(each.recorded, each.again)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
