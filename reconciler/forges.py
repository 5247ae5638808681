"""Forges: what GitHub, GitLab and Gitea are asked, and what their answers mean.

Core. The one place that knows their endpoints, fields and limits; every other module speaks of reports and comments. A request
carries the token in its headers and nowhere else, and no sentence that is made here repeats it.

| forge | a commit's status | its fields | source |
|---|---|---|---|
| GitHub | `POST /repos/{owner}/{repo}/statuses/{sha}` | `state` (error, failure, pending, success), `context`, `description` (140 characters), `target_url` | docs.github.com, "REST API endpoints for commit statuses" |
| GitLab | `POST /projects/{id}/statuses/{sha}` | `state` (pending, running, success, failed, canceled), `name`, `description` (255), `target_url` (255) | docs.gitlab.com, "Commits API" |
| Gitea, Forgejo | `POST /repos/{owner}/{repo}/statuses/{sha}` | `state` (pending, success, error, failure, warning), `context`, `description`, `target_url` | the instance's own /api/swagger |
"""  # noqa: E501 - a table's rows are lines

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from netboot.commit_status import CommitStatus

Kind = Literal["github", "gitlab", "gitea"]
KINDS: tuple[Kind, ...] = ("github", "gitlab", "gitea")
HOMES = {"github": "https://api.github.com", "gitlab": "https://gitlab.com"}
"""Where the forge is when nobody says; a Gitea is always somebody's own."""
_ROOTS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
_DESCRIPTION = {"github": 140, "gitlab": 255, "gitea": 255}
_URL = 255
_SAID = 200
"""Characters of what a forge says of itself that are repeated."""
_PAUSE = 60.0
"""Seconds when a forge asks for a pause and does not say how long ("Best practices for using the REST API")."""
_LONGEST_PAUSE = 3600.0
_SECONDS = re.compile(r"[0-9]{1,12}")


class BadForge(ValueError):
    """A setting that no retry will mend; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Forge:
    """One project of one forge, and who speaks there."""

    kind: Kind
    api: str
    """The root of its API, without a slash at the end."""
    project: str
    token: str = field(repr=False)

    @property
    def base(self) -> str:
        """The address below which everything about the project is."""
        if self.kind == "gitlab":
            return f"{self.api}/projects/{quote(self.project, safe='')}"
        return f"{self.api}/repos/{quote(self.project)}"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """The world's fault: asked again, `after` seconds from now at the soonest."""

    reason: str
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Barred:
    """Until somebody mends a setting or a right, which may need nothing of us."""

    reason: str
    is_unknown: bool = False
    """The forge knows no such thing: the project, the commit, or that this token may see it."""


@dataclass(frozen=True, slots=True)
class Never:
    """This request will not be taken, however often; another one may be."""

    reason: str


Trouble = Later | Barred | Never


def forge_of(kind: Kind, url: str, project: str, token: str) -> Forge:
    """`url` is the forge's own address, or the root of its API as its CI says it. Raises BadForge."""
    address = (url or HOMES.get(kind, "")).rstrip("/")
    if not address:
        raise BadForge(f"Say where the {kind} is: --forge-url https://git.lab.example.")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadForge("--forge-url is an address as https://git.lab.example, without user, query or fragment.")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+" if kind != "gitlab" else r"\d+|[\w.-]+(/[\w.-]+)+", project, re.ASCII):
        raise BadForge(f"{project!r} is no project: write it as in its address, OWNER/NAME.")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadForge("The forge's token is one line of letters, digits, `-` and `_`.")
    return Forge(kind, _api_root(kind, address), project, token)


def _api_root(kind: Kind, address: str) -> str:
    host = urlsplit(address).hostname or ""
    if kind == "github" and host in ("github.com", "www.github.com"):
        return HOMES["github"]
    if address.endswith(_ROOTS[kind]) or (kind == "github" and host.startswith("api.")):
        return address
    return address + _ROOTS[kind]


def ask(forge: Forge, method: str, url: str, content: Mapping[str, Any] | None = None) -> Request:
    """A request as this forge wants it: JSON both ways, and the token where its documentation says."""
    headers = {"Accept": "application/json", "User-Agent": "gitboot"}
    match forge.kind:
        case "github":
            headers |= {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
            headers["Authorization"] = f"Bearer {forge.token}"
        case "gitlab":
            headers["PRIVATE-TOKEN"] = forge.token
        case "gitea":
            headers["Authorization"] = f"token {forge.token}"
    if content is None:
        return Request(method, url, headers)
    return Request(method, url, headers | {"Content-Type": "application/json"}, json.dumps(content).encode())


def status_request(forge: Forge, report: CommitStatus) -> Request:
    """Puts a report beside its commit."""
    description = shortened(report.description, _DESCRIPTION[forge.kind])
    content = {"description": description, "state": report.state}
    if forge.kind == "gitlab":
        content |= {"name": shortened(report.context, _URL), "state": report.state.replace("failure", "failed")}
    else:
        content["context"] = shortened(report.context, _URL)
    if report.url and len(report.url) <= _URL:
        content["target_url"] = report.url
    return ask(forge, "POST", f"{forge.base}/statuses/{quote(report.revision, safe='')}", content)


def verdict(forge: Forge, answer: Answer, now: float) -> Trouble | None:
    """What an answer means; None: it was taken. `now` is in seconds since the epoch, for limits that name a time."""
    if 200 <= answer.status < 300:
        return None
    said = _said(forge, answer)
    if forge.kind == "gitlab" and answer.status == 400 and "cannot transition status" in said.lower():
        return None  # GitLab refuses what it has already: a pending status is not made pending again
    pause = _pause(answer, now)
    if answer.status == 429 or (answer.status == 403 and pause):
        return Later(f"{forge.api} asks for a pause: {said}", min(pause or _PAUSE, _LONGEST_PAUSE))
    match answer.status:
        case 401:
            return Barred(f"{forge.api} does not know the token ({said}): it has expired or was withdrawn; give a new one.")
        case 403:
            return Barred(f"{forge.api} does not let the token do this in {forge.project} ({said}): {_RIGHTS[forge.kind]}.")
        case 404:
            return Barred(
                f"{forge.api} knows no {forge.project}, or not this commit of it, or hides it from the token ({said}):"
                " check --forge-project and the token's rights.",
                is_unknown=True,
            )
        case code if 300 <= code < 400:
            return Barred(f"{forge.api} has moved ({code}): correct --forge-url or --forge-project.")
        case code if code >= 500 or code in (408, 425):
            return Later(f"{forge.api} cannot answer just now ({code} {said}).", min(pause, _LONGEST_PAUSE))
    return Never(f"{forge.api} refuses it ({answer.status} {said}).")


_RIGHTS = {
    "github": "it needs write access to commit statuses, and for comments to pull requests",
    "gitlab": "it needs the scope api and the role Developer",
    "gitea": "it needs the scope write:repository, and for comments write:issue",
}


def _pause(answer: Answer, now: float) -> float:
    """Seconds that the forge asks us to wait; 0: it does not say."""
    after = answer.headers.get("retry-after", "")
    if _SECONDS.fullmatch(after):
        return max(float(after), 1.0)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(float(reset) - now, 1.0) if _SECONDS.fullmatch(reset) else _PAUSE
    return _PAUSE if after else 0.0


def _said(forge: Forge, answer: Answer) -> str:
    """What the forge says itself, as one short line that cannot hold the token."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    words = ""
    if isinstance(content, dict):
        found = [content.get(key) for key in ("message", "error", "error_description", "errors")]
        words = ", ".join(each if isinstance(each, str) else json.dumps(each) for each in found if each)
    return shortened(words.replace(forge.token, "…"), _SAID).rstrip(".") or f"status {answer.status}"


def shortened(text: str, most: int) -> str:
    """On one line, in at most so many characters; a cut is shown."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
