"""`network`: give the installed system its name and its network, as git has them.

Shell, standard library only.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.networkd import files, host_name, resolvers
from agent.actions.settings import Failed, Parameter
from agent.actions.system import System, installed, running

PARAMETERS = (
    Parameter("DEST_DISK", "The root partition; when not given, all that the machine's `storage` in git mounts."),
    Parameter("FS_TYPE", "Filesystem of DEST_DISK; when not given, the kernel finds out."),
    Parameter("STATIC", "Whether addresses are written down instead of asked for by DHCP.", "false"),
)
CLOUD_INIT = "/etc/cloud/cloud.cfg.d"
UNITS = ("usr/lib/systemd", "lib/systemd")


def act(job: Job) -> None:
    settings = job.settings
    made = files(job.machine, settings.flag("STATIC"))
    if not made:
        raise Failed("nothing is known of this machine's ports: give it interfaces in git")
    with installed(job, settings.text("DEST_DISK"), settings.text("FS_TYPE"), "DEST_DISK") as system, running(system):
        if not _has(system, "systemd-networkd"):
            raise Failed(
                "the installed system has no systemd-networkd; add it to its image, or configure its network by `writefile`"
            )
        for path, text in made.items():
            system.write(path, text.encode())
        if system.has(CLOUD_INIT):  # it would write a network of its own beside this one
            system.write(f"{CLOUD_INIT}/99-gitboot-network.cfg", b"network: {config: disabled}\n")
        system.run("systemctl", "enable", "systemd-networkd.service")
        if not _has(system, "systemd-resolved") and (text := resolvers(job.machine)):
            system.write("/etc/resolv.conf", text.encode())
        _write_name(system, *host_name(job.machine))
    job.say(f"written: {', '.join(made)}")


def _write_name(system: System, name: str, whole: str) -> None:
    if name:
        system.write("/etc/hostname", f"{name}\n".encode())
        hosts = system.real("/etc/hosts")
        before = hosts.read_text(errors="surrogateescape").splitlines() if hosts.is_file() else ["127.0.0.1 localhost"]
        kept = [line for line in before if line.split()[:1] != ["127.0.1.1"]]
        own = " ".join(dict.fromkeys(["127.0.1.1", whole, name]))
        system.write("/etc/hosts", "\n".join([*kept, own, ""]).encode(errors="surrogateescape"))


def _has(system: System, program: str) -> bool:
    return any(system.has(f"{folder}/{program}") for folder in UNITS)


ACTION = Action("network", "Gives the installed system its name and network, by systemd-networkd.", PARAMETERS, act)

if __name__ == "__main__":
    ACTION.program()
