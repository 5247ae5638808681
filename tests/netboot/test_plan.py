"""Plans as bytes: equal content is an equal id, what is read back is what was frozen, and damage is a ValueError.

`python -m tests.netboot.test_plan` writes `goldens/example-plan.json` anew; what changed then is to be read in the diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import schemas
from netboot.dhcp_options import decode, label, unpack
from netboot.plan import (
    FORMAT,
    Artifact,
    Bond,
    BootPlan,
    Disk,
    Dump,
    Interface,
    Machine,
    Manifest,
    Profile,
    Site,
    Subnet,
    bucket,
    digest_of,
    dump,
    load,
    manifest_artifacts,
    manifest_shards,
)
from netboot.work import Work
from reconciler.compile import Compiler
from reconciler.reader import Reader
from reconciler.target import snapshot_of_folder
from tests.effort import examples

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/goldens/example-plan.json"

NAMES = st.text("abc-0", min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3), lambda each: st.lists(each, max_size=2)
)
DOCUMENTS = st.fixed_dictionaries({"name": NAMES, "tasks": st.lists(VALUES, max_size=2), "global_timeout": st.integers(0, 9)})
WORK = st.builds(Work, NAMES, st.integers(1, 3), DOCUMENTS, NAMES, st.sampled_from(["once", "everyBoot"]), st.integers(0, 2))
PORTS = st.builds(
    Interface, st.integers(0, 0xFFFF).map(lambda n: f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}"),
    st.sampled_from(["", "10.1.0.1", "10.1.0.2"]), NAMES, NAMES, st.binary(max_size=4), st.booleans(), st.booleans(),
)  # fmt: skip
MACHINES = st.lists(
    st.builds(
        Machine, NAMES, st.sampled_from(["x86_64", "aarch64"]), st.lists(PORTS, min_size=1, max_size=2).map(tuple),
        st.dictionaries(NAMES, NAMES, max_size=2), st.sampled_from(["disk", "wait", "profile:a"]),
        st.sampled_from(["auto", "exit"]), st.lists(st.builds(Disk, NAMES, NAMES), max_size=1).map(tuple),
        st.lists(WORK, max_size=2).map(tuple),
    ),
    unique_by=lambda machine: machine.name, max_size=6,
)  # fmt: skip
SITES = st.builds(Site, NAMES, NAMES, unknown=st.sampled_from(["ignore", "wait"]), boot_timeout=st.integers(1, 9))
SUBNETS = st.lists(
    st.builds(Subnet, NAMES, st.just("10.1.0.0/16"), st.binary(max_size=3)), unique_by=lambda each: each.name, max_size=3
)
PROFILES = st.lists(st.builds(Profile, NAMES, cmdline=st.text(max_size=3)), unique_by=lambda each: each.name, max_size=3)
ARTIFACTS = st.lists(st.builds(Artifact, NAMES, st.sampled_from(["", "a" * 64])), unique_by=lambda each: each.path, max_size=3)
Parts = tuple[Site, list[Subnet], list[Profile], list[Artifact], list[Machine]]
PARTS: st.SearchStrategy[Parts] = st.tuples(SITES, SUBNETS, PROFILES, ARTIFACTS, MACHINES)


def content(plan: BootPlan) -> dict[str, Any]:
    """Everything, field by field: plans themselves are compared by id."""
    return {name: getattr(plan, name) for name in BootPlan.__slots__}


def read_back(frozen: Dump, previous: BootPlan | None = None) -> BootPlan:
    return load(frozen.manifest, frozen.shards.__getitem__, previous)


def machine(name: str, **more: Any) -> Machine:
    number = int(name.rpartition("-")[2])
    return Machine(name, "x86_64", (Interface(f"52:54:00:00:00:{number:02x}", f"10.1.0.{number}"),), **more)


def frozen(*machines: Machine, previous: BootPlan | None = None) -> Dump:
    return dump(Site("home"), (), (), (), machines, previous)


FEW = tuple(machine(f"node-{number:02}") for number in range(1, 20))


# Freezing and reading ------------------------------------------------------------------------------------------------------


@given(PARTS)
def test_what_is_read_back_is_what_was_frozen(parts: Parts) -> None:
    first = dump(*parts)
    assert content(first.plan) == content(read_back(first))
    assert first.plan == read_back(first)


@settings(max_examples=examples(60))
@given(PARTS, PARTS, st.randoms())
def test_the_id_depends_on_content_alone(parts: Parts, before: Parts, random: Any) -> None:
    fresh = dump(*parts)
    site, subnets, profiles, artifacts, machines = parts
    random.shuffle(subnets)
    random.shuffle(profiles)
    random.shuffle(artifacts)
    relabelled = [msgspec.structs.replace(each, labels=dict(reversed(each.labels.items()))) for each in machines]
    random.shuffle(relabelled)
    again = dump(site, subnets, profiles, artifacts, relabelled, dump(*before).plan)
    assert (fresh.plan.id, fresh.manifest, dict(fresh.shards)) == (again.plan.id, again.manifest, dict(again.shards))


@settings(max_examples=examples(60))
@given(PARTS, PARTS)
def test_plans_with_different_content_have_different_ids(one: Parts, other: Parts) -> None:
    first, second = dump(*one), dump(*other)
    same = content(msgspec_equal(first.plan)) == content(msgspec_equal(second.plan))
    assert same == (first.plan.id == second.plan.id)


def msgspec_equal(plan: BootPlan) -> BootPlan:
    """The plan without its id, and with `1` and `True` told apart, as its bytes do."""
    exact = {name: msgspec.json.encode(each, order="deterministic") for name, each in plan.machines.items()}
    shards = dict.fromkeys(plan.shards)
    return BootPlan("", plan.site, plan.subnets, plan.profiles, plan.artifacts, shards, exact, {}, {}, {}, plan.secrets)  # type: ignore[arg-type] # bytes stand for machines


def test_an_equal_machine_with_other_bytes_is_another_machine() -> None:
    """`1 == True`, and a shard kept for equality would make the id depend on what was compiled before."""
    one = machine("node-01", work=(Work(workflow="a", run=1, document={"x": 1}),))
    true = machine("node-01", work=(Work(workflow="a", run=1, document={"x": True}),))
    assert one == true
    assert frozen(true).plan.id == frozen(true, previous=frozen(one).plan).plan.id


def test_every_machine_is_found_by_name_mac_and_address() -> None:
    plan = frozen(*FEW, Machine("floating", "x86_64", (Interface("52:54:00:00:00:00"),))).plan
    assert "" not in plan.by_address
    for each in FEW:
        interface = each.interfaces[0]
        assert (
            each == plan.machines[each.name] == plan.by_mac[interface.mac].machine == plan.by_address[interface.address].machine
        )
        assert interface == plan.by_mac[interface.mac].interface


# Sharing -------------------------------------------------------------------------------------------------------------------


def test_one_changed_machine_changes_one_shard_and_the_others_are_shared() -> None:
    before = frozen(*FEW)
    after = frozen(*FEW[1:], machine("node-01", idle="wait"), previous=before.plan)
    changed = [key for key in after.plan.shards if after.plan.shards[key] is not before.plan.shards[key]]
    assert [bucket("node-01")] == changed
    loaded = read_back(after, before.plan)
    assert changed == [key for key in loaded.shards if loaded.shards[key] is not before.plan.shards[key]]


def test_equal_machines_made_anew_share_the_old_shard() -> None:
    before = frozen(*FEW)
    after = frozen(*(machine(each.name) for each in FEW), previous=before.plan)
    assert all(after.plan.shards[key] is before.plan.shards[key] for key in before.plan.shards)


def test_only_shards_that_are_not_there_yet_are_read() -> None:
    before = frozen(*FEW)
    after = frozen(*FEW[1:], machine("node-01", idle="wait"), previous=before.plan)
    asked: list[str] = []

    def read(digest: str) -> bytes:
        asked.append(digest)
        return after.shards[digest]

    load(after.manifest, read, before.plan)
    assert [after.plan.shards[bucket("node-01")].digest] == asked


def test_a_dump_has_every_shard_whatever_was_stored_before() -> None:
    """A store that failed, or dropped what nobody seemed to need, gets the plan whole."""
    before = frozen(*FEW)
    after = frozen(*FEW, previous=before.plan)
    assert manifest_shards(after.manifest) == after.shards.keys()
    assert len(after.shards) == len(list(after.shards))
    assert all(digest == digest_of(data) for digest, data in after.shards.items())


# Damage --------------------------------------------------------------------------------------------------------------------

GOOD = dump(Site("home"), (), (), (Artifact("a", "a" * 64), Artifact("b", url="http://b.example")), FEW)


def test_a_manifest_tells_what_it_needs() -> None:
    assert {shard.digest for shard in GOOD.plan.shards.values()} == manifest_shards(GOOD.manifest)
    assert {"a" * 64} == manifest_artifacts(GOOD.manifest)


def with_fields(**fields: object) -> bytes:
    return json.dumps({**json.loads(GOOD.manifest), **fields}).encode()


def without(field: str) -> bytes:
    return json.dumps({name: each for name, each in json.loads(GOOD.manifest).items() if name != field}).encode()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", "the manifest cannot be read"),
        (b"null", "the manifest cannot be read"),
        (b"\xff\xfe", "the manifest cannot be read"),
        (b"[" * 100_000, "the manifest cannot be read"),
        (GOOD.manifest[:-5], "the manifest cannot be read"),
        (b"{}", "the plan has format 0; this gitboot reads format 1"),
        (without("format"), "the plan has format 0; this gitboot reads format 1"),
        (with_fields(format=2, site="of another shape"), "the plan has format 2; this gitboot reads format 1"),
        (without("site"), "missing required field `site`"),
        (with_fields(surprise=1), "unknown field `surprise`"),
        (with_fields(site={"name": "home", "newer": True}), "unknown field `newer`"),
        (with_fields(site={"name": "home", "mode": "magic"}), "Invalid enum value 'magic'"),
        (with_fields(shards={"00": "../../etc/passwd"}), "Expected `str` matching regex"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_a_reason(manifest: bytes, message: str) -> None:
    for read in (manifest_shards, manifest_artifacts, lambda data: load(data, GOOD.shards.__getitem__)):
        with pytest.raises(ValueError, match=message.replace("[", "\\[")):
            read(manifest)


@pytest.mark.parametrize("data", [b"", b"[]", b"garbage"])
def test_a_shard_whose_bytes_changed_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is damaged: its content has another digest"):
        load(GOOD.manifest, lambda digest: data)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[1]", b"[" * 100_000, b'[{"name": "a"}]', b'[{"name":"a","arch":"x86_64","interfaces":[],"x":1}]']
)
def test_a_shard_that_is_none_is_refused_though_its_digest_is_right(data: bytes) -> None:
    manifest = with_fields(shards={"00": digest_of(data)})
    with pytest.raises(ValueError, match="cannot be read"):
        load(manifest, lambda digest: data)


def test_a_shard_of_endless_depth_is_refused() -> None:
    work = b'{"workflow":"a","run":1,"document":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    data = b'[{"name":"a","arch":"x86_64","interfaces":[],"work":[' + work + b"]}]"
    with pytest.raises(ValueError, match="cannot be read"):
        load(with_fields(shards={"00": digest_of(data)}), lambda digest: data)


@given(st.integers(0, len(GOOD.manifest) - 1), st.integers(0, 255))
def test_any_damaged_byte_is_a_value_error_or_another_id(at: int, byte: int) -> None:
    damaged = GOOD.manifest[:at] + bytes([byte]) + GOOD.manifest[at + 1 :]
    try:
        plan = load(damaged, lambda digest: GOOD.shards.get(digest, b""))
    except ValueError:
        return
    assert (plan.id == GOOD.plan.id) == (damaged == GOOD.manifest)


def test_what_the_store_raises_is_not_covered_up() -> None:
    with pytest.raises(KeyError):
        load(GOOD.manifest, dict[str, bytes]().__getitem__)


# Schema and golden ---------------------------------------------------------------------------------------------------------


def example() -> Dump:
    inventory, problems = Reader().read(snapshot_of_folder(ROOT / "example-inventory"))
    assert inventory is not None, problems
    compiled = Compiler().compile(inventory)
    assert compiled.dump is not None, compiled.problems
    return compiled.dump


def validator(name: str) -> Draft202012Validator:
    schema = schemas.load("plan")
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]} if name else schema)


@pytest.mark.parametrize("made", [example(), GOOD], ids=["example", "plain"])
def test_a_stored_plan_is_what_the_schema_says(made: Dump) -> None:
    assert [] == [error.message for error in validator("").iter_errors(json.loads(made.manifest))]
    for data in made.shards.values():
        assert [] == [error.message for error in validator("shard").iter_errors(json.loads(data))]


STRUCTS: Mapping[str, type[msgspec.Struct]] = {
    "site": Site, "subnet": Subnet, "profile": Profile, "artifact": Artifact, "machine": Machine, "interface": Interface,
    "disk": Disk, "bond": Bond, "work": Work, "": Manifest,
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTS)
def test_the_schema_has_the_fields_of_the_code_with_their_defaults(name: str) -> None:
    schema = schemas.load("plan")["$defs"][name] if name else schemas.load("plan")
    fields = msgspec.structs.fields(STRUCTS[name])
    assert {field.encode_name for field in fields} == schema["properties"].keys()
    assert {field.encode_name for field in fields if field.required} == set(schema["required"])
    for field in fields:
        described = schema["properties"][field.encode_name]
        if "default" in described:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            assert described["default"] == msgspec.to_builtins(default, builtin_types=()) or described["default"] == list(
                default
            )


def described(schema: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    for name, each in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield f"{path}/{name}", "description" in each or "$ref" in each
        yield from described(each, f"{path}/{name}")


def test_every_field_of_the_schema_is_described() -> None:
    assert [] == [path for path, has in described(schemas.load("plan")) if not has]


def readable(made: Dump) -> str:
    """The manifest with the machines in the place of their shards' digests, and DHCP options in words."""
    shown = json.loads(made.manifest)
    shown["shards"] = {
        key: {"digest": shard.digest, "machines": json.loads(made.shards[shard.digest])}
        for key, shard in made.plan.shards.items()
    }
    shown["subnets"] = [_in_words(each, made.plan.subnets[each["name"]].options) for each in shown["subnets"]]
    for shard in shown["shards"].values():
        for each in shard["machines"]:
            ports = made.plan.machines[each["name"]].interfaces
            each["interfaces"] = [_in_words(port, known.options) for port, known in zip(each["interfaces"], ports, strict=True)]
    return json.dumps({"id": made.plan.id, **shown}, indent=2) + "\n"


def _in_words(value: dict[str, Any], options: bytes) -> dict[str, Any]:
    return {**value, "options": {label(code): decode(code, data) for code, data in unpack(options).items()}}


def test_the_example_inventory_compiles_to_its_golden_plan() -> None:
    assert GOLDEN.read_text() == readable(example())


def test_the_format_is_in_the_bytes() -> None:
    assert FORMAT == json.loads(GOOD.manifest)["format"]


if __name__ == "__main__":
    GOLDEN.write_text(readable(example()))
