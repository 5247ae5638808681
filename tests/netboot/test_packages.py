"""Which package a file is from, as dpkg says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot.packages import packages_of

pytestmark = pytest.mark.shell

DPKG = """#!/bin/sh
case "$1" in
--search) echo "ipxe: /usr/lib/ipxe/snponly.efi"; echo "grub-efi-amd64-bin:amd64: /usr/lib/grub/x/normal.mod"
  echo "one, other: /usr/lib/shared"; echo "dpkg-query: no path found matching pattern /srv/mine" >&2; exit 1 ;;
--show) shift 3; for each; do echo "$each 1:2.0-3"; done ;;
esac
"""


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found, but for what the shell has itself."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_file_has_the_package_and_version_that_dpkg_names(only: Path) -> None:
    (only / "dpkg-query").write_text(DPKG)
    (only / "dpkg-query").chmod(0o755)
    paths = ["/usr/lib/ipxe/snponly.efi", "/usr/lib/grub/x/normal.mod", "/usr/lib/shared", "/srv/mine"]
    assert {paths[0]: ("ipxe", "1:2.0-3"), paths[1]: ("grub-efi-amd64-bin", "1:2.0-3")} == packages_of(paths)


def test_a_host_without_dpkg_knows_none(only: Path) -> None:
    assert {} == packages_of(["/usr/lib/ipxe/snponly.efi"])


def test_nothing_is_asked_about_nothing(only: Path) -> None:
    (only / "dpkg-query").write_text("#!/bin/sh\necho 'x: y'\n")
    assert {} == packages_of([])
