"""Signers: a key that is taken is one public key and nothing beside it."""

from __future__ import annotations

import json

import pytest

from netboot.trust import Signer, Trust
from reconciler.signers import allowed_signers, commit, counting, gpg_key, moment, ssh_key, trust_of
from tests.reconciler.inventories import RICH, SOUND, problems

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOQV+lHuP4GDMQtlNDOaUtQJw2wTqIeI8OztBa4Cf+UM"
GPG = RICH["all.yaml"][RICH["all.yaml"].index("-----BEGIN PGP") :].partition("-----END PGP PUBLIC KEY BLOCK-----")[0]
BLOCK = "\n".join(line.strip() for line in GPG.strip().splitlines()) + "\n-----END PGP PUBLIC KEY BLOCK-----"


def test_the_line_of_a_key_file_is_taken_without_its_comment() -> None:
    assert KEY == ssh_key(f"{KEY} ann@lab.example\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it takes a type"),
        ("hello", "it takes a type"),
        (f'command="x" {KEY}', "begins with the key's type"),
        (f"cert-authority {KEY}", "begins with the key's type"),
        (f"{KEY}\n{KEY}", "one line"),
        (KEY.replace("ssh-ed25519 ", "ssh-dss "), "not of the type before it"),
        (KEY[:-8], "cut off"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
    ],
)
def test_what_is_no_one_public_ssh_key_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ssh_key(text)


def test_a_gpg_key_is_taken_without_its_comments_and_with_its_check_sum() -> None:
    plain = gpg_key(BLOCK)
    assert plain == gpg_key(plain)
    commented = BLOCK.replace("BLOCK-----\n\n", "BLOCK-----\nComment: hello\nVersion: 1\n\n", 1)
    assert plain == gpg_key(commented.replace("\n", "\r\n"))
    without = "\n".join(line for line in BLOCK.splitlines() if not line.startswith("="))
    assert plain == gpg_key(without), "RFC 9580 section 6.1: it may be missing; gpg 2.2 wants it"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one whole block"),
        (KEY, "one whole block"),
        (f"{BLOCK}\n{BLOCK}", "one whole block"),
        (BLOCK[:-8], "one whole block"),
        (BLOCK.replace("mDME", "mDMF", 1), "check sum"),
        (BLOCK.replace("PUBLIC", "PRIVATE"), "private key"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\niJAE\n-----END PGP PUBLIC KEY BLOCK-----", "no public key in it"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n=A==\n-----END PGP PUBLIC KEY BLOCK-----", "base64"),
    ],
)
def test_what_is_no_public_gpg_key_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        gpg_key(text)


def test_moments_are_in_utc() -> None:
    assert 1795132800 == moment("2026-11-20") == moment("2026-11-20T00:00:00Z")
    for text in ("20.11.2026", "2026-11-20T00:00:00", "2026-02-30", "1960-01-01", "now"):
        with pytest.raises(ValueError, match="a date"):
            moment(text)


def test_a_commit_is_named_by_its_whole_id() -> None:
    assert "a" * 40 == commit("a" * 40)
    for text in ("a" * 12, "main", "A" * 40, ""):
        with pytest.raises(ValueError, match="whole id"):
            commit(text)


def test_a_key_counts_within_its_time() -> None:
    signers = (
        Signer("a"),
        Signer("b", valid_after=10),
        Signer("c", valid_before=10),
        Signer("d", valid_after=5, valid_before=15),
    )
    assert ["a", "c"] == [each.name for each in counting(signers, 4)]
    assert ["a", "c", "d"] == [each.name for each in counting(signers, 5)]
    assert ["a", "b", "d"] == [each.name for each in counting(signers, 10)]
    assert ["a", "b"] == [each.name for each in counting(signers, 15)]


def test_ssh_keygen_is_told_of_keys_for_git_alone_by_names_of_ours() -> None:
    signers = [
        Signer("*", ssh=KEY),
        Signer("bob", gpg="x"),
        Signer("c", ssh=KEY, valid_after=1795132800, valid_before=1795132801),
    ]
    bounds = 'valid-after="20261120000000",valid-before="20261120000001"'
    assert f'signer-0 namespaces="git" {KEY}\nsigner-2 namespaces="git",{bounds} {KEY}\n' == allowed_signers(signers)


def test_a_setting_that_says_nothing_is_the_default() -> None:
    assert Trust() == trust_of({}) == trust_of({"commits": "off", "signers": []})


@pytest.mark.parametrize(
    ("trust", "code", "said"),
    [
        ("{commits: required}", "no-signers", "Nobody could sign a commit that 'required' asks for"),
        ("{commits: destructive, signers: []}", "no-signers", "list the signers in the same commit"),
        ("{commits: always}", "bad-value", "it takes off, warn, destructive, required"),
        ("{signers: [{name: ann}]}", "missing-field", "needs one of ssh, gpg"),
        (f"{{signers: [{{name: ann, ssh: {KEY}, gpg: {json.dumps(BLOCK)}}}]}}", "conflicting-fields", "exclude each other"),
        (f"{{signers: [{{name: ann, ssh: {KEY}}}, {{name: ann, ssh: {KEY}}}]}}", "duplicate-name", "signer named 'ann'"),
        (
            f"{{signers: [{{name: a, ssh: {KEY}, validAfter: 2027-01-01, validBefore: 2026-01-01}}]}}",
            "bad-value",
            "counts until before",
        ),
        (f"{{since: {'a' * 40}}}", "unknown-field", "since"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_a_problem_of_the_commit(trust: str, code: str, said: str) -> None:
    found = problems({**SOUND, "site.yaml": f"{SOUND['site.yaml']}  trust: {trust}\n"})
    assert [code] * len(found) == [each.code for each in found]
    assert any(said in each.message for each in found)
