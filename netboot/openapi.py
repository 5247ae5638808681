"""The OpenAPI document: every endpoint, with the schemas of what it takes and gives.

Core. Law: `schemas/openapi.json` is the source, and where it refers to another schema's file, the document that is served
holds that schema, so that whoever has it has all of it; `x-everywhere` there is what any request may be answered.
tests/netboot/test_openapi.py holds it to the routes, both ways.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import schemas

_INSIDE = "#/components/schemas/"


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1, complete in itself; shared by all who ask for it: not to be changed."""
    embedded: dict[str, Any] = {}
    whole: dict[str, Any] = _resolved(schemas.load("openapi"), "", embedded)
    everywhere = whole.pop("x-everywhere")
    for operations in whole["paths"].values():
        for operation in operations.values():
            operation["responses"] |= everywhere
    whole["components"]["schemas"] |= embedded
    return whole


def _resolved(node: Any, within: str, embedded: dict[str, Any]) -> Any:
    """`node` with its references as they are in the whole; `within`: where the file that it is of has come to be."""
    if isinstance(node, list):
        return [_resolved(each, within, embedded) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _reference(value, within, embedded) if key == "$ref" else _resolved(value, within, embedded)
        for key, value in node.items()
        if key != "$schema"
    }


def _reference(target: str, within: str, embedded: dict[str, Any]) -> str:
    if target.startswith("#"):
        return within + target[1:] if within else target
    name = target.removesuffix(".json")
    if name not in embedded:
        embedded[name] = {}
        embedded[name] = _resolved(schemas.load(name), _INSIDE + name, embedded)
    return _INSIDE + name
