"""Signers: the keys whose signatures count, as people write them and as ssh-keygen is told of them.

Core. The law: a key that is taken is one public key and nothing beside it, so that no text of a commit becomes an option,
another principal or a second line of what ssh-keygen reads.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from netboot.trust import OFF, Signer, Trust
from reconciler.openssh import public_key

if TYPE_CHECKING:
    from reconciler.places import Path
    from reconciler.shape import Complaints

_SSH_TYPES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
_ARMOUR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[A-Za-z]+: [^\n]*\n)*\n"
    r"(?P<body>(?:[A-Za-z0-9+/=]+\n)+?)(?:=(?P<sum>[A-Za-z0-9+/]{4})\n)?-----END PGP PUBLIC KEY BLOCK-----"
)
_PUBLIC_KEY_PACKET = 6  # RFC 4880 section 5.5.1.1


def ssh_key(text: str) -> str:
    """The line of a public key's file as type and base64, without its comment."""
    kind, key, *_ = public_key(text).split()
    if kind not in _SSH_TYPES:
        raise ValueError(f"it takes a line that begins with the key's type, one of {', '.join(_SSH_TYPES)}")
    return f"{kind} {key}"


def gpg_key(text: str) -> str:
    """An armoured public key (RFC 4880 section 6.2) without its comments."""
    if "PRIVATE KEY" in text:
        raise ValueError("it is a private key, which whoever reads this repository has now: make another one")
    found = _ARMOUR.fullmatch("\n".join(line.strip() for line in text.strip().splitlines()))
    if found is None:
        raise ValueError("it takes one whole block, as `gpg --armor --export NAME` says it")
    body = found["body"]
    data = _decoded(body.replace("\n", ""))
    checksum = _crc24(data).to_bytes(3, "big")
    if found["sum"] and _decoded(found["sum"]) != checksum:
        raise ValueError("it is damaged: its check sum is another one")
    head = data[0] if data else 0
    tag = head & 0x3F if head & 0x40 else head >> 2 & 0x0F
    if not head & 0x80 or tag != _PUBLIC_KEY_PACKET:
        raise ValueError("there is no public key in it")
    total = b64encode(checksum).decode()  # which gpg 2.2 wants, though it may be left out
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{body}={total}\n-----END PGP PUBLIC KEY BLOCK-----\n"


def moment(text: str) -> int:
    """`2026-11-20`, which is its midnight in UTC, or `2026-11-20T18:00:00Z`, as seconds since the epoch."""
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            seconds = int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
        if seconds > 0:
            return seconds
    raise ValueError("it takes a date, or a date and a time in UTC")


def commit(text: str) -> str:
    """A commit's whole id: an abbreviation may come to mean another one."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text):
        raise ValueError("it takes the whole id of a commit, as `git rev-parse` says it")
    return text


def trust_of(spec: Mapping[str, Any]) -> Trust:
    """Of a setting whose shape is right."""
    trust = Trust(spec.get("commits", "off"), tuple(map(_signer, spec.get("signers", ()))))
    return OFF if trust == OFF else trust


def _signer(spec: Mapping[str, Any]) -> Signer:
    return Signer(
        spec["name"],
        ssh=ssh_key(spec["ssh"]) if "ssh" in spec else "",
        gpg=gpg_key(spec["gpg"]) if "gpg" in spec else "",
        valid_after=moment(spec["validAfter"]) if "validAfter" in spec else 0,
        valid_before=moment(spec["validBefore"]) if "validBefore" in spec else 0,
    )


def check_trust(trust: Trust, path: Path, complaints: Complaints, alone: bool = True) -> None:
    """What a setting shows by itself: nobody is to be locked out by a slip. `alone`: no other setting adds signers."""
    if alone and trust.commits in ("destructive", "required") and not trust.signers:
        message = f"Nobody could sign a commit that {trust.commits!r} asks for: list the signers in the same commit."
        complaints.at((*path, "commits"), "no-signers", message)
    for index, signer in enumerate(trust.signers):
        if 0 < signer.valid_before <= signer.valid_after:
            message = f"The key of {signer.name} counts until before it counts from: correct one of the two."
            complaints.at((*path, "signers", index, "validBefore"), "bad-value", message)


def counting(signers: Iterable[Signer], now: float) -> tuple[Signer, ...]:
    """Those whose time it is. That a commit gives itself another date helps no old key."""
    return tuple(each for each in signers if each.valid_after <= now and (not each.valid_before or now < each.valid_before))


def allowed_signers(signers: Sequence[Signer]) -> str:
    """What `gpg.ssh.allowedSignersFile` names (ssh-keygen(1), ALLOWED SIGNERS), for ssh-keygen in UTC.

    The principals are ours and not the signers' names, which could be patterns.
    """
    lines = []
    for index, signer in enumerate(signers):
        if signer.ssh:
            options = ['namespaces="git"']
            options += [f'valid-after="{_stamp(signer.valid_after)}"'] if signer.valid_after else []
            options += [f'valid-before="{_stamp(signer.valid_before)}"'] if signer.valid_before else []
            lines.append(f"signer-{index} {','.join(options)} {signer.ssh}\n")
    return "".join(lines)


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Error:
        raise ValueError("it holds something that is no base64: copy it as it is") from None


def _crc24(data: bytes) -> int:
    """RFC 4880 section 6.1."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc
