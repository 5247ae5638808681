"""Signatures: which commits and tags git says, by its exit status, are signed by one of the signers.

Shell. The keys are in a folder of our own, made anew from the list for each judgement and removed after it: never the user's
keyring, never a key that was listed once. gpg runs without an agent and fetches nothing. The programs that verify and what
they believe are named by us for each command, so that a repository's own configuration has no say.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from netboot.trust import Signer
from reconciler.commits import Commit, names_commit, shown
from reconciler.errors import Unavailable
from reconciler.gitprocess import TooMuchOutput
from reconciler.repository import Repository
from reconciler.signers import allowed_signers

_AT_ONCE = 100
_SECONDS = 30
_MOST_TAG_BYTES = 16 * 1024 * 1024
_GPG_SETTINGS = """\
batch
disable-dirmngr
lock-never
no-auto-key-retrieve
no-autostart
no-greeting
no-random-seed-file
trust-model always
weak-digest SHA1
"""
_EXPLAINED = (
    (r"EXPKEYSIG|KEYEXPIRED", "its signature is of a key that has expired"),
    (r"REVKEYSIG", "its signature is of a key that was revoked"),
    (r"EXPSIG", "its signature has expired"),
    (r"BADSIG|Signature verification failed|incorrect signature", "its signature is of something else than this commit"),
    (r"NO_PUBKEY|No principal matched|Could not verify signature", "its signature is of no key that is listed and counts now"),
    (r"invalid format|NODATA|couldn't parse signature", "its signature cannot be read"),
    (r"namespace", "its signature was made for something else than git"),
)
"""For people. Nothing is decided by these words."""


class Verifier:
    """Of one repository and one list of signers, inside `keyring`."""

    def __init__(self, repository: Repository, signers: Sequence[Signer], folder: Path) -> None:
        self._repository = repository
        self._signers = signers
        self._settings = (
            "gpg.program=gpg",
            "gpg.openpgp.program=gpg",
            "gpg.x509.program=false",
            "gpg.ssh.program=ssh-keygen",
            f"gpg.ssh.allowedSignersFile={folder / 'allowed_signers'}",
            "gpg.ssh.revocationFile=/dev/null",
            "gpg.minTrustLevel=fully",
        )
        self._environment = {"GNUPGHOME": str(folder), "TZ": "UTC0"}

    def commits(self, commits: Sequence[Commit]) -> dict[str, str]:
        """Id of each commit → "" when it is signed by a signer, else why its signature does not count, as half a sentence."""
        told = {each.id: "it has no signature" for each in commits if not each.signed}
        signed = [each.id for each in commits if each.signed]
        for start in range(0, len(signed), _AT_ONCE):
            some = signed[start : start + _AT_ONCE]
            if self._verify("commit", some):
                told |= {each: _explained(self._verify("commit", [each])) for each in some}
            else:
                told |= dict.fromkeys(some, "")
        return told

    def tagged(self, commits: Container[str]) -> frozenset[str]:
        """Those of the commits that carry a tag signed by a signer."""
        try:
            found = self._repository.objects(self._repository.tags_on(commits), "tag", _MOST_TAG_BYTES)
        except TooMuchOutput:
            return frozenset()
        named = {tag: names_commit(tag, data) for tag, data in found.items()}
        return frozenset(name for tag, name in named.items() if name in commits and not self._verify("tag", [tag]))

    def tag(self, name: str) -> bool:
        """Whether the tag with this id is signed by a signer."""
        return not self._verify("tag", [name])

    def _verify(self, kind: str, names: Sequence[str]) -> str:
        if not self._signers:
            return "No principal matched."
        return self._repository.verify("tag" if kind == "tag" else "commit", names, self._settings, self._environment)


@contextlib.contextmanager
def keyring(folder: Path, signers: Sequence[Signer]) -> Iterator[Path]:
    """The signers' keys as gpg and ssh-keygen read them, in a folder made and removed. Raises Unavailable and OSError."""
    folder = folder.absolute()  # git goes into the repository before it asks them
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        (folder / "allowed_signers").write_text(allowed_signers(signers), encoding="ascii")
        (folder / "gpg.conf").write_text(_GPG_SETTINGS, encoding="ascii")
        if any(signer.ssh for signer in signers):
            _need("ssh-keygen", "openssh-client")
        for signer in signers:
            if signer.gpg:
                _need("gpg", "gnupg")
                _import(folder, signer)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _import(folder: Path, signer: Signer) -> None:
    """A key that gpg does not take is one that does not count."""
    words = ["gpg", "--homedir", str(folder), "--quiet", "--import"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(words, input=signer.gpg.encode(), capture_output=True, timeout=_SECONDS, check=False)


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise Unavailable(f"Signatures cannot be verified without {program}: install the package `{package}`.")


def _explained(complaint: str) -> str:
    if not complaint:
        return ""
    for pattern, words in _EXPLAINED:
        if re.search(pattern, complaint):
            return words
    last = shown((complaint.strip().splitlines() or [""])[-1].encode())
    return f"its signature does not verify ({last})"
