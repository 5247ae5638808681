"""A file in a container registry, as `oras push` puts it there: a manifest with one layer that is the file.

Shell (OCI distribution specification 1.1). Law: what is handed on has the digest that the manifest says, and the manifest the
one that the reference says, if it says one. Credentials go to the registry and to the token server it names, nowhere else: as
docker has it any that speaks HTTPS, and one that does not only if it is the registry itself and that speaks HTTP anyway.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from agent.actions.digest import Digest
from agent.actions.download import Denied, Download, fetch_text
from agent.actions.settings import Failed

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LONGEST_MANIFEST = 4 << 20
"""Bytes, as the specification has it for registries."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Reference:
    scheme: str
    host: str
    name: str
    tag: str
    """Or a digest."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """By Docker's rule: a first part with a dot, a colon or `localhost` is a registry. Raises Failed."""
        scheme, _, rest = text.strip().rpartition("://")
        first, slash, path = rest.partition("/")
        if not slash or not ({".", ":"} & set(first) or first == "localhost"):
            first, path = "registry-1.docker.io", rest if slash else f"library/{rest}"
        found = re.fullmatch(r"([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?", path)
        if not found or scheme not in ("", "http", "https", "oci", "docker"):
            raise Failed(f"{text} is not the name of an image: write registry.example/name:tag")
        return cls("http" if scheme == "http" else "https", first, found[1], found[3] or found[2] or "latest")

    def url(self, kind: str, what: str) -> str:
        return f"{self.scheme}://{self.host}/v2/{self.name}/{kind}/{what}"


@dataclass(slots=True)
class Registry:
    reference: Reference
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of every download."""
    _authorization: str = field(default="", init=False, repr=False)

    def layer(self, architecture: str) -> tuple[Download, Digest]:
        """The file and its digest. Raises Failed."""
        layer = one_layer(self._manifest(self.reference.tag, architecture), self.reference.name)
        digest = Digest.parse("the digest of the layer", str(layer.get("digest")))
        return self._download(self.reference.url("blobs", str(digest))), digest

    def _manifest(self, tag: str, architecture: str) -> Mapping[str, Any]:
        for _ in range(3):  # an index of an index is allowed
            body = self._read(self.reference.url("manifests", tag))
            if tag.startswith("sha256:") and tag != f"sha256:{sha256(body.encode()).hexdigest()}":
                raise Failed(f"{self.reference.host} answers with another manifest than {tag}")
            try:
                manifest = json.loads(body)
            except (ValueError, RecursionError) as error:
                raise Failed(f"{self.reference.host} answers, but not like a registry") from error
            if not isinstance(manifest, dict):
                raise Failed(f"{self.reference.host} answers, but not like a registry")
            if not manifest.get("manifests"):
                return manifest
            tag = for_architecture(manifest["manifests"], architecture)
        raise Failed(f"{self.reference.name} is an index of indexes without end")

    def _read(self, url: str) -> str:
        try:
            return fetch_text(self._download(url), LONGEST_MANIFEST)
        except Denied as denied:
            self._authorization = self._authorize(denied)
            return fetch_text(self._download(url), LONGEST_MANIFEST)

    def _download(self, url: str) -> Download:
        headers = {"Accept": ", ".join(MANIFESTS)} | ({"Authorization": self._authorization} if self._authorization else {})
        return Download(url, headers, tls=self.tls, **self.options)

    def _authorize(self, denied: Denied) -> str:
        """What proves who we are, as the registry wants it. Raises Failed."""
        kind, _, rest = denied.challenge.partition(" ")
        basic = f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"
        if kind.lower() == "basic" and self.username:
            return basic
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() != "bearer" or "realm" not in asked:
            raise Failed(f"{denied}: set REGISTRY_USERNAME and REGISTRY_PASSWORD") from denied
        realm = token_server(self.reference, asked["realm"])
        query = urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
        headers = {"Authorization": basic} if self.username else {}
        body = b"".join(Download(f"{realm}?{query}", headers, tls=self.tls, **self.options))
        try:
            answer = json.loads(body)
            return f"Bearer {answer.get('token') or answer['access_token']}"
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            raise Failed(f"{realm} gives no token") from error


def token_server(registry: Reference, realm: str) -> str:
    """`realm`, if who we are may be told there. Raises Failed."""
    try:
        server = urlsplit(realm)
    except ValueError as error:
        raise Failed(f"{registry.host} names a token server that is no URL: {realm}") from error
    itself = registry.scheme == server.scheme == "http" and server.netloc.lower() == registry.host.lower()
    if server.scheme != "https" and not itself:
        raise Failed(
            f"{registry.host} wants the login to be shown to {realm}, where everybody on the way reads it: "
            "have the registry name a token server with https://"
        )
    return realm


def for_architecture(manifests: Sequence[Mapping[str, Any]], architecture: str) -> str:
    """The digest of the one that is meant. Raises Failed."""
    wanted = ARCHITECTURES.get(architecture, architecture)
    fit = [each for each in manifests if each.get("platform", {}).get("architecture") == wanted] or list(manifests)
    if len(fit) != 1:
        raise Failed(f"there are {len(fit)} images for {wanted}: name the one that is meant by its digest")
    return str(fit[0].get("digest"))


def one_layer(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Raises Failed if the manifest does not have exactly one."""
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) != 1 or not isinstance(layers[0], dict):
        count = len(layers) if isinstance(layers, list) else 0
        raise Failed(f"{name} has {count} layers, and a disk image is one: push the file itself, with `oras push`")
    found: Mapping[str, Any] = layers[0]
    return found
