"""Builds the in-memory OS: Debian's packages become a kernel and an initrd, with a list of what is in them.

Shell. Law: nothing is installed, no root is needed and no script of a package runs. The same packages and the same recipe give
the same bytes, whoever builds and wherever: names are sorted, owners and modes are normalised, and every time is the kernel
package's own. What is in `DIR/os/<arch>` is replaced by one rename, so a build that is killed leaves the old one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.os import debian
from agent.os import recipe as names
from agent.os.debian import CannotBuild, found, run
from agent.os.recipe import Recipe, checksums, closure, package_of

HERE = Path(__file__).parent
LIST = "contents.json"
SUMS = "SHA256SUMS"
NAMESPACE = "gitboot"
"""Of the signature (`ssh-keygen -Y`)."""
TOOLS = {"mmdebstrap": "mmdebstrap", "mksquashfs": "squashfs-tools", "cpio": "cpio", "depmod": "kmod", "ldconfig": "libc-bin"}
"""Program → Debian's package with it."""


@dataclass(frozen=True, slots=True)
class Apt:
    """`sources`: stanzas for apt; `options`: lines of apt.conf, such as proxies."""

    sources: str
    options: tuple[str, ...] = ()


STEPS = 3
"""How often `build` says what it does."""


def build(recipe: Recipe, apt: Apt, out: Path, key: Path | None = None, say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder `out`/os/<arch> with vmlinuz, initrd.img and what is said about them, signed with the ssh `key`. Raises
    CannotBuild, OSError."""
    check_tools(key)
    with _only_build(out / "os") as scratch:
        root, result = scratch / "root", scratch / "result"
        result.mkdir()
        say("fetching and unpacking Debian's packages")
        packages = _unpack(recipe, apt, root)
        kernel = next((root / "boot").glob("vmlinuz-*"))
        release, time = kernel.name.removeprefix("vmlinuz-"), int(kernel.stat().st_mtime)
        shutil.copyfile(kernel, result / "vmlinuz")
        say(f"choosing drivers of kernel {release}, and leaving out what nothing here needs")
        stage1 = _stage1(root, scratch / "stage1", release)
        _choose_modules(root, release, names.DRIVERS)
        _prune(root)
        _furnish(root)
        say("compressing")
        _squash(root, stage1 / "root.squashfs", time)
        _archive(stage1, result / "initrd.img", time)
        _list(recipe, packages, release, time, result)
        _sign(result, key)
        return _publish(result, out / "os", recipe.arch)


def listing(out: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What is built: folder and contents. Raises OSError, and CannotBuild for contents that are none of ours."""
    for arch in names.ARCHITECTURES:
        folder = out / "os" / arch
        try:
            said = json.loads((folder / LIST).read_bytes())
            yield folder, {key: said[key] for key in ("arch", "kernel", "flavour", "time", "files", "packages")}
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (ValueError, LookupError, TypeError, RecursionError):
            raise CannotBuild(f"{folder / LIST} is damaged: run `gitboot os build --arch {arch} --out {out}` again.") from None


def check_tools(key: Path | None = None) -> None:
    """Raises CannotBuild with everything that is missing."""
    if key and not key.is_file():
        raise CannotBuild(f"There is no ssh key {key}: make one with `ssh-keygen -t ed25519 -f {key}`, or correct --sign-key.")
    wanted = TOOLS | ({"ssh-keygen": "openssh-client"} if key else {})
    if missing := [package for tool, package in wanted.items() if not found(tool)]:
        raise CannotBuild(f"Building needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


# The root file system --------------------------------------------------------------------------------------------------------


def _unpack(recipe: Recipe, apt: Apt, root: Path) -> list[dict[str, str]]:
    """The files of the packages and all they depend on; returns the packages."""
    merge = 'for each in bin sbin lib lib64; do mkdir -p "$1/usr/$each"; ln -s "usr/$each" "$1/$each"; done'
    listed = root.with_suffix(".packages")
    hooks = [f"--setup-hook={merge}", f'--extract-hook=sha256sum "$1"/var/cache/apt/archives/*.deb >"{listed}"']
    debian.unpack(recipe.packages, recipe.arch, root, apt.sources, apt.options, hooks)
    taken = [line.split() for line in listed.read_text().splitlines()]
    return sorted((package_of(Path(file).name) | {"sha256": digest} for digest, file in taken), key=lambda each: each["name"])


def _choose_modules(root: Path, release: str, modules: Sequence[str]) -> None:
    """Keep these modules and what they depend on, and index them."""
    folder = root / "usr/lib/modules" / release
    keep = set(_show_depends(root, release, modules))
    for file in folder.rglob("*.ko*"):
        if os.path.realpath(file) not in keep:  # the way to `root` may have links in it
            file.unlink()
    run(["depmod", "--basedir", str(root), release])


def _show_depends(root: Path, release: str, modules: Sequence[str]) -> list[str]:
    """The files of the modules and of what they depend on. A name may be built in, or not be there at all."""
    run(["depmod", "--basedir", str(root), release])
    ask = ["modprobe", "--dirname", str(root), "--set-version", release, "--show-depends", "--all", *modules]
    said = run(ask, may_fail=True)
    return [os.path.realpath(file) for file in closure(said)]


def _prune(root: Path) -> None:
    for pattern in names.LEFT_OUT:
        for path in root.glob(pattern):
            _remove(path)
    for folder, kept in (("etc", names.ETC), ("usr/bin", names.BINARIES), ("usr/sbin", names.BINARIES)):
        for path in (root / folder).iterdir():
            if not kept.fullmatch(path.name):
                _remove(path)


def _furnish(root: Path) -> None:
    """What no package has: the agent, init, and the few files that maintainer scripts would have made."""
    for name in ("dev", "etc", "opt/agent", "proc", "root", "run", "sys", "tmp", "usr/lib/gitboot", "var/lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for source in sorted(HERE.parent.glob("*.py")):
        shutil.copyfile(source, root / "opt/agent" / source.name)
    for name, place in (("init", "init"), ("lease", "usr/lib/gitboot/lease")):
        shutil.copyfile(HERE / name, root / place)
        (root / place).chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "usr/bin/sh").symlink_to("busybox")
    (root / "var/run").symlink_to("/run")
    _compile(root)
    run(["ldconfig", "-r", str(root)])
    _remove(root / "var/cache")  # ldconfig's notes on this host's times


def _compile(root: Path) -> None:
    """A small machine would spend seconds on it at every start. Debian's own modules stay as compiled files alone."""
    python = next(file.name for file in sorted((root / "usr/bin").glob("python3.*")))
    if not shutil.which(python):
        raise CannotBuild(f"Building needs the {python} that the OS gets: apt-get install {python}-minimal")
    library, packages = root / "usr/lib" / python, root / "usr/lib/python3"
    (root / "usr/bin/python3").unlink(missing_ok=True)
    (root / "usr/bin/python3").symlink_to(python)
    for cache in [*root.rglob("__pycache__")]:
        shutil.rmtree(cache)
    # -I: this host's packages have no say; unchecked: nobody looks at times, which differ
    ask = [python, "-I", "-m", "compileall", "-q", "-s", str(root), "--invalidation-mode", "unchecked-hash"]
    run([*ask, str(root / "opt")])
    run([*ask, "-b", str(library), str(packages)])
    for folder in (library, packages):
        for source in folder.rglob("*.py"):
            if source.with_suffix(".pyc").exists():
                source.unlink()


# The two files ---------------------------------------------------------------------------------------------------------------


def _stage1(root: Path, stage1: Path, release: str) -> Path:
    """The initramfs that finds the squashfs beside itself: busybox, three modules, one script."""
    for name in ("bin", "dev", "lower", "modules", "proc", "root", "upper"):
        (stage1 / name).mkdir(parents=True)
    shutil.copyfile(root / "usr/bin/busybox", stage1 / "bin/busybox")
    shutil.copyfile(HERE / "stage1", stage1 / "init")
    for number, file in enumerate(_show_depends(root, release, names.STAGE1_MODULES)):
        shutil.copyfile(file, stage1 / "modules" / f"{number:02}-{Path(file).name}")
    for name in ("bin/busybox", "init"):
        (stage1 / name).chmod(0o755)
    (stage1 / "bin/sh").symlink_to("busybox")
    return stage1


def _squash(root: Path, file: Path, time: int) -> None:
    _normalise(root, time)
    run(
        [
            *("mksquashfs", str(root), str(file), "-comp", "zstd", "-Xcompression-level", "15", "-b", "256K"),
            *("-all-root", "-mkfs-time", str(time), "-no-xattrs", "-noappend", "-quiet", "-no-progress"),
        ]
    )


def _archive(folder: Path, file: Path, time: int) -> None:
    """A folder as the kernel unpacks it."""
    _normalise(folder, time)
    inside = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0", "--reproducible", f"--file={file.absolute()}"]
    run(pack, given="\n".join(inside), folder=folder)


def _normalise(folder: Path, time: int) -> None:
    """Modes and times that do not tell who built it, or when."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
        os.utime(path, (time, time), follow_symlinks=False)


# What is said about them -----------------------------------------------------------------------------------------------------


def _list(recipe: Recipe, packages: list[dict[str, str]], release: str, time: int, result: Path) -> None:
    made = [result / name for name in ("vmlinuz", "initrd.img")]
    files = {file.name: {"size": file.stat().st_size, "sha256": _digest(file)} for file in made}
    kernel = {"kernel": release, "flavour": recipe.kernel, "time": time}
    said = {"arch": recipe.arch, **kernel, "files": files, "packages": packages}
    (result / LIST).write_text(json.dumps(said, indent=1) + "\n")
    (result / SUMS).write_text(checksums((name, _digest(result / name)) for name in (*files, LIST)))


def _sign(result: Path, key: Path | None) -> None:
    if key:
        run(["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(result / SUMS)])


def _publish(result: Path, folder: Path, arch: str) -> Path:
    """`<arch>` is a link to a folder with the digest in its name, so that kernel and initrd change together."""
    place, link = folder / f".{arch}-{_digest(result / SUMS)[:16]}", folder / arch
    for old in folder.glob(f".{arch}-*"):
        if old == place or link.resolve() != old.resolve():
            _remove(old)
    before = link.resolve() if link.is_symlink() else None
    result.chmod(0o755)
    result.rename(place)
    new = folder / f".{arch}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(place.name)
    new.replace(link)
    if before and before != place.resolve():
        _remove(before)
    return link


@contextmanager
def _only_build(folder: Path) -> Iterator[Path]:
    """A scratch folder beside the result; those of builds that were killed are removed. Raises CannotBuild."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(".build-*"):
            _remove(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
            yield Path(scratch)
    except BlockingIOError:
        raise CannotBuild(f"Another build works in {folder}; wait for it, or choose another --out.") from None
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
