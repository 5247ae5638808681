"""One message to one target: an HTTP request or a mail.

Shell. Law: it is taken, or `Undelivered` says why not, without a password and without what stands behind an address's host, for
those are secrets. No redirect is followed, which would carry them to wherever it leads. Silence ends after `SILENCE` seconds;
who waits for all of it sets an end of their own. Proxies count as everywhere (`https_proxy`, `no_proxy`).
"""

from __future__ import annotations

import re
import smtplib
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

import msgspec

from netboot.notice_targets import Mail, Slack, Target, Webhook
from netboot.notice_text import Notice, document, mail, signed, slack

SILENCE = 20.0
"""Seconds without a byte."""
OF_THE_MESSAGE = (400, 413, 422)
"""HTTP statuses that another try of the same message would end in too."""


class Undelivered(Exception):
    """The message is a sentence. `final`: this message will never be taken."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def deliver(target: Target, notice: Notice) -> None:
    """Raises Undelivered."""
    try:
        match target:
            case Webhook():
                body = msgspec.json.encode(document(notice))
                _post(target.url, body, signed(body, target.secret))
            case Slack():
                _post(target.url, msgspec.json.encode(slack(notice)), {})
            case Mail():
                _mail(target, notice)
    except (OSError, HTTPException, smtplib.SMTPException, ValueError) as error:
        raise Undelivered(f"{_place(target)} cannot be told ({_reason(error)})") from None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Nowhere."""


_opener = urllib.request.build_opener(_Stay)


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(  # noqa: S310 - `parse_notify` lets only http and https through
        url, body, {"Content-Type": "application/json", "User-Agent": "gitboot", **headers}, method="POST"
    )
    try:
        with _opener.open(request, timeout=SILENCE):
            pass
    except urllib.error.HTTPError as refused:
        refused.close()
        said = f"{_origin(url)} answers {refused.code}"
        raise Undelivered(said, final=refused.code in OF_THE_MESSAGE) from None


def _mail(target: Mail, notice: Notice) -> None:
    message = mail(notice, target.sender, target.to)
    context = ssl.create_default_context()
    kind: Any = smtplib.SMTP
    more: dict[str, Any] = {}
    if target.security == "tls":
        kind, more = smtplib.SMTP_SSL, {"context": context}
    with kind(target.host, target.port, timeout=SILENCE, **more) as server:
        if target.security == "starttls":
            server.starttls(context=context)
        if target.user:
            server.login(target.user, target.password)
        try:
            server.send_message(message)
        except smtplib.SMTPDataError as refused:
            said = f"{_place(target)} answers {refused.smtp_code}"
            raise Undelivered(said, final=refused.smtp_code >= 500) from None


def _place(target: Target) -> str:
    return f"{target.host}:{target.port}" if isinstance(target, Mail) else _origin(target.url)


def _origin(url: str) -> str:
    """Without a name and password, and without what comes behind the host."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0].rpartition('@')[2]}"


def _reason(error: Exception) -> str:
    """Of an SMTP server's words only the number: they may repeat what they were given."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answers {error.smtp_code}"
    if isinstance(error, smtplib.SMTPException):
        return type(error).__name__
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause) or type(error).__name__
