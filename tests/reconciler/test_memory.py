"""What is remembered of a reading: the same as reading again, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.plan import Artifact
from reconciler.compile import Compiled, Compiler
from reconciler.images import Held
from reconciler.memory import Memory, decode, encode
from reconciler.reader import Reader
from reconciler.validate import Findings, validate
from tests.reconciler.inventories import RICH, SOUND, TEMPLATE, example, snapshot
from tests.reconciler.test_compile import CHANGES, SECOND

HELD = {"actions.tar": Held(Artifact("actions.tar", "a" * 64, 1), ("shell:v3", "disk-wipe:v3"))}
SHARED = {
    **SOUND,
    "second.yaml": SECOND,
    "template.yaml": TEMPLATE + TEMPLATE.partition("tasks:\n")[2].replace("name: look\n", "name: then\n    worker: node-02\n"),
}
"""One workflow, two machines in turn."""


def made(files: Any, reader: Reader, compiler: Compiler, archives: Any = None) -> Compiled | None:
    inventory, _ = reader.read(snapshot(files))
    return compiler.compile(inventory, None, archives) if inventory else None


def manifest(compiled: Compiled | None) -> bytes | None:
    return compiled.dump.manifest if compiled and compiled.dump else None


def remembered(files: Any, archives: Any = None) -> Memory | None:
    """Through its bytes; None for what could not be served."""
    reader = Reader()
    compiled = made(files, reader, Compiler(), archives)
    if compiled is None or compiled.dump is None:
        return None
    memory = decode(encode(Memory(reader.files, compiled.dump, "as it was"), "this one"), "this one")
    assert memory is not None
    return memory


def recalled(memory: Memory, archives: Any = None) -> tuple[Reader, Compiler]:
    reader, compiler = Reader(memory.files), Compiler()
    inventory = validate(Findings.of(memory.files.values()), "")
    assert inventory is not None
    compiler.remember(inventory, memory.dump.plan, archives)
    return reader, compiler


@pytest.mark.parametrize("files", [RICH, example()], ids=["every field", "the example"])
def test_every_object_is_what_it_was_with_the_places_of_its_values(files: Any) -> None:
    memory, reader = remembered(files), Reader()
    reader.read(snapshot(files))
    assert memory is not None
    assert dict(reader.files) == dict(memory.files)
    for key, content in reader.files.items():
        for mine, theirs in zip(content.objects, memory.files[key].objects, strict=True):
            assert mine.source == theirs.source


def inventories() -> st.SearchStrategy[dict[str, str]]:
    files = st.fixed_dictionaries({path: st.sampled_from(texts) for path, texts in CHANGES.items()})
    return files.map(lambda found: {path: text for path, text in found.items() if text is not None})


@settings(max_examples=80)
@given(inventories(), inventories(), st.sampled_from([None, HELD]))
def test_what_is_compiled_after_remembering_is_what_is_compiled_without(before: Any, after: Any, archives: Any) -> None:
    memory = remembered(before, archives)
    if memory is None:
        return
    reader, compiler = recalled(memory, archives)
    again, alone = made(after, reader, compiler, archives), made(after, Reader(), Compiler(), archives)
    assert manifest(alone) == manifest(again)


def test_a_workflow_that_machines_share_is_divided_again() -> None:
    memory = remembered(SHARED)
    assert memory is not None
    assert {0, 1} == {work.part for machine in memory.dump.plan.machines.values() for work in machine.work}
    changed = {**SHARED, "second.yaml": SECOND.replace("r1", "r2")}
    assert manifest(made(changed, Reader(), Compiler())) == manifest(made(changed, *recalled(memory)))


def test_nothing_is_read_or_rendered_again_that_did_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = remembered(example())
    assert memory is not None
    reader, compiler = recalled(memory)
    for name in ("reconciler.reader.read_file", "reconciler.compile.render", "reconciler.compile._hardware"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("it is known"))
    assert memory.dump.manifest == manifest(made(example(), reader, compiler))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: data * 2,
    ],
    ids=["cut off", "empty", "a bit", "twice"],
)
def test_what_is_not_whole_is_no_memory(damage: Any) -> None:
    memory = remembered(example())
    assert memory is not None
    data = encode(memory, "this one")
    assert decode(data, "this one")
    assert decode(damage(data), "this one") is None


def test_what_another_gitboot_understood_is_no_memory() -> None:
    memory = remembered(example())
    assert memory is not None
    assert decode(encode(memory, "this one"), "another one") is None
