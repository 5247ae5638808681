"""What the lab takes from Debian for machines that this host is not: a loader and a small system for arm64.

The law: nothing is installed. Packages come by `netboot.fetch`, as in `gitboot doctor --fetch`, and what is made of them is
kept in the repository's `.cache/` under the digest of this recipe.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from netboot.fetch import Package, download, fetch
from tests.lab.initrd import CACHE, Image

INIT = """#!/bin/busybox sh
# Says that it runs and waits to be reset.
echo "MARK-INIT $(/bin/busybox uname -m)"
exec /bin/busybox sleep 99999
"""
COMMAND_LINE = "console=ttyAMA0 panic=1 quiet"


def newer_loaders() -> Path:
    """A folder for `--loaders` with Debian 13's iPXE, for arm64 and with VLANs, and its signed GRUB with HTTP."""
    return _kept("loaders", lambda folder: fetch(folder, {"ipxe-arm64.efi", "ipxe.lkrn", "shimx64.efi", "grubx64.efi"}))


def arm64_image() -> Image:
    """Debian's cloud kernel for arm64, which needs no module to say that it runs, and busybox: 27 MB and 2 MB."""
    folder = _kept("arm64", _build)
    return Image(folder / "vmlinuz", folder / "initrd")


def modules_of(arch: str) -> set[str]:
    """The names of all that Debian's kernel for servers has as modules or built in, with underscores as in /proc/modules."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        newest = _unpacked(f"linux-image-{arch}", work / "name", arch)
        kernel = _unpacked(_field(newest, "Depends").split()[0], work / "kernel", arch)
        packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", kernel], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            names = [name for name in files.getnames() if ".ko" in name]
            (built_in,) = (name for name in files.getnames() if name.endswith("/modules.builtin"))
            content = files.extractfile(built_in)
            assert content is not None
            names += content.read().decode().split()
        return {Path(name).name.partition(".ko")[0].replace("-", "_") for name in names}


def _kept(name: str, build: Callable[[Path], object]) -> Path:
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    finished = CACHE / f"{name}-{recipe}"
    if not finished.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            build(made)
            if not finished.is_dir():  # another process may have been faster
                made.rename(finished)
    return finished


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        root = work / "root"
        newest = _unpacked("linux-image-cloud-arm64", work / "name")
        kernel = _unpacked(_field(newest, "Depends").split()[0], work / "kernel")
        _extract(kernel, work / "files")
        shutil.copy(next((work / "files").glob("boot/vmlinuz-*")), folder / "vmlinuz")
        _extract(_unpacked("busybox-static", work / "busybox"), root)
        (root / "dev").mkdir()
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        wanted = "init\nbin\nbin/busybox\ndev\n"
        archive = subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"], input=wanted.encode(), cwd=root, stdout=subprocess.PIPE
        )
        archive.check_returncode()
        (folder / "initrd").write_bytes(archive.stdout)


def _unpacked(name: str, scratch: Path, arch: str = "arm64") -> Path:
    scratch.mkdir()
    package = Package(name, arch, {})
    return download([package], scratch)[package]


def _extract(package: Path, root: Path) -> None:
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)


def _field(package: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout
