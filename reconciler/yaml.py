"""YAML with places: bytes in, plain data and the line and column of every value out.

Core. The law: whatever the bytes, the answer is documents and faults, never an exception. The scalars are those of the
YAML 1.2 core schema: `no` and `52:54:00:12:34:56` are text, `0644` is a number whose written text is kept, so that whoever
wants text there gets "0644". Keys are text. A key given twice is a fault, so is a tag. Aliases are copied and `<<` merges,
within the same bounds on depth and number that everything else has: a bomb is a fault too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import yaml

from reconciler.places import Mark, Path

MAX_DEPTH = 64
"""Levels of nesting, aliases followed."""
MAX_VALUES = 200_000
"""Values in one file, aliases followed."""

Scalar = str | int | float | bool | None
Value = Scalar | dict[str, "Value"] | list["Value"]
Event = Any  # the parser's events carry fields that the stubs of PyYAML do not know


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its data, free of sharing, and where everything was."""

    value: Value
    root: Mark


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the text, at a line and a column."""

    line: int
    column: int
    path: Path
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file holds. Not `whole`: a fault hid the rest of the file, and `documents` ends before it."""

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    whole: bool


def read(data: bytes) -> Reading:
    """Every document of a file. An empty file has none, an empty document none either."""
    faults: list[Fault] = []
    documents: list[Document] = []
    try:
        _Builder(decode(data), faults).build(documents)
    except Unreadable as stop:
        return Reading(tuple(documents), (*faults, stop.fault), whole=False)
    except yaml.YAMLError as error:
        return Reading(tuple(documents), (*faults, _syntax(error)), whole=False)
    return Reading(tuple(documents), tuple(faults), whole=True)


class Unreadable(Exception):
    """Nothing more can be read from this file."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


# Text ------------------------------------------------------------------------------------------------------------------

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What no YAML file may hold (YAML 1.2, section 5.1), and a byte order mark that is not in front, which nobody can see."""
_OLD_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks for YAML 1.1, and so for the parser, but not for YAML 1.2 and not for an editor (section 5.4)."""


def decode(data: bytes) -> str:
    """The text of a file, without a byte order mark. Raises Unreadable for what cannot be YAML."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        message = "This file is not UTF-8 text from here on: save it as UTF-8."
        raise Unreadable(Fault(*_position(before), (), "not-utf8", message)) from None
    if found := _UNPRINTABLE.search(text):
        message = f"The character U+{ord(found[0]):04X} cannot stand in YAML: remove it, or move a binary file elsewhere."
        raise Unreadable(Fault(*_position(text[: found.start()]), (), "binary-file", message))
    if found := _OLD_BREAKS.search(text):
        written = f'"\\u{ord(found[0]):04x}"'
        message = f"The character U+{ord(found[0]):04X} ends a line for some programs only: remove it, or write {written}."
        raise Unreadable(Fault(*_position(text[: found.start()]), (), "yaml-syntax", message))
    return text


def _position(before: str) -> tuple[int, int]:
    """Line and column of the character after `before`."""
    lines = re.split(r"\r\n|\n|\r", before)
    return len(lines), len(lines[-1]) + 1


def _syntax(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None)
    where = f" {context}" if context else ""
    hint = "indent with spaces, not tabs" if "cannot start any token" in problem else "check indentation, quotes and brackets"
    return Fault(line, column, (), "yaml-syntax", f"This is not YAML{where}: {problem}; {hint} here and above.")


# Scalars ---------------------------------------------------------------------------------------------------------------

_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_FIRST = frozenset("0123456789+-.~nNtTfF")
"""What a plain scalar that is not text can begin with."""


def _resolve(text: str) -> Scalar:
    """A plain scalar's value (YAML 1.2, section 10.3.2). Infinities and numbers beyond 64 bits or so stay text."""
    if text and text[0] not in _FIRST:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if len(text) <= 40 and _FLOAT.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text


# Structure -------------------------------------------------------------------------------------------------------------

_BLOCK = re.compile(r"[^\n]*\n(?:[ \r]*\n)*( *)")
"""From the `|` of a literal block to its first text."""
_TEXT_TAGS = frozenset(("!", "tag:yaml.org,2002:str"))
_PLAIN_TAGS = frozenset(("!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"))


class _Builder:
    """Builds documents from the parser's events: recursion is ours, so that depth is bounded before the stack is."""

    def __init__(self, text: str, faults: list[Fault]) -> None:
        self._text = text
        self._events: Iterator[Event] = yaml.parse(text, yaml.CSafeLoader)
        self._faults = faults
        self._anchors: dict[str, tuple[Value, Mark] | None] = {}
        self._count = 0

    def build(self, documents: list[Document]) -> None:
        """Adds each document as it is complete, so that those before a fault are not lost."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                value, mark = self._value(next(self._events), ())
                if value is not None:
                    documents.append(Document(value, mark))

    def _value(self, event: Event, path: Path) -> tuple[Value, Mark]:
        self._room(len(path), event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        built: tuple[Value, Mark]
        if isinstance(event, yaml.ScalarEvent):
            built = self._scalar(event, path)
        else:
            self._refuse_tag(event, path, _PLAIN_TAGS)
            built = self._mapping(event, path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(event, path)
        if anchor is not None:
            self._anchors[anchor] = built
        return built

    def _scalar(self, event: Event, path: Path) -> tuple[Scalar, Mark]:
        mark = _mark(event, None)
        if event.style == "|" and (found := _BLOCK.match(self._text, event.start_mark.index)):
            mark.block = mark.line + 1, len(found[1]) + 1
        if event.tag is not None or not event.implicit[0]:
            self._refuse_tag(event, path, _TEXT_TAGS)
            return event.value, mark
        value = _resolve(event.value)
        if not isinstance(value, str):
            mark.within = event.value
        return value, mark

    def _sequence(self, event: Event, path: Path) -> tuple[list[Value], Mark]:
        values: list[Value] = []
        marks: list[Mark] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            value, mark = self._value(item, (*path, len(values)))
            values.append(value)
            marks.append(mark)
        return values, _mark(event, marks)

    def _mapping(self, event: Event, path: Path) -> tuple[dict[str, Value], Mark]:
        values: dict[str, Value] = {}
        marks: dict[str, Mark] = {}
        merges: list[tuple[Value, Mark]] = []
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            key = self._key(item, path)
            value, mark = self._value(next(self._events), (*path, key or ""))
            if key == "<<" and item.implicit[0]:
                merges.append((value, mark))
            elif key in values:
                message = (
                    f"The key {key[:60]!r} stands here for the second time (first in line {marks[key].key[0]}): remove one."
                )
                self._fault(item, (*path, key), "duplicate-key", message)
            elif key is not None:
                mark.key = _at(item)
                values[key] = value
                marks[key] = mark
        for value, mark in merges:
            self._merge(values, marks, value, mark, path)
        return values, _mark(event, marks)

    def _key(self, event: Event, path: Path) -> str | None:
        """The key as written, or None after a fault."""
        if isinstance(event, yaml.ScalarEvent):
            if not event.implicit[0]:
                self._refuse_tag(event, path, _TEXT_TAGS)
            return str(event.value)
        self._fault(event, path, "bad-key", "A key must be plain text: write it out, without alias, list or map.")
        self._value(event, path)
        return None

    def _merge(self, values: dict[str, Value], marks: dict[str, Mark], value: Value, mark: Mark, path: Path) -> None:
        """What `<<` brings in, where no key of the map itself says otherwise; the first of a list of maps wins."""
        maps = [(value, mark)]
        if isinstance(value, list) and isinstance(mark.within, list):
            maps = list(zip(value, mark.within, strict=True))
        for each, marked in maps:
            if not isinstance(each, dict) or not isinstance(marked.within, dict):
                message = "`<<` merges a map or a list of maps: refer to one with *name."
                self._faults.append(Fault(mark.line, mark.column, path, "bad-merge", message))
                return
            for key in each:
                if key not in values:
                    values[key] = each[key]
                    marks[key] = marked.within[key]

    def _alias(self, event: Event, path: Path) -> tuple[Value, Mark]:
        name = event.anchor
        if (known := self._anchors.get(name)) is not None:
            value, mark = known
            return self._copy(value, event, path), replace(mark)
        fault = "stands within what it refers to" if name in self._anchors else "refers to nothing above"
        self._fault(event, path, "bad-alias", f"The alias *{name} {fault}: write the value out.")
        return None, _mark(event, None)

    def _copy(self, value: Value, event: Event, path: Path) -> Value:
        """A copy of its own, so that nobody's change shows elsewhere, counted like what is written out."""
        self._room(len(path), event)
        if isinstance(value, dict):
            return {key: self._copy(each, event, (*path, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self._copy(each, event, (*path, index)) for index, each in enumerate(value)]
        return value

    def _room(self, depth: int, event: Event) -> None:
        self._count += 1
        if depth > MAX_DEPTH:
            message = f"This is nested deeper than {MAX_DEPTH} levels: make it flatter."
        elif self._count > MAX_VALUES:
            message = f"From here on the file has more than {MAX_VALUES} values, aliases followed: split it into several files."
        else:
            return
        raise Unreadable(Fault(*_at(event), (), "too-complex", message))

    def _refuse_tag(self, event: Event, path: Path, allowed: frozenset[str]) -> None:
        if event.tag is not None and event.tag not in allowed:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._fault(event, path, "yaml-tag", f"The tag {tag} has no meaning here: remove it.")

    def _fault(self, event: Event, path: Path, code: str, message: str) -> None:
        self._faults.append(Fault(*_at(event), path, code, message))


def _mark(event: Event, within: dict[str, Mark] | list[Mark] | None) -> Mark:
    at = _at(event)
    return Mark(*at, at, within)


def _at(event: Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
