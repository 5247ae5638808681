"""Sprig's functions on lists, maps, numbers and missing values, and Tinkerbell's toYaml and fromYaml.

Core. Sprig's order of arguments. Where sprig turns nonsense into 0 (`int "abc"`) this raises `Fault`; `keys` are sorted,
since a plan must not differ from one compile to the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from reconciler.template.errors import Budget, Fault
from reconciler.template.functions import yamltext
from reconciler.template.literals import INT64, number
from reconciler.template.values import Map, Value, described, entries, shown, text_of, truth

# Missing values


def default(fallback: Value, *given: Value) -> Value:
    """The given value, or the fallback when it is empty: nil, false, 0, "" and empty lists and maps."""
    return given[0] if given and truth(given[0]) else fallback


def empty(value: Value) -> bool:
    return not truth(value)


def coalesce(*values: Value) -> Value:
    """The first value that is not empty, else nil."""
    return next((value for value in values if truth(value)), None)


def ternary(yes: Value, no: Value, condition: bool) -> Value:
    return yes if condition else no


def required(message: str, value: Value) -> Value:
    """The value; fails with the message when it is nil or ""."""
    return fail(message) if value is None or value == "" else value


def fail(message: str) -> Value:
    raise Fault(message)


# Lists and maps


def make_list(budget: Budget, *values: Value) -> list[Value]:
    budget.reserve(len(values))
    return [*values]


def make_dict(budget: Budget, *pairs: Value) -> Map:
    """`dict "a" 1 "b" 2`; a last key without a value gets ""."""
    budget.reserve(len(pairs))
    values = [*pairs, ""] if len(pairs) % 2 else pairs
    return {text_of(key, budget): value for key, value in zip(values[::2], values[1::2], strict=True)}


def first(values: Value) -> Value:
    """The first item; nil for an empty list."""
    if not isinstance(values, list | tuple):
        raise Fault(f"a list is wanted, not {described(values)}")
    return values[0] if values else None


def keys(budget: Budget, *maps: Map) -> list[Value]:
    """The keys of each map in turn, sorted."""
    budget.reserve(sum(map(len, maps)))
    return [key for mapping in maps for key, _ in entries(mapping)]


def dig(*arguments: Value) -> Value:
    """`dig "a" "b" fallback map` is map.a.b, or the fallback when one of the keys is not there."""
    if len(arguments) < 3:
        raise Fault("keys, a fallback and a map are wanted: at least three arguments")
    *path, fallback, value = arguments
    for key in path:
        if not isinstance(key, str) or not isinstance(value, dict):
            raise Fault(f"a string and a map are wanted, not {described(key)} and {described(value)}")
        if key not in value:
            return fallback
        value = value[key]
    return value


# Numbers


def to_int(value: Value) -> int:
    """A number of any spelling that Go reads (`0x1f`, and `010` is 8), a float without its fraction, true as 1, nil as 0."""
    match value:
        case None:
            return 0
        case bool() | int():
            return int(value)
        case float() if math.isfinite(value) and int(value) in INT64:
            return int(value)
        case str() if isinstance(whole := _read(re.sub(r"\.0+$", "", value) if len(value) <= 64 else ""), int):
            return whole
    raise Fault(f"{shown(value)} is no integer")


def _read(text: str) -> int | float | None:
    try:
        return number(text) if text else None
    except Fault:
        return None


def add(*values: Value) -> int:
    total = sum(to_int(value) for value in values)
    if total not in INT64:
        raise Fault("the sum does not fit in 64 bits")
    return total


TABLE: dict[str, Callable[..., Value]] = {
    "add": add,
    "coalesce": coalesce,
    "default": default,
    "dict": make_dict,
    "dig": dig,
    "empty": empty,
    "fail": fail,
    "first": first,
    "fromYaml": yamltext.read,
    "int": to_int,
    "keys": keys,
    "list": make_list,
    "required": required,
    "ternary": ternary,
    "toYaml": yamltext.write,
}
