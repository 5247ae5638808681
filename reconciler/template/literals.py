"""The values that literals of a template stand for, by the rules of Go's strconv.

Core. Every function takes the literal as it was written, quotes and sign included, and raises `Fault` when Go would refuse it.
"""

from __future__ import annotations

import math
import re

from reconciler.template.errors import Fault

_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([^\\]+)|\\", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}

_DIGITS = "[0-9](?:_?[0-9])*"
_HEX_DIGITS = "[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_INTEGERS = (
    (re.compile(f"0[xX]_?({_HEX_DIGITS})"), 16),
    (re.compile("0[bB]_?([01](?:_?[01])*)"), 2),
    (re.compile("0[oO]?_?([0-7](?:_?[0-7])*)"), 8),
    (re.compile("(0|[1-9](?:_?[0-9])*)"), 10),
)
_FLOAT = re.compile(rf"(?=\.?[0-9])(?=.*[.eE])(?:{_DIGITS})?(?:\.(?:{_DIGITS})?)?(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(rf"0[xX]_?(?=\.?[0-9a-fA-F])(?:{_HEX_DIGITS})?(?:\.(?:{_HEX_DIGITS})?)?[pP][+-]?{_DIGITS}")

INT64 = range(-(2**63), 2**63)
"""What Go's int holds."""


def unquote(literal: str) -> str:
    """The text of `"…"` or of a raw string in backquotes."""
    if literal[0] == "`":
        return literal[1:-1].replace("\r", "")
    try:
        return b"".join(_pieces(literal[1:-1], '"')).decode()
    except UnicodeDecodeError:
        raise Fault(f"the bytes that {literal} spells are not UTF-8") from None


def character(literal: str) -> int:
    """The code point of `'c'`."""
    if byte := re.fullmatch(r"'\\(?:x([0-9a-fA-F]{2})|([0-3][0-7]{2}))'", literal):
        return int(byte[1], 16) if byte[1] else int(byte[2], 8)
    text = b"".join(_pieces(literal[1:-1], "'")).decode(errors="replace")
    if len(text) != 1:
        raise Fault(f"{literal} is not one character")
    return ord(text)


def _pieces(inside: str, quote: str) -> list[bytes]:
    """The bytes that text and escapes stand for: `\\x` and octal escapes are bytes, the others characters."""
    return [_piece(match, quote) for match in _ESCAPE.finditer(inside)]


def _piece(match: re.Match[str], quote: str) -> bytes:
    octal, byte, short, long, simple, text = match.groups()
    if text is not None:
        return text.encode(errors="replace")
    if (byte or octal) and (value := int(byte, 16) if byte else int(octal, 8)) < 256:
        return bytes([value])
    if short or long:
        code = int(short or long, 16)
        if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
            return chr(code).encode()
    if simple and (simple == quote or simple in _SIMPLE):
        return _SIMPLE.get(simple, simple).encode()
    raise Fault(f"the escape {match[0]} is unknown")


def number(literal: str) -> int | float:
    """The int (64 bits, signed) or float that the literal's syntax stands for."""
    sign = -1 if literal[0] == "-" else 1
    digits = literal[1:] if literal[0] in "+-" else literal
    for pattern, base in _INTEGERS:
        if found := pattern.fullmatch(digits):
            return _int64(literal, sign, found[1].replace("_", ""), base)
    return sign * _float(literal, digits)


def _int64(literal: str, sign: int, digits: str, base: int) -> int:
    value = sign * int(digits, base) if len(digits) <= 64 or not digits.strip("0") else INT64.stop
    if value not in INT64:
        raise Fault(f"{_shown(literal)} does not fit in 64 bits")
    return value


def _float(literal: str, digits: str) -> float:
    bare = digits.replace("_", "")
    try:
        value = float.fromhex(bare) if _HEX_FLOAT.fullmatch(digits) else float(bare) if _FLOAT.fullmatch(digits) else None
    except OverflowError:
        value = math.inf
    if value is None:
        raise Fault(f"{_shown(literal)} is no number")
    if math.isinf(value):
        raise Fault(f"{_shown(literal)} is too large for a number")
    return value


def _shown(literal: str) -> str:
    return literal if len(literal) <= 40 else literal[:40] + "…"
