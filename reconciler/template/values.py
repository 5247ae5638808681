"""Plain data as Go sees it: kinds, truth, order and how values print.

Core. A value is None, bool, int (64 bits), float, str, a list (or tuple) or a dict with str keys, and nothing else: anything
else in the data is refused when it is met, so no attribute of a Python object can ever be reached. Text counts in UTF-8 bytes
where Go counts bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Literal, TypeAlias

from reconciler.template.errors import Budget, Fault
from reconciler.template.literals import INT64

Value: TypeAlias = object
"""None, bool, int, float, str, List or Map; `kind` tells, and refuses everything else."""

List: TypeAlias = "list[Value] | tuple[Value, ...]"
Map: TypeAlias = "dict[str, Value]"

Kind = Literal["nil", "bool", "integer", "float", "string", "list", "map"]


_KINDS: dict[type, Kind] = {
    type(None): "nil",
    bool: "bool",
    float: "float",
    str: "string",
    list: "list",
    tuple: "list",
    dict: "map",
}  # int is not here, since its size must be looked at


def kind(value: Value) -> Kind:
    """The Go kind of a value. Raises `Fault` for what is not plain data."""
    return _KINDS.get(type(value)) or _kind_of_other(value)


def _kind_of_other(value: Value) -> Kind:
    """The kind of an int, or of an instance of a subclass."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value not in INT64:
            raise Fault("an integer in the data does not fit in 64 bits")
        return "integer"
    for base, found in _KINDS.items():
        if isinstance(value, base):
            return found
    raise Fault(f"the data holds a value of the type {type(value).__name__}, which a template cannot use")


def described(value: Value) -> str:
    """The value's kind for a sentence: `nil`, `an integer`, `a string`."""
    what = kind(value)
    return what if what == "nil" else f"an {what}" if what == "integer" else f"a {what}"


def shown(value: Value) -> str:
    """The value itself for a sentence, when it is short enough: `the integer 5`, `the string "x"`, `a list`."""
    match kind(value), value:
        case "nil", _:
            return "nil"
        case "string", str(text):
            return f'the string "{text:.40}"'
        case ("list" | "map") as what, _:
            return f"a {what}"
        case what, _:
            return f"the {what} {value}"


def truth(value: Value) -> bool:
    """What `if` makes of a value: false, 0, "", nil and empty lists and maps are false."""
    kind(value)
    return bool(value) or value != value  # NaN is not zero, hence true


def entries(mapping: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Keys and values in Go's order. Raises `Fault` for keys that are no text."""
    for key in mapping:
        if not isinstance(key, str):
            raise Fault(f"the data has the key {key!r:.40}, which is not a string")
    return sorted(mapping.items())


def size(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


# Printing

Leaf: TypeAlias = "Callable[[Value], str]"


def text_of(value: Value, budget: Budget) -> str:
    """The value as Go prints it with `%v`: `[a b]`, `map[k:v]`, `1e+06`, `<nil>` inside lists and maps."""
    return value if isinstance(value, str) else budget.join(pieces(value, scalar_text, budget))


def pieces(value: Value, leaf: Leaf, budget: Budget, depth: int = 1) -> Iterator[str]:
    """A list or map the way Go's fmt lays it out, with `leaf` for the values and keys in it."""
    match value:
        case list() | tuple():
            budget.enter(depth)
            yield "["
            for index, item in enumerate(value):
                yield " " if index else ""
                yield from pieces(item, leaf, budget, depth + 1)
            yield "]"
        case dict():
            budget.enter(depth)
            budget.spend(len(value))
            yield "map["
            for index, (key, item) in enumerate(entries(value)):
                yield f"{' ' if index else ''}{leaf(key)}:"
                yield from pieces(item, leaf, budget, depth + 1)
            yield "]"
        case None if depth > 1:
            yield "<nil>"
        case _:
            yield leaf(value)


def scalar_text(value: Value) -> str:
    """A value that is no list and no map, as `%v`."""
    match kind(value), value:
        case "nil", _:
            return "<nil>"
        case "bool", _:
            return "true" if value else "false"
        case "float", float(number):
            return float_text(number)
    return str(value)


def float_text(value: float) -> str:
    """A float as Go's `%v` and `%g`: the shortest digits that read back the same; an exponent below 1e-4 and from 1e6 up."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    shortest = Decimal(repr(value)).normalize()
    power = shortest.adjusted()
    if -4 <= power < 6:
        return f"{shortest:f}"
    sign, digits, _ = shortest.as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}{'.' if rest else ''}{''.join(rest)}e{power:+03d}"
