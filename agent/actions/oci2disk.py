"""`oci2disk`: a disk image that lies in a container registry, to a disk.

Shell. Law: that of `imaging.py`; the digest is always checked, for the registry says it.
"""

from __future__ import annotations

import os
import ssl

from agent.actions import grow, imaging
from agent.actions.base import Action, Job
from agent.actions.registry import Reference, Registry
from agent.actions.settings import Parameter

PARAMETERS = (
    Parameter("IMG_URL", "The image, as `registry.example/debian:12`; `http://` before it for a registry without TLS.", None),
    imaging.DEST_DISK,
    imaging.COMPRESSED,
    Parameter("REGISTRY_USERNAME", "Who may read it, where not everybody may."),
    Parameter("REGISTRY_PASSWORD", "The password."),
    Parameter("SKIP_VERIFY", "Whether the registry's certificate may be anybody's.", "false"),
    *(imaging.GROW, imaging.RETRY, imaging.MINUTES, imaging.INTERVAL),
)


def act(job: Job) -> None:
    settings, part = job.settings, grow.which(job)
    tls = ssl.create_default_context()
    if settings.flag("SKIP_VERIFY"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    registry = Registry(
        Reference.parse(settings.text("IMG_URL")),
        settings.text("REGISTRY_USERNAME"),
        settings.text("REGISTRY_PASSWORD"),
        tls,
        {"patience": imaging.patience(job), "say": job.say},
    )
    download, digest = registry.layer(str(job.machine.get("arch") or os.uname().machine))
    device = imaging.write(job, imaging.Image(settings.text("IMG_URL"), download, digest), settings.text("DEST_DISK"))
    if part is not None:
        grow.grow(job, device, part)


ACTION = Action("oci2disk", "Writes a disk image from a container registry to a disk.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
