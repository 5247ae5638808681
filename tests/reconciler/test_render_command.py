"""`gitboot render`: what a machine would be sent, without a server and without a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.commands.render import command
from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import EXAMPLE, MACHINE, SOUND

MAC = "52:54:00:12:34:01"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, [str(EXAMPLE), *arguments])


@pytest.mark.parametrize("machine", ["node-01", MAC, "52-54-00-12-34-01", "5254.0012.3401", "525400123401"])
def test_a_machine_is_found_by_its_name_or_any_notation_of_its_mac(machine: str) -> None:
    shown = run(machine)
    assert (0, True) == (shown.exit_code, f"echo gitboot: node-01 ({MAC})" in shown.output)


def test_the_boot_script_is_shown_without_a_token() -> None:
    shown = run("node-01").output
    assert "runs workflow inspect-node-01 run 1 in profile inspect" in shown
    assert f"gitboot.token={'*' * 64}" in shown
    assert "http://SERVER/artifacts/sha256/DIGEST/vmlinuz console=ttyS0 quiet" in shown


def test_dhcp_is_shown_in_words() -> None:
    shown = run("node-01", "--what", "dhcp").output.splitlines()
    assert f"{MAC}  10.1.0.11" == shown[0]
    assert "  option 3 (routers): 10.1.0.1" in shown
    assert "  option 12 (host-name): node-01" in shown


def test_the_bootstrap_looks_for_the_machine_s_mac() -> None:
    assert f"iseq ${{net${{idx}}/mac}} {MAC} && goto found ||" in run("node-01", "--what", "bootstrap").output


def test_work_is_shown_as_the_agent_gets_it() -> None:
    (work,) = json.loads(run("node-03", "--what", "workflow").output)
    assert ("burn-in-storage", 1, "inspect") == (work["workflow"], work["run"], work["profile"])
    assert ["prepare", "burn"] == [task["name"] for task in work["document"]["tasks"]]


@pytest.mark.parametrize(
    ("machine", "hint"),
    [
        ("node-1", "did you mean node-01?"),
        ("NODE-01", "did you mean node-01?"),
        ("zzz", "machines in it: 6."),
        ("52:54:00:00:00:99", ""),
    ],
)
def test_an_unknown_machine_is_a_sentence_with_a_hint(machine: str, hint: str) -> None:
    shown = run(machine)
    assert 2 == shown.exit_code
    assert f"There is no machine {machine!r} in this inventory; {hint}" in shown.output


def test_metadata_is_shown_as_the_machine_would_read_it() -> None:
    shown = run("node-01", "--what", "metadata").output
    assert "/latest/meta-data/instance-id\n  node-01\n" in shown
    assert "/latest/meta-data/local-ipv4\n  10.1.0.11\n" in shown
    files = run("node-01", "--what", "nocloud").output
    assert "/nocloud/node-01/meta-data\n  instance-id: node-01\n" in files
    assert f"      macaddress: '{MAC}'\n" in files


@pytest.mark.shell
def test_a_machine_is_shown_as_it_was_at_a_commit(tmp_path: Path) -> None:
    work = Work(tmp_path / "work")
    before = work.commit(**{name.removesuffix(".yaml"): text for name, text in SOUND.items()})
    work.commit(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))

    def address(target: str, *arguments: str) -> str:
        shown = CliRunner().invoke(command, [target, "node-01", "--what", "dhcp", *arguments])
        return shown.output.splitlines()[0]

    assert f"{MAC}  10.1.0.11" == address(str(work.path), "--at", "HEAD~1") == address(f"{work.path}@{before}")
    assert f"{MAC}  10.1.0.12" == address(str(work.path))
    assert "names the revision HEAD already" in address(f"{work.path}@HEAD", "--at", before)
