"""`user`: let a person into the installed system.

Shell, standard library only. Law: nothing secret is on a command line or in the log, and no password is ever known in clear.
"""

from __future__ import annotations

import re

from agent.actions.base import Action, Job
from agent.actions.settings import Failed, Parameter
from agent.actions.system import System, installed, running

PARAMETERS = (
    Parameter("DEST_DISK", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    Parameter("USERNAME", "The user, who is made if there is none of the name; `root` is there always.", None),
    Parameter("SSH_KEYS", "Public keys, each on a line, in place of those that the user has."),
    Parameter("PASSWORD_HASH", "Of crypt(5), as `openssl passwd -6` prints it; when not given, a new user has no password."),
    Parameter("SUDO", "Whether the user may do everything by sudo, without a password.", "false"),
    Parameter("SHELL", "Of a new user.", "/bin/bash"),
)
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
HASH = re.compile(r"[!-9;-~]+")


def act(job: Job) -> None:
    settings = job.settings
    name, hashed = settings.text("USERNAME"), settings.text("PASSWORD_HASH").strip()
    keys = [line.strip() for line in settings.text("SSH_KEYS").splitlines() if line.strip()]
    if not NAME.fullmatch(name):
        raise Failed(f"USERNAME is {name!r}: write lower-case letters, digits, hyphens and underscores, 32 at most")
    if hashed and not (HASH.fullmatch(hashed) and hashed.startswith("$")):
        raise Failed("PASSWORD_HASH is no hash of crypt(5), which begins with $: make one by `openssl passwd -6`")
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system, running(system):
        if not _entry(system, name):
            system.run("useradd", "--create-home", "--shell", settings.text("SHELL"), name)
        if hashed:
            system.run("chpasswd", "--encrypted", given=f"{name}:{hashed}\n".encode())
        uid, gid, home = _entry(system, name)
        if keys:
            system.write(f"{home}/.ssh/authorized_keys", "\n".join([*keys, ""]).encode(), 0o600, (int(uid), int(gid)), 0o700)
        if settings.flag("SUDO"):
            system.write(
                f"/etc/sudoers.d/90-gitboot-{name}", f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n".encode(), 0o440, above=0o750
            )
    job.say(f"{name} may log in" + (f" with {len(keys)} keys" if keys else ""))


def _entry(system: System, name: str) -> list[str]:
    """Numbers of user and group, and the home; [] if there is no such user."""
    lines = (line.split(":") for line in system.real("/etc/passwd").read_text(errors="replace").splitlines())
    return next(([*fields[2:4], fields[5]] for fields in lines if len(fields) == 7 and fields[0] == name), [])


ACTION = Action("user", "Lets a person into the installed system.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
