"""The file system that all images share: Debian's packages unpacked, and what no action needs taken out again.

Shell, standard library only. Law: nothing of Debian runs and nothing is installed on this host, so no privilege is needed and
an architecture is as good as another. What maintainer scripts would have made and the tools need is made here.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 1800
"""Seconds that unpacking may take; half a minute is usual."""

UNUSED = Path(__file__).with_name("unused.txt")
"""Patterns of paths, a group to a paragraph."""
CONFIGURATION = ("ld.so.conf", "ld.so.conf.d", "lvm", "mke2fs.conf")
"""What is kept of /etc."""


class CannotBuild(Exception):
    """The message is a sentence with a next step."""


def unpack(packages: Sequence[str], arch: str, suite: str, sources: str, scratch: Path) -> Path:
    """Packages with all they depend on as a folder in `scratch`. `sources` is text in the form of a `*.sources` file.

    Raises CannotBuild.
    """
    root, listed = scratch / "root", scratch / "debian.sources"
    listed.write_text(sources)
    # chrootless and extract: no maintainer script runs, so neither root nor a foreign processor is needed
    _run(
        "mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract", f"--architectures={arch}", "--skip=check/qemu",
        f"--include={','.join(packages)}", "--aptopt=Apt::Install-Recommends \"false\"", "--format=directory",
        suite, str(root), str(listed),
    )  # fmt: skip
    return root


def finish(root: Path) -> None:
    """Make of unpacked packages what the tools start in."""
    for path in (root / "etc").iterdir():
        if path.name not in CONFIGURATION:
            _remove(path)
    _write_certificates(root)
    lines = [line for line in UNUSED.read_text().splitlines() if not line.startswith("#")]
    for pattern in " ".join(lines).split():
        for path in root.glob(pattern):
            _remove(path)
    for folder in ("dev", "proc", "sys", "run", "tmp", "root", "mnt"):
        (root / folder).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")
    if not (root / "bin/sh").is_symlink():
        (root / "bin/sh").symlink_to("dash")  # dash itself leaves this to a diversion


def compile_python(folder: Path, library: Path) -> None:
    """Bytecode beside every module of `folder` by the Python that `library` (/usr/lib/python3.N) belongs to.

    It is trusted without a look at the source: under emulation this saves seconds at each start. Where this host lacks that
    Python the sources do.
    """
    version = library.name.removeprefix("python")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if version == ours else shutil.which(f"python{version}")
    if python:
        words = ["-I", "-m", "compileall", "-q", "-s", str(folder), "-p", "/", "--invalidation-mode", "unchecked-hash"]
        _run(python, *words, str(folder))


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


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, env=_environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        raise CannotBuild(f"`{words[0]}` is missing; install the Debian package `{words[0]}`.") from None
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`{words[0]}` took longer than {PATIENCE // 60} minutes; can the mirror be reached?") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-1000:]
        if os.strerror(errno.ENOSPC) in said:
            raise CannotBuild(
                f"`{words[0]}` found no space left in {tempfile.gettempdir()}: free some, or set TMPDIR to a roomy folder."
            )
        raise CannotBuild(f"`{words[0]}` failed; see whether `apt-get update` works on this host. It says:\n{said}")


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "0", "PYTHONHASHSEED": "0"}
