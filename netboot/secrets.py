"""Secrets are opened here and nowhere else: age files, and SOPS files whose data key is one.

Core. The law: what is opened is handed to the caller and kept nowhere, no message and no `repr` holds any of it, and a SOPS
file gives nothing unless its MAC is right for the whole of it.

Formats: age-encryption.org/v1; SOPS 3 as its `aes/cipher.go` and `sops.go` have it. There each value is AES-256-GCM with a
nonce of 32 bytes and its path (`spec:data:password:`) as additional data; the MAC is the SHA-512 of all values in order, in
upper-case hex, itself encrypted with `lastmodified` as additional data.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netboot.sealed import DATA, PullSecret, Secret, Sops

SHORTEST, LONGEST = 4, 65536
"""Characters of a value. A shorter one nobody could take out of a log without tearing the log to pieces."""
_ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:([^,]+),iv:([^,]+),tag:([^,]+),type:([a-z0-9]+)\]")
_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""What a MAC begins with that covers encrypted values only."""


class Unreadable(Exception):
    """Why a secret cannot be read; the message never holds any of it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """age identities. `public`: the recipients that they are the other half of, for people."""

    identities: tuple[Any, ...] = field(default=(), repr=False)
    public: tuple[str, ...] = ()

    def __add__(self, other: Keys) -> Keys:
        return Keys(self.identities + other.identities, self.public + other.public)


@contextmanager
def unspoken() -> Iterator[None]:
    """While secrets are open. What nobody foresaw is told by its type and its place, for its message could hold a value, as its
    traceback could. Raises Unreadable.
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"a defect of gitboot stops it ({_type_and_place(error)}); please report it") from None


def _type_and_place(error: Exception) -> str:
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    return f"{type(error).__name__} in {at.tb_frame.f_code.co_name}, line {at.tb_lineno}" if at else type(error).__name__


def parse_keys(text: str) -> Keys:
    """A file of age identities as `age-keygen` writes it, or one OpenSSH private key. Raises ValueError with a sentence."""
    if text.startswith("-----BEGIN OPENSSH PRIVATE KEY-----"):
        try:
            return Keys((pyrage.ssh.Identity.from_buffer(text.encode()),), ("an SSH key",))
        except pyrage.IdentityError:
            raise ValueError("it is no SSH key that age can use: it takes ed25519 or RSA, without a passphrase") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        found = tuple(pyrage.x25519.Identity.from_str(line) for line in lines)
    except pyrage.IdentityError:
        raise ValueError("a line is no age identity: each begins with AGE-SECRET-KEY-1, as `age-keygen` prints it") from None
    if not found:
        raise ValueError("no age identity is in it: `age-keygen -o FILE` makes one")
    return Keys(found, tuple(str(each.to_public()) for each in found))


def locked(secrets: Iterable[Secret], logins: Iterable[PullSecret], keys: Keys) -> dict[str, str]:
    """Those of the secrets that cannot be read, each with why."""
    why: dict[str, str] = {}
    known = {secret.name: secret for secret in secrets}
    for secret in known.values():
        try:
            open_secret(secret, keys)
        except Unreadable as error:
            why[secret.name] = str(error)
    for each in logins:
        if each.name in known and each.name not in why:
            try:
                login(open_secret(known[each.name], keys)[each.key], each.registry)
            except Unreadable as error:
                why[each.name] = str(error)
    return why


@unspoken()
def open_secret(secret: Secret, keys: Keys) -> dict[str, str]:
    """Its values by key. Raises Unreadable."""
    if not keys.identities:
        raise Unreadable("this server has no key: give it the age identity with --age-identity FILE")
    sealed = secret.data.items()
    opened = _open_sops(secret.sops, keys) if secret.sops else {key: _open_age(each, keys) for key, each in sealed}
    return {key: _text(key, value) for key, value in opened.items()}


@unspoken()
def login(value: str, registry: str) -> dict[str, str]:
    """`{"username", "password"}` from `user:password` or from docker's config.json. Raises Unreadable."""
    text = value.strip()
    if text.startswith("{"):
        try:
            text = b64decode(json.loads(text)["auths"][registry]["auth"], validate=True).decode()
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Unreadable(f"its value is JSON, and no docker config with an 'auth' for {registry}") from None
    username, colon, password = text.partition(":")
    if not (username and colon and password):
        raise Unreadable("its value is no login of a registry: it takes user:password, or docker's config.json")
    return {"username": username, "password": password}


def _text(key: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"the value of {key} is not UTF-8 text: encode it in base64 before it is encrypted") from None
    if "\0" in text:
        raise Unreadable(f"the value of {key} holds a NUL character: encode it in base64 before it is encrypted")
    if not SHORTEST <= len(text.strip()) <= LONGEST:
        raise Unreadable(f"the value of {key} has fewer than {SHORTEST} characters, or more than {LONGEST}")
    return text


def _open_age(armoured: str, keys: Keys) -> bytes:
    try:
        value: bytes = pyrage.decrypt(armoured.strip().encode(), list(keys.identities))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise Unreadable(f"none of the server's keys opens it ({_few(keys.public)}): encrypt it to one of them") from None
        raise Unreadable("it is damaged, or no age file: encrypt it again") from None
    return value


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


# SOPS ------------------------------------------------------------------------------------------------------------------


def _open_sops(sops: Sops, keys: Keys) -> dict[str, bytes]:
    """Every value of `spec.data`, once the MAC has shown that nobody but the holder of the data key has changed anything."""
    cipher = AESGCM(_data_key(sops, keys))
    digest = hashlib.sha512(_ONLY_ENCRYPTED if sops.encrypted_only else b"")
    values: dict[str, bytes] = {}
    for path, text in sops.leaves:
        encrypted = _ENCRYPTED.fullmatch(text)
        value = _decrypt(cipher, encrypted, path) if encrypted else text.encode(errors="surrogatepass")
        if encrypted or not sops.encrypted_only:
            digest.update(value)
        if path.startswith(DATA):
            boolean = encrypted and encrypted[4] == "bool"  # which it keeps as True and False
            values[path.removeprefix(DATA).removesuffix(":")] = value.lower() if boolean else value
    mac = _ENCRYPTED.fullmatch(sops.mac)
    said = _decrypt(cipher, mac, sops.modified) if mac else b""
    if not hmac.compare_digest(said, digest.hexdigest().upper().encode()):
        raise Unreadable("its MAC is wrong: somebody changed the file without `sops`; edit it with `sops edit FILE`")
    return values


def _data_key(sops: Sops, keys: Keys) -> bytes:
    why = Unreadable("SOPS encrypted it to nobody")
    for sealed in sops.keys:
        try:
            key = _open_age(sealed, keys)
        except Unreadable as error:
            why = error
            continue
        if len(key) != 32:
            raise Unreadable("its data key has not the 32 bytes of AES-256")
        return key
    raise why


def _decrypt(cipher: AESGCM, encrypted: re.Match[str], path: str) -> bytes:
    try:
        data, nonce, tag = (b64decode(part, validate=True) for part in encrypted.groups()[:3])
        return cipher.decrypt(nonce, data + tag, path.encode(errors="surrogatepass"))
    except (InvalidTag, BadBase64, ValueError):
        raise Unreadable(f"what stands at {path.rstrip(':').replace(':', '.')} is damaged or was moved here") from None
