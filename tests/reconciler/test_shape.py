"""The schema's verdict in sentences: what is wrong, and what to write instead."""

from __future__ import annotations

import pytest

from tests.reconciler.inventories import MACHINE, PROFILE, SOUND, TEMPLATE, WORKFLOW, problems, read


def said(file: str, old: str, new: str) -> str:
    (problem,) = problems({**SOUND, file: SOUND[file].replace(old, new, 1)})
    return problem.message


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("hardware.yaml", "hostname:", "hostnam:", "There is no field 'hostnam' here: did you mean 'hostname'?"),
        (
            "profile.yaml",
            "kernel:",
            "x: 1, kernel:",
            "There is no field 'x' here: there are kernel, initrd, cmdline, chain, script, pxelinux, handover.",
        ),
        (
            "hardware.yaml",
            'mac: "52:54:00:12:34:01", ',
            "",
            "The interface needs the field 'mac': add it; for example 52:54:00:12:34:01.",
        ),
        ("hardware.yaml", '"52:54:00:12:34:01"', "[]", "A MAC address is text, not a list; for example 52:54:00:12:34:01."),
        (
            "hardware.yaml",
            '"52:54:00:12:34:01"',
            "52:54",
            "'52:54' is not a MAC address: it takes twelve hexadecimal digits; for example 52:54:00:12:34:01.",
        ),
        (
            "hardware.yaml",
            "10.1.0.11",
            "10.1.0.300",
            "'10.1.0.300' is not an IPv4 address: it takes four numbers from 0 to 255, without leading zeros and prefix length;"
            " for example 10.1.0.11.",
        ),
        (
            "workflow.yaml",
            "hardware:",
            "repeat: everyboot, hardware:",
            "'everyboot' is not a way of repeating: it takes once, everyBoot; did you mean 'everyBoot'?",
        ),
        ("workflow.yaml", "hardware:", "run: 0, hardware:", "The run number must be at least 1; for example 1."),
        ("workflow.yaml", "hardware:", "run: many, hardware:", "A run number is a whole number, not 'many'; for example 1."),
        ("hardware.yaml", "hostname: node-01", "netboot: 1", "A switch is true or false, not 1."),
        ("profile.yaml", "kernel: inspect/vmlinuz", "", "The profile needs one of kernel, chain, script: add one."),
        ("profile.yaml", "kernel:", "script: '#!ipxe', kernel:", "'kernel' and 'script' exclude each other: keep one."),
        (
            "profile.yaml",
            "kernel: inspect/vmlinuz",
            "initrd: [], script: '#!ipxe'",
            "'initrd' means something only beside 'kernel': add that, or remove this.",
        ),
        ("template.yaml", "tasks:", "version: 0.2\n  tasks:", "'0.2' is not a version: it takes 0.1."),
    ],
)  # fmt: skip
def test_a_sentence_names_the_fault_and_the_next_step(file: str, old: str, new: str, expected: str) -> None:
    assert expected == said(file, old, new)


def test_all_faults_of_a_document_are_said_at_once() -> None:
    text = MACHINE.replace("hostname", "hostnam").replace("10.1.0.11", "x").replace("profile: inspect", "profile: [a]")
    assert [problem.code for problem in problems({**SOUND, "hardware.yaml": text})] == [
        "wrong-type",
        "bad-value",
        "unknown-field",
    ]


def test_a_long_value_is_cut_in_the_sentence() -> None:
    assert len(said("hardware.yaml", "10.1.0.11", "1" * 5000)) < 250


def test_text_is_taken_as_written_and_nothing_else_is() -> None:
    machine = MACHINE.replace("rack: r1", "rack: 007, on: true, version: 1.10")
    assert read({**SOUND, "hardware.yaml": machine}).hardware["node-01"].labels == {
        "rack": "007",
        "on": "true",
        "version": "1.10",
    }
    assert (
        said("workflow.yaml", "hardware:", "run: '1', hardware:") == "A run number is a whole number, not '1'; for example 1."
    )


def test_expressions_are_let_pass_in_templates_and_nowhere_else() -> None:
    assert problems({**SOUND, "template.yaml": TEMPLATE.replace("timeout: 60", "timeout: '{{ .x }}'")}) == ()
    assert said("hardware.yaml", '"52:54:00:12:34:01"', "'{{ .x }}'").startswith("'{{ .x }}' is not a MAC address")


def test_nothing_is_not_text() -> None:
    assert said("hardware.yaml", "hostname: node-01", "hostname: ~") == "A host name is text, not nothing; for example node-01."


def test_a_suggestion_is_made_only_when_something_is_close() -> None:
    work = WORKFLOW.replace("template: look", "template: xyz")
    (problem,) = problems({**SOUND, "workflow.yaml": work})
    assert problem.message == "There is no Template named 'xyz': add one, or correct the name."
    (problem,) = problems({**SOUND, "profile.yaml": PROFILE.replace("name: inspect", "name: inspects")})
    assert problem.message == "There is no Profile named 'inspect': did you mean 'inspects'?"
