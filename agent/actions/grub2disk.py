"""`grub2disk`: install-grub with the words of Tinkerbell's Hub.

Shell, standard library only.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.install_grub import BOOT_ENTRY, COMMAND_LINE, FIRMWARE, install
from agent.actions.settings import Parameter

PARAMETERS = (
    Parameter("GRUB_INSTALL_PATH", "The disk that BIOS starts; when not given, those that /boot lies on."),
    Parameter("GRUB_DISK", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of GRUB_DISK; when not given, the kernel finds out."),
    FIRMWARE,
    COMMAND_LINE,
    BOOT_ENTRY,
)


def act(job: Job) -> None:
    settings = job.settings
    install(job, settings.text("GRUB_DISK"), settings.text("FS_TYPE"), settings.text("GRUB_INSTALL_PATH").split(), "GRUB_DISK")


ACTION = Action("grub2disk", "Makes the installed system bootable by GRUB, in the words of Tinkerbell's Hub.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
