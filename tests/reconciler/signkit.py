"""Signers with real keys, who commit with real git, and a reconciler that judges what they push."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netboot.artifacts import ArtifactStore
from netboot.plans import PlanStore
from netboot.trust import Commits
from reconciler.git import open_repository
from reconciler.guard import Guard
from reconciler.policing import Policing
from reconciler.reconcile import Delayed, Outcome, Published, Reconciler, Refused
from reconciler.repository import Repository
from reconciler.source import Source
from reconciler.trust import NO_FLOOR, Floor
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND


@dataclass(frozen=True, slots=True)
class Key:
    """`settings` are words for git that sign with it."""

    name: str
    public: str
    settings: tuple[str, ...]

    @property
    def entry(self) -> str:
        """As a line of `spec.trust.signers`."""
        return f"{{name: {self.name}, {'gpg' if 'PGP' in self.public else 'ssh'}: {self.public!r}}}".replace("'", '"')


def ssh_key(folder: Path, name: str, kind: str = "ed25519") -> Key:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(path)], check=True)
    return Key(
        name, path.with_suffix(".pub").read_text().strip(), ("-c", "gpg.format=ssh", "-c", f"user.signingkey={path}.pub")
    )


@contextmanager
def gpg_keys(folder: Path) -> Iterator[GpgHome]:
    """The keyring of somebody who signs. gpg starts an agent for secret keys, which is ended with it."""
    folder.mkdir(mode=0o700)
    program = folder / "gpg-here"
    program.write_text(f'#!/bin/sh\nexec gpg --homedir {folder} --batch --pinentry-mode loopback --passphrase "" "$@"\n')
    program.chmod(0o755)
    try:
        yield GpgHome(folder, program)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=False)


@dataclass(frozen=True, slots=True)
class GpgHome:
    folder: Path
    program: Path

    def gpg(self, *words: str, feed: str = "") -> str:
        done = subprocess.run([str(self.program), *words], input=feed.encode(), check=True, capture_output=True)
        return done.stdout.decode()

    def key(self, name: str, expires: str = "never", *words: str) -> Key:
        user = f"{name} <{name}@lab.example>"
        self.gpg(*words, "--quick-generate-key", user, "ed25519", "sign", expires)
        return self.again(name)

    def fingerprint(self, name: str) -> str:
        listed = self.gpg("--with-colons", "--list-keys", f"{name}@lab.example").splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def is_over(self, name: str) -> bool:
        """Whether the key has expired."""
        return "\npub:e:" in "\n" + self.gpg("--with-colons", "--list-keys", f"{name}@lab.example")

    def again(self, name: str) -> Key:
        """As it is now: its expiry or revocation may have been added since."""
        mail = f"{name}@lab.example"
        return Key(
            name,
            self.gpg("--armor", "--export", mail),
            ("-c", "gpg.format=openpgp", "-c", f"gpg.program={self.program}", "-c", f"user.signingkey={mail}"),
        )


def site_with(commits: Commits, *signers: Key | str) -> str:
    """The Site document of an inventory with this trust; text is an entry as it stands."""
    entries = "".join(f"    - {each if isinstance(each, str) else each.entry}\n" for each in signers)
    trust = f"  trust:\n    commits: {commits}\n" + (f"    signers:\n{entries}" if entries else "")
    return SOUND["site.yaml"].rstrip() + "\n" + trust


class Signed:
    """A repository, and the reconciler that follows it at `url`, or in place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = Work(root / "served/work")
        self.url = str(self.work.path)
        self.path = ""
        self.branch = "main"
        self.floor = NO_FLOOR
        (root / "state").mkdir()
        (root / "art/inspect").mkdir(parents=True)
        (root / "art/inspect/vmlinuz").write_bytes(b"kernel")
        self.plans = PlanStore(root / "state/plans")
        self.repository: Repository | None = None
        self.restart()

    def restart(self, floor: Floor | None = None) -> None:
        self.floor = self.floor if floor is None else floor
        state = self.root / "state"
        self.close()
        self.repository = open_repository(Source(self.url, self.branch, self.path), state / "git")
        guard = Guard(self.repository, state, self.plans, self.floor)
        policing = Policing(self.repository, state, self.plans, self.floor)
        self.reconciler = Reconciler(self.repository, self.plans, ArtifactStore(self.root / "art", state), guard, policing)

    def close(self) -> None:
        if self.repository is not None:
            self.repository.close()

    def begin(self, commits: Commits, *signers: Key | str) -> str:
        """A first commit, which nobody signed, with a sound inventory and this trust; it is served."""
        for path, content in SOUND.items():
            self.work.write(path, content)
        first = self.commit(None, site=site_with(commits, *signers))
        assert first == self.served()
        return first

    def commit(self, key: Key | None, *words: str, **files: str) -> str:
        """Commit `files` (by stem, as YAML) as whoever has the key."""
        for stem, content in files.items():
            self.work.write(f"{stem}.yaml", content)
        self.work.git("add", "-A")
        return self.git_commit(key, "commit", "-q", "--allow-empty", "-m", "change", *words)

    def git_commit(self, key: Key | None, *words: str) -> str:
        self.work.git(*(key.settings if key else ()), *words, *(("-S",) if key else ()))
        return self.work.git("rev-parse", "HEAD")

    def merge(self, key: Key | None, *branches: str) -> str:
        return self.git_commit(key, "merge", "-q", "--no-ff", "-m", "merge", *branches)

    def tag(self, key: Key | None, name: str, commit: str = "HEAD") -> None:
        self.work.git(*(key.settings if key else ()), "tag", "-s" if key else "-a", "-m", name, name, commit)

    def step(self) -> Outcome:
        return self.reconciler.step()

    def served(self) -> str:
        outcome = self.step()
        assert isinstance(outcome, Published), outcome
        assert () == tuple(each for each in outcome.warnings if each.code.startswith("untrusted"))
        return outcome.revision

    def warned(self) -> str:
        outcome = self.step()
        assert isinstance(outcome, Published), outcome
        return "\n".join(each.message for each in outcome.warnings if each.code.startswith("untrusted"))

    def refused(self) -> str:
        """What is said of it; what is served stays as it is."""
        before = self.plans.current_id()
        outcome = self.step()
        assert isinstance(outcome, Refused), outcome
        assert before == self.plans.current_id()
        assert {"untrusted-commit", "untrusted-history"} >= {each.code for each in outcome.problems}
        return "\n".join(each.message for each in outcome.problems)

    def delayed(self) -> str:
        outcome = self.step()
        assert isinstance(outcome, Delayed), outcome
        return outcome.reason
