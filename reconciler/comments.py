"""The one comment that gitboot has on a pull request: made once, found again, changed in place.

Core. A conversation is a generator: it yields requests and is sent their answers. A comment is ours when its first line is our
marker **and** it was written by whoever the token speaks for: else the author of a pull request could write the marker first,
have the plan put into their own comment, and change it afterwards.

| forge | list | make | change | source |
|---|---|---|---|---|
| GitHub | `GET /repos/{o}/{r}/issues/{n}/comments` | `POST` there | `PATCH /repos/{o}/{r}/issues/comments/{id}` | docs.github.com, "REST API endpoints for issue comments" |
| GitLab | `GET /projects/{id}/merge_requests/{n}/notes` | `POST` there | `PUT …/notes/{id}` | docs.gitlab.com, "Notes API" |
| Gitea, Forgejo | `GET /repos/{o}/{r}/issues/{n}/comments`, all at once | `POST` there | `PATCH /repos/{o}/{r}/issues/comments/{id}` | /api/swagger |
"""  # noqa: E501 - a table's rows are lines

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any, Literal

from reconciler.forges import Answer, BadForge, Forge, Request, ask

Done = Literal["made", "changed", "left as it was"]
PAGE = 100
"""Comments asked for at once: the most that GitHub and GitLab give."""
_MOST_PAGES = 100
_BYTES = {"github": 65_000, "gitlab": 1_000_000, "gitea": 65_000}
"""Of a comment. GitHub refuses more than 65,536 characters, GitLab more than 1,000,000; Gitea names no limit. Counted in bytes,
for what a forge calls a character differs."""
_GITEA_ACTIONS = -2
"""The user in whose name Gitea's and Forgejo's jobs speak; people's numbers are positive (`ActionsUserID`)."""
_CUT = "\n\n*Shortened: this forge takes no longer comment. The whole of it is in the log of the job.*\n"


def publish(forge: Forge, number: int, name: str, text: str) -> Generator[Request, Answer, Done]:
    """See to it that the pull request `number` has one comment of this name with this text.

    Raises Unspoken with the answer when one is not a success, BadForge for a name that no marker can hold.
    """
    mark = marker(name)
    body = f"{mark}\n{fitted(text, _BYTES[forge.kind] - len(mark) - 1)}"
    me = yield from _who(forge)
    for page in range(1, _MOST_PAGES + 1):
        found = yield from _listed(forge, number, page)
        for each in found:
            if _is_ours(forge, each, mark, me):
                if each.get("body") == body:
                    return "left as it was"
                yield from _told(_change(forge, number, int(each["id"]), body))
                return "changed"
        if forge.kind == "gitea" or len(found) < PAGE:
            break
    yield from _told(ask(forge, "POST", _comments(forge, number), {"body": body}))
    return "made"


class Unspoken(Exception):
    """The forge did not do what it was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


def marker(name: str) -> str:
    """The first line of a comment, which nobody sees. Raises BadForge."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,63}", name):
        raise BadForge(f"{name!r} is no name for a comment: use up to 64 small letters, digits, `-` and `.`.")
    return f"<!-- gitboot: {name} -->"


def fitted(text: str, most: int) -> str:
    """In at most so many bytes of UTF-8, cut between lines, with a sentence that says so; what was open is closed."""
    text = text.encode(errors="replace").decode()
    if len(text.encode()) <= most:
        return text
    lines = text.splitlines(keepends=True)
    low, high = 0, len(lines)
    while low < high:  # the more lines, the longer what is made of them
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_cut(lines[:middle]).encode()) <= most else (low, middle - 1)
    return _cut(lines[:low])


def _cut(lines: list[str]) -> str:
    """Those lines, and what ends an open block of code and every open `<details>`."""
    kept = "".join(lines)
    fences = len(re.findall(r"^```", kept, re.MULTILINE))
    details = kept.count("<details>") - kept.count("</details>")
    return kept + "\n```\n" * (fences % 2) + "\n</details>\n" * max(details, 0) + _CUT


def _comments(forge: Forge, number: int) -> str:
    if forge.kind == "gitlab":
        return f"{forge.base}/merge_requests/{number}/notes"
    return f"{forge.base}/issues/{number}/comments"


def _change(forge: Forge, number: int, comment: int, body: str) -> Request:
    if forge.kind == "gitlab":
        return ask(forge, "PUT", f"{_comments(forge, number)}/{comment}", {"body": body})
    return ask(forge, "PATCH", f"{forge.base}/issues/comments/{comment}", {"body": body})


def _who(forge: Forge) -> Generator[Request, Answer, int | None]:
    """The id of the token's owner; None for a CI job's token, which may not ask."""
    answer = yield ask(forge, "GET", f"{forge.api}/user")
    if answer.status in (401, 403, 404) and forge.kind != "gitlab":
        return None
    user = _parsed(answer)
    if not isinstance(user, dict) or not isinstance(user.get("id"), int):
        raise Unspoken(answer)
    return int(user["id"])


def _listed(forge: Forge, number: int, page: int) -> Generator[Request, Answer, list[dict[str, Any]]]:
    query = "" if forge.kind == "gitea" else f"?per_page={PAGE}&page={page}"
    if forge.kind == "gitlab":
        query += "&sort=asc&order_by=created_at"
    answer = yield ask(forge, "GET", f"{_comments(forge, number)}{query}")
    found = _parsed(answer)
    if not isinstance(found, list):
        raise Unspoken(answer)
    return [each for each in found if isinstance(each, dict)]


def _told(request: Request) -> Generator[Request, Answer, None]:
    answer = yield request
    if not 200 <= answer.status < 300:
        raise Unspoken(answer)


def _parsed(answer: Answer) -> Any:
    """None when it is not what was asked for."""
    if not 200 <= answer.status < 300:
        raise Unspoken(answer)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _is_ours(forge: Forge, comment: dict[str, Any], mark: str, me: int | None) -> bool:
    body, author = comment.get("body"), comment.get("author" if forge.kind == "gitlab" else "user")
    if not isinstance(body, str) or body.splitlines()[:1] != [mark] or not isinstance(author, dict):
        return False
    if not isinstance(comment.get("id"), int):
        return False
    if me is not None:
        return author.get("id") == me
    if forge.kind == "gitea":
        return author.get("id") == _GITEA_ACTIONS
    return str(author.get("login", "")).endswith("[bot]")  # which no person's name can hold
