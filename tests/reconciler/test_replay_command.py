"""A real server's recorded boot, answered again from any commit, and the commit found that changed it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import gitboot
from reconciler.demo.wire import Network, http_get, lease
from reconciler.firmware import UEFI, Firmware
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import MACHINE, PROFILE, SITE
from tests.reconciler.process import FREE, Gitboot, sound_site

pytestmark = pytest.mark.shell

OTHER = MACHINE.replace("node-01", "node-02").replace("34:01", "34:02").replace("10.1.0.11", "10.1.0.12")
DOMAIN = SITE.replace("spec:\n", "spec:\n  domain: wrong.example\n")


class Site(NamedTuple):
    work: Work
    state: Path
    art: Path
    first: str

    def run(self, *words: str) -> Result:
        where = ["--state", str(self.state), "--repo", str(self.work.path)]
        return CliRunner().invoke(gitboot, [*words, *where], catch_exceptions=False, standalone_mode=False)


async def boot(server: Gitboot) -> None:
    """From the PXE ROM to the script, over loopback."""
    dhcp = int(server.wait_for("listening")["dhcp"])
    network = Network("127.0.0.1", dhcp, 0, server.port)
    firmware = Firmware("52:54:00:12:34:01", UEFI, bytes(16))
    await lease(network, firmware, "pxe")
    given = await lease(network, firmware, "ipxe")
    await http_get(given.file, "10.1.0.11")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A boot by the first commit; and after it a history in which one commit is rejected and one changes the boot."""
    folder = tmp_path_factory.mktemp("site")
    work = sound_site(folder, "repo")
    found = Site(work, folder / "state", folder / "art", work.git("rev-parse", "HEAD"))
    flags: list[str | Path] = [
        "--repo",
        work.path,
        "--state",
        found.state,
        "--artifacts",
        found.art,
        "--reply-to-source",
        "--new-site",
        *FREE,
    ]
    with Gitboot("serve", *flags) as server:
        server.wait_for("plan-served")
        asyncio.run(boot(server))
        assert 0 == server.stop()
    return found


@pytest.fixture(scope="module")
def history(site: Site) -> dict[str, str]:
    """Name → commit, in order; the boot's machine is told something else from `culprit` on."""
    work, commits = site.work, {}
    for number in range(4):
        work.write("README.md", f"{number}\n")
        commits[f"readme-{number}"] = work.commit()
    commits["other machine"] = work.commit(other=OTHER)
    commits["rejected"] = work.commit(profile=PROFILE.replace("kernel", "kernle"))
    work.write("site.yaml", DOMAIN)
    commits["rejected too"] = work.commit()
    commits["culprit"] = work.commit(profile=PROFILE)
    for number in range(4, 8):
        work.write("README.md", f"{number}\n")
        commits[f"readme-{number}"] = work.commit()
    return commits


def test_the_list_of_boots_names_them_and_replay_answers_them_byte_for_byte(site: Site) -> None:
    listed = site.run("replay")
    assert 0 == listed.return_value
    [line] = listed.output.splitlines()
    assert "node-01" in line
    assert "runs workflow look-at-01" in line
    boot_id = line.split()[0]
    for name in (boot_id, boot_id[:6], "node-01"):
        found = site.run("replay", name)
        assert 0 == found.return_value, found.output
        assert found.output.endswith("All 5 answers are the same, byte for byte, by the plan it had.\n")
    assert "✓ the same again" in found.output
    assert "gitboot.token=****" in found.output


def test_the_same_commit_gives_the_same_bytes_and_so_does_one_that_changes_another_machine(
    site: Site, history: dict[str, str]
) -> None:
    for commit in (site.first, history["other machine"]):
        found = site.run("replay", "node-01", "--at", commit)
        assert 0 == found.return_value, found.output
        assert f"All 5 answers are the same, byte for byte, by {commit}." in found.output


def test_a_commit_that_changes_the_boot_is_shown_with_what_it_changes(site: Site, history: dict[str, str]) -> None:
    found = site.run("replay", "node-01", "--at", "HEAD")
    assert 1 == found.return_value
    assert "4 of 5 answers are not the same by HEAD." in found.output
    assert "+15 (domain-name): wrong.example" in found.output


def test_bisect_finds_the_commit_and_shows_it(site: Site, history: dict[str, str]) -> None:
    found = site.run("bisect", "--good", site.first, "--bad", "HEAD", "--boot", "node-01")
    assert 0 == found.return_value, found.output
    assert found.output.startswith(f"{history['culprit']} changed it; ")
    assert "Ann <ann@lab.example>" in found.output
    assert "+15 (domain-name): wrong.example" in found.output
    assert found.output.count("DHCP ") == 4


def test_bisect_between_two_commits_that_answer_alike_finds_nothing(site: Site, history: dict[str, str]) -> None:
    found = site.run("bisect", "--good", site.first, "--bad", history["other machine"], "--boot", "node-01")
    assert 1 == found.return_value
    assert "answer this boot alike" in found.output


def test_what_cannot_be_done_is_said_in_a_sentence(site: Site, history: dict[str, str]) -> None:
    for words, sentence in (
        (("replay", "node-99"), "No boot 'node-99' is recorded"),
        (("replay", "node-01", "--at", history["rejected"]), "This inventory cannot be served"),
        (("bisect", "--good", "HEAD", "--bad", site.first, "--boot", "node-01"), "is not in the history of the bad commit"),
        (
            ("bisect", "--good", history["rejected"], "--bad", "HEAD", "--boot", "node-01"),
            "cannot be served: name one that can",
        ),
    ):
        with pytest.raises(Exception, match=sentence):
            site.run(*words)


def test_a_killed_server_s_recordings_are_read(tmp_path: Path) -> None:
    work = sound_site(tmp_path, "repo")
    here = Site(work, tmp_path / "state", tmp_path / "art", "")
    flags: list[str | Path] = [
        "--repo",
        work.path,
        "--state",
        here.state,
        "--artifacts",
        here.art,
        "--reply-to-source",
        "--new-site",
        *FREE,
    ]
    with Gitboot("serve", *flags) as server:
        server.wait_for("plan-served")
        asyncio.run(boot(server))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    for path in (here.state / "recordings").glob("*.jsonl"):
        path.write_bytes(path.read_bytes()[:-20])
    assert 0 == here.run("replay").return_value
