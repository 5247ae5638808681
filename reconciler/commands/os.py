"""`gitboot os build` and `gitboot os list`: the in-memory OS that machines carry out their work in."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from agent.os.build import STEPS, Apt, build, listing
from agent.os.debian import CannotBuild
from agent.os.recipe import ARCHITECTURES, KERNELS, Recipe
from netboot.fetch import CannotFetch, host_proxies, host_release
from reconciler.commands.options import FOLDER
from reconciler.commands.terminal import columns, printable, show, working
from reconciler.sentence import Sentence

out = click.option(
    "--out", type=FOLDER, metavar="DIR", default=Path(), show_default="here",
    help="The artefact folder; the OS is in its os/<arch>.",
)  # fmt: skip


@click.group("os", help="The in-memory OS that machines carry out their work in.")
def command() -> None:
    pass


@command.command("build", help="Make kernel and initrd from Debian's packages. No root is needed and nothing is installed.")
@click.option("--arch", type=click.Choice(ARCHITECTURES), default="amd64", show_default=True, help="Of the machines.")
@out
@click.option("--kernel", type=click.Choice(KERNELS), default="generic", show_default=True,
              help="`cloud` has drivers for virtual machines only.")  # fmt: skip
@click.option("--firmware", multiple=True, metavar="PACKAGE", help="A package of firmware, such as firmware-bnx2; repeatable.")
@click.option("--sign-key", type=click.Path(path_type=Path), metavar="FILE",
              help="An ssh key to sign the list of contents with.")  # fmt: skip
def build_command(arch: str, out: Path, kernel: str, firmware: tuple[str, ...], sign_key: Path | None) -> None:
    try:
        _, sources = host_release(components=("main", "non-free-firmware") if firmware else ("main",))
        apt = Apt(sources, tuple(host_proxies()))
        with working("looking at what there is", STEPS) as step:
            place = build(Recipe(arch, kernel, firmware), apt, out, sign_key, step if sys.stderr.isatty() else _line)
    except (CannotBuild, CannotFetch) as error:
        raise Sentence(f"{error}{_firmware_hint(str(error), firmware)}") from None
    except OSError as error:
        raise Sentence(f"{error.filename or out}: {error.strerror}; choose another folder with --out.") from None
    click.echo(f"{place}: name os/{arch}/vmlinuz and os/{arch}/initrd.img in a profile")


def _line(step: str) -> None:
    click.echo(f"{step} …")


@command.command("list", help="Show what is built. Exit status 1 when nothing is.")
@out
def list_command(out: Path) -> None:
    try:
        built = list(listing(out))
    except CannotBuild as error:
        raise Sentence(str(error)) from None
    except OSError as error:
        raise Sentence(
            f"{error.filename} cannot be read ({error.strerror}); run this as who built it, or correct --out."
        ) from None
    if not built:
        raise Sentence(f"No in-memory OS is built in {out / 'os'}: run `gitboot os build --out {out}`, or correct --out.")
    table = columns("ARCH", "KERNEL", "FLAVOUR", "MB", "DATE", "SHA-256 OF THE INITRD", "WHERE")
    for folder, said in built:
        table.add_row(*(Text(printable(each)) for each in (*_row(said), folder)))
    show(table)


def _row(said: dict[str, Any]) -> tuple[object, ...]:
    size = sum(file["size"] for file in said["files"].values())
    date = datetime.fromtimestamp(said["time"], UTC)
    digest = said["files"]["initrd.img"]["sha256"]
    return said["arch"], said["kernel"], said["flavour"], round(size / 1e6), f"{date:%Y-%m-%d}", digest


def _firmware_hint(said: str, firmware: tuple[str, ...]) -> str:
    if not any(f"package {name}" in said for name in firmware):
        return ""
    return "; most firmware is in the component non-free-firmware: add it to Components in this host's apt sources"
