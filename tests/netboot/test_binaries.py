"""Network boot programs: what the host has, and what the operator put before it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from netboot.binaries import PROGRAMS, find_binaries
from netboot.loader import LOADERS


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{folder.name}/{name}")
    return folder


def test_known_programs_are_found_in_the_first_folder_that_has_them(tmp_path: Path) -> None:
    first = put(tmp_path / "first", "ipxe.efi", "README")
    second = put(tmp_path / "second", "ipxe.efi", "undionly.kpxe")
    found = find_binaries(None, (tmp_path / "nowhere", first, second), tmp_path)
    assert {"ipxe.efi": str(first / "ipxe.efi"), "undionly.kpxe": str(second / "undionly.kpxe"), "boot.scr.uimg": ""} == {
        name: binary.path for name, binary in found.items()
    }
    assert hashlib.sha256(b"first/ipxe.efi").hexdigest() == found["ipxe.efi"].sha256


def test_the_operators_files_are_all_served_and_beat_the_hosts(tmp_path: Path) -> None:
    host = put(tmp_path / "host", *(Path(program.files[0]).name for program in PROGRAMS.values()))
    for signed in ("x86_64-efi-signed/grubnetx64.efi.signed", "arm64-efi-signed/grubnetaa64.efi.signed"):
        put(host / Path(signed).parent, Path(signed).name)
    mine = put(tmp_path / "mine", "undionly.kpxe", "custom.efi", "boot.scr.uimg")
    (mine / "folder").mkdir()
    found = find_binaries(mine, (host,), tmp_path)
    assert {*PROGRAMS, "custom.efi"} == set(found)
    for name in ("undionly.kpxe", "boot.scr.uimg"):
        assert f"mine/{name}".encode() == found[name].content


def test_a_folder_that_is_not_there_is_the_operators_to_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_binaries(tmp_path / "nowhere", ())


def test_a_program_is_served_by_one_name_however_a_distribution_calls_it(tmp_path: Path) -> None:
    put(tmp_path / "arm64-efi", "snponly.efi")
    binary = find_binaries(None, (tmp_path,), tmp_path)["ipxe-arm64.efi"]
    assert ("ipxe-arm64.efi", b"arm64-efi/snponly.efi") == (binary.name, binary.content)


def test_every_program_that_a_machine_may_be_sent_is_looked_for_and_has_a_next_step() -> None:
    assert set(LOADERS["snponly"].values()) == {name for name, program in PROGRAMS.items() if program.machines}
    assert {file for row in LOADERS.values() for file in row.values()} <= set(PROGRAMS)
    assert all(program.step and program.files for program in PROGRAMS.values())
