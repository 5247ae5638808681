"""Files of secrets: in memory, for one container, until it has ended.

Shell, standard library only. Law: nothing is written where it could reach a disk: the folder must lie on a tmpfs. Its owner
alone can go into it; a container sees its own files of it, mounted one by one, and cannot write to them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

MEMORY = Path("/dev/shm/gitboot")  # noqa: S108 - the folder is made for its owner alone


def lay_out(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Binds for the files, by their path in the container. Raises OSError."""
    if not files:
        return []
    remove(folder)
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    if _file_system(folder) not in ("tmpfs", "ramfs"):
        remove(folder)
        raise OSError(f"{folder} is not in memory: mount a tmpfs there, or give the action its secrets as variables")
    binds = []
    for index, (target, text) in enumerate(files.items()):
        source = folder / str(index)
        source.write_text(text)
        source.chmod(0o444)  # whoever the container's user is
        binds.append(f"{source}:{target}:ro")
    return binds


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _file_system(path: Path) -> str:
    """The type of the file system that a path is on: proc(5), mountinfo."""
    found = ("", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point, kind = before.split()[4], after.split()[0]
        if path.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]
