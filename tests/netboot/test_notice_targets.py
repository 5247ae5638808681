"""The file of `--notify`: what it may say, and what is said of what it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netboot.notice_targets import BadNotify, Mail, Slack, Webhook, parse_notify

SLACK = '[[target]]\nname = "chat"\nkind = "slack"\nurl = "https://hooks.example/services/T0/B0/x"\n'
MAIL = '[[target]]\nname = "mail"\nkind = "mail"\nserver = "smtp.example"\n'
MAIL += 'from = "gitboot@example.org"\nto = ["ops@example.org"]\n'


def test_each_kind_is_read_with_what_is_usual() -> None:
    hook = '[[target]]\nname = "hook"\nkind = "webhook"\nurl = "http://127.0.0.1:9"\nsecret = "0123456789abcdef"\n'
    read = parse_notify(f'dashboard = "https://gitboot.example"\n{SLACK}{MAIL}{hook}'.encode())
    assert [Slack, Mail, Webhook] == [type(each) for each in read.target]
    assert {("issues", "runs"), 30.0, ()} == {value for each in read.target for value in (each.tell, each.gather, each.ignore)}
    mail = read.target[1]
    assert isinstance(mail, Mail)
    assert ("smtp.example", 587, "starttls") == (mail.host, mail.port, mail.security)


@pytest.mark.parametrize(("more", "port"), [('security = "tls"', 465), ('security = "none"', 25)])
def test_a_mail_server_s_port_is_that_of_its_security_unless_it_is_said(more: str, port: int) -> None:
    (usual,) = parse_notify(f"{MAIL}{more}".encode()).target
    (said,) = parse_notify(f"{MAIL.replace('smtp.example', 'smtp.example:2525')}{more}".encode()).target
    assert isinstance(usual, Mail)
    assert isinstance(said, Mail)
    assert (port, 2525) == (usual.port, said.port)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "target"),
        ("target = []", "target"),
        ("[[target", "Expected"),
        ("\xff", "decode"),
        (SLACK.replace("slack", "pigeon"), "pigeon"),
        (SLACK.replace("https://", "file://"), "url"),
        (SLACK.replace("https://", "https://name:password@"), "url"),
        (SLACK.replace("chat", "Chat!"), "name"),
        (f'{SLACK}tell = ["everything"]', "everything"),
        (f'{SLACK}ignore = ["no-such-issue"]', "no-such-issue"),
        (f"{SLACK}gather = -1", "gather"),
        (f'{SLACK}colour = "red"', "colour"),
        (SLACK.replace("/services/", "?a=services/"), "url"),
        (SLACK + SLACK, "two targets are called chat"),
        (MAIL.replace("ops@example.org", "ops@example.org, all@example.org"), "to"),
        (MAIL.replace('["ops@example.org"]', "[]"), "to"),
        (f'{MAIL}security = "none"\nuser = "u"\npassword = "p"', "in clear"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(content: str, expected: str) -> None:
    with pytest.raises(BadNotify) as refused:
        parse_notify(content.encode("latin-1"))
    assert expected in str(refused.value)
    assert "services/T0" not in str(refused.value)


def test_the_example_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/notifications.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [Slack, Webhook, Mail] == [type(each) for each in parse_notify(example.encode()).target]
