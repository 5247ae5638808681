"""`kexec`: load the kernel of the installed system, for the end of the run to jump into.

Shell, standard library only. Law: an action never jumps itself, for then nobody would ever hear how its run ended; a workflow
that says `then: kexec` does so once the server has the report.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agent.actions.base import Action, Job, tool
from agent.actions.grub import kernel_of, root_of
from agent.actions.settings import Failed, Parameter
from agent.actions.system import System, installed

PARAMETERS = (
    Parameter("BLOCK_DEVICE", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of BLOCK_DEVICE; when not given, the kernel finds out."),
    Parameter(
        "KERNEL_PATH", "The kernel in that system; when not given, that of the first entry of its GRUB menu, else the newest."
    ),
    Parameter("INITRD_PATH", "The initrd in that system; when not given, the one that goes with the kernel."),
    Parameter("CMD_LINE", "The kernel's command line; when not given, that of GRUB's menu, else the root filesystem alone."),
    Parameter("GRUBCFG_PATH", "GRUB's menu in that system.", "/boot/grub/grub.cfg"),
)


class Entry(NamedTuple):
    kernel: str
    initrd: str
    command_line: str


def act(job: Job) -> None:
    settings = job.settings
    with installed(job, settings.text("BLOCK_DEVICE"), settings.text("FS_TYPE"), "BLOCK_DEVICE", reading=True) as system:
        found = Entry("", "", "")
        if not settings.text("KERNEL_PATH"):
            menu = system.real(settings.text("GRUBCFG_PATH"))
            found = first_entry(menu.read_text(errors="replace") if menu.is_file() else "") or _newest(system)
        entry = Entry(
            settings.text("KERNEL_PATH") or found.kernel,
            settings.text("INITRD_PATH") or found.initrd,
            settings.text("CMD_LINE") or found.command_line or f"root={root_of(job, system)} ro",
        )
        initrd = [f"--initrd={_place(system, entry.initrd)}"] if entry.initrd else []
        words = ["--kexec-syscall-auto", "--load", _place(system, entry.kernel), *initrd]
        tool("kexec", *words, f"--command-line={entry.command_line}")
    job.say(f"{entry.kernel} is loaded; a workflow with `then: kexec` jumps into it when its run has ended")


def first_entry(menu: str) -> Entry | None:
    """Of a grub.cfg as grub-mkconfig writes it; None if there is none."""
    kernel = re.search(r"^\s*linux(?:efi|16)?\s+(\S+)[ \t]*(.*)$", menu, re.MULTILINE)
    if kernel is None:
        return None
    rest = menu[kernel.end() :]
    initrd = re.match(r"(?:(?!^\s*(?:linux|menuentry)).*\n)*?\s*initrd(?:efi|16)?\s+(\S+)", rest, re.MULTILINE)
    return Entry(kernel[1], initrd[1] if initrd else "", kernel[2].strip())


def _newest(system: System) -> Entry:
    kernel, initrd = kernel_of(system)
    return Entry(f"/boot/{kernel}", f"/boot/{initrd}" if initrd else "", "")


def _place(system: System, path: str) -> str:
    """GRUB counts from the filesystem that /boot is on."""
    places = [system.real(each) for each in (path, f"/boot/{path}")]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise Failed(f"the installed system has no {path}")
    return str(found)


ACTION = Action("kexec", "Loads the kernel of the installed system, for a workflow with `then: kexec`.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
