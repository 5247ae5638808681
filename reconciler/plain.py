"""One form for every part of a plan: a default that somebody wrote is as good as one that nobody did.

Core. The law: parts that are equal become the same bytes. A field is left out of them when its value is the very object that is
its default (`msgspec`, omit_defaults), so one that is only equal to it is replaced by it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

Part = TypeVar("Part", bound=msgspec.Struct)


def plain(part: Part) -> Part:
    """The part itself, with all that is below it in its one form: nobody can tell the difference but its bytes."""
    for name, default in _defaults(type(part)):
        value = getattr(part, name)
        if value is default:
            continue
        if isinstance(value, msgspec.Struct):
            plain(value)
        elif isinstance(value, tuple):
            for each in value:
                if isinstance(each, msgspec.Struct):
                    plain(each)
        if type(value) is type(default) and value == default:
            msgspec.structs.force_setattr(part, name, default)
    return part


@lru_cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """Every field; those without a default have one that nothing is."""
    return tuple((each.name, each.default) for each in msgspec.structs.fields(kind))
