"""`user`: let a person into the installed system.

Shell, standard library only. Law: nothing secret is on a command line or in the log, and no password is ever known in clear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

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
ID = re.compile(r"[0-9]{1,10}")
MOST = 2**32 - 2
"""The highest number that a user or a group can have."""


class _Person(NamedTuple):
    uid: int
    gid: int
    home: str


def act(job: Job) -> None:
    settings = job.settings
    name, hashed = settings.text("USERNAME"), settings.text("PASSWORD_HASH").strip()
    keys = [line.strip() for line in settings.text("SSH_KEYS").splitlines() if line.strip()]
    if not NAME.fullmatch(name):
        raise Failed(f"USERNAME is {name!r}: write lower-case letters, digits, hyphens and underscores, 32 at most")
    if hashed and not (HASH.fullmatch(hashed) and hashed.startswith("$")):
        raise Failed("PASSWORD_HASH is no hash of crypt(5), which begins with $: make one by `openssl passwd -6`")
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system, running(system):
        if _person(system, name) is None:
            system.run("useradd", "--create-home", "--shell", settings.text("SHELL"), name)
        if hashed:
            system.run("chpasswd", "--encrypted", given=f"{name}:{hashed}\n".encode())
        person = _person(system, name)
        if person is None:
            raise Failed(
                f"there is no {name} in the system's /etc/passwd, though its useradd said that there is: look at the log"
            )
        if keys:
            place = f"{person.home}/.ssh/authorized_keys"
            system.write(place, "\n".join([*keys, ""]).encode(), 0o600, (person.uid, person.gid), 0o700)
        if settings.flag("SUDO"):
            system.write(
                f"/etc/sudoers.d/90-gitboot-{name}", f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n".encode(), 0o440, above=0o750
            )
    job.say(f"{name} may log in" + (f" with {len(keys)} keys" if keys else ""))


def _person(system: System, name: str) -> _Person | None:
    """None if there is no such user. Raises Failed for one that cannot be."""
    lines = (line.split(":") for line in system.real("/etc/passwd").read_text(errors="replace").splitlines())
    found = next((fields for fields in lines if len(fields) == 7 and fields[0] == name), None)
    if found is None:
        return None
    numbers, home = found[2:4], found[5]
    if not all(ID.fullmatch(each) and int(each) <= MOST for each in numbers) or not home.startswith("/"):
        who = f"{name} with the numbers {' and '.join(numbers)} and the home {home!r}"
        raise Failed(f"the system's /etc/passwd has {who}: mend its image")
    return _Person(int(numbers[0]), int(numbers[1]), home)


ACTION = Action("user", "Lets a person into the installed system.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
