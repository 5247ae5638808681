"""`gitboot simulate` as CI calls it: a line for each machine, and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import gitboot
from reconciler.sentence import Sentence
from tests.reconciler.inventories import MACHINE, SOUND


def simulate(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(
        gitboot, ["simulate", "--repo", str(folder), *words], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    for path, text in SOUND.items():
        (tmp_path / path).write_text(text)
    return tmp_path


def test_without_a_machine_each_has_a_line(inventory: Path) -> None:
    found = simulate(inventory)
    assert "node-01: it runs workflow look-at-01 run 1 in profile inspect: one action\n" == found.output
    assert 0 == found.return_value


def test_a_machine_that_would_not_boot_is_named_with_why_and_fails_the_job(inventory: Path) -> None:
    """A Raspberry Pi's ROM in a machine whose MAC is no Pi's."""
    (inventory / "hardware.yaml").write_text(MACHINE.replace("profile: inspect\n", "profile: inspect\n  arch: aarch64\n"))
    found = simulate(inventory, "--firmware", "rpi")
    assert 1 == found.return_value
    assert found.output.startswith("node-01: it does not boot: BIOS PXE is sent an iPXE")
    assert 1 == simulate(inventory, "node-01", "--firmware", "rpi").return_value
    assert 0 == simulate(inventory).return_value


def test_one_machine_is_shown_packet_by_packet_by_name_or_mac(inventory: Path) -> None:
    for name in ("node-01", "52-54-00-12-34-01"):
        found = simulate(inventory, name, "--firmware", "http", "--server", "10.1.0.9")
        assert 0 == found.return_value
        assert "HTTP GET ipxe/snponly.efi" in found.output
        assert "file=http://10.1.0.9/ipxe/52-54-00-12-34-01/boot.ipxe" in found.output
        assert found.output.endswith("In the end: it runs workflow look-at-01 run 1 in profile inspect: one action.\n")


def test_what_cannot_be_simulated_is_a_sentence(inventory: Path) -> None:
    with pytest.raises(Sentence, match="There is no machine 'node-02'"):
        simulate(inventory, "node-02")
    with pytest.raises(Sentence, match="--server 'here' is no IPv4 address"):
        simulate(inventory, "node-01", "--server", "here")
    (inventory / "profile.yaml").unlink()
    with pytest.raises(Sentence, match="This inventory cannot be served"):
        simulate(inventory)
