"""GRUB on the disks of the installed system, for BIOS and UEFI.

Shell, standard library only. Law: the system's own GRUB is taken where it has one, for what updates that later must fit; this
image's GRUB is for systems without. UEFI gets it at the removable path, which firmware starts without remembering anything, and
the firmware's boot order stays as it is: a machine that boots its network first goes on asking git.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.actions.base import Job, tool
from agent.actions.devices import device
from agent.actions.grub_probe import answered
from agent.actions.settings import Failed
from agent.actions.system import Mount, System, mounted

UEFI = {"x86_64": ("x86_64-efi", "BOOTX64.EFI"), "arm64": ("arm64-efi", "BOOTAA64.EFI")}
"""Architecture → GRUB's platform, and the name of the removable path (UEFI 2.10, 3.5.1.1)."""
EFI_VARIABLES = Path("/sys/firmware/efi/efivars")
PARTITIONS = ("/boot/efi", "/efi", "/boot")
"""Where a system has the EFI system partition."""
BY_UUID = Path("/dev/disk/by-uuid")


def firmware() -> str:
    """What this machine was started by."""
    return "uefi" if EFI_VARIABLES.parent.exists() else "bios"


def install_bios(job: Job, system: System, disks: Sequence[str]) -> None:
    """Into each of the disks, which are ours to write to."""
    for disk in disks:
        _grub_install(system, "i386-pc", device(job, disk).path)


def install_uefi(job: Job, system: System, entry: str) -> None:
    """Onto the EFI system partition; with the name of an `entry` it also becomes one of the firmware's, after all others."""
    platform, loader = UEFI[_arch(job)]
    partition = next((each for point in PARTITIONS for each in system.mounts if each.point == point and _is_fat(each)), None)
    if partition is None:
        raise Failed(f"there is no EFI system partition: give the machine's storage in git a vfat at {PARTITIONS[0]}")
    _grub_install(system, platform, "--removable", "--no-nvram", f"--efi-directory={partition.point}")
    if entry:
        _boot_entry(job, partition, entry, rf"\EFI\BOOT\{loader}")


def configure(job: Job, system: System, command_line: str) -> None:
    """The menu: by the system's own program, or, if it has none, its newest kernel."""
    if command_line and system.has("/etc/default/grub"):
        line = f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX "{shlex.quote(command_line)}\n'
        system.write("/etc/default/grub.d/90-gitboot.cfg", line.encode())
    with _uuid_links(job, system), answered(job, system):
        if program := system.program("update-grub"):
            system.run(program)
        elif program := system.program("grub-mkconfig", "grub2-mkconfig"):
            system.run(program, "--output", f"{_folder(system)}/grub.cfg")
        else:
            system.write(f"{_folder(system)}/grub.cfg", _menu(job, system, command_line).encode())


def disks_below(job: Job, system: System) -> tuple[str, ...]:
    """The whole disks that /boot lies on; several of an array."""
    return device(job, system.mount_of("/boot").device).disks


def menu(boot: str, uuid: str, kernel: str, initrd: str, root: str, command_line: str) -> str:
    """A grub.cfg with one entry: `boot` is the path of kernel and initrd on the filesystem `uuid`, `root` the kernel's."""
    lines = [
        f"search --no-floppy --fs-uuid --set=root {uuid}",
        f"linux {boot}{kernel} root={root} ro {command_line}".rstrip(),
        *([f"initrd {boot}{initrd}"] if initrd else []),
        "boot",
    ]
    return "\n".join(["# Written when this system was installed, for it has no grub-mkconfig.", *lines, ""])


def version_key(name: str) -> list[tuple[int, str]]:
    """Sorts vmlinuz-6.10 after vmlinuz-6.9."""
    return [(int(number or 0), text) for number, text in re.findall(r"(\d+)|(\D+)", name)]


def kernel_of(system: System) -> tuple[str, str]:
    """Names of the newest kernel and its initrd ("" if there is none) in /boot. Raises Failed."""
    names = {path.name for path in system.real("/boot").glob("*") if path.is_file()}
    kernels = sorted((name for name in names if re.match(r"(vmlinuz|vmlinux|Image)-", name)), key=version_key)
    if not kernels:
        raise Failed("the installed system has no kernel in /boot")
    version = kernels[-1].partition("-")[2]
    initrds = (f"initrd.img-{version}", f"initramfs-{version}.img", f"initramfs-{version}", f"initrd-{version}")
    return kernels[-1], next((name for name in initrds if name in names), "")


def root_of(job: Job, system: System) -> str:
    """What a kernel is to be told of its root filesystem; a mapped device keeps its name, for an initrd looks for that."""
    path = system.mounts[0].device
    return path if path.startswith("/dev/mapper/") else f"UUID={uuid_of(job, path)}"


def uuid_of(job: Job, path: str) -> str:
    """Of a filesystem. Raises Failed if there is none."""
    return tool("blkid", "--probe", "--output", "value", "--match-tag", "UUID", device(job, path).path).strip()


def _menu(job: Job, system: System, command_line: str) -> str:
    kernel, initrd = kernel_of(system)
    mount = system.mount_of("/boot")
    boot = "/" if mount.point == "/boot" else "/boot/"
    return menu(boot, uuid_of(job, mount.device), kernel, initrd, root_of(job, system), command_line)


def _grub_install(system: System, platform: str, *words: str) -> None:
    """With paths as they are in the system."""
    own = system.program("grub-install", "grub2-install")
    if own and system.has(f"/usr/lib/grub/{platform}/modinfo.sh"):
        system.run(own, f"--target={platform}", *words)
    else:
        outside = [re.sub(r"(?<==)/", f"{system.root}/", word) for word in words]
        tool("grub-install", f"--target={platform}", f"--boot-directory={system.real('/boot')}", *outside)


def _folder(system: System) -> str:
    return "/boot/grub2" if system.has("/boot/grub2") else "/boot/grub"


def _is_fat(mount: Mount) -> bool:
    return mount.format in ("vfat", "msdos", "fat", "")


def _arch(job: Job) -> str:
    arch = {"aarch64": "arm64", "amd64": "x86_64"}.get(job.machine.get("arch", "x86_64"), job.machine.get("arch", "x86_64"))
    if arch not in UEFI:
        raise Failed(f"GRUB is not known for the architecture {arch}")
    return str(arch)


@contextmanager
def _uuid_links(job: Job, system: System) -> Iterator[None]:
    """The links by which GRUB's scripts decide to write a UUID instead of a name like /dev/sda1; udev would have made them."""
    made = []
    BY_UUID.mkdir(parents=True, exist_ok=True)
    try:
        for each in system.mounts:
            link = BY_UUID / uuid_of(job, each.device)
            if not link.is_symlink():
                link.symlink_to(device(job, each.device).path)
                made.append(link)
        yield
    finally:
        for link in made:
            with suppress(OSError):
                link.unlink()


def _boot_entry(job: Job, mount: Mount, name: str, loader: str) -> None:
    partition = device(job, mount.device)
    number = (Path("/sys/class/block") / Path(partition.path).name / "partition").read_text().strip()
    with _variables():
        before = tool("efibootmgr")
        for old in entries(before, name):
            tool("efibootmgr", "--quiet", "--bootnum", old, "--delete-bootnum")
        where = ("--disk", partition.disks[0], "--part", number, "--loader", loader)
        new = entries(tool("efibootmgr", "--create-only", "--label", name, *where), name)
        order = re.findall(r"^BootOrder: (.*)$", before, re.MULTILINE)
        kept = [each for each in ",".join(order).split(",") if each and each not in (*entries(before, name), *new)]
        tool("efibootmgr", "--quiet", "--bootorder", ",".join([*kept, *new]))


def entries(said: str, name: str) -> list[str]:
    """The numbers of the boot entries of that name in what efibootmgr says; a path may follow the name after a tab."""
    return re.findall(rf"^Boot([0-9A-F]{{4}})[* ] {re.escape(name)}(?:\t.*)?$", said, re.MULTILINE)


@contextmanager
def _variables() -> Iterator[None]:
    """The firmware's variables, which a container does not see."""
    if not EFI_VARIABLES.exists():
        raise Failed("this machine was not started by UEFI, so its firmware cannot be given a boot entry")
    if any(EFI_VARIABLES.iterdir()):
        yield
    else:
        with mounted("efivarfs", EFI_VARIABLES, "efivarfs"):
            yield
