"""Secret documents for tests: encrypted by age, and as SOPS would encrypt them, written from what SOPS' sources say.

SOPS is not in Debian, so that no test runs it. The encoder here is ours as the decoder is; what ties both to SOPS itself is the
vector of its own tests in tests/netboot/test_secrets.py.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import pyrage
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

IDENTITY = "AGE-SECRET-KEY-1DQVEELQT63HY0UPJEN0JDFSM9J97KMSG96UUTE03HC9T9Q02Y9YQPZVWEM"
"""Of tests alone; it opens nothing else."""


def recipient(identity: str = IDENTITY) -> str:
    return str(pyrage.x25519.Identity.from_str(identity).to_public())


def age(value: str | bytes, *recipients: str) -> str:
    """An ASCII-armoured age file."""
    data = value.encode() if isinstance(value, str) else value
    to = [pyrage.x25519.Recipient.from_str(each) for each in recipients or (recipient(),)]
    return str(pyrage.encrypt(data, to, armored=True).decode())


def secret(name: str, values: Mapping[str, str | bytes], *recipients: str) -> str:
    """A Secret document."""
    return _yaml(_document(name, {key: age(value, *recipients) for key, value in values.items()}))


def sops(name: str, values: Mapping[str, Any], *recipients: str, only: bool = False, **more: Any) -> str:
    """A Secret document after `sops encrypt --age … --encrypted-regex '^data$'`; `only`: with `--mac-only-encrypted`."""
    key, modified = os.urandom(32), "2026-11-20T12:00:00Z"
    digest = hashlib.sha512(hashlib.sha256(b"sops").digest() if only else b"")
    document = _document(name, values)
    for path, value in _leaves(document):
        if path.startswith("spec:data:") or not only:
            digest.update(_bytes(value))
    sealed = _sealed(document, key)
    metadata = {
        "age": [{"recipient": each, "enc": age(key, each)} for each in recipients or (recipient(),)],
        "lastmodified": modified,
        "mac": encrypted(digest.hexdigest().upper(), key, modified),
        "encrypted_regex": "^data$",
        **({"mac_only_encrypted": True} if only else {}),
        "version": "3.10.2",
    }
    return _yaml({**sealed, "sops": {**metadata, **more}})


def encrypted(value: object, key: bytes, path: str) -> str:
    """One value."""
    nonce = os.urandom(32)
    whole = AESGCM(key).encrypt(nonce, _bytes(value), path.encode())
    data, iv, tag = (b64encode(part).decode() for part in (whole[:-16], nonce, whole[-16:]))
    kind = {bool: "bool", int: "int", float: "float"}.get(type(value), "str")
    return f"ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]"


def _document(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "gitboot/v1", "kind": "Secret", "metadata": {"name": name}, "spec": {"data": dict(values)}}


def _sealed(value: Any, key: bytes, path: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _sealed(each, key, f"{path}{name}:") for name, each in value.items()}
    return encrypted(value, key, path) if path.startswith("spec:data:") else value


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, f"{path}{name}:")
    else:
        yield path, value


def _bytes(value: object) -> bytes:
    return str(value).encode()


def _yaml(document: Mapping[str, Any]) -> str:
    class Dumper(yaml.SafeDumper):
        pass

    def literal(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, literal)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=10_000)
