"""What has happened in words: as lines for people, and as the bodies that each kind of target takes.

Core. Law: what is alike is said once, with how many machines it is. Whatever a machine, a peer or a forge may have said of
itself is one printable line, and names nobody in the chat that it appears in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import msgspec

from netboot.issue_kinds import CATALOGUE
from netboot.notices import Happening
from netboot.run_documents import rfc3339

SHOWN, NAMED = 10, 100
"""Machines of a group that a line names, and a webhook's event."""
LONGEST = 300
"""Characters of what is quoted."""
MOST_LINES, MOST_EVENTS = 50, 200
"""Of a message; the rest is counted."""
SIGNATURE = "X-Hub-Signature-256"
"""As GitHub's and Gitea's webhooks are signed, so that receivers know it."""


class Group(msgspec.Struct, frozen=True):
    """What is alike, the earliest first."""

    happenings: tuple[Happening, ...]

    @property
    def first(self) -> Happening:
        return self.happenings[0]

    @property
    def machines(self) -> list[str]:
        return [each.machine for each in self.happenings if each.machine]


class Notice(msgspec.Struct, frozen=True):
    """One message. `lost`: how many happenings before it nobody is told of."""

    site: str
    at: float
    groups: tuple[Group, ...]
    lost: int = 0
    dashboard: str = ""

    @property
    def id(self) -> str:
        """The same for the same happenings, so that who is told twice can know it."""
        return hashlib.sha256(msgspec.json.encode(self.groups)).hexdigest()[:32]


def notice_of(happenings: Iterable[Happening], site: str, now: float, lost: int = 0, dashboard: str = "") -> Notice:
    """What has begun before what is over before what has ended; the most frequent first."""
    groups: dict[tuple[str, str, str], list[Happening]] = {}
    for each in happenings:
        alike = each.what, each.name, each.subject if each.what == "ended" else ""
        groups.setdefault(alike, []).append(each)
    order = ("begun", "over", "ended")
    ranked = sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]), item[0]))
    return Notice(plain(site), now, tuple(Group(tuple(some)) for _, some in ranked), lost, dashboard.rstrip("/"))


def title(notice: Notice) -> str:
    if len(notice.groups) == 1:
        return _head(notice.groups[0])
    counts = {what: sum(len(each.happenings) for each in notice.groups if each.first.what == what) for what in _SAID}
    return ", ".join(
        _SAID[what].format(f"{many} {_NOUNS[what]}{'' if many == 1 else 's'}") for what, many in counts.items() if many
    )


_NOUNS = {"begun": "issue", "over": "issue", "ended": "run"}
_SAID = {"begun": "{} began", "over": "{} over", "ended": "{} ended"}


def text(notice: Notice) -> str:
    """Lines for people."""
    lines = [_line(group) for group in notice.groups[:MOST_LINES]]
    if len(notice.groups) > MOST_LINES:
        lines.append(f"and {len(notice.groups) - MOST_LINES} more of other kinds")
    if notice.lost:
        lines.append(f"{notice.lost} things before these are not told of: nothing could be delivered for too long")
    if notice.dashboard:
        lines.append(_link(notice))
    return "\n".join(lines)


def _head(group: Group) -> str:
    first, many = group.first, len(group.happenings)
    what = {"begun": first.name, "over": f"{first.name} is over", "ended": f"{plain(first.subject)} ended {first.name}"}[
        first.what
    ]
    if first.machine:
        return f"{plain(first.machine) if many == 1 else f'{many} machines'}: {what}"
    return what if many == 1 else f"{many} times {what}"


def _line(group: Group) -> str:
    """The head, then why where it is one, else whom it is about."""
    first, shown = group.first, group.happenings[:SHOWN]
    if len(group.happenings) == 1:
        more = "" if first.what == "over" and first.machine else plain(first.message)
    else:
        more = ", ".join(plain(each.machine or each.message) for each in shown)
        if left := len(group.happenings) - len(shown):
            more += f" and {left} more"
    return f"{_head(group)}: {more}" if more else _head(group)


def _link(notice: Notice) -> str:
    machines = {name for group in notice.groups for name in group.machines}
    if len(machines) == 1 and all(group.machines for group in notice.groups):
        return f"{notice.dashboard}/machines/{quote(machines.pop(), safe='')}"
    return f"{notice.dashboard}/"


def document(notice: Notice) -> dict[str, Any]:
    """A webhook's body."""
    return {
        "apiVersion": "gitboot/v1",
        "kind": "Notice",
        "id": notice.id,
        "site": notice.site,
        "at": rfc3339(notice.at),
        "text": text(notice),
        "lost": notice.lost,
        "events": [_event(group) for group in notice.groups[:MOST_EVENTS]],
        "more": max(0, len(notice.groups) - MOST_EVENTS),
    }


def _event(group: Group) -> dict[str, Any]:
    first = group.first
    kind = CATALOGUE.get(first.name) if first.what != "ended" else None  # type: ignore[call-overload]
    return {
        "what": {"begun": "issue-begun", "over": "issue-over", "ended": "run-ended"}[first.what],
        "name": first.name,
        "title": kind.title if kind else "",
        "subject": plain(first.subject),
        "count": len(group.happenings),
        "machines": [plain(name) for name in group.machines[:NAMED]],
        "message": plain(first.message),
        "since": rfc3339(first.at),
    }


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The header by which the receiver knows that it is ours and whole."""
    return {SIGNATURE: f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"}


def slack(notice: Notice) -> dict[str, Any]:
    """Escaped as Slack asks ("Formatting text", docs.slack.dev), and an `@` calls nobody in Mattermost either."""
    said = f"gitboot {notice.site}: {text(notice)}" if len(notice.groups) == 1 else f"gitboot {notice.site}:\n{text(notice)}"
    for character, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b")):
        said = said.replace(character, instead)
    return {"text": said}


def mail(notice: Notice, sender: str, to: Sequence[str]) -> EmailMessage:
    """RFC 5322; no autoresponder answers it (RFC 3834)."""
    message = EmailMessage()
    message["Subject"] = f"[gitboot {notice.site}] {title(notice)}"[:LONGEST]
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = formatdate(notice.at)
    message["Message-ID"] = f"<{notice.id}.gitboot@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text(notice) + "\n")
    return message


def plain(said: str) -> str:
    """One printable line of bounded length."""
    line = "".join(each if each.isprintable() else " " for each in said[: LONGEST + 1])
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
