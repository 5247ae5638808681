"""`install-grub`: make the installed system bootable by GRUB.

Shell, standard library only.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.devices import device, edit
from agent.actions.grub import configure, disks_below, firmware, install_bios, install_uefi
from agent.actions.settings import Parameter, Settings
from agent.actions.system import installed, running

FIRMWARE = Parameter(
    "FIRMWARE", "For which firmware: `bios`, `uefi` or `both`; when not given, what this machine was started by."
)
COMMAND_LINE = Parameter("CMD_LINE", "Words for the kernel's command line, such as `console=ttyS0,115200`.")
BOOT_ENTRY = Parameter("BOOT_ENTRY", "Name of an entry that UEFI gets in its boot menu, after all others; none when not given.")
PARAMETERS = (
    Parameter("DEST_DISK", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    Parameter(
        "GRUB_DISK", "The disk that BIOS starts, or several, separated by spaces; when not given, those that /boot lies on."
    ),
    FIRMWARE,
    COMMAND_LINE,
    BOOT_ENTRY,
)


def act(job: Job) -> None:
    settings = job.settings
    install(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), settings.text("GRUB_DISK").split(), "DEST_DISK")


def install(job: Job, path: str, format: str, disks: list[str], parameter: str) -> None:  # noqa: A002 - Tinkerbell's word for it
    """On the system at `path`, of which `parameter` is the name, or that of the machine's storage."""
    wanted = _firmware(job.settings)
    if wanted in ("bios", "both"):
        edit(job, *(device(job, disk) for disk in disks))
    with installed(job, path, format, parameter) as system, running(system):
        if wanted in ("bios", "both"):
            install_bios(job, system, disks or disks_below(job, system))
        if wanted in ("uefi", "both"):
            install_uefi(job, system, job.settings.text("BOOT_ENTRY"))
        configure(job, system, job.settings.text("CMD_LINE"))
    job.say(f"the system boots by GRUB, started by {'BIOS and UEFI' if wanted == 'both' else wanted.upper()}")


def _firmware(settings: Settings) -> str:
    return settings.choice("FIRMWARE", "", "bios", "uefi", "both") or firmware()


ACTION = Action("install-grub", "Makes the installed system bootable by GRUB.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
