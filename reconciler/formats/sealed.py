"""Secret documents: values that age or SOPS has encrypted.

Core. The law: what is not encrypted rejects the commit, and no message repeats a value. Whether anybody can decrypt it is not
judged here, where there are no keys. https://age-encryption.org/v1 (the armour), https://getsops.io/docs (the `sops` map).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from netboot.sealed import Secret, Sops
from reconciler.container_values import secret_key
from reconciler.inventory import SecretDoc
from reconciler.places import Source
from reconciler.shape import Complaints, check

ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:[^,]+,iv:[^,]+,tag:[^,]+,type:[a-z0-9]+\]")
_ARMOUR = re.compile(r"-----BEGIN AGE ENCRYPTED FILE-----\r?\n([A-Za-z0-9+/=\s]+)-----END AGE ENCRYPTED FILE-----")
_HOW = "`gitboot secret encrypt` or `sops` does it"


def secret(document: dict[str, Any], source: Source, complaints: Complaints) -> SecretDoc | None:
    """What `native.lower` does for the other kinds."""
    leaves = tuple(_leaves({key: each for key, each in document.items() if key != "sops"}))  # before `check` changes a number
    check("secret", document, complaints, source.written)
    if complaints.errors:
        return None
    name, data, sops = document["metadata"]["name"], document["spec"]["data"], document.get("sops")
    for key in data:
        try:
            secret_key(key)
        except ValueError as error:
            complaints.at_key(("spec", "data", key), "bad-value", f"This is not a key of a secret: {error}.")
    sealed = Secret(name, dict(sorted(data.items()))) if sops is None else Secret(name, sops=_sops(sops, leaves, complaints))
    for key, value in data.items():
        _check_value(key, value, sops is not None, complaints)
    return None if complaints.errors else SecretDoc(name, source, sealed)


def _check_value(key: str, value: str, by_sops: bool, complaints: Complaints) -> None:
    path = ("spec", "data", key)
    if by_sops:
        if not ENCRYPTED.fullmatch(value):
            how = "run `sops encrypt --encrypted-regex '^data$'`"
            message = f"SOPS has not encrypted this: {how}, and change the secret, for git keeps what was pushed."
            complaints.at(path, "plain-secret", message)
        return
    if ENCRYPTED.fullmatch(value):
        complaints.at(path, "bad-secret", "SOPS has encrypted this, and its map 'sops' is not in the document: put it back.")
    elif not value.lstrip().startswith("-----BEGIN AGE ENCRYPTED FILE-----"):
        message = f"This is not encrypted: encrypt it first ({_HOW}), and change the secret, for git keeps what was pushed."
        complaints.at(path, "plain-secret", message)
    elif objection := _armour_objection(value):
        complaints.at(path, "bad-secret", f"This is not an age file: {objection}; encrypt it again, {_HOW}.")


def _armour_objection(text: str) -> str:
    """What is wrong with an age file, as far as it shows without a key; "" when nothing is."""
    found = _ARMOUR.fullmatch(text.strip())
    if not found:
        return "its armour is damaged"
    try:
        content = b64decode("".join(found[1].split()), validate=True)
    except ValueError:
        return "its armour is damaged"
    if not content.startswith(b"age-encryption.org/v1\n"):
        return "its first line is another one"
    return "it is encrypted with a passphrase, which no server can type" if b"\n-> scrypt " in content[:200] else ""


# SOPS ------------------------------------------------------------------------------------------------------------------


def _sops(sops: Mapping[str, Any], leaves: tuple[tuple[str, str], ...], complaints: Complaints) -> Sops | None:
    """None, and a complaint, when it lacks what it takes."""
    recipients = sops.get("age")
    keys = [each.get("enc") for each in recipients if isinstance(each, Mapping)] if isinstance(recipients, list) else []
    sealed = tuple(key for key in keys if isinstance(key, str) and not _armour_objection(key))
    mac, modified, only = sops.get("mac"), sops.get("lastmodified"), sops.get("mac_only_encrypted", False)
    if not sealed:
        message = (
            "SOPS has encrypted this for no age recipient: give it one with `sops encrypt --age age1…`; "
            "key groups and the keys of other services are not read."
        )
        complaints.at(("sops",), "bad-secret", message)
    elif not (isinstance(mac, str) and ENCRYPTED.fullmatch(mac) and isinstance(modified, str) and isinstance(only, bool)):
        complaints.at(("sops",), "bad-secret", "'mac' or 'lastmodified' is missing or damaged: put back what SOPS wrote.")
    else:
        return Sops(sealed, leaves, mac, modified, only)
    return None


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value with its path, in order; items of a list have the path of the list, and nothing is no value."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{path}{key}:")
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif value is not None:
        yield path, _as_sops_has_it(value)


def _as_sops_has_it(value: object) -> str:
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return str(value)  # truth values as True and False
