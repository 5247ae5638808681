"""What is opened is what was sealed, for the whole of it or not at all, and nobody hears more than why not."""

from __future__ import annotations

import json
import re
import subprocess
from base64 import b64encode
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot import secrets as module
from netboot.sealed import PullSecret, Secret
from netboot.secrets import Keys, Unreadable, locked, login, open_secret, parse_keys
from tests import secret_documents as documents
from tests.reconciler.inventories import SOUND, read

OTHER = "AGE-SECRET-KEY-1PTHJ0X8XF6V7FHQXQL4HSVGXKCLG42RQHM7PQC2G6XRNVTDKLQZQGYSZ6U"
"""Of tests alone, as the first."""
KEYS = parse_keys(documents.IDENTITY)
TEXT = st.text(
    st.characters(exclude_characters="\0\r\x85\u2028\u2029", exclude_categories=["C"]), min_size=4, max_size=80
).filter(lambda text: len(text.strip()) >= 4)


def sealed(text: str) -> Secret:
    """A document as the plan has it."""
    [secret] = read({**SOUND, "secret.yaml": text}).secrets.values()
    return secret.sealed


def why(secret: Secret, keys: Keys = KEYS) -> str:
    with pytest.raises(Unreadable) as refused:
        open_secret(secret, keys)
    return str(refused.value)


# age -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(TEXT)
def test_what_age_sealed_is_opened_as_it_was(value: str) -> None:
    assert {"password": value} == open_secret(Secret("db", {"password": documents.age(value)}), KEYS)


@pytest.mark.shell
def test_what_the_program_age_sealed_is_opened(tmp_path: Path) -> None:
    """Debian's `age` and `age-keygen`, with two recipients."""
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    keys = parse_keys(made.stdout)
    recipients = ["--recipient", keys.public[0], "--recipient", documents.recipient()]
    done = subprocess.run(["age", "--armor", *recipients], input=b"correct horse\n", capture_output=True, check=True)
    secret = sealed(
        documents.secret("db", {}).replace("data: {}", "data:\n    password: |\n" + _indented(done.stdout.decode()))
    )
    assert [{"password": "correct horse\n"}] * 2 == [open_secret(secret, keys), open_secret(secret, KEYS)]


def _indented(text: str) -> str:
    return "".join(f"      {line}\n" for line in text.splitlines())


@pytest.mark.shell
def test_what_age_sealed_for_an_ssh_key_is_opened(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    done = subprocess.run(
        ["age", "--armor", "--recipients-file", f"{key}.pub"], input=b"correct horse", capture_output=True, check=True
    )
    assert {"a": "correct horse"} == open_secret(Secret("db", {"a": done.stdout.decode()}), parse_keys(key.read_text()))


def test_another_key_opens_nothing_and_the_reason_names_the_public_keys() -> None:
    secret = Secret("db", {"password": documents.age("correct horse")})
    reason = why(secret, parse_keys(OTHER))
    assert f"none of the server's keys opens it ({documents.recipient(OTHER)}): encrypt it to one of them" == reason


def test_without_a_key_the_reason_says_how_to_give_one() -> None:
    assert "--age-identity FILE" in why(Secret("db", {"password": documents.age("correct horse")}), Keys())


@pytest.mark.parametrize("position", range(0, 100, 7))
def test_a_damaged_age_file_is_refused(position: int) -> None:
    armoured = documents.age("correct horse")
    lines = armoured.splitlines()
    body = "".join(lines[1:-1])
    at = len(body) * position // 100
    damaged = body[:at] + ("A" if body[at] != "A" else "B") + body[at + 1 :]
    wrapped = "\n".join([lines[0], *re.findall(r".{1,64}", damaged), lines[-1]])
    why(Secret("db", {"password": wrapped}))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xfe\xfd\xfc", "the value of a is not UTF-8 text: encode it in base64 before it is encrypted"),
        (b"abcd\0efgh", "the value of a holds a NUL character: encode it in base64 before it is encrypted"),
        (b"abc\n", "the value of a has fewer than 4 characters, or more than 65536"),
        (b"a" * 65537, "the value of a has fewer than 4 characters, or more than 65536"),
    ],
)
def test_a_value_that_no_variable_and_no_log_can_take_is_refused(value: bytes, reason: str) -> None:
    assert reason == why(Secret("db", {"a": documents.age(value)}))


# SOPS ------------------------------------------------------------------------------------------------------------------


def test_a_value_of_sops_own_tests_is_opened() -> None:
    """aes/cipher_test.go of SOPS (MPL-2.0): the key is 32 times `f`, the additional data `bar:`."""
    written = "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]"
    encrypted = module._ENCRYPTED.fullmatch(written)
    assert encrypted
    assert b"foo" == module._decrypt(AESGCM(b"f" * 32), encrypted, "bar:")
    with pytest.raises(Unreadable, match="damaged or was moved here"):
        module._decrypt(AESGCM(b"f" * 32), encrypted, "baz:")


@settings(max_examples=30)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9._-]{0,9}", fullmatch=True), TEXT, min_size=1, max_size=4), st.booleans())
def test_what_sops_sealed_is_opened_as_it_was(values: dict[str, str], only: bool) -> None:
    assert values == open_secret(sealed(documents.sops("db", values, only=only)), KEYS)


def test_numbers_and_truth_values_are_texts() -> None:
    values = {"port": 54321, "ratio": 1234.5, "tls": True}
    assert {"port": "54321", "ratio": "1234.5", "tls": "true"} == open_secret(sealed(documents.sops("db", values)), KEYS)


def test_any_of_several_recipients_opens_a_sops_file() -> None:
    secret = sealed(documents.sops("db", {"a": "correct horse"}, documents.recipient(OTHER), documents.recipient()))
    assert [{"a": "correct horse"}] * 2 == [open_secret(secret, each) for each in (KEYS, parse_keys(OTHER))]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: db\n", "name: db2\n"),
        ("metadata:\n", "metadata:\n  labels: {team: red}\n"),
        ("lastmodified: '2026-11-20T12:00:00Z'", "lastmodified: '2026-11-20T12:00:01Z'"),
    ],
)
def test_whatever_is_changed_without_sops_shows(old: str, new: str) -> None:
    text = documents.sops("db", {"a": "correct horse"})
    assert old in text
    reason = why(sealed(text.replace(old, new)))
    assert "its MAC is wrong" in reason or "lastmodified" in old


def test_a_value_under_another_key_or_in_another_order_is_refused() -> None:
    text = documents.sops("db", {"a": "correct horse", "b": "battery staple"})
    assert "what stands at spec.data.c is damaged or was moved here" == why(sealed(text.replace("    b: ENC", "    c: ENC")))
    lines = text.splitlines(keepends=True)
    at = next(index for index, line in enumerate(lines) if line.startswith("    a: "))
    lines[at : at + 2] = reversed(lines[at : at + 2])
    assert "its MAC is wrong" in why(sealed("".join(lines)))


def test_a_mac_over_encrypted_values_alone_lets_the_rest_be_changed() -> None:
    text = documents.sops("db", {"a": "correct horse"}, only=True).replace("metadata:\n", "metadata:\n  labels: {team: red}\n")
    assert {"a": "correct horse"} == open_secret(sealed(text), KEYS)


def test_a_mac_of_one_kind_is_none_of_the_other() -> None:
    text = documents.sops("db", {"a": "correct horse"}, only=True).replace(
        "mac_only_encrypted: true", "mac_only_encrypted: false"
    )
    assert "its MAC is wrong" in why(sealed(text))


# Logins, keys, and what is said -----------------------------------------------------------------------------------------


def test_a_login_is_written_as_docker_does_or_plainly() -> None:
    config = json.dumps({"auths": {"r:5000": {"auth": b64encode(b"me:pass:word").decode()}}})
    expected = {"username": "me", "password": "pass:word"}
    assert [expected] * 2 == [login("me:pass:word\n", "r:5000"), login(config, "r:5000")]


@pytest.mark.parametrize("value", ["password", ":password", "me:", "{}", '{"auths": {"other": {"auth": "YTpi"}}}', "{" * 5000])
def test_what_is_no_login_is_said_without_repeating_it(value: str) -> None:
    with pytest.raises(Unreadable) as refused:
        login(value, "r:5000")
    assert "password" not in str(refused.value).replace("user:password", "")


def test_what_is_locked_is_named_with_its_reason() -> None:
    secrets = [
        Secret("fine", {"a": documents.age("correct horse")}),
        Secret("foreign", {"a": documents.age("correct horse", documents.recipient(OTHER))}),
        Secret("login", {"a": documents.age("correct horse")}),
    ]
    found = locked(secrets, [PullSecret("r:5000", "login", "a")], KEYS)
    assert ["foreign", "login"] == sorted(found)
    assert "user:password" in found["login"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no age identity is in it"),
        ("# a comment\n\n", "no age identity is in it"),
        ("AGE-SECRET-KEY-1ABC", "a line is no age identity"),
        (documents.IDENTITY + "\nnonsense of a secret kind", "a line is no age identity"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "it is no SSH key that age can use"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\nabc\n", "a line is no age identity"),
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_keys(text)
    assert "nonsense" not in str(refused.value)
    assert documents.IDENTITY not in str(refused.value)


def test_keys_do_not_show_what_they_are() -> None:
    """pyrage's own identities do, as text."""
    assert documents.IDENTITY == str(pyrage.x25519.Identity.from_str(documents.IDENTITY))
    assert documents.IDENTITY not in repr(KEYS) + str(KEYS) + f"{KEYS}"
    assert KEYS.public == (documents.recipient(),)
