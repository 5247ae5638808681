"""The certificates: made once and kept for their owner, given or refused with a sentence, and each shown to whom it is for."""

from __future__ import annotations

import socket
import ssl
import stat
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.pinned import NAME
from netboot import certificate
from netboot.certificate import AGENT, BadCertificate, Tls, fingerprint, load_tls, make_certificate, names_of
from netboot.settings import Settings
from tests.netboot.killed import survivals


def give(folder: Path, name: str = "given", passphrase: bytes = b"") -> tuple[Path, Path]:
    """A certificate and its key, as a person has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / f"{name}.crt").write_bytes(make_certificate(key, ["boot.example"]).public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, lock))
    return folder / f"{name}.crt", folder / f"{name}.key"


def shown(tls: Tls, name: str | None = None, **wishes: object) -> str:
    """SHA-256 of the certificate that a client sees which asks for `name`; `wishes` are its TLS's. Raises SSLError."""
    wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    wanted.check_hostname, wanted.verify_mode = False, ssl.CERT_NONE
    wanted.set_ciphers(str(wishes.pop("ciphers", "DEFAULT:@SECLEVEL=0")))
    for wish, value in wishes.items():
        setattr(wanted, wish, value)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wanted.wrap_bio(back, there, server_hostname=name)
    server = tls.context.wrap_bio(there, back, server_side=True)
    for _ in range(5):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sha256(client.getpeercert(binary_form=True) or b"").hexdigest()


def test_what_is_made_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = load_tls(Settings(tmp_path))
    assert first.pin == load_tls(Settings(tmp_path)).pin
    assert ["ec.pem", "rsa.pem"] == sorted(file.name for file in (tmp_path / "tls").iterdir())
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "tls").iterdir()}
    assert 0o700 == stat.S_IMODE((tmp_path / "tls").stat().st_mode)


def test_killed_at_any_step_of_making_it_there_is_a_whole_one_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(65537, 2048)
    monkeypatch.setattr(rsa, "generate_private_key", lambda *_: key)
    state = tmp_path / "state"

    def make() -> None:
        load_tls(Settings(state))

    for _ in survivals(tmp_path, lambda: state.mkdir(exist_ok=True), make):
        kept = (state / "tls/ec.pem").read_bytes() if (state / "tls/ec.pem").exists() else b""
        load_tls(Settings(state))
        assert kept in (b"", (state / "tls/ec.pem").read_bytes())
        for file in (state / "tls").iterdir():
            file.unlink()


def test_it_is_valid_for_every_clock_and_names_the_server(tmp_path: Path) -> None:
    ours = load_tls(Settings(tmp_path, listen="192.0.2.7")).shown
    assert ours.not_valid_before_utc <= datetime(2000, 1, 1, tzinfo=UTC)
    assert ours.not_valid_after_utc >= datetime(2049, 1, 1, tzinfo=UTC)
    assert {"127.0.0.1", "192.0.2.7", socket.gethostname()} <= set(names_of(ours))


def test_agents_ask_by_the_name_that_the_server_knows_them_by() -> None:
    assert NAME == AGENT


def test_whoever_knows_no_elliptic_curve_is_shown_the_rsa_certificate(tmp_path: Path) -> None:
    tls = load_tls(Settings(tmp_path))
    assert tls.pin == shown(tls) == fingerprint(tls.shown)
    old = shown(tls, ciphers="aRSA:@SECLEVEL=0", maximum_version=ssl.TLSVersion.TLSv1_2)
    assert fingerprint(certificate.read_certificate(tmp_path / "tls/rsa.pem")) == old


def test_agents_see_ours_and_people_what_was_given_which_may_be_renewed_under_machines_at_work(tmp_path: Path) -> None:
    pin = load_tls(Settings(tmp_path)).pin
    for name in ("first", "renewed"):
        given, key = give(tmp_path, name)
        tls = load_tls(Settings(tmp_path, certificate=given, private_key=key))
        assert pin == tls.pin == shown(tls, AGENT)
        assert fingerprint(certificate.read_certificate(given)) == shown(tls) == shown(tls, "boot.example")


@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("name", [AGENT, "boot.example"])
def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path, old: ssl.TLSVersion, name: str) -> None:
    tls = load_tls(Settings(tmp_path))
    with pytest.raises(ssl.SSLError):
        shown(tls, name, minimum_version=old, maximum_version=old)
    assert shown(tls, name, minimum_version=old, maximum_version=ssl.TLSVersion.TLSv1_2)


def test_what_cannot_be_used_is_a_sentence_with_a_next_step(tmp_path: Path) -> None:
    (crt, key), (_, other), (_, locked) = give(tmp_path), give(tmp_path, "other"), give(tmp_path, "locked", b"secret")
    text = tmp_path / "text"
    text.write_text("nothing")
    for given, said in (
        ((crt, None), "--certificate is given without --private-key; give both, or neither"),
        ((None, key), "--private-key is given without --certificate; give both"),
        ((crt, tmp_path / "nowhere"), "nowhere cannot be read (No such file or directory); correct --certificate and"),
        ((tmp_path / "nowhere", key), "nowhere cannot be read"),
        ((tmp_path, key), "cannot be read (Is a directory)"),
        ((crt, other), "is not that of the certificate in"),
        ((text, key), "text holds no certificate in PEM"),
        ((crt, text), "text holds no private key in PEM; correct --private-key"),
        ((crt, crt), "given.crt holds no private key in PEM"),
        ((crt, locked), "has a passphrase, which nobody is there to type; `openssl pkey"),
    ):
        with pytest.raises(BadCertificate) as refused:
            load_tls(Settings(tmp_path, certificate=given[0], private_key=given[1]))
        assert said in str(refused.value)
        assert str(refused.value).endswith(".")


def test_a_damaged_file_of_ours_is_a_sentence_too(tmp_path: Path) -> None:
    load_tls(Settings(tmp_path))
    (tmp_path / "tls/ec.pem").write_bytes(b"")
    with pytest.raises(BadCertificate, match=r"ec.pem holds no certificate"):
        load_tls(Settings(tmp_path))
