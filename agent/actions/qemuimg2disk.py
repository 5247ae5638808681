"""`qemuimg2disk`: a qcow2, vdi, vhdx or vpc image from a URL to a disk.

Shell. Law: that of `imaging.py` and `crosswise.py`.
"""

from __future__ import annotations

from agent.actions import grow, imaging
from agent.actions.base import Action, Job
from agent.actions.download import Download
from agent.actions.image2disk import PARAMETERS as OF_IMAGES
from agent.actions.settings import Parameter

PARAMETERS = (
    *OF_IMAGES,
    Parameter("FORMAT", "Accepted for Tinkerbell's sake: what is written to is a device of this machine.", "host_device"),
    Parameter("EXTRA_ARGS", "Further arguments for `qemu-img convert`."),
)


def act(job: Job) -> None:
    job.settings.choice("FORMAT", "host_device")
    url, part = job.settings.text("IMG_URL"), grow.which(job)
    download = Download(url, patience=imaging.patience(job), say=job.say)
    image = imaging.Image(url, download, imaging.wanted(job))
    device = imaging.write(job, image, job.settings.text("DEST_DISK"), crosswise=True)
    if part is not None:
        grow.grow(job, device, part)


ACTION = Action("qemuimg2disk", "Writes a disk image of qcow2, vdi, vhdx or vpc format to a disk.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
