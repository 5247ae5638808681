"""Network boot programs that this host lacks, fetched from its own Debian mirror into a private folder.

Shell. Nothing is installed and no root is needed: apt downloads packages into a state of its own, with the sources that the
host has, and what is wanted is taken out of them. apt verifies the archive's signature. What was fetched is written down
beside it, in `ORIGINS`: package, version and digest.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from netboot.apt_sources import Source, of_suites, read_sources, write_sources
from netboot.disk_loader import TARGETS, build_disk_loader, name_of

NEWER = "trixie"
"""Debian 13, whose iPXE has a build for arm64 and boots local disks, and whose signed GRUB has HTTP; later ones have too."""
OLD = ("bullseye", "bookworm")
"""Releases whose own iPXE lacks that."""
ORIGINS = ".origins.json"
RELEASE = Path("/etc/os-release")
PATIENCE = 300
"""Seconds that one step of apt may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    name: str
    architecture: str
    files: Mapping[str, str]
    """Path in the package → name it is served under."""
    newer: bool = False
    """From Debian 13 where the host's Debian is older."""


_IPXE = {
    f"usr/lib/ipxe/{file}": name
    for file, name in (
        *((name, name) for name in ("undionly.kpxe", "snponly.efi", "ipxe-arm64.efi", "ipxe.pxe", "ipxe.lkrn")),
        ("ipxe-amd64.efi", "ipxe.efi"),
    )
}
PACKAGES = (
    Package("ipxe", "all", _IPXE, newer=True),
    Package("shim-signed", "amd64", {"usr/lib/shim/shimx64.efi.signed": "shimx64.efi"}, newer=True),
    Package("shim-signed", "arm64", {"usr/lib/shim/shimaa64.efi.signed": "shimaa64.efi"}, newer=True),
    Package(
        "grub-efi-amd64-signed", "amd64", {"usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed": "grubx64.efi"}, newer=True
    ),
    Package(
        "grub-efi-arm64-signed", "arm64", {"usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed": "grubaa64.efi"}, newer=True
    ),
    Package("pxelinux", "all", {"usr/lib/PXELINUX/pxelinux.0": "pxelinux.0"}),
    Package("syslinux-common", "all", {"usr/lib/syslinux/modules/bios/ldlinux.c32": "ldlinux.c32"}),
    Package("grub-efi-amd64-bin", "amd64", {"usr/lib/grub/x86_64-efi/": name_of("x86_64")}),
    Package("grub-efi-arm64-bin", "arm64", {"usr/lib/grub/arm64-efi/": name_of("arm64")}),
)
"""Where Debian has the programs. A folder stands for GRUB's modules, of which a program is made."""
OBTAINABLE = frozenset(name for package in PACKAGES for name in package.files.values())


_YOURSELF = "put the programs into the folder of --loaders yourself"


class CannotFetch(Exception):
    """The message is a sentence with a next step."""


class NoDebian(CannotFetch):
    """This host has no packages to offer."""


@dataclass(frozen=True, slots=True)
class Fetched:
    name: str
    sha256: str
    package: str
    version: str


def fetch(folder: Path, names: Collection[str], release: Path = RELEASE) -> list[Fetched]:
    """Put those of `names` that Debian has into `folder`, over what is there. Raises CannotFetch or OSError; what was fetched
    before that stays.
    """
    wanted = [package for package in PACKAGES if not set(names).isdisjoint(package.files.values())]
    if not wanted:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gitboot-apt-") as scratch:
        files = download(wanted, Path(scratch), release)
        fetched = [each for package in wanted for each in _take(files[package], package, folder, names)]
    _write_down(folder, fetched)
    return fetched


def download(packages: Collection[Package], scratch: Path, release: Path = RELEASE) -> dict[Package, Path]:
    """Debian's packages as files in the empty folder `scratch`. Raises CannotFetch."""
    codename = _codename(release)
    sources = of_suites(_host_sources(), codename, [codename, NEWER] if codename in OLD else [codename])
    if not sources:
        raise CannotFetch(f"This host's apt has no Debian sources; {_YOURSELF}.")
    apt = _private_apt(scratch, sources, _architectures(packages))
    return _download(apt, scratch, packages, codename)


def host_release(release: Path = RELEASE, components: Collection[str] = ("main",)) -> tuple[str, str]:
    """Codename of this host's Debian, and the sources it has it from as text of a `*.sources` file, with those of `components`
    that they have. Raises CannotFetch."""
    try:
        codename = _codename(release)
        sources = of_suites(_host_sources(), codename, [codename], components)
    except (NoDebian, FileNotFoundError):
        raise CannotFetch(
            "This host is not Debian, whose packages it is made of: run this on a Debian, and copy the result."
        ) from None
    if not sources:
        raise CannotFetch("This host's apt has no Debian sources; add them to /etc/apt/sources.list.d.")
    return codename, write_sources(sources)


def host_proxies() -> list[str]:
    """How this host's apt comes to its mirrors, as lines of apt.conf."""
    said = _run(["apt-config", "dump", "Acquire::http", "Acquire::https"])
    return [line.rstrip(";") for line in said.splitlines() if re.match(r"(?i)Acquire::https?::(Proxy|[^:]+::Proxy)", line)]


def origins(folder: Path) -> dict[str, Fetched]:
    """What is known of the files that `fetch` put there, by name; a file that was changed since has another digest."""
    try:
        return msgspec.json.decode((folder / ORIGINS).read_bytes(), type=dict[str, Fetched])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}


def _private_apt(scratch: Path, sources: list[Source], architectures: list[str]) -> list[str]:
    """The command of an apt with lists, cache and status in `scratch`, and the host's proxies, keys and sources."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "etc" / "debian.sources").write_text(write_sources(sources))
    (scratch / "apt.conf").write_text(_config(scratch, architectures))
    command = ["apt-get", "--quiet", "--quiet", "--config-file", str(scratch / "apt.conf")]
    # A third party's source may fail for another suite; whether a package is there, its download says.
    subprocess.run([*command, "update"], capture_output=True, timeout=PATIENCE, check=False)
    return command


def _download(apt: list[str], scratch: Path, wanted: Iterable[Package], codename: str) -> dict[Package, Path]:
    """All packages at once, for apt reads its lists anew each time. Raises CannotFetch."""
    place = scratch / "packages"
    place.mkdir()
    suites = {package: NEWER if package.newer and codename in OLD else codename for package in wanted}
    architectures = {package: "" if package.architecture == "all" else f":{package.architecture}" for package in suites}
    targets = [f"{package.name}{architectures[package]}/{suite}" for package, suite in suites.items()]
    _run([*apt, "download", *targets], place)
    return {package: next(place.glob(f"{package.name}_*_{package.architecture}.deb")) for package in suites}


def _architectures(wanted: Iterable[Package]) -> list[str]:
    """A package that is for all is in the lists of any."""
    return sorted({package.architecture for package in wanted} - {"all"}) or [_run(["dpkg", "--print-architecture"]).strip()]


def _config(scratch: Path, architectures: list[str]) -> str:
    """Read after the host's own configuration, whose hooks belong to the host's own state."""
    return "\n".join(
        [
            *(f"#clear {name};" for name in ("APT::Architectures", "APT::Update", "DPkg::Post-Invoke")),
            f'APT::Architecture "{architectures[0]}";',
            *(f'APT::Architectures:: "{each}";' for each in architectures),
            'APT::Sandbox::User "root";',  # as root too: the scratch folder is nobody else's
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            f'Dir::State "{scratch}/state";',
            f'Dir::State::status "{scratch}/status";',
            f'Dir::Cache "{scratch}/cache";',
            f'Dir::Etc::SourceList "{scratch}/etc/debian.sources";',
            *(f'Dir::Etc::{name} "/dev/null";' for name in ("SourceParts", "Preferences", "PreferencesParts")),
            "",
        ]
    )


def _take(deb: Path, package: Package, folder: Path, names: Collection[str]) -> Iterator[Fetched]:
    version = _run(["dpkg-deb", "--field", str(deb), "Version"]).strip()
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, timeout=PATIENCE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        for path, name in package.files.items():
            if name in names and (content := _content(archive, path)):
                _replace(folder / name, content)
                yield Fetched(name, hashlib.sha256(content).hexdigest(), package.name, version)


def _content(archive: tarfile.TarFile, path: str) -> bytes | None:
    """A file of the package, or for a folder the program made of what is in it; None where it has none."""
    if path.endswith("/"):
        return _made(archive, path)
    try:
        file = archive.extractfile(f"./{path}")
    except KeyError:
        return None
    return file.read() if file else None


def _made(archive: tarfile.TarFile, folder: str) -> bytes | None:
    target = folder.rstrip("/").rsplit("/", 1)[-1]
    arch = next(arch for arch, name in TARGETS.items() if name == target)
    with tempfile.TemporaryDirectory(prefix="gitboot-") as scratch:
        modules = Path(scratch, target)
        modules.mkdir()
        for member in archive.getmembers():
            if member.isfile() and Path(member.name).parent == Path(folder) and (file := archive.extractfile(member)):
                (modules / Path(member.name).name).write_bytes(file.read())
        program = build_disk_loader(arch, Path(scratch))
    if program is None:
        raise CannotFetch("`grub-mkimage` is missing or fails; install the package grub-common and fetch again.")
    return program


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)


def _write_down(folder: Path, fetched: Iterable[Fetched]) -> None:
    known = origins(folder) | {each.name: each for each in fetched}
    _replace(folder / ORIGINS, msgspec.json.format(msgspec.json.encode(known, order="sorted")) + b"\n")


def _host_sources() -> list[Source]:
    """All that apt reads, in the places that apt's own configuration names."""
    said = _run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"])
    named = dict(line.split("=", 1) for line in said.splitlines())
    single, parts = Path(named["LIST"].strip("'")), Path(named["PARTS"].strip("'"))
    files = [single, *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]
    return [source for file in files if file.is_file() for source in read_sources(file.read_text())]


def _codename(release: Path) -> str:
    """The release's name. Raises CannotFetch on another system than Debian."""
    lines = release.read_text().splitlines()
    said = dict(line.partition("=")[::2] for line in lines if "=" in line)
    if said.get("ID", "").strip('"') != "debian" or not said.get("VERSION_CODENAME"):
        raise NoDebian(f"This host is not Debian; {_YOURSELF}.")
    return said["VERSION_CODENAME"].strip('"')


def _run(argv: list[str], folder: Path | None = None) -> str:
    """What it prints. Raises CannotFetch with what it complains of."""
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        raise NoDebian(f"`{argv[0]}` is missing, so this host is not Debian; {_YOURSELF}.") from None
    except subprocess.TimeoutExpired:
        raise CannotFetch(f"`{argv[0]}` took longer than {PATIENCE} seconds; can the mirror be reached?") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise CannotFetch(f"`{argv[0]}` failed ({said}); see whether `apt-get update` works on this host.")
    return done.stdout
