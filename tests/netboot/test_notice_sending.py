"""Messages to real receivers on loopback, and what is said of those that do not take them."""

from __future__ import annotations

import email
import email.policy
import json
import socket
from pathlib import Path

import pytest

from netboot import notice_sending as module
from netboot.notice_sending import Undelivered, deliver
from netboot.notice_targets import Mail, Slack, Target, Webhook
from netboot.notice_text import notice_of
from netboot.notices import Happening
from netboot.webhook import sender
from tests.netboot.receivers import http_receiver, mail_receiver
from tests.reconciler.gitservers import authority

pytestmark = pytest.mark.shell
NOTICE = notice_of([Happening("begun", "agent-lost", 1_800_000_000.0, "node-01", "", "silent")], "home", 1_800_000_060.0)
SECRET = "0123456789abcdef"


def hook(url: str) -> Webhook:
    return Webhook(name="hook", url=url, secret=SECRET)


def post_box(server: str, **more: str) -> Mail:
    to = ("ops@example.org", "night@example.org")
    return Mail(name="mail", server=server, sender="gitboot@example.org", to=to, **more)  # type: ignore[arg-type]


def refused(target: Target) -> Undelivered:
    with pytest.raises(Undelivered) as refused:
        deliver(target, NOTICE)
    assert "secret-path" not in str(refused.value)
    return refused.value


def test_a_webhook_s_receiver_can_tell_that_it_is_ours_and_whole() -> None:
    with http_receiver() as posted:
        deliver(hook(posted.url), NOTICE)
    (body,), (headers,) = posted.bodies, posted.headers
    assert "x-hub-signature-256" == sender(SECRET.encode(), {name.lower(): value for name, value in headers.items()}, body)
    assert "node-01: agent-lost: silent" == json.loads(body)["text"]
    assert "application/json" == headers["Content-Type"]


def test_slack_is_told_by_its_text() -> None:
    with http_receiver() as posted:
        deliver(Slack(name="chat", url=posted.url), NOTICE)
    assert {"text": "gitboot home: node-01: agent-lost: silent"} == json.loads(posted.bodies[0])


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (413, True), (404, False), (401, False), (429, False), (503, False)]
)
def test_what_is_refused_is_a_sentence_and_final_only_where_the_message_is_at_fault(status: int, final: bool) -> None:
    with http_receiver((status,)) as posted:
        trouble = refused(hook(posted.url))
    assert (f"{posted.url.removesuffix('/secret-path')} answers {status}", final) == (str(trouble), trouble.final)


@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed(status: int) -> None:
    with http_receiver() as elsewhere, http_receiver((status,), elsewhere.url) as posted:
        assert f"answers {status}" in str(refused(hook(posted.url)))
    assert [] == elsewhere.bodies


@pytest.mark.parametrize("behind", ["/services/hunter2", "?token=hunter2", "#hunter2", "/?a=@hunter2"])
def test_of_an_address_nothing_behind_the_host_is_said(behind: str) -> None:
    with pytest.raises(Undelivered) as found:
        deliver(Slack(name="chat", url=f"http://127.0.0.1:9{behind}"), NOTICE)
    assert str(found.value).startswith("http://127.0.0.1:9 cannot be told (")
    assert "hunter2" not in str(found.value)


def test_nobody_there_and_nothing_but_silence_are_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        for target in (hook(f"http://{place}/secret-path"), post_box(place, security="none")):
            assert "refused" in str(refused(target))
        silent.listen()
        for target in (hook(f"http://{place}/secret-path"), post_box(place, security="none")):
            trouble = refused(target)
            assert (True, False) == (place in str(trouble), trouble.final)


def test_a_mail_goes_to_everybody_in_clear_only_where_that_is_said() -> None:
    with mail_receiver() as mailed:
        deliver(post_box(mailed.server, security="none"), NOTICE)
    (message,) = mailed.messages
    read = email.message_from_bytes(message, policy=email.policy.default)
    assert ("[gitboot home] node-01: agent-lost", "node-01: agent-lost: silent") == (
        read["Subject"],
        read.get_content().rstrip(),
    )
    assert ["TO:<ops@example.org>", "TO:<night@example.org>"] == mailed.recipients
    assert [False] == mailed.encrypted
    with mail_receiver() as mailed:
        assert "SMTPNotSupportedError" in str(refused(post_box(mailed.server)))
    assert [] == mailed.messages


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_is_shown_to_a_server_that_has_proved_its_name_and_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    context, trusted = authority(tmp_path)
    with mail_receiver(context, implicit=security == "tls") as mailed:
        assert "certificate" in str(refused(post_box(mailed.server, security=security, user="gitboot", password="hidden")))
        assert [] == mailed.logins
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        deliver(post_box(mailed.server, security=security, user="gitboot", password="hidden"), NOTICE)
    assert (["\0gitboot\0hidden"], [True], 1) == (mailed.logins, mailed.encrypted, len(mailed.messages))


@pytest.mark.parametrize(
    ("command", "answer", "said", "final"),
    [
        ("DATA", "554 spam", "answers 554", True),
        ("DATA", "451 later", "answers 451", False),
        ("RCPT", "550 nobody", "SMTPRecipientsRefused", False),
        ("MAIL", "421 hidden", "answers 421", False),
    ],
)
def test_a_mail_that_is_refused_is_a_sentence(command: str, answer: str, said: str, final: bool) -> None:
    with mail_receiver(refused={command: answer}) as mailed:
        trouble = refused(post_box(mailed.server, security="none"))
    assert (True, final) == (said in str(trouble), trouble.final)
    assert answer[4:] not in str(trouble)
