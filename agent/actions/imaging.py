"""The way of every image to a disk: read, digested, unpacked, written, and only then made bootable.

Shell. Law: nothing is written before the image has begun to come and is known to be one that may fit; the disk is made bootable
only after the last byte, and only if the digest of what came is the one that was wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.actions import devices
from agent.actions.base import Job
from agent.actions.crosswise import place, unpack
from agent.actions.digest import Digest, Hashed
from agent.actions.download import Download, told
from agent.actions.inflate import LONGEST_MAGIC, begin, kind_of, unpacked
from agent.actions.onto import Target
from agent.actions.settings import Failed, Parameter

QCOW2 = b"QFI\xfb"
TAR, TAR_AT = b"ustar", 257
BEGINNING = 512
"""Bytes that show what an image is."""

DEST_DISK = Parameter("DEST_DISK", "The disk or partition to write to.", None)
COMPRESSED = Parameter(
    "COMPRESSED",
    "`true`: it must be (gzip, bzip2, xz, zstd); `false`: it is written as it is; else its first bytes say.",
)
SHA256 = Parameter(
    "IMG_SHA256",
    "The SHA-256 of the file as it is downloaded. Without it and `CHECKSUM` nothing is verified; the log says so.",
)
CHECKSUM = Parameter("CHECKSUM", "The same with its algorithm: `sha256:…` or `sha512:…`.")
GROW = Parameter(
    "GROW", "`true`: the last partition and its filesystem grow to the end of the disk; a number: that partition does."
)
INTERVAL = Parameter("PROGRESS_INTERVAL_SECONDS", "Seconds between two lines about how far it is.", "10")
TEXT = Parameter("TEXT_LOGGING", "Accepted for Tinkerbell's sake: the log is text.")
RETRY = Parameter("RETRY_ENABLED", "Whether a connection that breaks is taken up where it broke.", "true")
MINUTES = Parameter("RETRY_DURATION_MINUTES", "For how many minutes without progress.", "10")


@dataclass(frozen=True, slots=True)
class Image:
    """What comes, and what is known of it before."""

    name: str
    """For sentences: its URL."""
    download: Download
    digest: Digest | None


def wanted(job: Job) -> Digest | None:
    """What git says the digest is. Raises Failed for what is none."""
    found = {Digest.parse(name, job.settings.text(name)) for name in ("IMG_SHA256", "CHECKSUM") if job.settings.text(name)}
    if len(found) > 1:
        raise Failed("IMG_SHA256 and CHECKSUM say different things: leave one of them out")
    if not found:
        job.say("warning: no checksum is given, so nobody can say whether what is written is what was meant: set IMG_SHA256")
    return next(iter(found), None)


def patience(job: Job) -> float:
    """Seconds that trouble with the network may last."""
    minutes = job.settings.number("RETRY_DURATION_MINUTES")
    return minutes * 60.0 if job.settings.flag("RETRY_ENABLED") else 0.0


def write(job: Job, image: Image, destination: str, *, crosswise: bool = False) -> devices.Device:
    """`crosswise`: it cannot be written as it comes (see crosswise.py). Raises Failed; then the disk boots nothing."""
    chunks = told(job.name, image.download, job.settings.number("PROGRESS_INTERVAL_SECONDS"))
    coming = Hashed(chunks, image.digest.algorithm if image.digest else "sha256")
    first, chunks = begin(coming, LONGEST_MAGIC)
    kind = _kind(job, first, image)
    content, blocks = begin(unpacked(chunks, kind), BEGINNING)
    if content[TAR_AT:].startswith(TAR):
        raise Failed(f"{image.name} is a tar archive and not the image of a disk")
    crosswise = crosswise or content.startswith(QCOW2)
    device = devices.claim(job, destination)
    size = None if kind else image.download.size
    start = place(size, device) if crosswise else 0
    if size is not None and start + size > device.size:
        raise Failed(f"{image.name} has {size} bytes and does not fit on {device.path}, which has {device.size}")
    with Target(device, start) as target:
        for block in blocks:
            target.write(block)
        verify(coming, image)
        if not target.written:
            raise Failed(f"{image.name} is empty")
        target.finish()
    job.say(f"{target.written} bytes are on {device.path}; what came is {coming.digest}")
    if crosswise:
        unpack(job, image.name, device, start, target.written)
    if device.path in device.disks:  # what is in a partition changes no table
        devices.reread(device.path)
    return device


def verify(coming: Hashed, image: Image) -> None:
    """Raises Failed if what came is not what was wanted."""
    for _ in coming:  # what a compressed stream left unread is part of the file
        pass
    if image.digest and coming.digest != image.digest:
        raise Failed(f"{image.name} is {coming.digest}, and git says {image.digest}: nothing boots from this disk now")


def _kind(job: Job, first: bytes, image: Image) -> str:
    found = kind_of(first)
    if not job.settings.text("COMPRESSED"):
        return found
    if not job.settings.flag("COMPRESSED"):
        return ""
    if not found:
        raise Failed(f"{image.name} is not compressed in a way we know (gzip, bzip2, xz, zstd): leave COMPRESSED out")
    return found
