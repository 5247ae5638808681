"""`gitboot os`: what is built is listed, and what cannot be built is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.os.build import Apt
from agent.os.debian import CannotBuild
from agent.os.recipe import Recipe
from netboot.fetch import CannotFetch
from reconciler.cli import gitboot
from reconciler.commands import os as command

CONTENTS = {
    "arch": "amd64", "kernel": "6.1.0-56-amd64", "flavour": "generic", "time": 1794824260, "packages": [],
    "files": {"vmlinuz": {"size": 8_000_000, "sha256": "a" * 64}, "initrd.img": {"size": 72_000_000, "sha256": "b" * 64}},
}  # fmt: skip


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(gitboot, ["os", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A host whose apt has sources, and a build that only says what it was asked for."""
    asked: dict[str, object] = {}

    def build(recipe: Recipe, apt: Apt, out: Path, key: Path | None, say: object) -> Path:
        asked.update(recipe=recipe, apt=apt, out=out, key=key)
        return out / "os" / recipe.arch

    monkeypatch.setattr(command, "build", build)
    monkeypatch.setattr(command, "host_release", lambda components: ("bookworm", f"Components: {' '.join(components)}\n"))
    monkeypatch.setattr(command, "host_proxies", lambda: ['Acquire::http::Proxy "http://proxy.example:3128"'])
    return asked


def test_where_nothing_is_built_one_is_told_how(tmp_path: Path) -> None:
    result = call("list", "--out", tmp_path)
    assert (1, True) == (result.exit_code, f"run `gitboot os build --out {tmp_path}`" in result.output)


@pytest.mark.parametrize("text", ["", "{nope", "[]", "{}", "[" * 100_000, b"\xff"])
def test_a_list_of_contents_that_is_damaged_is_a_sentence(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "os/amd64").mkdir(parents=True)
    (tmp_path / "os/amd64/contents.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = call("list", "--out", tmp_path)
    assert 1 == result.exit_code
    assert f"is damaged: run `gitboot os build --arch amd64 --out {tmp_path}` again" in " ".join(result.output.split())


def test_a_folder_that_may_not_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(_: Path) -> list[object]:
        raise PermissionError(13, "Permission denied", "contents.json")

    monkeypatch.setattr(command, "listing", listing)
    result = call("list", "--out", tmp_path)
    assert (1, True) == (result.exit_code, "contents.json cannot be read (Permission denied)" in result.output)


def test_what_is_built_is_listed(tmp_path: Path) -> None:
    (tmp_path / "os/amd64").mkdir(parents=True)
    (tmp_path / "os/amd64/contents.json").write_text(json.dumps(CONTENTS))
    _, row = call("list", "--out", tmp_path).output.splitlines()
    assert ["amd64", "6.1.0-56-amd64", "generic", "80", "2026-11-16", "b" * 64] == row.split()[:-1]
    assert row.endswith(str(tmp_path / "os/amd64"))


def test_a_build_takes_the_hosts_own_sources_and_says_what_to_name(tmp_path: Path, host: dict[str, object]) -> None:
    result = call("build", "--out", tmp_path, "--arch", "arm64", "--kernel", "cloud")
    assert 0 == result.exit_code
    assert result.output.endswith("name os/arm64/vmlinuz and os/arm64/initrd.img in a profile\n")
    assert Recipe("arm64", "cloud") == host["recipe"]
    assert Apt("Components: main\n", ('Acquire::http::Proxy "http://proxy.example:3128"',)) == host["apt"]


def test_only_firmware_may_come_from_another_component(tmp_path: Path, host: dict[str, object]) -> None:
    call("build", "--out", tmp_path, "--firmware", "firmware-bnx2", "--firmware", "firmware-qlogic")
    assert Recipe(firmware=("firmware-bnx2", "firmware-qlogic")) == host["recipe"]
    assert Apt("Components: main non-free-firmware\n", ('Acquire::http::Proxy "http://proxy.example:3128"',)) == host["apt"]


@pytest.mark.parametrize("error", [CannotBuild, CannotFetch, PermissionError])
def test_what_goes_wrong_is_a_sentence(
    tmp_path: Path, host: dict[str, object], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> Path:
        raise error(13, "E: Unable to locate package firmware-bnx2") if error is PermissionError else error("it is so: do this")

    monkeypatch.setattr(command, "build", fail)
    result = call("build", "--out", tmp_path)
    assert 1 == result.exit_code
    assert "do this" in result.output or "choose another folder with --out" in result.output


def test_firmware_that_apt_does_not_find_is_told_where_it_is(
    tmp_path: Path, host: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise CannotBuild("`mmdebstrap` failed: E: Unable to locate package firmware-bnx2")

    monkeypatch.setattr(command, "build", fail)
    assert "add it to Components" in call("build", "--out", tmp_path, "--firmware", "firmware-bnx2").output
