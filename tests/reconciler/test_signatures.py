"""Which signatures count: real ssh-keygen and gpg, keys that are no longer good, and repositories that lie."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netboot.trust import Signer, Trust
from reconciler.signers import gpg_key
from reconciler.trust import Floor
from tests.reconciler.gitkit import processes_that_mention, wait_until
from tests.reconciler.inventories import SOUND
from tests.reconciler.signkit import GpgHome, Key, Signed, gpg_keys, ssh_key

pytestmark = pytest.mark.shell
OTHER = SOUND["hardware.yaml"].replace("10.1.0.11", "10.1.0.12")
THIRD = SOUND["hardware.yaml"].replace("10.1.0.11", "10.1.0.13")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def ann(folder: Path) -> Key:
    return ssh_key(folder, "ann")


@pytest.fixture(scope="session")
def eve(folder: Path) -> Key:
    return ssh_key(folder, "eve")


@pytest.fixture(scope="session")
def ring(folder: Path) -> Iterator[GpgHome]:
    with gpg_keys(folder / "ring") as home:
        yield home


@pytest.fixture(scope="session")
def gil(ring: GpgHome) -> Key:
    return ring.key("gil")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Signed]:
    site = Signed(tmp_path)
    yield site
    site.close()


# Keys --------------------------------------------------------------------------------------------------------------------


def test_a_gpg_key_of_the_list_counts_and_one_of_the_users_own_keyring_does_not(
    site: Signed, gil: Key, ring: GpgHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(ring.folder))
    site.begin("required", gil)
    assert site.commit(gil, hardware=OTHER) == site.served()
    other = ring.key("hal")
    site.commit(other, hardware=THIRD)
    assert "of no key that is listed" in site.refused()


def test_keys_count_where_the_state_directory_is_named_from_the_folder_that_one_is_in(
    site: Signed, gil: Key, ann: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.root)
    site.root = Path()
    site.restart()
    site.begin("required", gil, ann)
    assert site.commit(ann, hardware=OTHER) == site.served()
    assert site.commit(gil, hardware=THIRD) == site.served()


def test_nothing_is_left_of_a_judgement(site: Signed, gil: Key, ann: Key) -> None:
    site.begin("required", gil, ann)
    site.commit(gil, hardware=OTHER)
    site.served()
    assert {"plans", "trusted.json"} == set(os.listdir(site.root / "state")) - {"artifacts.json"}
    assert [] == processes_that_mention(str(site.root))


def test_ssh_and_gpg_signers_stand_beside_each_other_and_each_type_of_ssh_key_counts(
    site: Signed, gil: Key, ann: Key, folder: Path
) -> None:
    signers = [gil, ann, ssh_key(folder, "rsa", "rsa"), ssh_key(folder, "curve", "ecdsa")]
    site.begin("required", *signers)
    for number, key in enumerate(signers):
        site.commit(key, hardware=SOUND["hardware.yaml"].replace("10.1.0.11", f"10.1.0.{20 + number}"))
    site.served()


def test_a_gpg_key_that_has_expired_does_not_count_whatever_it_signed_before(site: Signed, ring: GpgHome) -> None:
    old = ring.key("old")
    site.begin("required", old)
    site.commit(old, hardware=OTHER)
    ring.gpg("--quick-set-expire", ring.fingerprint("old"), "seconds=1")
    assert wait_until(lambda: ring.is_over("old"))
    site.restart(Floor(Trust("required", (Signer("old", gpg=gpg_key(ring.again("old").public)),))))
    assert "has expired" in site.refused()


def test_a_gpg_key_that_was_revoked_does_not_count_whatever_it_signed_before(site: Signed, ring: GpgHome) -> None:
    lost = ring.key("lost")
    site.begin("required", lost)
    site.commit(lost, hardware=OTHER)
    revocation = (ring.folder / f"openpgp-revocs.d/{ring.fingerprint('lost')}.rev").read_text()
    ring.gpg("--import", feed=revocation.replace(":-----BEGIN", "-----BEGIN"))
    revoked = ring.again("lost").public
    assert revoked != lost.public
    site.restart(Floor(Trust("required", (Signer("lost", gpg=gpg_key(revoked)),))))
    assert "revoked" in site.refused()


def test_an_ssh_key_counts_within_its_time_by_the_servers_clock_and_by_the_commits_date(
    site: Signed, ann: Key, eve: Key
) -> None:
    over = ann.entry.replace("}", ", validBefore: 2026-01-01}")
    to_come = eve.entry.replace("}", ", validAfter: 2200-01-01}")
    site.begin("required", over, to_come)
    site.work.date = "2025-06-01T00:00:00Z"
    site.commit(ann, hardware=OTHER)
    site.work.date = ""
    assert "of no key that is listed" in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    site.commit(eve, hardware=OTHER)
    assert "of no key that is listed" in site.refused()


def test_a_commit_that_is_dated_before_its_key_counts_is_refused(site: Signed, ann: Key) -> None:
    site.begin("required", ann.entry.replace("}", ", validAfter: 2026-01-01, validBefore: 2200-01-01}"))
    site.work.date = "2025-06-01T00:00:00Z"
    site.commit(ann, hardware=OTHER)
    site.work.date = ""
    assert "of no key that is listed" in site.refused()
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    assert site.commit(ann, hardware=OTHER) == site.served()


# Signatures --------------------------------------------------------------------------------------------------------------


def rewrite(site: Signed, change: tuple[bytes, bytes], commit: str = "HEAD") -> str:
    """The commit with other bytes, as the head."""
    raw = site.work.raw("cat-file", "commit", commit)
    assert raw.count(change[0]) == 1
    made = site.work.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", feed=raw.replace(*change))
    site.work.git("update-ref", "refs/heads/main", made)
    return made


def signature(site: Signed, commit: str) -> bytes:
    """The header of a commit that carries its signature."""
    head = site.work.raw("cat-file", "commit", commit).partition(b"\n\n")[0]
    return head[head.index(b"gpgsig ") :] + b"\n"


def test_a_signature_of_another_commit_does_not_count(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    site.served()
    stolen = signature(site, "HEAD")
    site.commit(None, hardware=THIRD)
    rewrite(site, (b"\n\nchange", b"\n" + stolen + b"\nchange"))
    assert "of something else than this commit" in site.refused()


def test_a_message_that_was_changed_after_it_was_signed_does_not_count(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    rewrite(site, (b"\n\nchange", b"\n\nchanged"))
    site.refused()


def test_a_signature_for_another_purpose_does_not_count(site: Signed, ann: Key, tmp_path: Path, folder: Path) -> None:
    """Made by the right key, of the right bytes, for the namespace `file` and not `git`."""
    site.begin("required", ann)
    site.commit(None, hardware=OTHER)
    payload = tmp_path / "payload"
    payload.write_bytes(site.work.raw("cat-file", "commit", "HEAD"))
    for namespace in ("file", "git"):
        (tmp_path / "payload.sig").unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(folder / "ann"), str(payload)],
            check=True, capture_output=True,
        )  # fmt: skip
        header = b"gpgsig " + (tmp_path / "payload.sig").read_bytes().strip().replace(b"\n", b"\n ") + b"\n"
        head = site.work.git("rev-parse", "HEAD")
        made = rewrite(site, (b"\n\nchange", b"\n" + header + b"\nchange"))
        if namespace == "git":
            assert made == site.served(), "else this test proves nothing"
        else:
            site.refused()
            site.work.git("update-ref", "refs/heads/main", head)


@pytest.mark.parametrize(
    "junk",
    [
        b"gpgsig \n",
        b"gpgsig hello\n",
        b"gpgsig -----BEGIN SSH SIGNATURE-----\n",
        b"gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n",
        b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n",
        b"gpgsig -----BEGIN SIGNED MESSAGE-----\n AAAA\n -----END SIGNED MESSAGE-----\n",
        b"gpgsig -----BEGIN SSH SIGNATURE-----\x1b[2J\n",
        b"gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n",
    ],
)
def test_a_signature_that_is_none_is_refused_in_words_that_can_be_printed(site: Signed, ann: Key, junk: bytes) -> None:
    site.begin("required", ann)
    site.commit(None, hardware=OTHER)
    rewrite(site, (b"\n\nchange", b"\n" + junk + b"\nchange"))
    said = site.refused()
    assert said.replace("\n", "").isprintable()


def test_a_commit_with_two_signatures_or_a_parent_behind_its_author_is_none(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    site.commit(ann, hardware=OTHER)
    good = site.work.git("rev-parse", "HEAD")
    rewrite(site, (b"gpgsig ", signature(site, good) + b"gpgsig "))
    assert "has 2 signatures, where git writes one" in site.refused()
    site.work.git("update-ref", "refs/heads/main", good)
    rewrite(site, (b"\ncommitter ", b"\nparent " + first.encode() + b"\ncommitter "))
    assert "is not as git writes commits" in site.refused()


def test_a_tag_of_a_tree_or_of_another_commit_vouches_for_nothing(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    site.commit(None, hardware=OTHER)
    site.tag(ann, "elsewhere", first)
    site.tag(ann, "of-a-tree", "HEAD^{tree}")
    site.tag(ann, "inner", first)
    site.tag(ann, "of-a-tag", "inner")
    site.refused()


def test_a_tag_that_was_moved_to_another_commit_by_hand_vouches_for_nothing(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    site.tag(ann, "v1", first)
    bad = site.commit(None, hardware=OTHER)
    moved = site.work.raw("cat-file", "tag", "v1").replace(first.encode(), bad.encode())
    made = site.work.git("hash-object", "-t", "tag", "-w", "--stdin", feed=moved)
    site.work.git("update-ref", "refs/tags/v1", made)
    site.refused()


# Repositories that lie ---------------------------------------------------------------------------------------------------


def test_a_replaced_commit_is_judged_as_it_is(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    good = site.commit(ann, hardware=OTHER)
    site.work.git("reset", "-q", "--hard", "HEAD~1")
    bad = site.commit(None, hardware=OTHER)
    site.work.git("replace", bad, good)
    assert bad[:12] in site.refused()


def test_a_graft_that_hides_a_commit_is_not_believed(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    bad = site.commit(None, hardware=OTHER)
    site.work.write("README.md", "hello")
    top = site.commit(ann)
    (site.work.path / ".git/info").mkdir(exist_ok=True)
    (site.work.path / ".git/info/grafts").write_text(f"{top} {first}\n")
    assert first == site.work.git("rev-parse", "HEAD~1"), "else this test proves nothing"
    assert bad[:12] in site.refused()


def diamond(site: Signed, ann: Key) -> tuple[str, str, str]:
    """Trusted commit, unsigned one, and a signed one on top of that; the head is a signed merge of the last with the first."""
    first = site.begin("required", ann)
    site.work.git("checkout", "-q", "-b", "topic")
    bad = site.commit(None, hardware=OTHER)
    site.work.write("README.md", "hello")
    top = site.commit(ann)
    tree = site.work.git("rev-parse", "HEAD^{tree}")
    words = (*ann.settings, "commit-tree", "-S", tree, "-p", top, "-p", first, "-m", "merge")
    site.work.git("update-ref", "refs/heads/main", site.work.git(*words))
    return first, bad, top


def test_a_shallow_file_that_hides_a_commit_hides_nothing(site: Signed, ann: Key) -> None:
    _, bad, top = diamond(site, ann)
    (site.work.path / ".git/shallow").write_text(f"{top}\n")
    assert bad not in site.work.git("rev-list", "main"), "else this test proves nothing"
    assert "cannot be read" in site.refused()


def test_a_commit_graph_that_lies_is_not_asked(site: Signed, ann: Key) -> None:
    """It says that the trusted commit has a parent: the unsigned one."""
    first, bad, _ = diamond(site, ann)
    site.work.git("commit-graph", "write", "--reachable")
    graph = site.work.path / ".git/objects/info/commit-graph"
    data = bytearray(graph.read_bytes())
    at = data.index(bytes.fromhex(site.work.git("rev-parse", f"{first}^{{tree}}"))) + 20
    position = sorted(site.work.git("rev-list", "--all").split()).index(bad)
    data[at : at + 4] = position.to_bytes(4, "big")  # gitformat-commit-graph(5), commit data
    graph.chmod(0o600)
    graph.write_bytes(data)
    assert bad not in site.work.git("rev-list", "main", f"^{first}"), "else this test proves nothing"
    assert bad[:12] in site.refused()


def test_the_repositorys_own_configuration_neither_verifies_nor_runs_anything(
    site: Signed, ann: Key, eve: Key, tmp_path: Path
) -> None:
    site.begin("required", ann)
    yes = tmp_path / "yes"
    yes.write_text(
        f'#!/bin/sh\ntouch {tmp_path}/ran\necho "[GNUPG:] GOODSIG 0123456789ABCDEF Ann"\necho Good "git" signature for x\n'
    )
    yes.chmod(0o755)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"eve {eve.public}\n")
    for name in ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.x509.program", "core.pager", "core.fsmonitor"):
        site.work.git("config", name, str(yes))
    site.work.git("config", "gpg.ssh.allowedSignersFile", str(allowed))
    site.work.git("config", "gpg.minTrustLevel", "never")
    site.work.git("config", "alias.verify-commit", f"!{yes}")
    (site.work.path / "hardware.yaml").write_text(OTHER)
    site.work.git("add", "-A")
    site.git_commit(Key("eve", eve.public, (*eve.settings, "-c", "gpg.ssh.program=ssh-keygen")), "commit", "-q", "-m", "change")
    (tmp_path / "ran").unlink(missing_ok=True)
    assert "of no key that is listed" in site.refused()
    assert not (tmp_path / "ran").exists()


def test_a_revocation_list_of_the_repository_takes_nobody_off_the_list(site: Signed, ann: Key, tmp_path: Path) -> None:
    site.begin("required", ann)
    revoked = tmp_path / "revoked"
    revoked.write_text(f"{ann.public}\n")
    site.work.git("config", "gpg.ssh.revocationFile", str(revoked))
    assert site.commit(ann, hardware=OTHER) == site.served()


@pytest.mark.parametrize(("program", "package"), [("gpg", "gnupg"), ("ssh-keygen", "openssh-client")])
def test_a_program_that_is_missing_is_the_worlds_fault_and_is_named(
    site: Signed, gil: Key, ann: Key, program: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.begin("required", gil, ann)
    site.commit(ann, hardware=OTHER)
    monkeypatch.setattr("reconciler.signatures.shutil.which", lambda name: None if name == program else f"/usr/bin/{name}")
    assert f"install the package `{package}`" in site.delayed()
    monkeypatch.undo()
    site.served()


def test_authors_and_subjects_are_shown_without_what_moves_a_terminal(site: Signed, ann: Key) -> None:
    site.begin("required", ann)
    site.commit(None, "--author=A\u202en <a@lab.example>", "-m", "\x1b[2J" + "long " * 50, hardware=OTHER)
    said = site.refused()
    assert said.isprintable()
    assert 600 > len(said)
