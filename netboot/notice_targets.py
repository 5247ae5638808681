"""Who is told of issues and ends of runs, and how to reach them: the file of `--notify`.

Core. Law: it is checked as a whole before anything starts, and it is a file of the server's and not of git: it holds secrets
(the address of a Slack webhook is one), and no commit may choose who hears that it was rejected.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from netboot.issue_kinds import Name

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/@?#]+(/\S*)?$")]
Address = Annotated[str, Meta(pattern=r"^[^\s<>,;:\"\\@]+@[^\s<>,;:\"\\@]+$")]
Told = Literal["issues", "runs", "failures"]
MOST_TARGETS = 16


class _Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """For our log, and for what still waits after a restart."""
    tell: tuple[Told, ...] = ("issues", "runs")
    """`issues` that begin and end, every end of `runs`, or of them only the `failures`."""
    ignore: tuple[Name, ...] = ()
    """Issues that nobody is told of."""
    gather: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Seconds for which what happens is put into one message."""


class Webhook(_Target, frozen=True, tag="webhook"):
    url: Url
    secret: Annotated[str, Meta(min_length=16)]
    """What the signature of each message is made with."""


class Slack(_Target, frozen=True, tag="slack"):
    """Slack's incoming webhooks, and who takes the same: Mattermost, Rocket.Chat, Discord's `/slack`."""

    url: Url


class Mail(_Target, frozen=True, tag="mail"):
    server: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
    to: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=50)]
    sender: Address = msgspec.field(name="from")
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        return self.server.partition(":")[0]

    @property
    def port(self) -> int:
        """RFC 6409, RFC 8314, RFC 5321."""
        usual = {"starttls": 587, "tls": 465, "none": 25}
        return int(self.server.partition(":")[2] or usual[self.security])


Target: TypeAlias = Webhook | Slack | Mail


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=MOST_TARGETS)]
    dashboard: Annotated[str, Meta(pattern=r"^(https?://[^\s/]\S*)?$")] = ""
    """Where people reach the dashboard, for links."""


class BadNotify(Exception):
    """The file cannot be used; the message is a sentence that names no value of it."""


def parse_notify(content: bytes) -> Notify:
    """TOML. Raises BadNotify."""
    try:
        read = msgspec.toml.decode(content, type=Notify)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadNotify(f"{str(error).rstrip('.')}") from None
    names = [target.name for target in read.target]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadNotify(f"two targets are called {twice[0]}")
    for each in read.target:
        if isinstance(each, Mail) and each.security == "none" and each.password:
            raise BadNotify(f"target {each.name} would send its password in clear: set security to starttls or tls")
    return read
