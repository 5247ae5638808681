"""The steps of a build that need no package: the archive, the signature, and how the result comes to its place."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent.os import build
from agent.os.debian import CannotBuild
from agent.os.recipe import Recipe

pytestmark = pytest.mark.shell

HERE = Path(build.__file__).parent
SCRIPTS = ("init", "stage1", "lease")


def tree(folder: Path, names: list[str]) -> Path:
    """Files made in this order, with modes and times of their own."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
        (folder / name).chmod(0o700 if name == "init" else 0o600)
    return folder


def test_the_same_files_are_the_same_archive_whoever_made_them_and_when(tmp_path: Path) -> None:
    names = ["init", "bin/busybox", "modules/00-loop.ko"]
    archives = []
    for number, order in enumerate((names, names[::-1])):
        folder = tree(tmp_path / str(number), order)
        os.utime(folder / "init", (number, number))
        build._archive(folder, tmp_path / f"{number}.img", 1_700_000_000)
        archives.append((tmp_path / f"{number}.img").read_bytes())
    assert archives[0] == archives[1]
    listed = subprocess.run(["cpio", "-tv"], input=archives[0], capture_output=True, check=True).stdout.decode().splitlines()
    assert {line.split()[-1]: line.split()[0] for line in listed} == {
        "bin": "drwxr-xr-x", "bin/busybox": "-rw-r--r--", "init": "-rwxr-xr-x", "modules": "drwxr-xr-x",
        "modules/00-loop.ko": "-rw-r--r--",
    }  # fmt: skip
    assert {tuple(line.split()[2:4]) for line in listed} == {("root", "root")}


def test_the_archive_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build._archive(tree(Path("root"), ["init"]), Path("initrd.img"), 1_700_000_000)
    assert (tmp_path / "initrd.img").is_file()


def result(folder: Path, kernel: str) -> Path:
    (folder / "result").mkdir(parents=True)
    for name in ("vmlinuz", "initrd.img"):
        (folder / "result" / name).write_text(f"{name} of {kernel}")
    packages = [{"name": "kmod", "version": "30", "sha256": "0" * 64}]
    build._list(Recipe(), packages, kernel, 1_700_000_000, folder / "result")
    return folder / "result"


def test_a_build_is_listed_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "out/os").mkdir(parents=True)
    place = build._publish(result(tmp_path, "6.1"), tmp_path / "out/os", "amd64")
    ((folder, said),) = build.listing(tmp_path / "out")
    assert place == folder == tmp_path / "out/os/amd64"
    assert (said["arch"], said["kernel"], said["flavour"]) == ("amd64", "6.1", "generic")
    assert said["files"]["vmlinuz"]["size"] == len("vmlinuz of 6.1")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert {path.name for path in folder.iterdir()} == {"vmlinuz", "initrd.img", "contents.json", "SHA256SUMS"}


def test_kernel_and_initrd_change_together_and_the_old_ones_go(tmp_path: Path) -> None:
    place = tmp_path / "os"
    place.mkdir()
    for kernel in ("6.1", "6.12", "6.12"):
        with build._only_build(place) as scratch:
            build._publish(result(scratch, kernel), place, "amd64")
        assert (place / "amd64/vmlinuz").read_text() == f"vmlinuz of {kernel}"
        assert (place / "amd64/initrd.img").read_text() == f"initrd.img of {kernel}"
        assert len([path for path in place.iterdir() if path.name.startswith(".amd64-")]) == 1
    assert {path.name for path in place.iterdir() if not path.name.startswith(".amd64-")} == {".lock", "amd64"}


def test_a_build_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    with build._only_build(tmp_path) as scratch:
        build._publish(result(scratch, "6.1"), tmp_path, "amd64")
    (tmp_path / ".build-killed").mkdir()
    with pytest.raises(FileNotFoundError), build._only_build(tmp_path) as scratch:
        build._publish(scratch / "no result", tmp_path, "amd64")
    assert (tmp_path / "amd64/vmlinuz").read_text() == "vmlinuz of 6.1"
    assert [] == [*tmp_path.glob(".build-*")]


def test_two_builds_in_one_place_are_one_too_many(tmp_path: Path) -> None:
    with build._only_build(tmp_path), pytest.raises(CannotBuild, match="Another build"), build._only_build(tmp_path):
        pass


def test_a_signed_list_is_verified_with_the_public_key_and_a_changed_one_is_not(tmp_path: Path) -> None:
    folder = result(tmp_path, "6.1")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    build._sign(folder, key)
    (tmp_path / "signers").write_text(f"ops@lab.example {key.with_suffix('.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "ops@lab.example", "-n", "gitboot"]
    verify += ["-s", str(folder / "SHA256SUMS.sig")]
    sums = (folder / "SHA256SUMS").read_bytes()
    assert subprocess.run(verify, input=sums, capture_output=True).returncode == 0
    assert subprocess.run(verify, input=sums + b"\n", capture_output=True).returncode != 0


def test_what_is_missing_on_the_host_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "found", lambda name: None if name in ("mmdebstrap", "mksquashfs") else name)
    with pytest.raises(CannotBuild, match=r"apt-get install mmdebstrap squashfs-tools$"):
        build.check_tools()


def test_a_key_that_is_not_there_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="There is no ssh key"):
        build.check_tools(tmp_path / "key")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_the_os_is_one_that_a_shell_reads(name: str) -> None:
    subprocess.run(["sh", "-n", HERE / name], check=True)
    assert (HERE / name).read_text().startswith("#!/bin/busybox sh\n")


def test_contents_are_the_same_bytes_for_the_same_build(tmp_path: Path) -> None:
    one, two = result(tmp_path / "1", "6.1"), result(tmp_path / "2", "6.1")
    assert (one / "contents.json").read_bytes() == (two / "contents.json").read_bytes()
    assert "sha256" in json.loads((one / "contents.json").read_bytes())["files"]["vmlinuz"]


@pytest.mark.parametrize(("mask", "address"), [("24", "10.1.0.11/24"), ("", "10.1.0.11")])
def test_a_lease_is_used_though_it_lacks_a_netmask_and_its_name_is_no_option(tmp_path: Path, mask: str, address: str) -> None:
    script = (HERE / "lease").read_text().replace("/etc/resolv.conf", str(tmp_path / "resolv.conf"))
    for program in ("ip", "hostname"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/called\n')
        (tmp_path / program).chmod(0o755)
    given = {"interface": "eth0", "ip": "10.1.0.11", "mask": mask, "hostname": "-Fpasswd"}
    lease = {**given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script, "lease", "bound"], env=lease, check=True)
    assert [f"address add {address} dev eth0", "-- -Fpasswd"] == (tmp_path / "called").read_text().splitlines()[1:]


def test_modules_are_kept_though_the_way_to_them_has_a_link_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "real/usr/lib/modules/6.1"
    folder.mkdir(parents=True)
    for name in ("wanted.ko", "other.ko"):
        (folder / name).touch()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setattr(build, "run", lambda words, **_: f"insmod {tmp_path}/link/usr/lib/modules/6.1/wanted.ko\n")
    build._choose_modules(tmp_path / "link", "6.1", ["wanted"])
    assert ["wanted.ko"] == [file.name for file in folder.iterdir()]
