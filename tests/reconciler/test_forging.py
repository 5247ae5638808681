"""gitboot and a forge as processes: what became of each commit is said there, and nothing waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.reconciler.forgestub import ME, PROJECT, TOKEN, Stub, forge
from tests.reconciler.gitkit import Work, silent_server, wait_until
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import Gitboot, environment, gitboot, sound_site
from tests.reconciler.test_reconcile import BROKEN, SECOND_MACHINE

pytestmark = pytest.mark.shell


@pytest.fixture
def site(tmp_path: Path) -> Work:
    return sound_site(tmp_path, "site")


def flags(url: str, folder: Path, kind: str = "github") -> list[str]:
    file = folder / "token"
    file.write_text(f"{TOKEN}\n")
    return ["--forge", kind, "--forge-url", url, "--forge-project", PROJECT, "--forge-token-file", str(file)]


@contextmanager
def following(site: Work, url: str, kind: str = "github") -> Iterator[Gitboot]:
    root = site.path.parent
    words = ("--repo", site.path, "--state", root / "state", "--artifacts", root / "art", "--poll", "1")
    with Gitboot("reconcile", *words, *flags(url, root, kind)) as here:
        yield here


def test_each_commit_is_told_what_became_of_it_and_a_restart_says_nothing_twice(site: Work) -> None:
    first = site.git("rev-parse", "HEAD")
    with forge("gitlab") as stub:
        with following(site, stub.url, "gitlab"):
            stub.wait_for(1)
            second = site.commit(hardware=BROKEN)
            stub.wait_for(2)
            third = site.commit(hardware=SOUND["hardware.yaml"], more=SECOND_MACHINE)
            stub.wait_for(3)
            assert wait_until(lambda: not list((site.path.parent / "state/reports").glob("*.json"))), "it is remembered"
        with following(site, stub.url, "gitlab"):
            site.write("README", "only words")
            fourth = site.commit()
            stub.wait_for(4)
    told = [(status["sha"], status["state"], status["name"]) for status in stub.statuses]
    assert [
        (first, "success", "gitboot"),
        (second, "failed", "gitboot"),
        (third, "success", "gitboot"),
        (fourth, "success", "gitboot"),
    ] == told
    assert stub.statuses[0]["description"].startswith("serving")
    assert stub.statuses[1]["description"].startswith("rejected: 2 problems; hardware.yaml:7: ")


def test_a_commit_that_policy_holds_is_told_so_with_the_rule(site: Work) -> None:
    policy = "  policy: {limits: [{change: destructive, machines: 0}]}\n"
    site.commit(site=SOUND["site.yaml"] + policy)
    with forge("gitea") as stub, following(site, stub.url, "gitea"):
        stub.wait_for(1)
        held = site.commit(workflow=SOUND["workflow.yaml"].replace("hardware: node-01", "hardware: node-01, run: 2"))
        stub.wait_for(2)
    told = stub.statuses[1]
    assert (held, "pending") == (told["sha"], told["state"])
    assert told["description"].startswith("held: destructive runs on at most 0")


def test_a_forge_that_hangs_holds_up_no_commit_and_no_end(site: Work) -> None:
    with silent_server() as port, following(site, f"http://127.0.0.1:{port}") as here:
        here.wait_for("published")
        site.commit(more=SECOND_MACHINE)
        assert wait_until(lambda: 2 == sum(line["event"] == "published" for line in list(here.lines)))
        assert 0 == here.stop()


def test_what_is_wrong_is_in_the_log_and_in_the_status_and_the_token_is_not(site: Work) -> None:
    with forge("github") as stub, following(site, stub.url) as here:
        stub.trouble = lambda *_: (403, {}, {"message": "Resource not accessible by integration"})
        site.commit(more=SECOND_MACHINE)
        said = here.wait_for("forge-unavailable")
        assert "write access to commit statuses" in said["reason"]
        here.stop()
        assert TOKEN not in f"{here.lines} {here.said}"
    kept = [path for path in (site.path.parent / "state").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert [] == kept


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("--forge", "Say with --forge which forge it is"),
        ("--forge-project", "is no project: write it as in its address"),
        ("--forge-token-file", "set GITBOOT_FORGE_TOKEN"),
    ],
)
@pytest.mark.parametrize("command", ["reconcile", "comment"])
def test_half_a_setting_is_a_sentence(tmp_path: Path, command: str, left_out: str, said: str) -> None:
    words = flags("https://git.lab.example", tmp_path)
    at = words.index(left_out)
    own = ["--repo", tmp_path, "--state", tmp_path / "state"] if command == "reconcile" else ["--number", "7"]
    done = gitboot(command, *own, *words[:at], *words[at + 2 :])
    assert (2, True) == (done.returncode, said in done.stderr), done.stderr


def test_a_token_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    words = flags("https://git.lab.example", tmp_path)
    (tmp_path / "token").unlink()
    done = gitboot("comment", "--number", "7", *words)
    assert (2, True) == (done.returncode, "correct --forge-token-file" in done.stderr)


def comment(stub: Stub, folder: Path, text: str, *more: str) -> str:
    (folder / "plan.md").write_text(text)
    done = gitboot("comment", "--number", "7", *flags(stub.url, folder, stub.kind), str(folder / "plan.md"), *more)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_the_command_makes_one_comment_and_changes_it(tmp_path: Path, kind: str) -> None:
    with forge(kind) as stub:
        said = [comment(stub, tmp_path, text) for text in ("first", "second", "second")]
    assert ["made.", "changed.", "left as it was."] == [each.removeprefix("The comment on lab/site 7 was ") for each in said]
    assert ["<!-- gitboot: plan -->\nsecond"] == [each["body"] for each in stub.comments]


def test_the_command_asks_again_when_the_forge_stumbles_and_never_comments_twice(tmp_path: Path) -> None:
    """The answer to the first POST is lost, the comment is not."""
    with forge("gitea") as stub:
        stumbles = iter([True])

        def trouble(method: str, path: str) -> tuple[int, dict[str, str], object] | None:
            if method == "POST" and next(stumbles, False):
                stub.by(ME, "<!-- gitboot: plan -->\nfirst")
                return 502, {}, b"bad gateway"
            return None

        stub.trouble = trouble
        assert comment(stub, tmp_path, "first").endswith("was left as it was.")
    assert 1 == len(stub.comments)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ((403, {}, {"message": "Resource not accessible by integration"}), "does not let the token do this"),
        ((404, {}, {"message": "Not Found"}), "check --forge-project"),
        ((200, {}, b"<html>"), "does not answer like a github"),
        ((429, {"Retry-After": "3000"}, {}), "asks for a pause"),
    ],
)
def test_a_comment_that_cannot_be_made_is_a_sentence(tmp_path: Path, trouble: object, said: str) -> None:
    with forge("github") as stub:
        stub.trouble = lambda method, path: trouble if path.endswith("comments") else None  # type: ignore[assignment,return-value]
        (tmp_path / "plan.md").write_text("first")
        done = gitboot("comment", "--number", "7", *flags(stub.url, tmp_path), str(tmp_path / "plan.md"))
    assert (1, True) == (done.returncode, said in done.stderr), done.stderr
    assert TOKEN not in done.stderr


def test_the_text_may_come_by_standard_input_and_the_token_by_the_environment(tmp_path: Path) -> None:
    with forge("github") as stub:
        words = ["comment", "--number", "7", "--forge", "github", "--forge-url", stub.url, "--forge-project", PROJECT]
        subprocess.run(
            [sys.executable, "-m", "reconciler", *words],
            input="é — first", text=True, env=environment() | {"GITBOOT_FORGE_TOKEN": TOKEN}, check=True,
        )  # fmt: skip
    assert "<!-- gitboot: plan -->\né — first" == stub.comments[0]["body"]
