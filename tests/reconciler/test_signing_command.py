"""`gitboot check` says beforehand what a server would say of signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import gitboot
from reconciler.sentence import Sentence
from tests.reconciler.inventories import SOUND
from tests.reconciler.signkit import Key, Signed, site_with, ssh_key

pytestmark = pytest.mark.shell
OTHER = SOUND["hardware.yaml"].replace("10.1.0.11", "10.1.0.12")
AGAIN = SOUND["workflow.yaml"].replace("node-01}", "node-01, run: 2}")


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return ssh_key(tmp_path_factory.mktemp("keys"), "ann")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Signed]:
    site = Signed(tmp_path)
    yield site
    site.close()


def check(*words: str, status: int) -> str:
    result = CliRunner().invoke(gitboot, ["check", *words], standalone_mode=False)
    ended = result.return_value if result.exception is None else 2
    assert status == ended, result.output
    if isinstance(result.exception, Sentence):
        return str(result.exception)
    assert "Traceback" not in result.output
    return result.output


def test_an_unsigned_commit_is_named_and_a_signed_one_passes(site: Signed, ann: Key) -> None:
    first = site.begin("required", ann)
    bad = site.commit(None, hardware=OTHER)
    said = check(f"{site.url}@HEAD", "--since", first, status=1)
    assert bad[:12] in said
    assert "[untrusted-commit]" in said
    said = check(f"{site.url}@HEAD", "--since", "HEAD~1", "--format", "json", status=1)
    told = json.loads(said[: said.rindex("}") + 1])
    assert ["untrusted-commit"] == [each["code"] for each in told["problems"] if each["severity"] == "error"]
    site.tag(ann, "reviewed")
    check(f"{site.url}@main", "--since", first, status=0)
    assert "Not looked at: signatures; give --since REV" in check(site.url, status=0)


def test_the_list_is_that_of_the_commit_that_is_served(site: Signed, ann: Key) -> None:
    site.begin("off")
    site.commit(None, site=site_with("required", ann))
    check(f"{site.url}@HEAD", "--since", "HEAD~1", status=0)
    site.commit(None, site=site_with("off"))
    check(f"{site.url}@HEAD", "--since", "HEAD~1", status=1)


def test_what_is_destructive_is_asked_of_the_two_commits(site: Signed, ann: Key) -> None:
    site.begin("destructive", ann)
    site.commit(None, hardware=OTHER)
    check(f"{site.url}@HEAD", "--since", "HEAD~1", status=0)
    site.commit(None, workflow=AGAIN)
    assert "has node-01 do run 2" in check(f"{site.url}@HEAD", "--since", "HEAD~1", status=1)


def test_a_floor_judges_the_commit_as_a_servers_first_one_or_from_the_commit_that_it_names(
    site: Signed, ann: Key, tmp_path: Path
) -> None:
    first = site.begin("off")
    site.commit(None, hardware=OTHER)
    site.commit(ann, workflow=AGAIN)
    floor = tmp_path / "floor.yaml"
    floor.write_text(f"commits: required\nsigners: [{ann.entry}]\n")
    check(f"{site.url}@HEAD", "--trust-floor", str(floor), status=0)
    check(f"{site.url}@HEAD~1", "--trust-floor", str(floor), status=1)
    floor.write_text(f"commits: required\nsigners: [{ann.entry}]\nsince: {first}\n")
    check(f"{site.url}@HEAD", "--trust-floor", str(floor), status=1)
    check(f"{site.url}@HEAD", "--trust-floor", str(floor), "--since", "HEAD~1", status=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "nowhere"), "nowhere"),
        (("--trust-floor", "FLOOR"), "it takes off, warn, destructive, required"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_sentence(site: Signed, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    site.begin("off")
    floor = tmp_path / "floor.yaml"
    floor.write_text("commits: always\n")
    assert said in check(f"{site.url}@HEAD", *(str(floor) if word == "FLOOR" else word for word in words), status=2)


def test_a_folder_as_it_lies_is_no_commit(site: Signed) -> None:
    site.begin("off")
    assert "commits are signed: name one" in check(site.url, "--since", "HEAD", status=2)
