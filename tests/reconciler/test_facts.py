"""Facts: complete, named as people say it, and fit to be shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from netboot.dhcp_options import pack, unpack
from netboot.masks import masked
from netboot.plan import Artifact, BootPlan, Handover, Machine, Mode, Profile, Site, Subnet, Unknown, dump
from netboot.sealed import Secret
from netboot.trust import Commits
from reconciler.compile import Compiler
from reconciler.facts import facts_of, raw_facts, raw_site_facts, site_facts
from tests.reconciler.inventories import RICH, example, read

WORDS = {word for kind in (Handover, Mode, Unknown, Commits) for word in get_args(kind)}


def plan_of(files: Any) -> BootPlan:
    compiled = Compiler().compile(read(files))
    assert compiled.dump is not None, compiled.problems
    return compiled.dump.plan


def everything(plan: BootPlan) -> Any:
    return raw_site_facts(plan), {name: raw_facts(plan, machine) for name, machine in plan.machines.items()}


def others(value: Any, key: str = "") -> Iterator[Any]:
    """The same with one thing in it changed, taken away or put elsewhere, for each thing that is in it."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield {other: each for other, each in value.items() if other != name}
            yield from ({**value, name: each} for each in others(below, name))
    elif isinstance(value, list):
        yield from (value[:at] + value[at + 1 :] for at in range(len(value)))
        yield from ([*value[:at], value[at + 1], value[at], *value[at + 2 :]] for at in range(len(value) - 1))
        yield from ([*value[:at], each, *value[at + 1 :]] for at, below in enumerate(value) for each in others(below))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif key == "options":  # packed, and base64 in JSON
        known = unpack(base64.b64decode(value))
        for code, data in known.items():
            for other in (known | {code: data + b"\0"}, {each: known[each] for each in known if each != code}):
                yield base64.b64encode(pack(other)).decode()
    elif isinstance(value, str):
        yield from sorted(WORDS - {value}) if value in WORDS else (f"{value[:-1]}{'1' if value[-1:] != '1' else '2'}",)
        yield ""


def plans_like(plan: BootPlan) -> Iterator[BootPlan]:
    """Every plan that differs in one thing."""
    kinds: dict[str, tuple[Any, list[Any]]] = {
        "site": (Site, [plan.site]),
        "subnets": (Subnet, [*plan.subnets.values()]),
        "profiles": (Profile, [*plan.profiles.values()]),
        "artifacts": (Artifact, [*plan.artifacts.values()]),
        "machines": (Machine, [*plan.machines.values()]),
        "secrets": (Secret, [*plan.secrets.values()]),
    }
    parts: dict[str, Any] = {name: found for name, (_, found) in kinds.items()} | {"site": plan.site}
    for name, (kind, found) in kinds.items():
        for at, each in enumerate(found):
            for document in others(msgspec.to_builtins(each)):
                try:
                    other = msgspec.convert(document, kind)
                except msgspec.ValidationError:
                    continue
                changed = other if name == "site" else [*found[:at], other, *found[at + 1 :]]
                yield dump(**{**parts, name: changed}).plan


def test_whatever_differs_in_a_plan_differs_in_its_facts() -> None:
    """But for what is not a plan: a profile that is not there, a document without tasks."""
    plan = plan_of(RICH)
    before, looked_at = everything(plan), 0
    for other in plans_like(plan):
        try:
            after = everything(other)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError):
            continue
        assert (other.id == plan.id) == (after == before), differing(plan, other)
        looked_at += 1
    assert looked_at > 300


def differing(plan: BootPlan, other: BootPlan) -> Any:
    def said(of: BootPlan) -> Any:
        parts = [of.site, of.subnets, of.profiles, of.artifacts, of.machines, of.secrets]
        return msgspec.json.format(msgspec.json.encode(parts)).decode().splitlines()

    return [line for line in said(other) if line not in said(plan)][:5]


def test_facts_are_named_as_people_say_it() -> None:
    plan = plan_of(example())
    facts = facts_of(plan, plan.machines["server-02"])
    assert "lab.example" == facts["option 15 (domain-name) 52:54:00:12:34:12"]
    assert "10.1.0.22" == facts["address 52:54:00:12:34:12"] == facts["DNS server-02.lab.example A"]
    assert "snponly.efi" == facts["boot file UEFI"]
    assert "tty0 ttyS0,115200" == facts["profile gitboot-os kernel argument console"]
    assert "true" == facts["workflow image-server-02 action install/stream-image env GROW"]
    assert "install/stream-image, install/set-host-name" == facts["workflow image-server-02 actions"]
    assert "1" == facts["workflow image-server-02 run"]
    assert "set" == site_facts(plan)["profile inspect kernel argument quiet"]


def test_facts_come_in_the_order_in_which_a_machine_meets_them() -> None:
    plan = plan_of(example())
    kinds = dict.fromkeys(re.split(r"[ /]", name)[0] for name in facts_of(plan, plan.machines["server-01"]))
    told = ["architecture", "interfaces", "DHCP", "network", "address", "subnet", "host", "option", "boot", "idle", "handover"]
    assert [*told, "DNS", "metadata", "label", "disk", "storage", "workflow", "profile"] == list(kinds)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("env IMG_URL", "https://ann:hunter2@images.example/a", "https://ann:***@images.example/a"),
        ("env IMG_URL", "https://hunter2@images.example/a@b", "https://***@images.example/a@b"),
        ("env IMG_URL", "https://ann:hunter@2@images.example/", "https://ann:***@images.example/"),
        ("workflow a action b/c env REGISTRY_PASSWORD", "hunter2", "***"),
        ("profile a kernel argument k3s.token", "hunter2", "***"),
        ("profile a kernel command line", "quiet k3s.token=hunter2 ro", "quiet k3s.token=*** ro"),
        (
            "metadata /latest/user-data",
            "users:\n- {name: a, passwd: $6$x}\nssh: on",
            "users:\n- {name: a, passwd: ***}\nssh: on",
        ),
        ("workflow a action b/c secret env PASSWORD", "secret database/password", "secret database/password"),
        ("secret database", "sealed, 00ff", "sealed, 00ff"),
        ("env URL", "http://10.1.0.1:8000/x", "http://10.1.0.1:8000/x"),
    ],
)
def test_what_is_shown_holds_no_password(name: str, value: str, shown: str) -> None:
    assert shown == masked(name, value)
