"""`image2disk`: a raw image from a URL to a disk, unpacked on the way.

Shell. Law: that of `imaging.py`.
"""

from __future__ import annotations

from agent.actions import grow, imaging
from agent.actions.base import Action, Job
from agent.actions.download import Download
from agent.actions.settings import Parameter

PARAMETERS = (
    Parameter("IMG_URL", "Where the image is, http or https.", None),
    imaging.DEST_DISK,
    imaging.COMPRESSED,
    imaging.SHA256,
    imaging.CHECKSUM,
    imaging.GROW,
    imaging.RETRY,
    imaging.MINUTES,
    imaging.INTERVAL,
    imaging.TEXT,
)


def act(job: Job) -> None:
    url = job.settings.text("IMG_URL")
    part = grow.which(job)
    download = Download(url, patience=imaging.patience(job), say=job.say)
    device = imaging.write(job, imaging.Image(url, download, imaging.wanted(job)), job.settings.text("DEST_DISK"))
    if part is not None:
        grow.grow(job, device, part)


ACTION = Action("image2disk", "Writes a raw disk image to a disk, unpacked on the way.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
