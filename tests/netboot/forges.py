"""What forges send when somebody pushed, as their documentation shows it, with the signatures made here."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

SECRET = b"3gEsCfjlV2ugRwgpU#w1*WaW*wa4NXgGmpCfkbG3"
SIGNING_TOKEN = b"whsec_" + base64.b64encode(bytes(range(32)))
BEFORE, AFTER = "28e1879d029cb852e4844d9c718537df08844e03", "bffeb74224043ba2feb48d137756c8a9331c449a"

PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": AFTER,
    "repository": {"id": 140, "name": "site", "full_name": "lab/site", "private": True, "default_branch": "main"},
    "pusher": {"name": "ada", "email": "ada@lab.example"},
    "commits": [{"id": AFTER, "message": "Add node-04", "author": {"name": "Ada", "email": "ada@lab.example"}}],
}
GITLAB_PUSH: dict[str, Any] = {
    "object_kind": "push",
    "event_name": "push",
    "before": BEFORE,
    "after": AFTER,
    "ref": "refs/heads/main",
    "checkout_sha": AFTER,
    "user_username": "ada",
    "project": {"id": 15, "path_with_namespace": "lab/site", "default_branch": "main"},
    "total_commits_count": 1,
}


@dataclass(frozen=True)
class Delivery:
    forge: str
    secret: bytes
    headers: dict[str, str]
    body: bytes

    def but(self, **changes: Any) -> Delivery:
        return replace(self, **changes)


@dataclass(frozen=True)
class Forge:
    way: str
    """The header by which it is known."""
    secret: bytes
    body: bytes
    headers: Callable[[bytes], dict[str, str]]


def _hex(body: bytes) -> str:
    return hmac.digest(SECRET, body, "sha256").hex()


def _github(body: bytes) -> dict[str, str]:
    return {
        "user-agent": "GitHub-Hookshot/044aadd",
        "content-type": "application/json",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "push",
        "x-github-hook-id": "292430182",
        "x-hub-signature": "sha1=" + hmac.digest(SECRET, body, "sha1").hex(),
        "x-hub-signature-256": "sha256=" + _hex(body),
    }


def _gitea(body: bytes) -> dict[str, str]:
    """It speaks as GitHub and as Gogs besides."""
    events = {f"x-{forge}-event": "push" for forge in ("gitea", "gogs", "github")}
    return {
        **_github(body),
        **events,
        "user-agent": "Go-http-client/1.1",
        "x-gitea-signature": _hex(body),
        "x-gogs-signature": _hex(body),
    }


def _old_gitea(body: bytes) -> dict[str, str]:
    """Before 1.18: without what GitHub calls it."""
    return {name: value for name, value in _gitea(body).items() if "hub-signature" not in name}


def _forgejo(body: bytes) -> dict[str, str]:
    return {"content-type": "application/json", "x-forgejo-event": "push", "x-forgejo-signature": _hex(body)}


def _gitlab(body: bytes) -> dict[str, str]:
    return {
        "user-agent": "GitLab/17.5.1",
        "content-type": "application/json",
        "idempotency-key": "7bafea1a-a1bf-4948-9a37-3f912777dedc",
        "x-gitlab-event": "Push Hook",
        "x-gitlab-webhook-uuid": "d96cd136-d798-4abc-b542-07c41d1d9333",
        "x-gitlab-instance": "https://gitlab.lab.example",
        "x-gitlab-token": SECRET.decode(),
    }


def _gitlab_signed(body: bytes) -> dict[str, str]:
    headers = {name: value for name, value in _gitlab(body).items() if name != "x-gitlab-token"}
    said = f"{headers['idempotency-key']}.1779000000.".encode() + body
    signature = base64.b64encode(hmac.digest(bytes(range(32)), said, "sha256")).decode()
    return {
        **headers,
        "webhook-id": headers["idempotency-key"],
        "webhook-timestamp": "1779000000",
        "webhook-signature": f"v1,{signature}",
    }


_JSON, _FORM = json.dumps(PUSH).encode(), b"payload=" + quote_plus(json.dumps(PUSH)).encode()
_GITLAB_JSON = json.dumps(GITLAB_PUSH).encode()
FORGES = {
    "GitHub": Forge("x-hub-signature-256", SECRET, _JSON, _github),
    "GitHub, form": Forge("x-hub-signature-256", SECRET, _FORM, _github),
    "Gitea": Forge("x-hub-signature-256", SECRET, _JSON, _gitea),
    "Gitea before 1.18": Forge("x-gitea-signature", SECRET, _JSON, _old_gitea),
    "Forgejo": Forge("x-forgejo-signature", SECRET, _JSON, _forgejo),
    "GitLab, secret token": Forge("x-gitlab-token", SECRET, _GITLAB_JSON, _gitlab),
    "GitLab, signing token": Forge("webhook-signature", SIGNING_TOKEN, _GITLAB_JSON, _gitlab_signed),
}


def deliver(forge: str, body: bytes | None = None) -> Delivery:
    """The documented push, or `body` signed as the forge would."""
    made = FORGES[forge]
    body = made.body if body is None else body
    return Delivery(forge, made.secret, made.headers(body), body)
