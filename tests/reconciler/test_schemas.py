"""The schemas are sound, strict, and the words of docs/inventory.md; docs/problems.md has every code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from reconciler.shape import Shape, check
from reconciler.yaml import read as read_yaml
from tests.reconciler.inventories import RICH, problems

ROOT = Path(__file__).parents[2]
KINDS = ("Site", "Hardware", "Profile", "Template", "Workflow", "Secret")
INVENTORY = (ROOT / "docs/inventory.md").read_text()
PROBLEMS = (ROOT / "docs/problems.md").read_text()


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind, with the two forms of a template's spec beside each other."""
    schema = schemas.load(kind.lower())
    if kind != "Template":
        return schema
    spec = schema["properties"]["spec"]
    fields = {**schema["$defs"]["document"]["properties"], **schema["$defs"]["data"]["properties"]}
    merged = {**spec, "type": "object", "additionalProperties": False, "properties": fields}
    return {**schema, "properties": {**schema["properties"], "spec": merged}}


def fields_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Path, schema and whether it is required, of every field, as `spec.subnets[].cidr`."""
    for name, field in schema.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        yield at, field, name in schema.get("required", ())
        yield from fields_of(field, at)
        yield from fields_of(field.get("items", {}), f"{at}[]")


FIELDS = [(kind, *field) for kind in KINDS for field in fields_of(schema_of(kind))]


def row(path: str, field: dict[str, Any], required: bool) -> str:
    """The line of docs/inventory.md that documents a field."""
    default = (json.dumps(field["default"]).strip('"') or '""') if "default" in field else None
    when = f"`{default}`" if default is not None else "required" if required else ""
    return f"| `{path}` | {when} | {field['description']} |"


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section '## {title}'"
    return found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_a_schema_and_says_what_it_is_for(kind: str) -> None:
    schema = schemas.load(kind.lower())
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == kind
    assert schema["description"]


@pytest.mark.parametrize(("kind", "path", "field", "required"), FIELDS, ids=[f"{each[0]}-{each[1]}" for each in FIELDS])
def test_a_field_is_described_for_users_and_docs_have_its_words(kind: str, path: str, field: Any, required: bool) -> None:
    assert len(field.get("description", "")) > 15
    assert row(path, field, required) in section(INVENTORY, kind).splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_docs_have_no_field_that_is_not_there(kind: str) -> None:
    documented = re.findall(r"^\| `([^`]+)`", section(INVENTORY, kind), re.MULTILINE)
    assert sorted(path for each, path, _, _ in FIELDS if each == kind) == sorted(documented)


@pytest.mark.parametrize(("kind", "path", "field", "required"), FIELDS, ids=[f"{each[0]}-{each[1]}" for each in FIELDS])
def test_no_map_takes_fields_that_nobody_described(kind: str, path: str, field: Any, required: bool) -> None:
    for each in (field, field.get("items", {})):
        if "object" in each.get("type", ()) or each.get("type") == "object":
            assert "additionalProperties" in each, path


def test_the_rich_inventory_uses_every_field() -> None:
    used = {kind: set[str]() for kind in KINDS}
    for text in RICH.values():
        for document in read_yaml(text.encode()).documents:
            if isinstance(document.value, dict) and document.value.get("kind") in KINDS:
                used[str(document.value["kind"])] |= set(paths_of(document.value))
    unused = {f"{kind} {path}" for kind, path, _, _ in FIELDS if path not in used[kind]}
    spare = {f"{kind} metadata.{field}" for kind in KINDS for field in ("labels", "annotations")}
    assert unused <= spare | {"Template spec.id"}


def paths_of(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            at = f"{path}.{key}" if path else key
            yield at
            yield from paths_of(each, at)
    elif isinstance(value, list):
        for each in value:
            yield from paths_of(each, f"{path}[]")


def test_the_examples_of_the_docs_are_one_sound_inventory() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", INVENTORY, re.MULTILINE | re.DOTALL)
    bare = [block for block in blocks if block.startswith("version:")]
    files = {"all.yaml": "---\n".join(block for block in blocks if block not in bare)}
    files |= {f"bare-{index}.yaml": block for index, block in enumerate(bare)}
    assert len(blocks) >= len(KINDS)
    assert problems(files) == ()


# Problems --------------------------------------------------------------------------------------------------------------

TELLERS = {"Problem", "Fault", "_fault", "at", "at_key", "add", "complain", "_claim", "_about"}
"""What a code is handed to."""


def codes() -> set[str]:
    """Every code that stands in the reconciler's source: two words or more with hyphens."""
    found = set()
    for path in (ROOT / "reconciler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in TELLERS:
                found |= {each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return {code for code in found if re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", code)}


def test_every_code_is_explained_and_every_explanation_has_its_code() -> None:
    assert sorted(codes()) == sorted(re.findall(r"^### `([a-z0-9-]+)`", PROBLEMS, re.MULTILINE))


@pytest.mark.parametrize("code", sorted(codes()))
def test_an_explanation_says_what_it_means_and_what_to_do(code: str) -> None:
    found = re.search(rf"^### `{code}`\n\n(.+?)\n\n\*\*What to do:\*\* (.+)$", PROBLEMS, re.MULTILINE)
    assert found, f"docs/problems.md needs a paragraph and a line '**What to do:** …' below '### `{code}`'"


@pytest.mark.parametrize("shape", ["site", "hardware", "profile", "workflow", "template", "template-data", "document"])
def test_every_shape_has_a_schema(shape: Shape) -> None:
    from reconciler.places import Mark, Source
    from reconciler.shape import Complaints

    complaints = Complaints(Source("f", Mark(1, 1, (1, 1))))
    check(shape, {}, complaints, lambda _: None)
    assert complaints.errors
