"""Go's own template functions: comparison, indexing, length and printing.

Core. As package text/template documents them, over plain data; text is indexed by UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.template.errors import Budget, Fault
from reconciler.template.printf import sprintf
from reconciler.template.values import List, Value, described, kind, size, text_of, truth


def negate(value: Value) -> bool:
    return not truth(value)


# Comparison


def eq(first: Value, *others: Value) -> bool:
    """Whether the first equals any of the others."""
    if not others:
        raise Fault("a second value to compare with is missing")
    return any(_equal(first, other) for other in others)


def _equal(left: Value, right: Value) -> bool:
    kinds = {kind(left), kind(right)}
    if "nil" in kinds:
        return left is None and right is None
    if len(kinds) > 1:
        raise Fault(f"{described(left)} and {described(right)} cannot be compared")
    if kinds & {"list", "map"}:
        raise Fault(f"{described(left)} cannot be compared")
    return left == right


def ne(left: Value, right: Value) -> bool:
    return not _equal(left, right)


def lt(left: Value, right: Value) -> bool:
    match left, right:
        case bool(), bool():
            raise Fault("bools have no order")
        case str(), str():
            return left < right
        case float(), float():
            return left < right
        case int(), int() if not isinstance(left, bool) and not isinstance(right, bool):
            return left < right
    raise Fault(f"{described(left)} and {described(right)} have no order")


def le(left: Value, right: Value) -> bool:
    return lt(left, right) or _equal(left, right)


def gt(left: Value, right: Value) -> bool:
    return not le(left, right)


def ge(left: Value, right: Value) -> bool:
    return not lt(left, right)


# Parts


def index(value: Value, *keys: Value) -> Value:
    """`index x 1 "k"` is x[1]["k"]; a key that a map does not have gives nil, so that `if index …` can ask."""
    if value is None:
        raise Fault("nil has nothing to index")
    for key in keys:
        value = _indexed(value, key)
    return value


def _indexed(value: Value, key: Value) -> Value:
    match value:
        case str():
            data = value.encode(errors="replace")
            return data[_position(key, len(data) - 1)]
        case list() | tuple():
            return value[_position(key, len(value) - 1)]
        case dict() if isinstance(key, str):
            return value.get(key)
        case dict():
            raise Fault(f"a map's key is a string, not {described(key)}")
    raise Fault(f"{described(value)} has nothing to index")


def _position(index: Value, last: int) -> int:
    if not isinstance(index, int) or isinstance(index, bool):
        raise Fault(f"an index is an integer, not {described(index)}")
    if not 0 <= index <= last:
        raise Fault(f"the index {index} is out of range: " + (f"0 to {last}" if last >= 0 else "there is nothing"))
    return index


def slice_(value: Value, *bounds: Value) -> Value:
    """`slice x 1 3` is x[1:3], of a list or of the bytes of a text."""
    if len(bounds) > 2:
        raise Fault("at most two bounds are supported")
    if isinstance(value, str):
        data = value.encode(errors="replace")
        try:
            return data[slice(*_bounds(bounds, len(data)))].decode()
        except UnicodeDecodeError:
            raise Fault("the bounds cut a character in two: they count bytes") from None
    if isinstance(value, list | tuple):
        return _sliced(value, bounds)
    raise Fault(f"{described(value)} cannot be sliced")


def _sliced(value: List, bounds: tuple[Value, ...]) -> Value:
    return list(value[slice(*_bounds(bounds, len(value)))])


def _bounds(bounds: tuple[Value, ...], length: int) -> tuple[int, int]:
    given = [_position(bound, length) for bound in bounds]
    start, end = [*given, 0, length][:2] if len(given) != 1 else (given[0], length)
    if start > end:
        raise Fault(f"the bounds are the wrong way round: {start} > {end}")
    return start, end


def length(value: Value) -> int:
    """Bytes of a text, items of a list or map."""
    match value:
        case str():
            return size(value)
        case list() | tuple() | dict():
            return len(value)
    raise Fault(f"{described(value)} has no length")


# Printing


def print_(budget: Budget, *values: Value) -> str:
    """The values, with a space between two of which neither is a string."""
    pieces: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            pieces.append(" ")
        pieces.append(text_of(value, budget))
    return budget.join(pieces)


def printf(budget: Budget, template: str, *values: Value) -> str:
    return sprintf(template, values, budget)


def println(budget: Budget, *values: Value) -> str:
    """The values with spaces between them, and a line end."""
    return budget.join([" ".join(text_of(value, budget) for value in values), "\n"])


TABLE: dict[str, Callable[..., Value]] = {
    "not": negate,
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
    "index": index,
    "slice": slice_,
    "len": length,
    "print": print_,
    "printf": printf,
    "println": println,
}
