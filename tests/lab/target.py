"""The system that lab machines are installed with: a small Debian as a tar archive, and as the image of a whole disk, as an
operator's image pipeline makes them.

The law: it is made of Debian's own packages from this host's own apt sources, and knows nothing of gitboot or of the machine it
will run on: fstab, loader and network are the installation's to write. Its kernel speaks on the first serial port, and does not
take its timer for broken when the host gave it no processor for a while, upon which it would stop.

Figures: 329 MB, 108 MB packed; the first build takes about 50 seconds, and the image of it ten more. They are kept in the
repository's `.cache/`, under the digest of this recipe.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from netboot.fetch import host_release
from tests.lab.initrd import CACHE

PACKAGES = (
    *("systemd-sysv", "udev", "login", "passwd", "iproute2"),
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd"),
    *("grub-pc-bin", "grub-efi-amd64-bin", "grub2-common"),
)
_GRUB = r"""GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT=\"console=ttyS0 quiet no_timer_check\"
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

MB = 1 << 20
ESP = (15, 1 * MB, 8 * MB)
ROOT = (1, 9 * MB, 448 * MB)
"""Partitions: number, and bytes where they begin and how long they are. Debian's own cloud images have them in this order."""
_TABLE = "label: gpt\n" + "".join(
    f"disk{number} : start={start // 512}, size={size // 512}, type={kind}\n"
    for (number, start, size), kind in ((ESP, "U"), (ROOT, "L"))
)
_MENU = """search --no-floppy --label ROOT --set root
linux /boot/{kernel} root=LABEL=ROOT rw console=ttyS0 quiet
initrd /boot/{initrd}
boot
"""
_MODULES = ("part_gpt", "ext2", "search", "search_label", "linux")


def target_archive() -> Path:
    """The archive, `….tar.zst`, built unless it was before."""
    return _kept("tar.zst", _archive)


def target_image() -> Path:
    """The image of a disk that UEFI boots, `….raw.zst`, built unless it was before; its last partition is the root."""
    return _kept("raw.zst", _image)


def _kept(kind: str, build: Callable[[Path], Path]) -> Path:
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    finished = CACHE / f"target-{recipe}.{kind}"
    if not finished.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            build(Path(scratch)).rename(finished)
    return finished


def _image(scratch: Path) -> Path:
    root, image, loader = scratch / "root", scratch / "target.raw", scratch / "BOOTX64.EFI"
    root.mkdir()
    _run("tar", "--extract", "--numeric-owner", "--xattrs-include=*", "--file", target_archive(), "--directory", root)
    (root / "etc/fstab").write_text("LABEL=ROOT / ext4 errors=remount-ro 0 1\n")
    with image.open("wb") as file:
        file.truncate(ROOT[1] + ROOT[2] + MB)
    _run("sfdisk", "--quiet", image, given=_TABLE)
    _run("mkfs.ext4", "-q", "-b", "4096", "-L", "ROOT", "-d", root, "-E", f"offset={ROOT[1]}", image, f"{ROOT[2] // 4096}")
    kernel, initrd = (next((root / "boot").glob(f"{name}-*")).name for name in ("vmlinuz", "initrd.img"))
    (scratch / "menu").write_text(_MENU.format(kernel=kernel, initrd=initrd))
    _run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", scratch / "menu", "-o", loader, *_MODULES)
    esp = f"{image}@@{ESP[1]}"
    _run("mformat", "-i", esp, "-T", str(ESP[2] // 512), "-h", "16", "-s", "63", "::")
    for folder in ("::EFI", "::EFI/BOOT"):
        _run("mmd", "-i", esp, folder)
    _run("mcopy", "-i", esp, loader, "::EFI/BOOT/BOOTX64.EFI")
    _run("zstd", "--quiet", "-3", "-T0", "--rm", image)
    return image.with_name(f"{image.name}.zst")


def _run(*words: str | Path, given: str = "") -> None:
    subprocess.run(words, input=given, text=True, check=True, timeout=BUILD_SECONDS)


def _archive(scratch: Path) -> Path:
    codename, sources = host_release()
    apt = scratch / "debian.sources"
    apt.write_text(sources)
    made = scratch / "target.tar"
    argv: list[str | Path] = ["mmdebstrap", "--quiet", "--mode=root", "--variant=essential", f"--include={','.join(PACKAGES)}"]
    argv += ['--aptopt=APT::Install-Recommends "false"']
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    argv += [f"--customize-hook={command}" for command in _CUSTOMIZE]
    _run(*argv, codename, made, apt)
    _run("zstd", "--quiet", "-3", "-T0", "--rm", made)
    return made.with_name("target.tar.zst")
