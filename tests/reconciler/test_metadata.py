"""Metadata in the inventory: what is accepted, what is rejected and where, and what the plan has of it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from netboot.plan import BootPlan, Metadata
from reconciler.metadata import LONGEST
from reconciler.problems import Problem
from tests.reconciler.inventories import SOUND, problems
from tests.reconciler.test_compile import plan_of
from tests.reconciler.test_openssh import KEY

OTHER = KEY.replace("ssh-ed25519", "no-pty ssh-ed25519")


def told(site: str = "", node: str = "") -> dict[str, str | bytes]:
    """The sound inventory with lines added to the specs of its site and its machine."""
    files: dict[str, str | bytes] = dict(SOUND)
    for name, lines in (("site.yaml", site), ("hardware.yaml", node)):
        text = files[name]
        assert isinstance(text, str)
        files[name] = text.replace("spec:\n", f"spec:\n{lines}", 1)
    return files


def codes(found: Iterable[Problem]) -> list[str]:
    return [each.code for each in found]


def metadata(plan: BootPlan) -> Metadata | None:
    return plan.machines["node-01"].metadata


def test_what_a_machine_says_is_in_the_plan() -> None:
    said = f'  metadata: {{instanceId: node-01-2, publicKeys: ["{KEY}"]}}\n  userData: "#!/bin/sh\\n"\n  vendorData: ""\n'
    assert Metadata("node-01-2", (KEY,), "#!/bin/sh\n", "") == metadata(plan_of(told(node=said)))
    assert metadata(plan_of(SOUND)) is None


def test_keys_are_the_sites_unless_the_machine_lists_its_own_or_none() -> None:
    site = f'  metadata: {{tokens: required, publicKeys: ["{KEY}"]}}\n  vendorData: "#cloud-config\\n{{}}\\n"\n'
    plan = plan_of(told(site))
    assert ("required", "#cloud-config\n{}\n") == (plan.site.metadata_tokens, plan.site.vendor_data)
    assert Metadata(public_keys=(KEY,)) == metadata(plan)
    own = f"  metadata: {{publicKeys: ['{OTHER}']}}\n"
    assert Metadata(public_keys=(OTHER,)) == metadata(plan_of(told(site, own)))
    assert metadata(plan_of(told(site, "  metadata: {publicKeys: []}\n"))) is None


BLOCK = "  userData: |\n    #cloud-config\n    packages: [chrony]\n"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (BLOCK, []),
        (BLOCK + "    timezone: [\n", ["bad-cloud-config"]),
        ('  userData: "#cloud-config\\na: b: c\\n"\n', ["bad-cloud-config"]),
        ("  userData: |\n    #cloud-config\n    - a list\n", ["bad-cloud-config"]),
        ("  userData: |\n    #cloud-config\n", ["bad-cloud-config"]),
        ("  userData: |\n    #cloud-config\n    a: 1\n    a: 2\n", ["bad-cloud-config"]),
        ("  userData: |\n    ## template: jinja\n    #cloud-config\n    {% if 1 %}\n", []),
        ("  userData: |\n    #cloud-config-archive\n    - {type: text/cloud-config, content: ''}\n", []),
        ("  vendorData: |\n    #cloud-config\n    - a list\n", ["bad-cloud-config"]),
        ("  userData: {secretRef: {name: s, key: k}}\n", ["wrong-type"]),
        ('  userData: "password: ENC[AES256_GCM,data:x]"\n', ["secret-in-metadata"]),
        ("  userData: |\n    -----BEGIN AGE ENCRYPTED FILE-----\n", ["secret-in-metadata"]),
        ("  userData: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n", ["secret-in-metadata"]),
        (f'  userData: "{"x" * LONGEST}"\n', []),
        (f'  userData: "{"x" * (LONGEST - 1)}é"\n', ["bad-value"]),
        ("  metadata: {publicKeys: [ssh-rsa]}\n", ["bad-value"]),
        ("  metadata: {instanceId: ../x}\n", ["bad-value"]),
        ("  metadata: {keys: []}\n", ["unknown-field"]),
    ],
)
def test_what_a_system_could_not_use_or_everybody_could_is_a_problem(node: str, expected: list[str]) -> None:
    assert expected == codes(problems(told(node=node)))


def test_a_fault_in_a_cloud_config_has_the_line_that_it_is_in() -> None:
    found = problems(told(node="  userData: |\n    #cloud-config\n    packages:\n      - a\n     - b\n"))
    text = told(node="  userData: |\n    #cloud-config\n    packages:\n      - a\n     - b\n")["hardware.yaml"]
    assert isinstance(text, str)
    assert ["bad-cloud-config"] == codes(found)
    assert text.split("\n").index("     - b") + 1 == found[0].line


def test_a_private_key_is_a_warning_for_it_may_be_meant_for_everybody() -> None:
    found = problems(told(node="  userData: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n"))
    assert ["warning"] == [each.severity for each in found]
