"""The file system that all images share: Debian's packages unpacked, and what no action needs taken out again.

Shell, standard library only. Law: what is unpacked is looked at by nobody but the tools that it is for; what maintainer scripts
would have made and they need is made here.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from agent.actions import APPLETS, PROGRAMS
from agent.os.debian import CannotBuild, run

UNUSED = Path(__file__).with_name("unused.txt")
"""Patterns of paths, a group to a paragraph."""
CONFIGURATION = ("ld.so.conf", "ld.so.conf.d", "lvm", "mke2fs.conf")
"""What is kept of /etc."""


def finish(root: Path) -> None:
    """Make of unpacked packages what the tools start in."""
    for path in (root / "etc").iterdir():
        if path.name not in CONFIGURATION:
            _remove(path)
    _write_certificates(root)
    _choose_programs(root)
    lines = [line for line in UNUSED.read_text().splitlines() if not line.startswith("#")]
    for pattern in " ".join(lines).split():
        for path in root.glob(pattern):
            _remove(path)
    for folder in ("dev", "proc", "sys", "run", "tmp", "root", "mnt"):
        (root / folder).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")


def _choose_programs(root: Path) -> None:
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin"):
        for path in (root / folder).iterdir():
            if path.name not in PROGRAMS and not re.fullmatch(r"python3(\.\d+)?", path.name):
                _remove(path)
    for name in APPLETS:
        (root / "usr/bin" / name).symlink_to("/bin/busybox")
    if not (root / "bin/sh").is_symlink():
        (root / "bin/sh").symlink_to("dash")  # dash itself leaves this to a diversion


def compile_python(folder: Path, library: Path, alone: bool = False) -> None:
    """Bytecode beside every module of `folder`, or `alone` in its place, by the Python of `library` (/usr/lib/python3.N).

    It is trusted without a look at the source: under emulation this saves seconds at each start. Where this host lacks that
    Python the sources do, and stay.
    """
    version = library.name.removeprefix("python")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if version == ours else shutil.which(f"python{version}")
    if python:
        words = ["-I", "-m", "compileall", "-q", "-s", str(folder), "-p", "/", "--invalidation-mode", "unchecked-hash"]
        run([python, *words, *(["-b"] if alone else []), str(folder)])
    for source in folder.rglob("*.py") if alone else ():
        if source.with_suffix(".pyc").exists():
            source.unlink()


def python_library(root: Path) -> Path:
    """Raises CannotBuild."""
    found = [path for path in (root / "usr" / "lib").iterdir() if re.fullmatch(r"python3\.\d+", path.name)]
    if len(found) != 1:
        raise CannotBuild(f"Debian's packages have {len(found)} Python libraries and one was expected; please report it.")
    return found[0]


def _write_certificates(root: Path) -> None:
    """The bundle that OpenSSL's own links lead to; ca-certificates makes it in a maintainer script."""
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("".join(path.read_text() for path in found))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
