"""A policy as people write it: every slip is a sentence at its place."""

from __future__ import annotations

import pytest

from netboot.policy import DAYS, KINDS, Approver, Limit, Policy, Rolling, Window
from reconciler.floor import read_floor
from tests.reconciler.inventories import EXAMPLE, SITE, SOUND, example, problems, read
from tests.reconciler.test_signers import KEY

TRUST = f"  trust: {{signers: [{{name: ann, ssh: {KEY}}}]}}\n"


def site(policy: str, trust: str = TRUST) -> dict[str, str]:
    return {**SOUND, "site.yaml": f"{SITE.rstrip()}\n{trust}  policy: {policy}\n"}


def test_a_policy_is_read_with_its_defaults() -> None:
    text = (
        "{limits: [{change: move, share: 25%, per: subnet}, {change: remove, machines: 0}],"
        " windows: [{from: 22:00, to: 24:00}], rolling: {stopAfter: 2}, approvers: [{signer: ann}]}"
    )
    limits = (Limit("move", share=25, per="subnet"), Limit("remove", machines=0))
    expected = Policy(limits, (Window(DAYS, 1320, 1440),), Rolling(0, 2), (Approver("ann", KINDS),))
    assert (
        expected
        == read(site(text)).site.policy
        == read_floor("f", f"policy: {text}\nsigners: [{{name: ann, ssh: {KEY}}}]".encode()).policy
    )


def test_the_policy_that_the_example_has_commented_out_is_one() -> None:
    files = example()
    begin, _, rest = (EXAMPLE / "site.yaml").read_text().partition("  # policy:\n")
    uncommented = "".join(f"  {line.removeprefix('  # ')}\n" for line in rest.splitlines())
    policy = read({**files, "site.yaml": f"{begin}  policy:\n{uncommented}"}).site.policy
    assert ("label:rack", Rolling(2, 1)) == (policy.limits[0].per, policy.rolling)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{limits: [{change: move, share: 101%}]}", "a whole number up to 100 with a percent sign"),
        ("{limits: [{change: move, share: a%}]}", "a whole number up to 100 with a percent sign"),
        ("{limits: [{change: move}]}", "needs one of machines, share"),
        ("{limits: [{change: move, machines: 1, share: 1%}]}", "exclude each other"),
        ("{limits: [{change: move, machines: 1, per: rack}]}", "site, subnet, or label: and the label's key"),
        ("{windows: [{from: 24:01, to: 05:00}]}", "up to 24:00, in UTC"),
        ("{windows: [{from: 9:00, to: 05:00}]}", "two digits each"),
        ("{approvers: [{signer: eve}]}", "There is no signer 'eve'"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(policy: str, said: str) -> None:
    found = problems(site(policy))
    assert any(said in each.message and each.file == "site.yaml" and each.severity == "error" for each in found), found


def test_limits_that_nobody_could_release_are_a_warning() -> None:
    found = problems(site("{limits: [{change: move, machines: 1}]}", ""))
    assert ["no-approver"] == [each.code for each in found if each.severity == "warning"]
