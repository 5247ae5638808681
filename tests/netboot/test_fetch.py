"""Fetching programs: what apt is told, what is taken out of its packages, and what is said when it cannot."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from netboot.binaries import PROGRAMS, find_binaries
from netboot.fetch import OBTAINABLE, ORIGINS, CannotFetch, Fetched, fetch, host_proxies, host_release, origins

pytestmark = pytest.mark.shell

TOOLS = {
    "apt-config": "[ $1 = dump ] && { cat $HOST/acquire; exit; }\n"
    "echo \"LIST='$HOST/sources.list'\"; echo \"PARTS='$HOST/sources.list.d'\"",
    "dpkg": "echo amd64",
    # The last words of `apt-get … download` are packages; each of them is a file in $HOST/mirror.
    "apt-get": 'echo "$@" >>"$HOST/asked"; cp "$4" "$HOST/config"\n'
    'while [ $# -gt 0 ] && [ "$1" != download ]; do shift; done; [ $# -gt 0 ] || exit 0; shift\n'
    'for each; do name=${each%%/*}; cp "$HOST/mirror/${name%%:*}"_* . || { echo "E: no $each" >&2; exit 100; }; done',
    "dpkg-deb": 'case $1 in --field) echo 1.2-3 ;; --fsys-tarfile) cat "$2" ;; esac',
    "grub-mkimage": 'while [ $# -gt 0 ]; do [ "$1" = --output ] && printf made >"$2"; shift; done',
}
SOURCES = "Types: deb\nURIs: http://mirror.example/debian\nSuites: {0} {0}-updates\nComponents: main\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian 12 whose apt has a mirror with a few packages."""
    host = tmp_path / "host"
    for name in ("bin", "mirror", "sources.list.d"):
        (host / name).mkdir(parents=True)
    for name, text in TOOLS.items():
        (host / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (host / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(host / "bin"), prepend=":")
    monkeypatch.setenv("HOST", str(host))
    system(host)
    package(host, "ipxe", "all", **{"usr/lib/ipxe/snponly.efi": b"snponly", "usr/lib/ipxe/ipxe-arm64.efi": b"arm64"})
    package(host, "shim-signed", "arm64", **{"usr/lib/shim/shimaa64.efi.signed": b"shim"})
    package(
        host, "grub-efi-arm64-bin", "arm64", **{"usr/lib/grub/arm64-efi/normal.mod": b"", "usr/lib/grub/arm64-efi/a.mod": b""}
    )
    return host


def system(host: Path, codename: str = "bookworm", name: str = "debian") -> Path:
    (host / "os-release").write_text(f'ID={name}\nVERSION_CODENAME={codename}\nNAME="x=y"\n')
    (host / "sources.list.d" / "debian.sources").write_text(SOURCES.format(codename))
    return host / "os-release"


def package(host: Path, name: str, architecture: str, **files: bytes) -> None:
    with tarfile.open(host / "mirror" / f"{name}_1.2-3_{architecture}.deb", "w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def asked(host: Path) -> str:
    """What apt was to download."""
    return (host / "asked").read_text().splitlines()[-1].partition("download ")[2]


def test_what_is_wanted_is_taken_out_of_its_package_and_its_origin_written_down(host: Path, tmp_path: Path) -> None:
    fetched = fetch(tmp_path / "loaders", {"ipxe-arm64.efi", "shimaa64.efi"}, host / "os-release")
    digest = hashlib.sha256(b"arm64").hexdigest()
    assert Fetched("ipxe-arm64.efi", digest, "ipxe", "1.2-3") in fetched
    assert {"ipxe-arm64.efi", "shimaa64.efi", ORIGINS} == {path.name for path in (tmp_path / "loaders").iterdir()}
    assert "ipxe/trixie shim-signed:arm64/trixie" == asked(host)


def test_apt_is_private_and_uses_the_host_s_own_mirror(host: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "loaders", {"shimaa64.efi"}, host / "os-release")
    config = (host / "config").read_text()
    places = [line.split('"')[1] for line in config.splitlines() if line.startswith("Dir::")]
    assert all("/gitboot-apt-" in place or place == "/dev/null" for place in places)
    assert 'APT::Architectures:: "arm64";' in config


def test_a_newer_debian_needs_no_other(host: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "loaders", {"ipxe-arm64.efi"}, system(host, "forky"))
    assert "ipxe/forky" == asked(host)


def test_a_program_is_made_of_grub_s_modules(host: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "loaders", {"disk-arm64.efi"}, host / "os-release")
    assert "made" == (tmp_path / "loaders" / "disk-arm64.efi").read_text()


def test_what_was_fetched_before_stays(host: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loaders"
    fetch(folder, {"shimaa64.efi"}, host / "os-release")
    fetch(folder, {"snponly.efi"}, host / "os-release")
    assert {"shimaa64.efi", "snponly.efi"} == set(origins(folder))


def test_what_debian_does_not_have_is_not_asked_for(host: Path, tmp_path: Path) -> None:
    assert [] == fetch(tmp_path / "loaders", {"custom.efi"}, host / "os-release")
    assert not (host / "asked").exists()


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("mirror", r"`apt-get` failed \(E: no ipxe/trixie\); see whether `apt-get update` works on this host\."),
        ("sources", "no Debian sources"),
        ("system", "This host is not Debian"),
        ("grub", "`grub-mkimage` is missing or fails; install the package grub-common"),
        ("tools", "`apt-config` is missing, so this host is not Debian"),
    ],
)
def test_what_cannot_be_had_is_said_with_a_next_step(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, expected: str
) -> None:
    match broken:
        case "mirror":
            (host / "mirror" / "ipxe_1.2-3_all.deb").unlink()
        case "sources":
            (host / "sources.list.d" / "debian.sources").unlink()
        case "system":
            system(host, "noble", "ubuntu")
        case "grub":
            (host / "bin" / "grub-mkimage").write_text("#!/bin/sh\nexit 1\n")
        case "tools":
            monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotFetch, match=expected):
        fetch(tmp_path / "loaders", {"ipxe-arm64.efi", "disk-arm64.efi"}, host / "os-release")


def test_the_status_tells_the_package_of_a_program_as_long_as_it_is_what_was_fetched(host: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loaders"
    fetch(folder, {"snponly.efi"}, host / "os-release")
    assert f"{folder}/snponly.efi, from ipxe 1.2-3" == find_binaries(folder, (), tmp_path)["snponly.efi"].origin
    (folder / "snponly.efi").write_bytes(b"another")
    assert f"{folder}/snponly.efi" == find_binaries(folder, (), tmp_path)["snponly.efi"].origin


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}', json.dumps({"a": {"nonsense": 1}})])
def test_origins_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ORIGINS).write_text(text)
    assert {} == origins(tmp_path)


def test_all_that_can_be_fetched_is_looked_for_and_the_rest_has_to_be_built() -> None:
    assert {"ipxe-i386.efi", "ipxe-arm32.efi", "boot.scr.uimg"} == set(PROGRAMS) - OBTAINABLE, "the last is made here"
    assert OBTAINABLE <= set(PROGRAMS)


def test_the_host_s_own_sources_are_those_of_its_release(host: Path) -> None:
    assert ("bookworm", SOURCES.format("bookworm")) == host_release(host / "os-release")


def test_a_host_without_debian_s_sources_is_told_where_to_add_them(host: Path) -> None:
    (host / "sources.list.d" / "debian.sources").unlink()
    with pytest.raises(CannotFetch, match="add them to /etc/apt"):
        host_release(host / "os-release")


def test_of_apt_s_settings_the_proxies_are_taken(host: Path) -> None:
    proxies = ['Acquire::http::Proxy "http://proxy.example:3128"', 'Acquire::https::mirror.example::Proxy "DIRECT"']
    (host / "acquire").write_text("".join(f"{line};\n" for line in (proxies[0], 'Acquire::http::Timeout "9"', proxies[1])))
    assert proxies == host_proxies()


@pytest.mark.parametrize("lacks", ["release", "tools"])
def test_who_builds_of_debians_packages_is_told_that_it_takes_a_debian(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    if lacks == "tools":
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotFetch, match="run this on a Debian, and copy the result"):
        host_release(host / ("os-release" if lacks == "tools" else "nothing"))
