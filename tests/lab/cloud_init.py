"""Debian's cloud-init, in a system of its own: what it makes of what it is told is files that a test can read.

The law: nothing of this host can be changed. Each run has its own mounts, processes, host name and network; its programs are
the packages' files, read only; it has no device of this host and cannot make one. Nothing is installed: the packages are
unpacked once into the repository's `.cache/`, under a name that is the digest of this recipe.

Figures: unpacking takes 25 s, a start of the system with all four stages of cloud-init four to eight.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.initrd import CACHE
from tests.lab.network import Namespace

PACKAGES = (
    *("cloud-init", "systemd", "iproute2", "ifupdown", "netplan.io", "passwd", "base-passwd", "base-files", "libc-bin"),
    *("bash", "coreutils", "sed", "grep", "util-linux", "hostname", "procps", "sudo", "tzdata", "udev"),
)
PROGRAMS = ("usr", "bin", "lib", "lib64", "sbin")
OWN = ("etc", "var", "home", "root")
MOUNTS = ("proc", "sys", "dev", "run", "tmp")
CONFIGURATION = """\
disable_network_activation: true
system_info: {{network: {{renderers: [{renderer}]}}}}
ssh_genkeytypes: []
ssh_deletekeys: false
cloud_init_modules: [write-files, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [timezone, runcmd]
cloud_final_modules: [scripts-user, final-message]
"""
"""Without the modules that look for disks, and without starting a network: who starts it is no part of cloud-init."""
STAGES = ("init --local", "init", "modules --mode=config", "modules --mode=final")
START = """\
set -e
mount --make-rprivate /
for folder in {programs}; do
  mount --bind {kept}/$folder {root}/$folder
  mount -o remount,bind,ro {root}/$folder
done
mount -t proc proc {root}/proc
mount -t sysfs -o ro sysfs {root}/sys
mount -t tmpfs tmpfs {root}/dev
mount -t tmpfs tmpfs {root}/run
mknod -m 666 {root}/dev/null c 1 3
mknod -m 444 {root}/dev/urandom c 1 9
ln -s /proc/self/fd {root}/dev/fd
if [ -d {root}/sys/class/dmi/id ]; then
  mount -t tmpfs tmpfs {root}/sys/class/dmi/id
fi
hostname unnamed
exec setpriv --bounding-set=-mknod,-sys_rawio,-sys_module,-sys_boot,-sys_time chroot {root} /bin/sh /stages
"""


class System:
    """An installed system with cloud-init in it, on the network of a host."""

    def __init__(self, host: Namespace, folder: Path, renderer: str = "netplan") -> None:
        """`renderer`: in whose words it writes the network."""
        self._host = host
        self._kept = unpacked()
        self.root = folder / "root"
        for name in OWN:
            shutil.copytree(self._kept / name, self.root / name, symlinks=True)
        for name in (*PROGRAMS, *MOUNTS):
            (self.root / name).mkdir()
        self._accounts()
        self.write("etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.write("etc/ssh/sshd_config", "Port 22\n")
        self.write("etc/cloud/cloud.cfg.d/80-lab.cfg", CONFIGURATION.format(renderer=renderer))

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def files(self, folder: str) -> dict[str, str]:
        """Name → text."""
        return {file.name: file.read_text() for file in sorted((self.root / folder).glob("*"))}

    def firmware(self, **fields: str) -> None:
        """What the machine's firmware says, by dmidecode(8): `system_uuid`, …; the host's own is hidden."""
        cases = "".join(f"{name.replace('_', '-')}) echo {text};; " for name, text in fields.items())
        self.write("firmware/dmidecode", f'#!/bin/sh\ncase "$2" in {cases}*) exit 1;; esac\n')
        (self.root / "firmware/dmidecode").chmod(0o755)

    def boot(self, command_line: str = "quiet") -> str:
        """Starts once, up to the end of cloud-init; returns its log. AssertionError when a stage fails."""
        words = {"PATH": "/firmware:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBUG_PROC_CMDLINE": command_line}
        exports = [f"export {name}='{value}'" for name, value in words.items()]
        stages = [f"cloud-init {stage} || {{ echo the stage {stage} failed; exit 1; }}" for stage in STAGES]
        self.write(
            "stages", "\n".join([*exports, *stages, "hostname > /name", "cp -r /run/systemd/network /networkd || true", ""])
        )
        start = self.root.parent / "start"
        start.write_text(START.format(programs=" ".join(PROGRAMS), kept=self._kept, root=self.root))
        done = self._host.run(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "sh", start], within=120)
        log = self.root / "var/log/cloud-init.log"
        said = log.read_text() if log.exists() else ""
        assert 0 == done.returncode, done.stdout + done.stderr + said
        return said

    def _accounts(self) -> None:
        """As base-passwd and systemd make them when they are installed."""
        master = self._kept / "usr/share/base-passwd"
        users = (master / "passwd.master").read_text() + "systemd-network:x:998:998::/:/usr/sbin/nologin\n"
        names = [line.partition(":")[0] for line in users.splitlines()]
        self.write("etc/passwd", users)
        self.write("etc/group", (master / "group.master").read_text() + "systemd-network:x:998:\n")
        self.write("etc/shadow", "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names))
        self.write("etc/gshadow", "")


def version() -> tuple[int, ...]:
    """Of the cloud-init under test: 22.4 in Debian 12."""
    said = (unpacked() / "usr/lib/python3/dist-packages/cloudinit/version.py").read_text()
    text = next(line for line in said.splitlines() if line.startswith("__VERSION__")).split('"')[1]
    return tuple(int(part) for part in text.split(".")[:2])


def unpacked() -> Path:
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    finished = CACHE / f"cloud-init-{recipe}"
    if not finished.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            made = Path(scratch, "made")
            _unpack(made)
            if not finished.is_dir():  # another process may have been faster
                made.rename(finished)
    return finished


def _unpack(root: Path) -> None:
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract", f"--include={','.join(PACKAGES)}"]
    command += ['--aptopt=Apt::Install-Recommends "false"', "--format=directory", suite, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert 0 == done.returncode, done.stderr
    shell = root / "bin/sh"
    if not shell.exists():
        shell.symlink_to("bash")  # dash itself leaves this to a diversion
    subprocess.run(["ldconfig", "-r", root], check=True, timeout=60)  # netplan finds its library by the cache
