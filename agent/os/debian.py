"""Debian's packages unpacked into a folder, and tools of Debian's that make something of it.

Shell, standard library only. Law: nothing of a package runs and nothing is installed on this host, so no privilege is needed
and an architecture is as good as another. The same words give the same bytes whoever calls: language, hash seed and epoch are
not the caller's. What a tool complains of is told in a line, and all that it said is in a file that the line names.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 1800
"""Seconds that one step may take; half a minute is usual."""
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where some of the tools are that an ordinary user's PATH lacks."""
TOLD = 3
"""Lines of a tool's complaints that are told."""


class CannotBuild(Exception):
    """The message is a sentence with a next step."""


def unpack(
    packages: Sequence[str], arch: str, root: Path, sources: str, options: Sequence[str] = (), hooks: Sequence[str] = ()
) -> None:
    """The files of packages and of all they depend on, in the new folder `root`.

    `sources` is text in the form of a `*.sources` file, `options` are lines of apt.conf, `hooks` mmdebstrap's flags. Raises
    CannotBuild.
    """
    apt = ['Apt::Install-Recommends "false"', 'Acquire::Retries "3"', *options]
    # chrootless and extract: no maintainer script runs; what processor it is for need not be known here
    words = ["mmdebstrap", "--mode=chrootless", "--variant=extract", "--skip=check/qemu", "--format=directory"]
    words += [f"--architectures={arch}", f"--include={','.join(packages)}", *(f"--aptopt={option}" for option in apt)]
    run([*words, *hooks, "", str(root), "-"], given=sources)


def run(words: Sequence[str], given: str = "", folder: Path | None = None, may_fail: bool = False) -> str:
    """What it prints. Raises CannotBuild with what it complains of."""
    program = found(words[0])
    if program is None:
        raise CannotBuild(f"`{words[0]}` is missing: apt-get install {words[0]}")
    command = ["env", "-u", "SOURCE_DATE_EPOCH", "LC_ALL=C.UTF-8", "PYTHONHASHSEED=0", program, *words[1:]]
    try:
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, text=True, timeout=PATIENCE, umask=0o022, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`{words[0]}` took longer than {PATIENCE // 60} minutes; can the mirror be reached?") from None
    if done.returncode and not may_fail:
        raise CannotBuild(f"`{words[0]}` failed: {_complaint(words, done.stdout, done.stderr)}")
    return done.stdout


def found(tool: str) -> str | None:
    """Where a program is."""
    return shutil.which(tool) or shutil.which(tool, path=SBIN)


def _complaint(words: Sequence[str], output: str, errors: str) -> str:
    """The lines that say what is wrong, or else the last ones, and where the rest is."""
    full = os.strerror(errno.ENOSPC)
    if full in errors:
        return f"{full}; free some, or choose another place (--out, or TMPDIR)."
    lines = [line.strip() for line in (errors.strip() or output).splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"E:|.*[Ee]rror", line)] or lines[-TOLD:]
    if len(lines) <= TOLD:
        return " / ".join(said) or "it does not say why"
    with tempfile.NamedTemporaryFile("w", prefix=f"gitboot-{Path(words[0]).name}-", suffix=".log", delete=False) as log:
        log.write(f"{output}{errors}")
    return f"{' / '.join(said[:TOLD])}; all that it said is in {log.name}"
