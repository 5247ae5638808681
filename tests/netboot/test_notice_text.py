"""What is said, to whom, in which form."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import json
from typing import Any

import pytest

from netboot.notice_text import LONGEST, Notice, document, mail, notice_of, plain, signed, slack, text, title
from netboot.notices import Happening
from netboot.webhook import sender

AT = 1_800_000_000.0


def begun(machine: str, message: str = "nothing was heard", name: str = "agent-lost") -> Happening:
    return Happening("begun", name, AT - 60, machine, "", message)


def run(machine: str, state: str = "SUCCESS", reason: str = "") -> Happening:
    return Happening("ended", state, AT, machine, "workflow install run 2", reason)


def notice(*happenings: Happening, **more: Any) -> Notice:
    return notice_of(happenings, "home", AT, **more)


MANY = [begun(f"node-{number:02}", name="no-agent") for number in range(1, 38)]


@pytest.mark.parametrize(
    ("happenings", "line"),
    [
        ([begun("node-01")], "node-01: agent-lost: nothing was heard"),
        ([Happening("over", "agent-lost", AT, "node-01", "", "nothing was heard")], "node-01: agent-lost is over"),
        ([run("node-01")], "node-01: workflow install run 2 ended SUCCESS"),
        ([run("node-01", "FAILED", "no disk")], "node-01: workflow install run 2 ended FAILED: no disk"),
        ([run("node-01"), run("node-02")], "2 machines: workflow install run 2 ended SUCCESS: node-01, node-02"),
        ([begun("", "10.1.0.9 answers", "other-dhcp-server")], "other-dhcp-server: 10.1.0.9 answers"),
        (
            [begun("", "a asked", "unknown-machine"), begun("", "b asked", "unknown-machine")],
            "2 times unknown-machine: a asked, b asked",
        ),
        (MANY, f"37 machines: no-agent: {', '.join(f'node-{number:02}' for number in range(1, 11))} and 27 more"),
    ],
)
def test_what_is_alike_is_one_line(happenings: list[Happening], line: str) -> None:
    assert line == text(notice(*happenings))


def test_what_begins_stands_first_and_a_title_counts() -> None:
    told = notice(run("node-01"), begun("node-02"), Happening("over", "no-agent", AT, "node-03"), *MANY)
    assert ["37 machines: no-agent", "node-02: agent-lost", "node-03: no-agent is over", "node-01: workflow install run 2"] == [
        line[: len(start)]
        for line, start in zip(
            text(told).splitlines(),
            ("37 machines: no-agent", "node-02: agent-lost", "node-03: no-agent is over", "node-01: workflow install run 2"),
            strict=True,
        )
    ]
    assert "38 issues began, 1 issue over, 1 run ended" == title(told)
    assert "37 machines: no-agent" == title(notice(*MANY))


def test_what_is_lost_is_said_and_a_link_leads_to_the_machine_or_the_fleet() -> None:
    lines = text(notice(begun("node-01"), lost=7, dashboard="https://gitboot.example/")).splitlines()
    assert lines[1].startswith("7 things before these are not told of")
    assert "https://gitboot.example/machines/node-01" == lines[2]
    assert "https://gitboot.example/" == text(notice(*MANY, dashboard="https://gitboot.example")).splitlines()[-1]


def test_a_webhook_s_body_has_all_of_it_and_its_signature_is_one_that_receivers_know() -> None:
    told = document(notice(*MANY, run("node-01")))
    assert ("gitboot/v1", "Notice", "home", "2027-01-15T08:00:00.000Z") == tuple(
        told[name] for name in ("apiVersion", "kind", "site", "at")
    )
    first, second = told["events"]
    assert ("issue-begun", "no-agent", 37, 37) == (first["what"], first["name"], first["count"], len(first["machines"]))
    assert ("run-ended", "SUCCESS", "workflow install run 2") == (second["what"], second["name"], second["subject"])
    body = json.dumps(told).encode()
    headers = signed(body, "a secret of ours")
    assert {"X-Hub-Signature-256": "sha256=" + hmac.new(b"a secret of ours", body, hashlib.sha256).hexdigest()} == headers
    assert "x-hub-signature-256" == sender(b"a secret of ours", {"x-hub-signature-256": headers["X-Hub-Signature-256"]}, body)
    assert None is sender(b"another secret", {"x-hub-signature-256": headers["X-Hub-Signature-256"]}, body)


def test_a_message_is_bounded_however_much_has_happened() -> None:
    told = notice(*(Happening("ended", "SUCCESS", AT, f"node-{n}", f"workflow w{n} run 1", "x" * 999) for n in range(20_000)))
    assert text(told).endswith("\nand 19950 more of other kinds")
    assert (200, 19_800) == (len(document(told)["events"]), document(told)["more"])
    assert len(json.dumps(document(told))) < 200_000


def test_the_same_happenings_have_the_same_id_and_others_another() -> None:
    assert notice(begun("node-01")).id == notice_of([begun("node-01")], "home", AT + 99).id != notice(begun("node-02")).id


HOSTILE = "<!channel> <https://evil.example|click> @here &amp; \x1b[2J\r\nBcc: all@example.org\u202e"


def test_in_slack_nobody_is_called_and_nothing_is_a_link() -> None:
    said = slack(notice(begun("node-01", HOSTILE)))["text"]
    assert "&lt;!channel&gt; &lt;https://evil.example|click&gt; @\u200bhere &amp;amp;" in said
    assert not {"<", ">", "\x1b", "\r", "\n", "\u202e"} & set(said)
    assert "@here" not in said


def test_a_mail_is_one_that_a_mail_reader_reads_and_no_machine_writes_its_headers() -> None:
    happening = Happening("begun", "other-dhcp-server", AT, "", HOSTILE, HOSTILE)
    written = bytes(mail(notice_of([happening], "home\r\nX-Evil: 1", AT), "gitboot@example.org", ["ops@example.org"]))
    read = email.message_from_bytes(written, policy=email.policy.default)
    assert {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"} <= set(read.keys())
    assert not {"X-Evil", "Bcc"} & set(read.keys())
    assert "auto-generated" == read["Auto-Submitted"]
    assert read["Message-ID"].endswith(".gitboot@example.org>")
    content = read.get_content()
    assert "&amp;  [2J  Bcc: all@example.org" in content
    assert not {"\x1b", "\u202e"} & set(content)


def test_a_subject_names_what_it_is() -> None:
    assert "[gitboot home] 37 machines: no-agent" == mail(notice(*MANY), "a@b.example", ["c@d.example"])["Subject"]


def test_what_is_quoted_is_one_bounded_line() -> None:
    assert "a  b" == plain("a\r\nb")
    assert LONGEST == len(plain("x" * 100_000))
