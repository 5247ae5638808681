"""The system that is being installed, below a folder of ours: mounted, looked at, written to and run in.

Shell, standard library only. Law: what a path of it means is decided inside of it: a link that leads out of the tree, an
absolute one above all, leads to where it will lead once that system runs, and never to a file of ours. What was mounted is
unmounted, whatever happens in between. A disk whose marker protects it is not mounted for writing, nor is any beside it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.actions.base import Job, say, tool
from agent.actions.devices import device, edit
from agent.actions.settings import Failed

LINKS = 40
"""Followed in one path, as many as the kernel does (path_resolution(7))."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
STAND_INS = "/run/gitboot-bin"
"""In a system while it is `running`: what its own programs find before its others."""
UDEVADM = """#!/bin/sh
# Where a disk is, by the kernel's word: no udev runs here that would know more. GRUB asks this nine times for each of a dozen
# questions about a disk; emulated, update-grub takes 18 s with udevadm and 13 with this.
case "$1 $2 $3 $4" in
  'info --query path --name') cd -P "/sys/class/block/${5#/dev/}" 2>/dev/null && echo "${PWD#/sys}" && exit ;;
esac
PATH=${PATH#*:}
exec udevadm "$@"
"""


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    point: str
    format: str


@dataclass(frozen=True, slots=True)
class System:
    root: Path
    mounts: tuple[Mount, ...]
    """What is mounted where in it, `/` first."""

    def real(self, path: str) -> Path:
        """Where `path` of that system is for us, with every link in it followed inside; its last parts need not exist.

        Raises Failed if links go in a circle.
        """
        done: list[str] = []
        waiting = path.split("/")[::-1]
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
            elif part not in ("", "."):
                here = self.root.joinpath(*done, part)
                if not here.is_symlink():
                    done.append(part)
                    continue
                links += 1
                if links > LINKS:
                    raise Failed(f"{path} goes in a circle of links")
                target = os.readlink(here)
                done = [] if target.startswith("/") else done
                waiting += target.split("/")[::-1]
        return self.root.joinpath(*done)

    def has(self, path: str) -> bool:
        return self.real(path).exists()

    def program(self, *names: str) -> str:
        """The first of these that it has, as a path in it; "" if it has none."""
        places = (f"{folder}/{name}" for name in names for folder in PATH.split(":"))
        return next((place for place in places if os.access(self.real(place), os.X_OK)), "")

    def write(self, path: str, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0), above: int = 0o755) -> None:
        """A whole file in place of what was there, be it a link. Missing folders are made, of its owner, with mode `above`."""
        parent, _, name = path.rpartition("/")
        place = self.real(parent) / name
        if name in ("", ".", "..") or (place.is_dir() and not place.is_symlink()):
            raise Failed(f"{path} is a folder, and not the name of a file")
        self._make_folders(place.parent, owner, above)
        handle, partial = tempfile.mkstemp(prefix=".gitboot-", dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchown(handle, *owner)
                os.fchmod(handle, mode)
            os.replace(partial, place)
        except BaseException:
            os.unlink(partial)
            raise

    def run(self, *words: str, given: bytes = b"") -> str:
        """A program of that system, in it. Raises Failed with what it said."""
        known = {**ENVIRONMENT, "PATH": f"{STAND_INS}:{PATH}"}
        return tool("chroot", str(self.root), *words, given=given, environment=known)

    def attend(self, *words: str) -> int:
        """The same with its output into the action's log while it comes; its exit status, or 128 and the signal's number."""
        say(f"+ {' '.join(words)}")
        done = subprocess.run(["chroot", str(self.root), *words], env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=False)
        return done.returncode if done.returncode >= 0 else 128 - done.returncode

    def mount_of(self, path: str) -> Mount:
        """The filesystem that a path lies on."""
        inside = "/" + self.real(path).relative_to(self.root).as_posix()
        inside = "/" if inside == "/." else inside
        below = [each for each in self.mounts if f"{inside.rstrip('/')}/".startswith(f"{each.point.rstrip('/')}/")]
        return max(below, key=lambda each: len(each.point))

    def _make_folders(self, folder: Path, owner: tuple[int, int], mode: int) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir()
            os.chown(each, *owner)
            each.chmod(mode)


def filesystems(job: Job) -> list[Mount]:
    """What git says is mounted on this machine, outer folders first; swap and what has no folder is left out."""
    said: Any = job.machine.get("storage", {}).get("filesystems", ())
    mounts = [each["mount"] for each in said]
    found = [Mount(each["device"], each["point"], each.get("format", "")) for each in mounts if _is_mounted(each)]
    return sorted(found, key=lambda each: [part for part in each.point.split("/") if part])


@contextmanager
def installed(
    job: Job,
    path: str,
    format: str,  # noqa: A002 - Tinkerbell's word for it
    parameter: str,
    *,
    reading: bool = False,
) -> Iterator[System]:
    """The system on one filesystem (`path`, `format`), or, without a path, on all that git says this machine has.

    `parameter` is what `path` comes from, for the sentence that says that it is missing. Its disks are noted as written to,
    unless we are `reading`: then nothing can be written, and any disk may be looked at. Raises Failed.
    """
    mounts = [Mount(path, "/", format)] if path else filesystems(job)
    if not mounts or mounts[0].point != "/":
        raise Failed(f"nothing says where the system is: set {parameter}, or give the machine a / in its storage in git")
    devices = [device(job, each.device) for each in mounts]
    if not reading:
        edit(job, *devices)
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="gitboot-"))
        stack.callback(_remove_empty, root)
        system = System(root, tuple(mounts))
        for each, found in zip(mounts, devices, strict=True):
            point = system.real(each.point)
            point.mkdir(parents=True, exist_ok=True)
            stack.enter_context(mounted(found.path, point, each.format, *(("-o", "ro") if reading else ())))
        yield system


@contextmanager
def mounted(what: str, point: Path, format: str = "", *options: str) -> Iterator[None]:  # noqa: A002 - mount's word for it
    tool("mount", *(("-t", format) if format else ()), *options, what, point)
    try:
        yield
    finally:
        tool("umount", "--recursive", point)


@contextmanager
def running(system: System) -> Iterator[None]:
    """What programs expect of a system that runs: devices, processes, the kernel's and the firmware's variables."""
    with ExitStack() as stack:
        for what, where, options in (
            ("/dev", "dev", ("--rbind", "--make-rslave")),
            ("/sys", "sys", ("--rbind", "--make-rslave")),
            ("proc", "proc", ("-t", "proc")),
            ("tmpfs", "run", ("-t", "tmpfs")),
        ):
            point = system.real(where)
            point.mkdir(exist_ok=True)
            stack.enter_context(mounted(what, point, "", *options))
        system.write(f"{STAND_INS}/udevadm", UDEVADM.encode(), 0o755)
        yield


def _remove_empty(folder: Path) -> None:
    """Never what is in it: that is the installed system, if it could not be unmounted."""
    with suppress(OSError):
        folder.rmdir()


def _is_mounted(mount: Mapping[str, Any]) -> bool:
    return str(mount.get("point") or "").startswith("/") and mount.get("format") != "swap"
