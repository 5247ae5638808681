"""The OpenAPI document and the routes are one, both ways."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from netboot.http import application
from netboot.openapi import document
from tests.netboot.site import browser, plan, world

DOCUMENT = document()
READERS: list[dict[str, list[str]]] = [{"readerToken": []}, {"readerPassword": []}]


def routes(state: Path) -> list[Route]:
    async def look() -> list[Route]:
        async with world(state, plan()) as here:
            return [route for route in application(here).routes if isinstance(route, Route)]

    return asyncio.run(look())


def documented() -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}


def test_every_route_is_documented_and_nothing_else_is(tmp_path: Path) -> None:
    """HEAD goes with GET."""
    served = {
        (method, route.path.replace(":path}", "}"))
        for route in routes(tmp_path)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert served == documented()


def test_the_document_says_of_every_route_whether_it_takes_a_readers_token(tmp_path: Path) -> None:
    async def look() -> dict[str, int]:
        async with world(tmp_path, plan(), open_status=False) as here, browser(here, "192.0.2.7") as client:
            return {
                path: (await client.get(re.sub(r"{\w+}", "x", path))).status_code
                for method, path in documented()
                if method == "GET"
            }

    for path, status in asyncio.run(look()).items():
        assert (DOCUMENT["paths"][path]["get"]["security"] == READERS) == (status == 401), path


def test_the_document_is_served_to_everybody(tmp_path: Path) -> None:
    async def look() -> Any:
        async with world(tmp_path, plan(), open_status=False) as here, browser(here, "192.0.2.7") as client:
            return (await client.get("/openapi.json")).json()

    assert json.loads(json.dumps(DOCUMENT)) == asyncio.run(look())


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(each)


def test_the_document_refers_to_nothing_outside_of_itself() -> None:
    for reference in [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)]:
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found, reference


def test_every_response_and_scheme_that_is_written_down_is_used() -> None:
    used = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)}
    assert {f"#/components/responses/{name}" for name in DOCUMENT["components"]["responses"]} <= used
    schemes = {
        name
        for operations in DOCUMENT["paths"].values()
        for each in operations.values()
        for way in each["security"]
        for name in way
    }
    assert schemes == DOCUMENT["components"]["securitySchemes"].keys()


def test_every_operation_has_a_name_of_its_own_and_a_sentence() -> None:
    operations = [each for operations in DOCUMENT["paths"].values() for each in operations.values()]
    assert len(operations) == len({each["operationId"] for each in operations})
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {tag for each in operations for tag in each["tags"]}
    for each in operations:
        assert each["summary"].endswith(".")


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])
