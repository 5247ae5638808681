"""Across documents: what is broken elsewhere is not reported twice, and both places of a clash are named."""

from __future__ import annotations

import pytest

from tests.reconciler.inventories import MACHINE, PROFILE, RICH, SITE, SOUND, TEMPLATE, WORKFLOW, brief, problems, read

MANY = {
    **SOUND,
    "hardware.yaml": "---\n".join(
        MACHINE.replace("01", f"{n:02}").replace("10.1.0.11", f"10.1.0.{n}").replace("rack: r1", f"rack: r{n % 2}, row: x")
        for n in range(10, 14)
    ),
}


def selected(labels: str) -> list[str]:
    work = WORKFLOW.replace("hardware: node-01", f"hardware: {{matchLabels: {labels}}}")
    inventory = read({**MANY, "workflow.yaml": work})
    return [machine.name for machine in inventory.machines(inventory.workflows["look-at-01"])]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("{row: x}", ["node-10", "node-11", "node-12", "node-13"]),
        ("{row: x, rack: r1}", ["node-11", "node-13"]),
        ("{rack: r0}", ["node-10", "node-12"]),
        ("{rack: r2}", []),
        ("{row: x, rack: r2}", []),
    ],
)
def test_a_selector_takes_the_machines_that_bear_all_its_labels_in_order_of_name(labels: str, expected: list[str]) -> None:
    assert expected == selected(labels)


def test_a_workflow_for_one_machine_is_for_that_machine() -> None:
    inventory = read(SOUND)
    assert inventory.machines(inventory.workflows["look-at-01"]) == (inventory.hardware["node-01"],)


def test_everything_is_by_name_in_order_of_name() -> None:
    inventory = read(RICH)
    assert list(inventory.profiles) == ["inspect", "menu", "remote", "shell"]
    assert list(inventory.templates) == ["bare", "debian", "text"]


def test_several_workflows_may_want_the_same_machine() -> None:
    assert problems({**SOUND, "more.yaml": WORKFLOW.replace("look-at-01", "again")}) == ()


def test_a_template_that_nobody_uses_is_nobodys_business() -> None:
    assert problems({**SOUND, "more.yaml": TEMPLATE.replace("{name: look}", "{name: spare}")}) == ()


@pytest.mark.parametrize("file", ["profile.yaml", "template.yaml", "hardware.yaml"])
def test_what_refers_to_a_document_of_wrong_shape_is_not_reported_too(file: str) -> None:
    assert brief({**SOUND, file: SOUND[file].replace("spec:", "spce: {}\nspec:")}) == ["unknown-field spce"]


@pytest.mark.parametrize("file", ["profile.yaml", "template.yaml", "hardware.yaml", "site.yaml"])
def test_what_refers_to_a_file_that_cannot_be_read_is_not_reported_too(file: str) -> None:
    assert brief({**SOUND, file: SOUND[file] + "\n]"}) == ["yaml-syntax"]


def test_what_refers_to_a_misspelt_kind_is_not_reported_too() -> None:
    assert brief({**SOUND, "profile.yaml": PROFILE.replace("Profile", "Profle")}) == ["unknown-kind kind"]


def test_addresses_are_checked_although_other_documents_are_broken() -> None:
    files = {**SOUND, "profile.yaml": "a: [", "hardware.yaml": MACHINE.replace("10.1.0.11", "10.1.0.1")}
    assert "address-reserved spec.interfaces[0].address" in brief(files)


def test_a_machines_ports_are_compared_although_the_site_is_broken() -> None:
    twin = MACHINE.replace("name: node-01,", "name: node-02,")
    files = {**SOUND, "site.yaml": SITE.replace("spec:", "spce:"), "twin.yaml": twin}
    assert {"duplicate-mac spec.interfaces[0].mac", "duplicate-address spec.interfaces[0].address"} <= set(brief(files))


def test_a_clash_names_both_places() -> None:
    twin = (
        MACHINE.replace("name: node-01,", "name: node-02,").replace("10.1.0.11", "10.1.0.12").replace(", hostname: node-01", "")
    )
    (problem,) = problems({**SOUND, "twin.yaml": twin})
    assert (problem.file, problem.line) == ("twin.yaml", 7)
    assert problem.message == "52:54:00:12:34:01 is taken by 'node-01', in hardware.yaml:7:11: correct one of the two."


def test_a_machine_may_bear_one_name_on_several_ports() -> None:
    port = '  - {mac: "52:54:00:12:34:99", hostname: node-01}\n'
    assert problems({**SOUND, "hardware.yaml": MACHINE + port}) == ()


def test_two_machines_may_bear_one_name_in_different_domains() -> None:
    two = SITE.replace("250]}", "250]}\n  - {name: rack2, cidr: 10.2.0.0/16, domain: two.example}")
    machine = MACHINE.replace("name: node-01,", "name: node-02,").replace("34:01", "34:02").replace("10.1.0.11", "10.2.0.11")
    assert problems({**SOUND, "site.yaml": two, "more.yaml": machine}) == ()
    named = machine.replace("hostname: node-01", "hostname: node-01, domain: one.example")
    assert problems({**SOUND, "site.yaml": two.replace("two", "one"), "more.yaml": named}) == ()
    assert brief({**SOUND, "site.yaml": two.replace(", domain: two.example", ""), "more.yaml": machine}) == [
        "duplicate-hostname spec.interfaces[0].hostname"
    ]


def test_work_that_brings_its_own_profile_needs_none_of_the_machine() -> None:
    files = {**SOUND, "hardware.yaml": MACHINE.replace("  profile: inspect\n", "")}
    assert brief(files) == ["no-profile spec.hardware"]
    assert brief({**files, "workflow.yaml": WORKFLOW.replace("template:", "profile: inspect, template:")}) == []


def test_an_unverified_artefact_is_a_warning_or_an_error_as_the_site_has_it() -> None:
    profile = PROFILE.replace("kernel: inspect/vmlinuz", "kernel: k, initrd: [i, {url: 'http://x/y'}]")
    strict = SITE.replace("spec:", "spec:\n  artifacts: {unverified: reject}")
    (mild,) = problems({**SOUND, "profile.yaml": profile})
    (hard,) = problems({**SOUND, "profile.yaml": profile, "site.yaml": strict})
    assert ("warning", "error") == (mild.severity, hard.severity)
    assert mild.path == "spec.initrd[1]"


def numbered(n: int) -> str:
    """One machine of many."""
    port = MACHINE.replace("12:34:01", f"01:{n >> 8:02x}:{n & 255:02x}").replace("10.1.0.11", f"10.1.{n // 250 + 1}.{n % 250}")
    return port.replace("node-01", f"node-{n}")


@pytest.mark.timeout(60)
def test_a_thousand_wrong_names_among_a_thousand_are_all_reported_and_the_first_get_suggestions() -> None:
    machines = "---\n".join(numbered(n) for n in range(1000))
    work = "---\n".join(WORKFLOW.replace("look-at-01", f"w-{n}").replace("node-01", f"nod-{n}") for n in range(1000))
    found = problems({**SOUND, "hardware.yaml": machines, "workflow.yaml": work})
    assert len(found) == 1000
    assert sum("did you mean" in problem.message for problem in found) == 20
