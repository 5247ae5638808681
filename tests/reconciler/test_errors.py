"""What git said becomes one sentence and a next step."""

from __future__ import annotations

import pytest

from reconciler.errors import advise, complaint_of


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("", "no reason given"),
        ("warning: redirecting\nfatal: repository 'x' not found\n", "repository 'x' not found"),
        (
            "ssh: Could not resolve hostname lab: Name or service not known\r\nfatal: Could not read from remote repository.\n"
            "\nPlease make sure you have the correct access rights\nand the repository exists.\n",
            "ssh: Could not resolve hostname lab: Name or service not known",
        ),
        ("fatal: Could not read from remote repository.\n", "Could not read from remote repository"),
        ("error: cannot open x\nfatal: later\n", "cannot open x"),
    ],
)
def test_the_line_that_names_the_cause_is_chosen(stderr: str, expected: str) -> None:
    assert expected == complaint_of(stderr)


@pytest.mark.parametrize(
    ("complaint", "word"),
    [
        ("Could not resolve host: lab.example", "DNS"),
        ("unable to connect to lab.example: Connection refused", "running"),
        ("Host key verification failed.", "known_hosts"),
        ("git@lab.example: Permission denied (publickey).", "deploy key"),
        ("could not read Username for 'https://lab.example'", "netrc"),
        ("repository 'https://lab.example/x/' not found", "address"),
        ("server certificate verification failed", "GIT_SSL_CAINFO"),
        ("write error: No space left on device", "make room"),
        ("something nobody ever saw", "git ls-remote"),
    ],
)
def test_every_complaint_has_a_next_step(complaint: str, word: str) -> None:
    assert word in advise(complaint)
