"""`archive2disk`: unpack an archive of files onto a filesystem.

Shell, standard library only. Law: succeeds only when the archive came whole and has the digest that git names, or git says
that it need not have one.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.digest import Digest
from agent.actions.download import Download
from agent.actions.settings import Failed, Parameter, Settings
from agent.actions.system import installed
from agent.actions.unpack import unpack

CHECKSUM = Parameter("TARFILE_CHECKSUM", "`sha256:`, `sha384:` or `sha512:` and the digest of the archive as it is served.")
UNCHECKED = Parameter("INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION", "Whether whatever the server sends is taken.")
MINUTES = Parameter("HTTP_CLIENT_TIMEOUT_MINUTES", "Minutes in which the archive must be there; 0: as long as bytes come.", "0")
PARAMETERS = (
    Parameter("ARCHIVE_URL", "Address of the archive, http:// or https://.", None),
    Parameter("ARCHIVE_TYPE", "`tar` or `targz`; what it is compressed with (gzip, xz, zstd, bzip2) is seen all the same."),
    CHECKSUM,
    UNCHECKED,
    Parameter("DEST_DISK", "The partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    Parameter("DEST_PATH", "Folder in that system, made when it is missing.", "/"),
    MINUTES,
)


def act(job: Job) -> None:
    settings = job.settings
    settings.choice("ARCHIVE_TYPE", "", "tar", "targz", "tar.gz")
    digest = wanted(settings)
    download = Download(settings.text("ARCHIVE_URL"), minutes=settings.number("HTTP_CLIENT_TIMEOUT_MINUTES"), say=job.say)
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system:
        unpack(job.name, download, digest, system, settings.text("DEST_PATH"))
    job.say(f"{settings.text('ARCHIVE_URL')} is unpacked" + (f", {digest.algorithm} verified" if digest else ""))


def wanted(settings: Settings) -> Digest | None:
    """None if git says that the archive need not be verified. Raises Failed if it says nothing."""
    if text := settings.text("TARFILE_CHECKSUM"):
        return Digest.parse("TARFILE_CHECKSUM", text)
    if settings.flag("INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION"):
        return None
    raise Failed("TARFILE_CHECKSUM is not set: write the archive's digest, or set INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION")


ACTION = Action("archive2disk", "Unpacks an archive of files onto a filesystem.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
