"""The in-memory OS as `gitboot os build` makes it, built once for a run of the tests, and a small image to run in it.

The law: it is built as a user builds it. What was built before is taken again, from the repository's `.cache/`, only while our
sources and all that this host's apt knows of packages are the same.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.initrd import CACHE

REPOSITORY = Path(__file__).parents[2]

WORDS = "quiet panic=1 no_timer_check"
"""A kernel that got no processor for long enough takes its timer for broken and stops; emulated machines have to share."""

PROFILE = """
apiVersion: gitboot/v1
kind: Profile
metadata: {{name: {name}}}
spec: {{kernel: os/{arch}/vmlinuz, initrd: [os/{arch}/initrd.img], cmdline: "console={console} {words}"}}
"""


@dataclass(frozen=True)
class Built:
    """`folder` is what `--out` named."""

    folder: Path

    def into(self, artifacts: Path, arch: str = "amd64") -> None:
        """Put it into a site's artefact folder."""
        place = artifacts / "os" / arch
        place.mkdir(parents=True)
        for file in (self.folder / "os" / arch).iterdir():
            os.link(file, place / file.name)


def profile(name: str = "lab", words: str = "", arch: str = "amd64") -> str:
    """`words`: more of the kernel's command line."""
    return PROFILE.format(name=name, arch=arch, words=f"{WORDS} {words}", console="ttyAMA0" if arch == "arm64" else "ttyS0")


def build_os(out: Path, *flags: str) -> Built:
    """AssertionError with what the command says when it fails."""
    command = [sys.executable, "-m", "reconciler", "os", "build", "--out", str(out), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return Built(out)


def kept_os(kernel: str = "cloud", arch: str = "amd64") -> Built:
    """From the cache, or for it: half a minute on an idle machine."""
    place = CACHE / f"os-{kernel}-{arch}-{_key()}"
    if not (place / "os" / arch / "SHA256SUMS").exists():
        for old in CACHE.glob(f"os-{kernel}-{arch}-*"):
            shutil.rmtree(old)
        build_os(place, "--kernel", kernel, "--arch", arch)
    return Built(place)


def small_image(out: Path, name: str) -> None:
    """A docker-archive with busybox and nothing else, by hand; what it runs the action says."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        files.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "cat", "echo", "sleep", "sync"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            files.addfile(link)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    contents = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode(),
    }
    with tarfile.open(out, "w") as archive:
        for path, data in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _key() -> str:
    """The digest of everything that a build may depend on."""
    digest = hashlib.sha256(subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout)
    for file in sorted((REPOSITORY / "agent").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(REPOSITORY)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
