"""A machine that runs one Python program in the file system of the standard actions, on Debian's cloud kernel, and ends.

The law: what this host's kernel cannot do (arrays, device mapper) is done for real in the guest's; its disks are files.

The file system is an initrd of 110 MB. The program's first line comes some seven seconds after the start, emulated.
"""

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netboot.fetch import Package, download

MODULES = (
    *("virtio_pci", "virtio_blk", "raid1", "dm_mod", "dm_crypt", "ext4", "vfat", "nls_ascii", "nls_cp437", "xfs"),
    *("xts", "cbc", "ecb", "aes_generic", "sha256_generic", "crc32c_generic"),
)
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module" 2>/dev/null; done
python3 -S /program.py </dev/null 2>&1
echo "MARK-END $?"
sync
echo o >/proc/sysrq-trigger
python3 -S -c 'import time; time.sleep(60)'
"""
MEMORY = 768
"""MB: the initrd as it comes and unpacked, and the key derivation of LUKS, which takes half of what is left."""


@dataclass(frozen=True)
class Guest:
    kernel: Path
    root: Path
    """A folder; a program is added to it for each start."""

    def run(self, program: str, disks: Sequence[Path], within: float) -> str:
        """The console of the program's machine from its first line to `MARK-END`, with its disks as /dev/vda, /dev/vdb, …"""
        (self.root / "program.py").write_text(program)
        with tempfile.NamedTemporaryFile() as initrd:
            _pack(self.root, Path(initrd.name))
            flags = ["-machine", "pc", "-smp", "1", "-m", str(MEMORY), "-nic", "none", "-no-reboot", "-display", "none"]
            flags += ["-monitor", "none", "-serial", "stdio", "-kernel", str(self.kernel), "-initrd", initrd.name]
            for disk in disks:
                flags += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
            command = ["qemu-system-x86_64", *flags, "-append", "console=ttyS0 quiet panic=-1"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within, check=True)
        return done.stdout.replace("\r\n", "\n")


def build_guest(actions: Path, folder: Path) -> Guest:
    """From the archive of the actions' images."""
    root = folder / "root"
    root.mkdir()
    with tarfile.open(actions) as archive:
        manifest = json.loads(_member(archive, "manifest.json"))
        for name in manifest[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                layer.extractall(root, filter="fully_trusted")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "sbin/insmod").symlink_to("/bin/kmod")
    (root / "modules").mkdir()
    return Guest(_kernel(folder, root / "modules"), root)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found
    return found.read()


def _kernel(folder: Path, modules: Path) -> Path:
    """The kernel's file; its modules go to a folder, named in the order in which they are to be loaded."""
    newest = _package("linux-image-cloud-amd64", folder / "newest")
    depends = subprocess.run(["dpkg-deb", "--field", newest, "Depends"], check=True, capture_output=True, text=True).stdout
    kernel = folder / "kernel"
    subprocess.run(["dpkg-deb", "--extract", _package(depends.split()[0], folder / "image"), kernel], check=True)
    version = next(kernel.glob("lib/modules/*")).name
    subprocess.run(["depmod", "--basedir", kernel, version], check=True)
    ask = ["modprobe", "--dirname", str(kernel), "--set-version", version, "--show-depends", "--all", *MODULES]
    answer = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    for number, path in enumerate(dict.fromkeys(re.findall(r"^insmod (\S+)", answer, re.MULTILINE))):
        shutil.copy(path, modules / f"{number:02}-{Path(path).name}")
    return next(kernel.glob("boot/vmlinuz-*"))


def _package(name: str, scratch: Path) -> Path:
    scratch.mkdir()
    package = Package(name, "amd64", {})
    return download([package], scratch)[package]


def _pack(root: Path, to: Path) -> None:
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
    with to.open("wb") as out:
        subprocess.run(pack, cwd=root, input=names.encode(), stdout=out, check=True)
