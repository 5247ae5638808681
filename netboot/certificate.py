"""The certificates that HTTPS shows: ours, made once and pinned by agents, and the one a person gave for everybody else.

Shell. Laws: an agent is shown our own EC certificate and no other, told apart by the name it asks for (SNI), so that what a
person gives may be renewed while machines are at work; a key is on disk, mode 600, before anybody is shown its certificate.
Ours are valid from 2000 to 2049, for the clock of fresh hardware is wrong by years.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netboot.journal import sync_directory, write_and_sync
from netboot.settings import Settings

AGENT = "agent.gitboot.invalid"
"""The name by which agents ask (docs/agent-protocol.md)."""
FOLDER = "tls"
"""In the state directory: `ec.pem` and `rsa.pem`, a certificate and its key in each."""
BEGINS, ENDS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
"""2049 is the last year of the date's short form (RFC 5280 section 4.1.2.5)."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Pair = tuple[Path, Path]
"""A certificate, chain and all, and its key; they may be in one file."""


class BadCertificate(Exception):
    """A certificate or its key cannot be used; the message is a sentence with a next step."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What an HTTPS listener needs."""

    context: ssl.SSLContext
    pin: str
    """SHA-256 of the certificate that agents are shown, as 64 hex digits."""
    shown: x509.Certificate
    """What a browser is shown."""


def load_tls(settings: Settings) -> Tls:
    """Reads what is given and what was made, and makes what is missing.

    Raises BadCertificate, or OSError when the state directory cannot be written.
    """
    state, certificate, key, listen = settings.state, settings.certificate, settings.private_key, settings.listen
    if not (certificate and key) and (certificate or key):
        here, missing = ("--certificate", "--private-key") if certificate else ("--private-key", "--certificate")
        raise BadCertificate(f"{here} is given without {missing}; give both, or neither and gitboot makes its own.")
    ours = _own(state / FOLDER / "ec.pem", lambda: ec.generate_private_key(ec.SECP256R1()), listen)
    pairs: tuple[Pair, ...] = ((certificate, key),) if certificate and key else (ours, _own_rsa(state, listen))
    context, for_agents = _context(*pairs), _context(ours)

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> None:
        if asked == AGENT:
            connection.context = for_agents

    context.sni_callback = choose
    return Tls(context, fingerprint(read_certificate(ours[0])), read_certificate(pairs[0][0]))


def read_certificate(file: Path) -> x509.Certificate:
    """The first one of a PEM file. Raises BadCertificate."""
    try:
        return x509.load_pem_x509_certificate(_read(file))
    except ValueError as error:
        raise BadCertificate(f"{file} holds no certificate in PEM ({error}); name the file that begins it.") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of its DER, as 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def names_of(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def make_certificate(key: Key, names: list[str]) -> x509.Certificate:
    """Self-signed. `names`: host names and IP addresses."""
    found = [x509.IPAddress(ip_address(name)) if _is_address(name) else x509.DNSName(name) for name in names]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gitboot")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), BEGINS, ENDS)
        .add_extension(x509.SubjectAlternativeName(found), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def host_names(listen: str) -> list[str]:
    """What this host is called and its addresses now: from /proc, for netlink is closed to our systemd units."""
    table = Path("/proc/net/fib_trie").read_text()
    addresses = re.findall(r"\|-- ([\d.]+)\n +/32 host LOCAL", table)
    names = [socket.gethostname(), *sorted(addresses), *([listen] if listen not in ("", "0.0.0.0") else [])]  # noqa: S104
    return list(dict.fromkeys(name for name in names if name.isascii()))


def _own_rsa(state: Path, listen: str) -> Pair:
    """For clients that know no ECDSA, such as iPXE before 2.0."""
    return _own(state / FOLDER / "rsa.pem", lambda: rsa.generate_private_key(65537, 2048), listen)


def _own(file: Path, make: Callable[[], Key], listen: str) -> Pair:
    """The pair in this file, made now if there is none."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = make()
        _keep(file, _pem(key) + make_certificate(key, host_names(listen)).public_bytes(serialization.Encoding.PEM))
    return file, file


def _keep(file: Path, data: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_and_sync(descriptor, data)
    finally:
        os.close(descriptor)
    fresh.rename(file)
    sync_directory(file.parent)


def _pem(key: Key) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _context(*pairs: Pair) -> ssl.SSLContext:
    """With several, the client's abilities decide. Raises BadCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # which lets a client make us work for nothing
    for certificate, key in pairs:
        read_certificate(certificate)
        _check_key(key)
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise BadCertificate(
                    f"The key in {key} is not that of the certificate in {certificate}; give the two that were made together."
                ) from None
            raise BadCertificate(
                f"{certificate} cannot be used ({error.reason or error}); give one with a key of EC P-256 or RSA 2048."
            ) from None
    return context


def _check_key(file: Path) -> None:
    try:
        serialization.load_pem_private_key(_read(file), password=None)
    except TypeError:
        raise BadCertificate(
            f"The key in {file} has a passphrase, which nobody is there to type; `openssl pkey -in {file}` writes it without."
        ) from None
    except ValueError:
        raise BadCertificate(f"{file} holds no private key in PEM; correct --private-key.") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadCertificate(
            f"{file} cannot be read ({error.strerror}); correct --certificate and --private-key, or let the user that starts "
            "gitboot read it."
        ) from None


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False
