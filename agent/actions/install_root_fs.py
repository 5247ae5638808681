"""`install-root-fs`: unpack an operating system onto the filesystems that git gives this machine, and write its fstab
and the files that git has for them.

Shell, standard library only. Law: as archive2disk, it succeeds only with the archive that was wanted. The digest is git's, or
else that of the file `<archive>.sha256` beside it, which proves that it came whole, not whom it is from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.actions.archive2disk import CHECKSUM, MINUTES, UNCHECKED
from agent.actions.base import Action, Job, tool
from agent.actions.devices import device
from agent.actions.digest import Digest
from agent.actions.download import Download, fetch_text
from agent.actions.settings import Failed, Parameter
from agent.actions.system import System, installed
from agent.actions.unpack import unpack

PARAMETERS = (
    Parameter("MIRROR_HOST", "Name or address of the web server, with `:port` if need be."),
    Parameter("ROOT_FS_PATH", "Path on it, with `{arch}` for the machine's architecture.", "/rootfs/{arch}.tar.zst"),
    Parameter("ARCHIVE_URL", "Address of the archive, instead of MIRROR_HOST and ROOT_FS_PATH."),
    CHECKSUM,
    UNCHECKED,
    Parameter("DEST_DISK", "The partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    MINUTES,
)


def act(job: Job) -> None:
    settings = job.settings
    url = address(job)
    digest = _wanted(job, url)
    download = Download(url, minutes=settings.number("HTTP_CLIENT_TIMEOUT_MINUTES"), say=job.say)
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system:
        unpack(job.name, download, digest, system, "/")
        for each in system.mounts[1:]:
            system.real(each.point).mkdir(parents=True, exist_ok=True)
        if not settings.text("DEST_DISK"):
            system.write("/etc/fstab", fstab(job, system).encode())
            if encrypted := job.machine.get("storage", {}).get("luks"):
                system.write("/etc/crypttab", crypttab(job, encrypted).encode())
            write_files(job, system)
    job.say(f"{url} is unpacked" + (f", {digest.algorithm} verified" if digest else ""))


def address(job: Job) -> str:
    """Of the archive. Raises Failed."""
    settings = job.settings
    if url := settings.text("ARCHIVE_URL"):
        return url
    if host := settings.text("MIRROR_HOST"):
        path = settings.text("ROOT_FS_PATH").replace("{arch}", str(job.machine.get("arch", "x86_64")))
        return f"http://{host}/{path.lstrip('/')}"
    raise Failed("nothing says where the archive is: set MIRROR_HOST or ARCHIVE_URL")


def fstab(job: Job, system: System) -> str:
    """By UUID, for the kernel may number disks otherwise next time."""
    lines = ["# Written when this system was installed, from the storage section of its machine in git."]
    for order, each in enumerate(system.mounts):
        lines.append(_line(job, each.device, each.point, each.format or "auto", 1 if order == 0 else 2))
    said = job.machine.get("storage", {}).get("filesystems", ())
    swaps = [each["mount"]["device"] for each in said if each["mount"].get("format") == "swap"]
    lines += [_line(job, swap, "none", "swap", 0) for swap in swaps]
    return "\n".join([*lines, ""])


def crypttab(job: Job, encrypted: Iterable[Mapping[str, Any]]) -> str:
    """Each is opened by a passphrase that is asked for: the key is the installation's, and stays out of the system."""
    lines = ["# Written when this system was installed, from the storage section of its machine in git."]
    for each in encrypted:
        uuid = _uuid(device(job, each["device"]).path)
        lines.append(f"{each['name']} {f'UUID={uuid}' if uuid else each['device']} none luks")
    return "\n".join([*lines, ""])


def write_files(job: Job, system: System) -> None:
    """What git says is in each filesystem, in place of what the archive has there."""
    for each in job.machine.get("storage", {}).get("filesystems", ()):
        mount = each["mount"]
        for file in mount.get("files", ()):
            path = f"{mount['point'].rstrip('/')}/{file['path'].lstrip('/')}"
            owner = int(file.get("uid", 0)), int(file.get("gid", 0))
            system.write(path, file["contents"].encode(), int(file.get("mode", "0644"), 8), owner)
            job.say(f"{path} is written")


def _uuid(path: str) -> str:
    return tool("blkid", "--probe", "--output", "value", "--match-tag", "UUID", path).strip()


def _line(job: Job, path: str, point: str, format: str, check: int) -> str:  # noqa: A002 - fstab's word for it
    uuid = _uuid(device(job, path).path)
    options = {"swap": "sw", "vfat": "umask=0077"}.get(format, "defaults")
    point = point.replace(" ", "\\040")
    return f"{f'UUID={uuid}' if uuid else path} {point} {format} {options} 0 {0 if format in ('xfs', 'btrfs') else check}"


def _wanted(job: Job, url: str) -> Digest | None:
    settings = job.settings
    if text := settings.text("TARFILE_CHECKSUM"):
        return Digest.parse("TARFILE_CHECKSUM", text)
    if settings.flag("INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION"):
        return None
    beside = fetch_text(Download(f"{url}.sha256", say=job.say))
    return Digest.parse(f"{url}.sha256", f"sha256:{''.join(beside.split()[:1])}")


ACTION = Action("install-root-fs", "Unpacks an operating system onto this machine's filesystems.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
