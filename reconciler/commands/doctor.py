"""`gitboot doctor`: what is missing on this host, and how to get it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import click
from rich.text import Text

from netboot.binaries import FOLDERS, PROGRAMS, find_binaries
from netboot.certificate import FOLDER, BadCertificate, fingerprint, names_of, read_certificate
from netboot.fetch import OBTAINABLE, CannotFetch, fetch
from netboot.host import NoHost, links
from netboot.probe import Offer
from reconciler.commands.probing import probe
from reconciler.commands.terminal import columns, printable, show
from reconciler.sentence import Sentence

OLDEST_GIT = (2, 34)
PORTS = (
    (socket.SOCK_DGRAM, "udp", 67, "dhcp"),
    (socket.SOCK_DGRAM, "udp", 69, "tftp"),
    (socket.SOCK_STREAM, "tcp", 80, "http"),
    (socket.SOCK_STREAM, "tcp", 443, "https"),
)
WARNING_DAYS = 14
LITTLE, SCARCE = 1 << 30, 100 << 20
"""Bytes free: below the first a warning, below the second a failure."""
CAPABILITIES = {10: "CAP_NET_BIND_SERVICE", 12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW"}
"""Bits of CapEff (capabilities(7)): privileged ports, answering clients that have no address yet, binding to an interface."""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


class Finding(NamedTuple):
    level: Literal["ok", "warn", "fail"]
    what: str
    said: str
    step: str = ""
    """What to do about it."""


FETCH = "Get missing network boot programs from Debian into --loaders, without root and without installing anything."
PROBE = "Ask on --interface which DHCP servers there are; nothing is taken from them."


@click.command("doctor", help="Say what is missing on this host, and how to get it. Exit status 1 when something fails.")
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="State directory to look at.")
@click.option(
    "--certificate", type=click.Path(path_type=Path), metavar="FILE", help="What people's browsers are shown, if given."
)
@click.option("--artifacts", type=click.Path(path_type=Path), metavar="DIR", help="Folder of kernels and initrds to look at.")
@click.option("--loaders", type=click.Path(path_type=Path), metavar="DIR", help="Network boot programs that beat the host's.")
@click.option("--fetch", "get", is_flag=True, help=FETCH)
@click.option("--probe", "ask", is_flag=True, help=PROBE)
@click.option("--interface", metavar="IF", help="The interface to ask on.")
def command(
    state: Path | None,
    certificate: Path | None,
    artifacts: Path | None,
    loaders: Path | None,
    get: bool,
    ask: bool,
    interface: str | None,
) -> int:
    if get:
        fetch_programs(loaders)
    if ask and not interface:
        raise Sentence("Say where to ask with --interface; `ip link` lists the interfaces.", 2)
    findings = [
        git(),
        *programs(loaders),
        privileges(Path("/proc/self/status")),
        *(port(*each) for each in PORTS),
        *(artefact_folder(folder) for folder in (artifacts,) if folder),
        *(each for folder in (state,) if folder for each in state_directory(folder)),
        *certificates(state, certificate, time.time()),
        clock(time.time(), Path(__file__).stat().st_mtime),
        interfaces(),
        *(servers(interface, probe(interface)) if ask and interface else ()),
    ]
    table = columns("", "CHECK", "FOUND", "NEXT STEP")
    for finding in findings:
        table.add_row(Text(finding.level, COLOURS[finding.level]), *(Text(printable(each)) for each in finding[1:]))
    show(table)
    return int(any(finding.level == "fail" for finding in findings))


def git() -> Finding:
    try:
        told = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except FileNotFoundError:
        return Finding("fail", "git", "not installed", "install the package `git`")
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("fail", "git", f"does not run ({error})", "install the package `git` anew")
    found = re.search(r"(\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        return Finding("fail", "git", told.strip(), f"install git {OLDEST_GIT[0]}.{OLDEST_GIT[1]} or newer")
    return Finding("ok", "git", told.strip())


def fetch_programs(loaders: Path | None, folders: Iterable[Path] = FOLDERS) -> None:
    """Raises Sentence when there is nowhere to put them, or when they cannot be had."""
    if loaders is None:
        raise Sentence("Say with --loaders where to put the programs, and serve with the same --loaders.", 2)
    try:
        loaders.mkdir(parents=True, exist_ok=True)
        missing = OBTAINABLE - find_binaries(loaders, folders).keys()
        for program in fetch(loaders, missing) if missing else ():
            click.echo(f"{program.name} from {program.package} {program.version}, sha256 {program.sha256}")
    except CannotFetch as error:
        raise Sentence(str(error)) from None
    except OSError as error:
        raise Sentence(f"{loaders} cannot be written ({error.strerror}); choose another folder with --loaders.") from None


def programs(loaders: Path | None, folders: Iterable[Path] = FOLDERS) -> Iterator[Finding]:
    """For each kind of machine, whether there is something to send it. Machines with iPXE in their ROM need none of them."""
    try:
        found = find_binaries(loaders, folders)
    except OSError as error:
        yield Finding("fail", "boot programs", f"{error.filename}: {error.strerror}", "correct --loaders, or who may read it")
        return
    for name, program in PROGRAMS.items():
        if program.machines and name in found:
            yield Finding("ok", program.machines, found[name].origin)
        elif program.machines:
            yield Finding("warn", program.machines, f"no {name}", program.step)


def privileges(status: Path) -> Finding:
    """Root, or what of root's power a server needs. `status`: the process's /proc/…/status."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status.read_text(), re.MULTILINE)
    effective = int(match[1], 16) if match else 0
    missing = [name for bit, name in CAPABILITIES.items() if not effective >> bit & 1]
    if not missing:
        return Finding("ok", "privileges", "root" if os.geteuid() == 0 else "every capability that is needed")
    step = "run as root, or let systemd grant them with AmbientCapabilities="
    return Finding("warn", "privileges", f"without {', '.join(missing)}", step)


def port(kind: socket.SocketKind, protocol: str, number: int, name: str, host: str = "0.0.0.0") -> Finding:  # noqa: S104 - as the server would
    what = f"{protocol.upper()} port {number}"
    try:
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
            if kind == socket.SOCK_STREAM:
                probe.listen()
    except PermissionError:
        return Finding("fail", what, "not permitted", f"run as root, grant CAP_NET_BIND_SERVICE, or choose --{name}-port")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Finding("fail", what, str(error.strerror), f"choose another --{name}-port")
        holder = holder_of(protocol, number)
        if "gitboot" in holder:
            return Finding("ok", what, f"held by {holder}")
        return Finding("fail", what, f"held by {holder}", f"stop it, or choose --{name}-port")
    return Finding("ok", what, "free")


def holder_of(protocol: str, number: int) -> str:
    """`dnsmasq (process 812)`; who may not look into other people's processes learns less."""
    lines = Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    inodes = {field[9] for field in fields if int(field[1].rpartition(":")[2], 16) == number and field[9] != "0"}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(file) in wanted for file in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"{words[:60]} (process {folder.name})"
        except OSError:
            continue  # gone meanwhile, or another user's
    return "another program (run this as root to see which)"


def artefact_folder(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("fail", "artefacts", f"{folder} is no folder", "make it, or correct --artifacts")
    try:
        files = [file for file in folder.rglob("*") if file.is_file()]
        closed = [file for file in files if not os.access(file, os.R_OK)]
    except OSError as error:
        return Finding("fail", "artefacts", f"{error.filename}: {error.strerror}", "let the user gitboot runs as read it")
    if closed:
        return Finding("fail", "artefacts", f"{closed[0]} cannot be read", "let the user gitboot runs as read it")
    if not files:
        return Finding("warn", "artefacts", f"{folder} is empty", "put the kernels and initrds of your profiles there")
    return Finding("ok", "artefacts", f"{len(files)} files in {folder}")


def state_directory(folder: Path) -> Iterator[Finding]:
    """Whether it can be written (or made), and how much room it has."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-") as probe:
            probe.write(b"x")
    except OSError as error:
        yield Finding(
            "fail", "state", f"{there}: {error.strerror}", "let the user gitboot runs as write there, or correct --state"
        )
        return
    yield Finding("ok", "state", f"{folder} {'can be written' if there == folder.absolute() else 'can be made'}")
    free = shutil.disk_usage(there).free
    said = f"{free >> 20} MiB free"
    if free < LITTLE:
        yield Finding("fail" if free < SCARCE else "warn", "disk", said, "make room, or move the state directory")
    else:
        yield Finding("ok", "disk", said)


def certificates(state: Path | None, given: Path | None, now: float) -> Iterator[Finding]:
    """What people are shown and agents know the server by, and until when."""
    ours = state / FOLDER / "ec.pem" if state else None
    if ours and ours.parent.exists():
        yield _certificate("certificate for agents", ours, now)
    elif ours:
        yield Finding("ok", "certificate for agents", "none yet: the first start makes it")
    if given:
        yield _certificate("certificate", given, now)


def _certificate(what: str, file: Path, now: float) -> Finding:
    """Agents look at no date, browsers do."""
    try:
        found = read_certificate(file)
    except BadCertificate as error:
        return Finding("fail", what, str(error))
    said = (
        f"{', '.join(names_of(found)) or 'no name'}; until {found.not_valid_after_utc:%Y-%m-%d}; SHA-256 {fingerprint(found)}"
    )
    days = (found.not_valid_after_utc.timestamp() - now) / 86400
    if days < WARNING_DAYS:
        return Finding(
            "fail" if days < 0 else "warn", what, said, "renew it, and restart gitboot: machines at work do not notice"
        )
    return Finding("ok", what, said)


def clock(now: float, installed: float) -> Finding:
    """It orders events and dates them: it must not stand before the day gitboot was installed."""
    said = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
    if now < installed - 86400:
        return Finding("fail", "clock", f"{said}, before gitboot was installed", "set it, and run an NTP client")
    return Finding("ok", "clock", said)


def servers(interface: str, offers: Sequence[Offer]) -> Iterator[Finding]:
    """Who answers DHCP: any number of proxies may, and one server that gives addresses."""
    givers = sum(bool(offer.address) for offer in offers)
    for offer in offers:
        said = f"offers {offer.address}" if offer.address else "ProxyDHCP, no address"
        said += f", boot file {offer.file}" if offer.file else ""
        what = f"DHCP server {offer.server or 'without a name'}"
        if givers > 1 and offer.address:
            yield Finding("warn", what, said, "stop all but one: machines obey whichever is faster")
        else:
            yield Finding("ok", what, said)
    if not offers:
        yield Finding("ok", f"DHCP on {interface}", "nobody answers a machine that nobody knows")


def interfaces() -> Finding:
    try:
        found = links()
    except NoHost as error:
        return Finding("warn", "network", "cannot be looked at", str(error))
    listed = ", ".join(f"{link.name} ({link.address})" for link in found)
    if not found:
        return Finding("fail", "network", "no interface is up with an IPv4 address", "give one a static address")
    if len({link.name for link in found}) > 1:
        return Finding("warn", "network", listed, "say which one machines are on with --interface")
    return Finding("ok", "network", listed)
