"""The hooks of the example inventory, run by git itself: a real commit, and a real push to a real bare repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import environment
from tests.reconciler.test_reconcile import BROKEN, SECOND_MACHINE

pytestmark = pytest.mark.shell
ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "example-inventory/hooks"


def bin_with_gitboot(folder: Path) -> dict[str, str]:
    """An environment in which this gitboot is on the PATH, as where it is installed."""
    (folder / "bin").mkdir()
    program = folder / "bin/gitboot"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    people = {f"GIT_{role}_{what}": "ann@lab.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return environment() | own | people | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


class Clone(Work):
    """A work tree in which hooks find gitboot."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.environment = bin_with_gitboot(path.parent)

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self.path), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """With an inventory in which nothing is wrong, committed."""
    clone = Clone(tmp_path / "clone")
    for path, content in SOUND.items():
        clone.write(path, content)
    shutil.copytree(HOOKS, clone.path / "hooks")
    clone.commit()
    return clone


# pre-commit


@pytest.fixture
def hooked(clone: Clone) -> Clone:
    clone.git("config", "core.hooksPath", "hooks")
    return clone


def test_a_commit_that_the_server_would_reject_is_not_made(hooked: Clone) -> None:
    before = hooked.git("rev-parse", "HEAD")
    hooked.write("hardware.yaml", BROKEN)
    done = hooked.attempt("commit", "--all", "--message", "A slip")
    assert (1, True) == (done.returncode, "hardware.yaml:7:" in done.stdout + done.stderr)
    assert before == hooked.git("rev-parse", "HEAD")


def test_a_sound_commit_is_made(hooked: Clone) -> None:
    hooked.write("more.yaml", SECOND_MACHINE)
    hooked.git("add", ".")
    done = hooked.attempt("commit", "--message", "Another machine")
    assert 0 == done.returncode, done.stderr
    assert "more.yaml" in hooked.git("show", "--name-only", "HEAD")


def test_what_is_judged_is_what_is_committed_and_not_what_lies_there(hooked: Clone) -> None:
    hooked.write("hardware.yaml", BROKEN)
    hooked.write("README", "words")
    hooked.git("add", "README")
    assert 0 == hooked.attempt("commit", "--message", "Only words").returncode
    hooked.git("add", "hardware.yaml")
    hooked.write("hardware.yaml", SOUND["hardware.yaml"])
    assert 1 == hooked.attempt("commit", "--message", "The slip was staged").returncode


def test_the_very_first_commit_is_judged_too(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    shutil.copytree(HOOKS, clone.path / "hooks")
    clone.git("config", "core.hooksPath", "hooks")
    for path, content in {**SOUND, "hardware.yaml": BROKEN}.items():
        clone.write(path, content)
    clone.git("add", ".")
    assert 1 == clone.attempt("commit", "--message", "First").returncode
    clone.write("hardware.yaml", SOUND["hardware.yaml"])
    clone.git("add", ".")
    done = clone.attempt("commit", "--message", "First")
    assert 0 == done.returncode, done.stderr


# pre-receive


@pytest.fixture
def server(clone: Clone, tmp_path: Path) -> Path:
    """A bare repository with the hook, that has the clone's first commit."""
    bare = tmp_path / "site.git"
    clone.git("init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    clone.git("remote", "add", "origin", str(bare))
    clone.git("push", "--quiet", "origin", "main")
    shutil.copy(HOOKS / "pre-receive", bare / "hooks/pre-receive")
    return bare


def head(bare: Path, clone: Clone, ref: str = "main") -> str:
    return clone.git("--git-dir", str(bare), "rev-parse", "--verify", "--quiet", ref)


def test_a_push_that_the_server_would_reject_is_refused_with_its_problems(clone: Clone, server: Path) -> None:
    before = head(server, clone)
    clone.commit(hardware=BROKEN)
    done = clone.attempt("push", "origin", "main")
    assert (1, True, True) == (done.returncode, "pre-receive hook declined" in done.stderr, "hardware.yaml:7:" in done.stderr)
    assert before == head(server, clone)
    assert [] == list(server.glob("objects/tmp_objdir*")), "the quarantine is gone"


def test_a_sound_push_is_let_through(clone: Clone, server: Path) -> None:
    revision = clone.commit(more=SECOND_MACHINE)
    done = clone.attempt("push", "origin", "main")
    assert 0 == done.returncode, done.stderr
    assert revision == head(server, clone)


def test_a_push_that_mends_what_is_broken_there_is_let_through(clone: Clone, server: Path) -> None:
    (server / "hooks/pre-receive").rename(server / "hooks/off")
    clone.commit(hardware=BROKEN)
    assert 0 == clone.attempt("push", "origin", "main").returncode
    (server / "hooks/off").rename(server / "hooks/pre-receive")
    revision = clone.commit(hardware=SOUND["hardware.yaml"])
    done = clone.attempt("push", "origin", "main")
    assert (0, revision) == (done.returncode, head(server, clone)), done.stderr


def test_other_branches_are_their_authors(clone: Clone, server: Path) -> None:
    clone.git("checkout", "--quiet", "-b", "draft")
    clone.commit(hardware=BROKEN)
    assert 0 == clone.attempt("push", "origin", "draft").returncode
    deleted = clone.attempt("push", "origin", "--delete", "draft")
    assert (0, False) == (deleted.returncode, "remote:" in deleted.stderr), deleted.stderr


def test_a_first_push_is_judged_too(clone: Clone, tmp_path: Path) -> None:
    bare = tmp_path / "empty.git"
    clone.git("init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    shutil.copy(HOOKS / "pre-receive", bare / "hooks/pre-receive")
    clone.commit(hardware=BROKEN)
    assert 1 == clone.attempt("push", str(bare), "main").returncode
    assert 0 == clone.attempt("push", str(bare), "HEAD~1:refs/heads/main").returncode


def test_an_inventory_in_a_folder_is_judged_there(clone: Clone, server: Path) -> None:
    text = (HOOKS / "pre-receive").read_text()
    (server / "hooks/pre-receive").write_text(text.replace("inventory= ", "inventory=racks/berlin "))
    for path, content in SOUND.items():
        clone.write(f"racks/berlin/{path}", content)
    clone.commit(hardware=BROKEN)  # beside the folder
    done = clone.attempt("push", "origin", "main")
    assert 0 == done.returncode, done.stderr
    clone.write("racks/berlin/hardware.yaml", BROKEN)
    clone.commit()
    assert 1 == clone.attempt("push", "origin", "main").returncode


def test_without_gitboot_nothing_is_let_through(clone: Clone, server: Path) -> None:
    (clone.path.parent / "bin/gitboot").unlink()
    clone.environment["PATH"] = "/usr/bin:/bin"
    clone.commit(more=SECOND_MACHINE)
    pushed = clone.attempt("push", "origin", "main")
    assert (1, True) == (pushed.returncode, "gitboot is not on the PATH of the git server's user" in pushed.stderr)


def test_without_gitboot_nothing_is_committed_and_the_way_on_is_named(hooked: Clone) -> None:
    hooked.environment["PATH"] = "/usr/bin:/bin"
    hooked.write("more.yaml", SECOND_MACHINE)
    hooked.git("add", ".")
    done = hooked.attempt("commit", "--message", "More")
    assert (1, True) == (
        done.returncode,
        "gitboot is not on the PATH. Put it there, or commit with --no-verify." in done.stderr,
    )
