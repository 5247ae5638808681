"""The system that lab machines are installed with: a small Debian as a tar archive, as an operator's image pipeline makes one.

The law: it is made of Debian's own packages from this host's own apt sources, and knows nothing of gitboot or of the machine it
will run on: fstab, loader and network are the installation's to write. Its kernel speaks on the first serial port.

Figures: 329 MB, 108 MB packed; the first build takes about 50 seconds. It is kept in the repository's `.cache/`, under the
digest of this recipe.
"""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from netboot.fetch import host_release
from tests.lab.initrd import CACHE

PACKAGES = (
    *("systemd-sysv", "udev", "login", "passwd", "iproute2"),
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd"),
    *("grub-pc-bin", "grub-efi-amd64-bin", "grub2-common"),
)
_GRUB = r"""GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT=\"console=ttyS0 quiet\"
GRUB_TERMINAL=console
GRUB_DISABLE_OS_PROBER=true
"""
_CUSTOMIZE = (
    'echo target > "$1/etc/hostname"',
    'chroot "$1" passwd --delete root >/dev/null',
    f'mkdir -p "$1/etc/default" && printf "%s" "{_GRUB}" > "$1/etc/default/grub"',
    'rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*',
)
_LEFT_OUT = ("doc", "man", "locale", "info", "lintian", "bug")
BUILD_SECONDS = 600


def target_archive() -> Path:
    """The archive, `….tar.zst`, built unless it was before."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    finished = CACHE / f"target-{recipe}.tar.zst"
    if not finished.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _build(Path(scratch)).rename(finished)
    return finished


def _build(scratch: Path) -> Path:
    codename, sources = host_release()
    apt = scratch / "debian.sources"
    apt.write_text(sources)
    made = scratch / "target.tar"
    argv: list[str | Path] = ["mmdebstrap", "--quiet", "--mode=root", "--variant=essential", f"--include={','.join(PACKAGES)}"]
    argv += ['--aptopt=APT::Install-Recommends "false"']
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    argv += [f"--customize-hook={command}" for command in _CUSTOMIZE]
    subprocess.run([*argv, codename, made, apt], check=True, timeout=BUILD_SECONDS)
    subprocess.run(["zstd", "--quiet", "-3", "-T0", "--rm", made], check=True, timeout=BUILD_SECONDS)
    return made.with_name("target.tar.zst")
