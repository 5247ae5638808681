"""The syntax of RE2's regular expressions: pattern text to the parts it is made of.

Core. What RE2 has not (look-around, back-references) is refused, and so are its rarest parts: `\\p{…}`, `\\C`, `\\Q…\\E` and
the flag U. Groups capture nothing and reluctance is ignored, since neither changes whether there is a match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.template.errors import Budget, Fault

MAX_PATTERN = 1000
"""Characters of a pattern."""
MAX_REPEAT = 1000
"""As RE2: `a{1001}` is refused."""

Ranges: TypeAlias = tuple[tuple[str, str], ...]

_DIGIT: Ranges = (("0", "9"),)
WORD: Ranges = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACES: Ranges = (("\t", "\n"), ("\f", "\r"), (" ", " "))
_PERL = {"d": _DIGIT, "w": WORD, "s": _SPACES}
_POSIX: dict[str, Ranges] = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "ascii": (("\0", "\x7f"),),
    "blank": (("\t", "\t"), (" ", " ")),
    "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
    "digit": _DIGIT,
    "graph": (("!", "~"),),
    "lower": (("a", "z"),),
    "print": ((" ", "~"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": (("\t", "\r"), (" ", " ")),
    "upper": (("A", "Z"),),
    "word": WORD,
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_COUNTS = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_CODE = re.compile(r"x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]{1,6})\}|([0-7]{3}|0)")
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z0-9_]+>|(?P<flags>[ims]*(?:-[ims]+)?)(?P<end>[:)]))")
_NAMED = re.compile(r"\[:(\^?)([a-z]+):\]")

# The parts of a pattern


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of (or, negated, outside of) these ranges."""

    ranges: Ranges
    negated: bool = False
    folds: bool = False

    def has(self, character: str) -> bool:
        return self.negated != (
            self._in(character) or (self.folds and (self._in(character.lower()) or self._in(character.upper())))
        )

    def _in(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges)


Place = Literal["begin", "end", "line begin", "line end", "word", "no word"]


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Part
    least: int
    most: int | None


Part = Chars | Place | All | Any | Repeat


def parse(pattern: str, budget: Budget) -> Part:
    """The pattern's parts. Raises `Fault` for what is no pattern, or is not supported."""
    if len(pattern) > MAX_PATTERN:
        raise Fault(f"the pattern is too long: more than {MAX_PATTERN} characters")
    return _Parser(pattern, budget).whole()


class _Parser:
    def __init__(self, pattern: str, budget: Budget) -> None:
        self._text, self._budget = pattern, budget
        self._position = 0
        self._flags = frozenset[str]()

    def whole(self) -> Part:
        part = self._alternatives(1)
        if self._position < len(self._text):
            raise Fault("the pattern has a ) without a (")
        return part

    def _ahead(self, text: str) -> bool:
        return self._text.startswith(text, self._position)

    def _take(self) -> str:
        if self._position == len(self._text):
            raise Fault("the pattern ends too early")
        self._position += 1
        return self._text[self._position - 1]

    def _takes(self, text: str) -> bool:
        found = self._ahead(text)
        self._position += len(text) * found
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found

    def _alternatives(self, depth: int) -> Part:
        self._budget.enter(depth)
        outer = self._flags
        choices = [self._sequence(depth)]
        while self._takes("|"):
            choices.append(self._sequence(depth))
        self._flags = outer
        return Any(tuple(choices)) if len(choices) > 1 else choices[0]

    def _sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self._position < len(self._text) and not self._ahead("|") and not self._ahead(")"):
            self._budget.spend()
            parts.append(self._repeated(self._one(depth)))
        return All(tuple(parts))

    def _repeated(self, part: Part) -> Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        self._takes("?")  # reluctance changes what is captured, never whether there is a match
        if self._bounds() is not None:
            raise Fault("the pattern repeats a repetition, as a** does")
        return Repeat(part, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._takes(sign):
                return bounds
        if not (found := self._match(_COUNTS)):
            return None
        if any(len(digits or "") > 4 for digits in found.groups()):
            raise Fault(f"the pattern repeats more than {MAX_REPEAT} times")
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise Fault(f"the pattern's {found[0]} is no range up to {MAX_REPEAT}")
        return least, most

    def _one(self, depth: int) -> Part:
        character = self._take()
        match character:
            case "(":
                return self._group(depth)
            case "[":
                return self._class()
            case ".":
                return Chars((), negated=True) if "s" in self._flags else Chars((("\n", "\n"),), negated=True)
            case "^":
                return "line begin" if "m" in self._flags else "begin"
            case "$":
                return "line end" if "m" in self._flags else "end"
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise Fault(f"the pattern's {character} has nothing to repeat")
        return self._literal(character)

    def _literal(self, character: str) -> Chars:
        return self._set(((character, character),))

    def _set(self, ranges: Ranges, negated: bool = False) -> Chars:
        return Chars(ranges, negated, "i" in self._flags)

    def _group(self, depth: int) -> Part:
        self._position -= 1
        if not self._ahead("(?"):
            self._position += 1
            return self._grouped(depth)
        if not (found := self._match(_GROUP)):
            raise Fault("the pattern has a (? that RE2 does not know, or that is not supported")
        outer = self._flags
        if found["flags"]:
            on, _, off = found["flags"].partition("-")
            self._flags = self._flags.union(on) - set(off)
        if found["end"] == ")":
            return All(())  # the flags hold up to the end of the group around them
        part = self._grouped(depth)
        self._flags = outer
        return part

    def _grouped(self, depth: int) -> Part:
        part = self._alternatives(depth + 1)
        if not self._takes(")"):
            raise Fault("the pattern has a ( without a )")
        return part

    def _escape(self) -> Part:
        places: dict[str, Place] = {"A": "begin", "z": "end", "b": "word", "B": "no word"}
        letter = self._text[self._position : self._position + 1]
        if letter in places:
            self._position += 1
            return places[letter]
        if letter.lower() in _PERL:
            self._position += 1
            return Chars(_PERL[letter.lower()], negated=letter.isupper())
        return self._literal(self._escaped())

    def _escaped(self) -> str:
        """The character that an escape stands for, after its backslash."""
        if found := self._match(_CODE):
            code = int(found[1] or found[2], 16) if found[1] or found[2] else int(found[3], 8)
            if code > 0x10FFFF:
                raise Fault("the pattern names a character beyond Unicode")
            return chr(code)
        letter = self._take()
        if letter in _ESCAPED:
            return _ESCAPED[letter]
        if letter.isalnum() or not letter.isascii():
            raise Fault(f"the pattern's \\{letter} is unknown or not supported")
        return letter

    def _class(self) -> Part:
        negated = self._takes("^")
        ranges: list[tuple[str, str]] = []
        start = self._position
        while self._position == start or not self._ahead("]"):
            self._budget.spend()
            ranges.extend(self._member())
        self._take()
        return self._set(tuple(ranges), negated)

    def _member(self) -> Ranges:
        if found := self._match(_NAMED):
            if found[2] not in _POSIX:
                raise Fault(f"the pattern's class {found[0]} is unknown")
            return _outside(_POSIX[found[2]]) if found[1] else _POSIX[found[2]]
        if self._ahead("\\") and (letter := self._text[self._position + 1 : self._position + 2]).lower() in _PERL and letter:
            self._position += 2
            return _outside(_PERL[letter.lower()]) if letter.isupper() else _PERL[letter]
        low = high = self._bound()
        if self._ahead("-") and not self._ahead("-]"):
            self._take()
            high = self._bound()
        if high < low:
            raise Fault(f"the pattern's range {low}-{high} is the wrong way round")
        return ((low, high),)

    def _bound(self) -> str:
        character = self._take()
        return self._escaped() if character == "\\" else character


def _outside(ranges: Ranges) -> Ranges:
    """The ranges between sorted ranges."""
    edges = ["\0", *(edge for low, high in ranges for edge in (chr(ord(low) - 1) if low > "\0" else "", chr(ord(high) + 1)))]
    edges.append(chr(0x10FFFF))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((low, high) for low, high in pairs if high and low <= high)
