"""The small operating system that lab machines boot: Debian's cloud kernel, busybox, Python, and an agent.

The law: `/init` says on the console how far it came, in this order: `MARK-INIT` (it runs), `MARK-NET` (it has an address), what
the agent prints, `MARK-DONE` with the agent's exit code. It asks again where the agent ends with `then: wait`.

Nothing is installed: Debian's packages are fetched and unpacked as files, once, into the repository's `.cache/`, under a name
that is the digest of this recipe. The agent is a second archive in front of that, so another agent costs nothing.

Figures: kernel 14 MB, initrd 12 MB, 34 MB unpacked; boots in 256 MB of memory. `MARK-INIT` comes 2 seconds after the kernel
starts and the agent's first line 2 seconds later, emulated. The first build downloads 37 MB and takes about seven seconds.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "lab"

MEMORY = 256
"""MB of memory in which the system boots and the agent runs."""

AGENT_COMMAND = "python3 -m agent"
"""What `/init` runs when the network is up; the kernel command line is the agent's configuration."""

COMMAND_LINE = "console=ttyS0 panic=1 quiet"
"""What a lab kernel needs on its command line; see `/init` for what else it understands."""

KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_rng", "8021q")

LIBRARIES = re.compile(r"libc6|libssl3(t64)?|libcrypt1|zlib1g|libexpat1|libffi8|libuuid1|libbz2-1\.0|liblzma5")
"""Of what Debian's Python depends on, what an agent that keeps to the standard library can need."""

_MODULES = "curses dbm distutils idlelib lib2to3 pydoc_data pydoc.py doctest.py sqlite3 tkinter turtle.py unittest wsgiref"
_EXTENSIONS = "_codecs_ _curses _dbm _sqlite3 _test _xx audioop nis ossaudiodev readline xx"
UNNEEDED = (
    *("usr/share", "usr/lib/valgrind", "usr/lib/*-linux-gnu/gconv", "usr/lib/*-linux-gnu/audit"),
    *(f"usr/lib/python3.*/{name}" for name in _MODULES.split()),
    *(f"usr/lib/python3.*/lib-dynload/{name}*" for name in _EXTENSIONS.split()),
)
"""What no agent needs, as globs: documentation, character sets, test and desktop parts of the standard library."""

INIT = f"""#!/bin/busybox sh
# gitboot.end=reboot|poweroff  what happens at the end (default: reboot, as after an installation)
# BOOTIF=01-52-54-00-…         the interface that was booted from, as pxelinux and iPXE name it (default: the first)
# gitboot.vlan=42              the tag of its network's frames
# ip=ADDRESS::ROUTER:MASK:HOST:DEVICE:none:DNS  what DHCP would say; the device is the one above
export PATH=/usr/bin:/usr/sbin PYTHONPATH=/opt HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
read -r up _ </proc/uptime
echo "MARK-INIT up=$up"
for module in /modules/*; do insmod "$module"; done

end=reboot
wanted= vlan= static=
for word in $(cat /proc/cmdline); do
  case $word in
    gitboot.end=*) end=${{word#*=}} ;;
    gitboot.vlan=*) vlan=${{word#*=}} ;;
    ip=[0-9]*) static=${{word#*=}} ;;
    BOOTIF=*) wanted=$(echo "${{word#*=}}" | tr 'A-F-' 'a-f:') ;;
  esac
done
for link in /sys/class/net/*; do
  interface=${{link##*/}}
  [ "$interface" = lo ] && continue
  case $wanted in ''|*"$(cat "$link/address")") break ;; esac
done

ip link set lo up
ip link set "$interface" up
if [ "$vlan" ]; then
  ip link add link "$interface" name "vlan$vlan" type vlan id "$vlan"
  interface=vlan$vlan
  ip link set "$interface" up
fi
configure() {{
  [ "$static" ] || {{ udhcpc -i "$interface" -f -n -q -t 10 -T 1 -s /bin/lease; return; }}
  echo "$static" | {{
    IFS=: read -r ip _ router mask hostname _ _ dns
    export interface ip router mask hostname dns
    /bin/lease bound
  }}
}}
if configure -i "$interface" -f -n -q -t 10 -T 1 -s /bin/lease; then
  while :; do
    {{ {AGENT_COMMAND} 2>&1; echo "MARK-DONE status=$?"; }} | tee /run/agent.log
    grep -q '^then: wait' /run/agent.log || break
    sleep 5
  done
else
  echo "MARK-NET none: nobody answered on $interface"
fi
sync
"$end" -f
"""

LEASE = """#!/bin/busybox sh
# What udhcpc calls with the lease in its environment.
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
[ -n "$router" ] && ip route add default via "${router%% *}"
for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
echo "MARK-NET interface=$interface ip=$ip hostname=$hostname"
"""


@dataclass(frozen=True)
class Image:
    """A bootable system as two files."""

    kernel: Path
    initrd: Path


def build_initrd(agent: Path, out: Path) -> Image:
    """The system with the package folder `agent` in it, its initrd written to `out`.

    Raises OSError or `subprocess.CalledProcessError` when Debian's packages cannot be fetched.
    """
    base = _base()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(agent, Path(folder, "opt", "agent"), ignore=shutil.ignore_patterns("__pycache__"))
        # The kernel takes any number of archives; the one that is not compressed comes first.
        out.write_bytes(_cpio(Path(folder)) + (base / "base.cpio.zst").read_bytes())
    return Image(base / "vmlinuz", out)


def _base() -> Path:
    """The folder with the kernel and everything but the agent, built if this recipe never was."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    finished = CACHE / recipe
    if not finished.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            work = Path(folder)
            result = work / recipe
            result.mkdir()
            _build(work, result)
            if not finished.is_dir():
                result.rename(finished)
    return finished


def _build(work: Path, result: Path) -> None:
    root, kernel = work / "root", work / "kernel"
    _lay_out(root)
    kernel.mkdir()
    (image,) = _dependencies(KERNEL_PACKAGE, r"linux-image-.*")
    _unpack(work, kernel, [image])
    _unpack(work, root, ["busybox-static", *_python_packages()])
    shutil.copy(next(kernel.glob("boot/vmlinuz-*")), result / "vmlinuz")
    _install_modules(kernel, root / "modules")
    _install_python(root)
    archive = subprocess.run(["zstd", "-9", "--quiet", "--stdout"], input=_cpio(root), stdout=subprocess.PIPE, check=True)
    (result / "base.cpio.zst").write_bytes(archive.stdout)


def _lay_out(root: Path) -> None:
    for name in (
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "dev",
        "etc",
        "modules",
        "opt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
    ):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name, text in (("init", INIT), ("bin/lease", LEASE)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)


def _python_packages() -> list[str]:
    (minimal,) = _dependencies("python3-minimal", r"python3\.\d+-minimal")
    packages = [minimal, f"lib{minimal}", f"lib{minimal.replace('minimal', 'stdlib')}"]
    libraries = {library for package in packages for library in _dependencies(package, LIBRARIES.pattern)}
    return packages + sorted(libraries)


def _dependencies(package: str, pattern: str) -> list[str]:
    """The names among a package's dependencies that match; OSError where apt does not know the package."""
    listing = subprocess.run(["apt-cache", "depends", "--important", package], capture_output=True, text=True, check=False)
    found = [name for name in re.findall(r"Depends: (\S+)", listing.stdout) if re.fullmatch(pattern, name)]
    if not found:
        raise OSError(f"apt knows no {pattern} that {package} depends on: run apt-get update")
    return found


def _unpack(work: Path, root: Path, packages: Iterable[str]) -> None:
    """Fetch packages and unpack their files; none of their scripts runs."""
    folder = Path(tempfile.mkdtemp(dir=work))
    # apt gives up root to download, and then cannot write here.
    fetch = [
        "apt-get",
        "--quiet",
        "--quiet",
        "-o",
        "APT::Sandbox::User=root",
        "-o",
        "Acquire::Retries=3",
        "download",
        *packages,
    ]
    if subprocess.run(fetch, cwd=folder, check=False, capture_output=True).returncode:
        # The lists are older than the mirror.
        subprocess.run(["apt-get", "--quiet", "--quiet", "update"], check=True)
        subprocess.run(fetch, cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        files = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, check=True).stdout
        # Some packages say /lib where others say /usr/lib; dpkg-deb's own extraction would put folders in place of the links.
        subprocess.run(["tar", "--extract", "--keep-directory-symlink", "--directory", root], input=files, check=True)


def _install_modules(kernel: Path, target: Path) -> None:
    """Copy the modules and what they depend on, named in the order in which they are to be loaded."""
    version = next(kernel.glob("lib/modules/*")).name
    subprocess.run(["depmod", "--basedir", kernel, version], check=True)
    ask: list[str | Path] = ["modprobe", "--dirname", kernel, "--set-version", version, "--show-depends", "--all", *MODULES]
    answer = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    for number, path in enumerate(dict.fromkeys(re.findall(r"^insmod (\S+)", answer, re.MULTILINE))):
        shutil.copy(path, target / f"{number:02}-{Path(path).name}")


def _install_python(root: Path) -> None:
    """Leave of Python what runs: compiled by itself, since a small machine would spend seconds on that at every boot."""
    for pattern in UNNEEDED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    python = next(root.glob("usr/bin/python3.*")).name
    library = Path("/usr/lib", python)
    (root / "usr/bin/python3").symlink_to(python)
    # Compiled files beside the sources (-b) are found without them, and tracebacks still name file and line.
    compile_all: list[str | Path] = ["chroot", root, f"/usr/bin/{python}", "-m", "compileall", "-q", "-b", library]
    subprocess.run(compile_all, check=True, env={"PATH": "/usr/sbin:/usr/bin"}, stdout=subprocess.DEVNULL)
    for source in root.joinpath(*library.parts[1:]).rglob("*.py"):
        source.unlink()


def _cpio(tree: Path) -> bytes:
    """A folder's content as the kernel unpacks it, owned by root."""
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0", "--reproducible"]
    return subprocess.run(pack, cwd=tree, input="\n".join(names).encode(), stdout=subprocess.PIPE, check=True).stdout
