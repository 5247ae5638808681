"""Whether a message is the forge's: each forge's way, and everybody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.webhook import BadSecret, secret_of, sender, shows_anything
from tests.netboot.forges import FORGES, SECRET, SIGNING_TOKEN, Delivery, deliver


def test_githubs_own_example_is_right() -> None:
    """From "Validating webhook deliveries" of GitHub's documentation."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": signature}
    assert "x-hub-signature-256" == sender(b"It's a Secret to Everybody", headers, b"Hello, World!")
    assert sender(b"It's a Secret to Everybody", headers, b"Hello, World?") is None


def test_the_standards_own_example_is_right() -> None:
    """The key of the examples in the Standard Webhooks specification, by its own construction."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    signature = base64.b64encode(hmac.digest(key, said, "sha256")).decode()
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"v1,{signature}",
    }
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == headers["webhook-signature"]
    assert "webhook-signature" == sender(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, b'{"test": 2432232314}')


@pytest.mark.parametrize("forge", FORGES)
def test_what_a_forge_sends_is_its_own(forge: str) -> None:
    sent = deliver(forge)
    assert FORGES[forge].way == sender(sent.secret, sent.headers, sent.body)


def damaged(sent: Delivery) -> list[Delivery]:
    way = FORGES[sent.forge].way
    shown = sent.headers[way]
    found = [
        sent.but(secret=b"another secret"),
        sent.but(headers={name: value for name, value in sent.headers.items() if name != way and name not in OTHERS}),
        *(
            sent.but(headers=sent.headers | dict.fromkeys(OTHERS & sent.headers.keys(), value))
            for value in (shown[:-1], "", "x")
        ),
    ]
    return [*found, sent.but(body=sent.body + b" ")] if way != "x-gitlab-token" else found


OTHERS = {"x-hub-signature-256", "x-gitea-signature", "x-forgejo-signature", "x-gogs-signature", "x-gitlab-token",
          "webhook-signature"}  # fmt: skip


@pytest.mark.parametrize("forge", FORGES)
def test_what_is_not_quite_that_is_nobodys(forge: str) -> None:
    for sent in damaged(deliver(forge)):
        assert sender(sent.secret, sent.headers, sent.body) is None


def test_one_right_signature_is_enough_while_a_signing_token_is_replaced() -> None:
    sent = deliver("GitLab, signing token")
    shown = sent.headers["webhook-signature"]
    headers = sent.headers | {"webhook-signature": f"v1,AAAA v1a,BBBB {shown}"}
    assert "webhook-signature" == sender(sent.secret, headers, sent.body)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_the_time_and_the_id_are_signed_too(name: str) -> None:
    sent = deliver("GitLab, signing token")
    for headers in (sent.headers | {name: "x"}, {key: value for key, value in sent.headers.items() if key != name}):
        assert sender(sent.secret, headers, sent.body) is None


def test_a_secret_that_is_no_signing_token_signs_nothing_by_that_way() -> None:
    """Else its key would be the empty one, which everybody knows."""
    said = b"1.2.{}"
    signature = base64.b64encode(hmac.new(b"", said, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "1", "webhook-timestamp": "2", "webhook-signature": f"v1,{signature}"}
    assert sender(SECRET, headers, b"{}") is None


def test_the_sha1_that_github_still_sends_proves_nothing() -> None:
    signature = "sha1=" + hmac.digest(SECRET, b"{}", "sha1").hex()
    headers = {"x-hub-signature": signature, "x-hub-signature-256": signature}
    assert sender(SECRET, headers, b"{}") is None
    assert not shows_anything({"x-hub-signature": signature})


@given(st.sampled_from(sorted(OTHERS)), st.text(), st.binary())
def test_no_text_is_a_signature(name: str, text: str, body: bytes) -> None:
    assert sender(SECRET, {name: text}, body) is None
    assert sender(SIGNING_TOKEN, {name: text}, body) is None


def test_a_secret_is_one_line_and_what_surrounds_it_is_none_of_it() -> None:
    assert b"a b" == secret_of(b" a b\r\n")
    for content in (b"", b"\n", b"a\nb", b"whsec_", b"whsec_not base64"):
        with pytest.raises(BadSecret):
            secret_of(content)


def test_payloads_are_as_large_as_they_are_and_never_read() -> None:
    for forge in FORGES:
        sent = deliver(forge, body=b"\xff not even JSON")
        assert sender(sent.secret, sent.headers, sent.body)
        assert json.loads(deliver(forge).body if forge != "GitHub, form" else b"{}") is not None
