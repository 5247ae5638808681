"""`writefile`: write a file into the installed system.

Shell, standard library only. Law: the file is written inside of that system, whatever its links say, and is there whole or not.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.settings import Failed, Parameter, Settings
from agent.actions.system import installed

PARAMETERS = (
    Parameter("DEST_DISK", "The partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    Parameter("DEST_PATH", "The file, from the root of that system.", None),
    Parameter("CONTENTS", "What is to be in it."),
    Parameter("UID", "Number of the user it belongs to, and the folders that are made for it.", "0"),
    Parameter("GID", "Number of the group.", "0"),
    Parameter("MODE", "Of the file, in octal.", "0644"),
    Parameter("DIRMODE", "Of folders that are made for it, in octal.", "0755"),
)


def act(job: Job) -> None:
    settings = job.settings
    owner = (settings.number("UID"), settings.number("GID"))
    mode, folders = octal(settings, "MODE"), octal(settings, "DIRMODE")
    path = settings.text("DEST_PATH")
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system:
        system.write(path, settings.text("CONTENTS").encode(), mode, owner, folders)
    job.say(f"{path} is written")


def octal(settings: Settings, name: str) -> int:
    """Permissions, with or without a zero before them. Raises Failed."""
    text = settings.text(name).strip().removeprefix("0o")
    if text and len(text) <= 5 and set(text) <= set("01234567"):
        return int(text, 8) & 0o7777
    raise Failed(f"{name} is {settings.text(name)!r}: write permissions in octal, such as 0644")


ACTION = Action("writefile", "Writes a file into the installed system.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
