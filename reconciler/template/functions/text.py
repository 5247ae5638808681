"""Sprig's functions on text, with sprig's order of arguments: the text itself comes last, so that it can be piped.

Core. As sprig's hermetic map, but where sprig hides an error in the output (`b64dec` printing its error text, a broken
pattern that "does not match"), this raises `Fault`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator

from reconciler.template.errors import Budget, Fault
from reconciler.template.functions.regex import Pattern
from reconciler.template.printf import quoted
from reconciler.template.values import Value, text_of

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Go's unicode.IsSpace; Python's str.strip would take four separators more."""

_WIDEST = 10**6
"""More columns or copies than any output has room for."""


# Asking


def contains(part: str, text: str) -> bool:
    return part in text


def has_prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def has_suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def regex_match(budget: Budget, pattern: str, text: str) -> bool:
    """Whether the RE2 pattern is found anywhere in the text."""
    return Pattern.compile(pattern, budget).found_in(text, budget)


# Changing


def replace(budget: Budget, old: str, new: str, text: str) -> str:
    budget.reserve(len(text) + text.count(old) * max(len(new) - len(old), 0))
    return text.replace(old, new)


def lower(text: str) -> str:
    return text.lower() if text.isascii() else _each(text, str.lower)


def upper(text: str) -> str:
    return text.upper() if text.isascii() else _each(text, str.upper)


def _each(text: str, change: Callable[[str], str]) -> str:
    """Go changes case one character at a time, and never one into two."""
    return "".join(changed if len(changed := change(character)) == 1 else character for character in text)


def trim(text: str) -> str:
    return text.strip(_SPACE)


def trim_prefix(prefix: str, text: str) -> str:
    return text.removeprefix(prefix)


def trim_suffix(suffix: str, text: str) -> str:
    return text.removesuffix(suffix)


def indent(budget: Budget, spaces: int, text: str) -> str:
    """Every line, the first and empty ones too, moved to the right."""
    _check_count(spaces)
    budget.reserve(len(text) + spaces * (1 + text.count("\n")))
    padding = " " * spaces
    return padding + text.replace("\n", "\n" + padding)


def nindent(budget: Budget, spaces: int, text: str) -> str:
    """`indent` after a line end."""
    return "\n" + indent(budget, spaces, text)


def repeat(budget: Budget, count: int, text: str) -> str:
    _check_count(count)
    budget.reserve(count * len(text))
    return text * count


def _check_count(count: int) -> None:
    if not 0 <= count <= _WIDEST:
        raise Fault(f"the count {count} is not from 0 to {_WIDEST}")


# To and from other things


def b64enc(budget: Budget, text: str) -> str:
    budget.reserve(len(text) * 4 // 3)
    return base64.b64encode(text.encode(errors="replace")).decode()


def b64dec(budget: Budget, text: str) -> str:
    """The text inside. Raises `Fault` for what is no base64, and for bytes that are no UTF-8 text."""
    budget.reserve(len(text))
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True).decode()
    except UnicodeDecodeError:
        raise Fault("the decoded bytes are no UTF-8 text") from None
    except (binascii.Error, ValueError) as error:
        raise Fault(f"not base64: {error}") from None


def to_string(budget: Budget, value: Value) -> str:
    return text_of(value, budget)


def quote(budget: Budget, *values: Value) -> str:
    """Each value but nil in double quotes, escaped as in Go (and, for printable text, YAML and JSON)."""
    return budget.join(_spaced(quoted(text_of(value, budget)) for value in values if value is not None))


def squote(budget: Budget, *values: Value) -> str:
    """Each value but nil between single quotes; quotes inside are not escaped."""
    return budget.join(_spaced(f"'{text_of(value, budget)}'" for value in values if value is not None))


def _spaced(texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield f" {text}" if index else text


# Lists of text


def texts(budget: Budget, value: Value) -> list[str]:
    """The items of a list but nil, or the one value, each as text."""
    items = value if isinstance(value, list | tuple) else [value]
    budget.spend(len(items))
    return [text_of(item, budget) for item in items if item is not None]


def join(budget: Budget, separator: str, value: Value) -> str:
    parts = texts(budget, value)
    budget.reserve(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def sort_alpha(budget: Budget, value: Value) -> list[Value]:
    if isinstance(value, list | tuple):
        return [*sorted(texts(budget, value))]
    return [text_of(value, budget)]


def split_list(budget: Budget, separator: str, text: str) -> list[Value]:
    """The parts between separators; the characters, when the separator is empty."""
    if not separator:
        budget.reserve(len(text))
        return [*text]
    budget.reserve(1 + text.count(separator))
    return [*text.split(separator)]


def split(budget: Budget, separator: str, text: str) -> dict[str, Value]:
    """`split "." "a.b"` is the map `_0: a, _1: b`."""
    return {f"_{index}": part for index, part in enumerate(split_list(budget, separator, text))}


TABLE: dict[str, Callable[..., Value]] = {
    "b64dec": b64dec,
    "b64enc": b64enc,
    "contains": contains,
    "hasPrefix": has_prefix,
    "hasSuffix": has_suffix,
    "indent": indent,
    "join": join,
    "lower": lower,
    "nindent": nindent,
    "quote": quote,
    "regexMatch": regex_match,
    "repeat": repeat,
    "replace": replace,
    "sortAlpha": sort_alpha,
    "split": split,
    "splitList": split_list,
    "squote": squote,
    "toString": to_string,
    "trim": trim,
    "trimPrefix": trim_prefix,
    "trimSuffix": trim_suffix,
    "upper": upper,
}
