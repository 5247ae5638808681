"""The floor: a site's setting of trust by itself, with the commit that the operator vouches for."""

from __future__ import annotations

import pytest

from netboot.trust import Signer, Trust
from reconciler.floor import read_floor
from reconciler.problems import Rejected
from reconciler.trust import NO_FLOOR, Floor
from tests.reconciler.test_signers import KEY


def test_a_floor_says_what_is_asked_for_at_least() -> None:
    text = f"commits: required\nsigners:\n- {{name: ann, ssh: {KEY}}}\nsince: {'a' * 40}\n"
    assert Floor(Trust("required", (Signer("ann", ssh=KEY),)), "a" * 40) == read_floor("floor.yaml", text.encode())
    assert NO_FLOOR == read_floor("floor.yaml", b"{}")
    assert "required" == read_floor("floor.yaml", b"commits: required").trust.commits, "the signers may be those of git"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one document"),
        ("--- {}\n--- {}\n", "one document"),
        ("- a", "a map"),
        ("commits: [", "floor.yaml:1"),
        ("commits: always", "it takes off, warn, destructive, required"),
        ("commit: required", "did you mean 'commits'"),
        ("since: main", "whole id"),
        (f"signers: [{{name: a, ssh: {KEY}}}, {{name: a, ssh: {KEY}}}]", "duplicate-name"),
        ("spec: {trust: {commits: required}}", "no field 'spec'"),
    ],
)
def test_a_floor_that_cannot_be_meant_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Rejected) as rejected:
        read_floor("floor.yaml", text.encode())
    assert any(said in str(problem) for problem in rejected.value.problems)
    assert all(problem.file == "floor.yaml" for problem in rejected.value.problems)
