"""An archive of a file system, from a web server into the system that is being installed, as it comes.

Shell, standard library, GNU tar and what uncompresses. Law: owners, modes, devices, extended attributes and ACLs are those of
the archive, and nothing of it gets out of that system; what was unpacked is good only when this has returned, for the digest of
a stream is known at its end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.actions.base import STDERR_KEPT, say, tool
from agent.actions.digest import Digest, Hashed
from agent.actions.download import Download, told
from agent.actions.inflate import LONGEST_MAGIC, begin, kind_of
from agent.actions.settings import Failed
from agent.actions.system import ENVIRONMENT, System, mounted

TAR = (
    *("--extract", "--file=-", "--numeric-owner", "--same-owner", "--preserve-permissions", "--warning=no-timestamp"),
    # without a list of namespaces tar restores those that users see, and file capabilities are not among them
    *("--xattrs", "--xattrs-include=*", "--acls"),
    "--blocking-factor=512",  # reads 256 KiB at a time instead of 10
)
PIPE = 1 << 20
"""Bytes that wait in each pipe; 64 KiB if nobody asks. Both together spare an emulated machine a third of its time here."""


def unpack(name: str, download: Download, digest: Digest | None, system: System, folder: str) -> None:
    """Into a folder of `system`, which is made. Raises Failed if it is not there, no archive, or not the one that is wanted."""
    into = system.real(folder)
    into.mkdir(parents=True, exist_ok=True)
    coming = Hashed(told(name, download), digest.algorithm if digest else "sha256")
    first, stream = begin(coming, LONGEST_MAGIC)
    packer = kind_of(first)
    with _tar(system) as tar:
        command = [*tar, *TAR, f"--directory=/{into.relative_to(system.root)}"]
        said = _feed(stream, [packer, "-dc"] if packer else ["cat"], command)
    if said:
        full = f"the filesystem of {folder} is full; " if not os.statvfs(into).f_bavail else ""
        raise Failed(f"{download.url} cannot be unpacked: {full}{said}")
    if digest and coming.digest != digest:
        raise Failed(f"{download.url} is not what it should be: it is {coming.digest}, wanted {digest}")


def _feed(stream: Iterator[bytes], packer: list[str], tar: list[str]) -> str:
    """All of the stream through both programs. What they complain of if one of them fails, else ""."""
    say(f"+ {' '.join(packer)} | {' '.join(tar)}")
    with tempfile.TemporaryFile() as complaints, ExitStack() as stack:
        first = subprocess.Popen(packer, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, pipesize=PIPE)
        stack.callback(_end, first)
        second = subprocess.Popen(tar, stdin=first.stdout, stderr=complaints, env=ENVIRONMENT)
        stack.callback(_end, second)
        first.stdout.close()  # type: ignore[union-attr]  # it is a pipe, and now tar's alone: when that dies the first one hears
        with suppress(BrokenPipeError), first.stdin:  # type: ignore[union-attr]  # who closes it has a reason, and a status
            for data in stream:
                first.stdin.write(data)  # type: ignore[union-attr]
        statuses = first.wait(), second.wait()
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()[:STDERR_KEPT]
    return (said or f"exit status {max(statuses)}") if any(statuses) else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def _tar(system: System) -> Iterator[list[str]]:
    """The command of our tar with that system as its root, so that a link in it cannot lead anywhere else.

    Our root is mounted in there for as long, and the loader is told where the libraries are.
    """
    program = shutil.which("tar")
    loader = next((os.path.realpath(path) for path in Path("/").glob("lib*/ld-linux*.so.*")), "")
    if not program or not loader:
        raise Failed("this image has no tar")
    libraries = map(os.path.realpath, re.findall(r"=> (/\S+)/[^/\s]+ \(", tool(loader, "--list", program)))
    place = Path(tempfile.mkdtemp(prefix=".gitboot-", dir=system.root))
    ours = f"/{place.name}"
    try:
        with mounted("/", place, "", "--bind", "-o", "ro"):
            found = ":".join(f"{ours}{folder}" for folder in dict.fromkeys(libraries))
            loading = [f"{ours}{loader}", "--argv0", "tar", "--library-path", found]
            yield ["chroot", str(system.root), *loading, f"{ours}{os.path.realpath(program)}"]
    finally:
        place.rmdir()
