"""A source: which repository, which branch, tag or commit, which folder of it.

Core. The address is sorted into `Local` or `Remote` here, before any git process sees it, against a list of the protocols
allowed: `ext::sh -c …` and an address that would be read as an option never get further. Credentials part from the
address here too: what git is given as an argument, and what is shown, holds none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from reconciler.errors import BadSource

REMOTE_PROTOCOLS = ("git", "http", "https", "ssh")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9]*::")
_SCP = re.compile(r"(?P<host>[^/:]+):(?P<path>.+)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Local:
    """A repository on this host, read where it is."""

    path: Path


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository reached through a git protocol. `url` holds no secret and is what git is told and people are shown."""

    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port: the only place the credentials may be sent to."""
        return "/".join(self.url.split("/", 3)[:3])


@dataclass(frozen=True, slots=True)
class Source:
    """What to serve. Raises `BadSource` when made from something that cannot be asked of git safely."""

    url: str = field(repr=False)
    """A local path, `file://`, `https://`, `http://`, `ssh://` or `git://` address, or `user@host:path` (ssh)."""
    ref: str = "HEAD"
    """Branch, tag or commit, in this order when a name is both; "" or "HEAD" follows the repository's own HEAD."""
    path: str = ""
    """Folder of the inventory inside the repository, `/`-separated; "" is the whole of it."""

    def __post_init__(self) -> None:
        locate(self.url)
        parts = PurePosixPath(self.path.strip("/")).parts
        if ".." in parts or _CONTROL.search(self.path):
            raise BadSource(f"The folder {self.path!r} is not inside the repository: give it from the top, without `..`.")
        object.__setattr__(self, "path", "/".join(parts))
        object.__setattr__(self, "ref", self.ref or "HEAD")

    @property
    def location(self) -> Local | Remote:
        return locate(self.url)

    def __str__(self) -> str:
        location = self.location
        return str(location.path) if isinstance(location, Local) else location.url


def locate(url: str) -> Local | Remote:
    """Sort an address as git would (a colon before the first slash means ssh), refusing what git would run or misread."""
    if not url or url.startswith("-") or _CONTROL.search(url):
        raise BadSource(
            "The repository's address is empty, or holds a leading dash or a control character: give a path or URL."
        )
    if _HELPER.match(url):
        raise BadSource(f"Addresses of the form `transport::address` are not allowed: use one of {_allowed()}.")
    if scheme := _SCHEME.match(url):
        return _from_url(scheme[1].lower(), url)
    if scp := _SCP.fullmatch(url):
        _check_host(scp["host"])
        return Remote(url)
    return Local(Path(url))


def _allowed() -> str:
    return ", ".join(f"{name}://" for name in ("file", *REMOTE_PROTOCOLS))


def _from_url(scheme: str, url: str) -> Local | Remote:
    rest = url.split("://", 1)[1]
    if scheme == "file":
        return Local(Path("/" + unquote(rest.split("/", 1)[-1])))
    if scheme not in REMOTE_PROTOCOLS:
        raise BadSource(f"The protocol {scheme}:// is not allowed: use one of {_allowed()}.")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        reason = f"The {scheme}:// address cannot be read: write special characters of user and password as %XX."
        raise BadSource(reason) from None  # the cause would repeat the address, password and all
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    _check_host(host)
    if _CONTROL.search(username + password) or username.startswith("-"):
        raise BadSource(f"The user name or password in the {scheme}:// address holds a character that cannot be sent.")
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if scheme == "ssh":
        # ssh never takes a password from its address; the user is part of the name, as in git@host.
        return Remote(f"ssh://{username + '@' if username else ''}{authority}{parts.path}")
    query = f"?{parts.query}" if parts.query else ""
    return Remote(f"{scheme}://{authority}{parts.path}{query}", username, password)


def _check_host(host: str) -> None:
    if not host or host.startswith("-") or "@-" in host:
        raise BadSource("The repository's address names no host that could be asked: check it.")


_USERINFO = re.compile(r"(\bhttps?://)[^/\s]*@")
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")


def scrub(text: str, *secrets: str) -> str:
    """The text without anything that opens a door: no user or token in http addresses, no password in any, no `secrets`."""
    text = _PASSWORD.sub(r"\1@", _USERINFO.sub(r"\1", text))
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
