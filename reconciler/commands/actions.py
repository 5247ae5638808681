"""`gitboot actions`: the standard actions of workflows, and their images."""

from __future__ import annotations

import errno
import hashlib
import platform
import re
import tempfile
from pathlib import Path

import click

from agent.actions.builder import ARCHITECTURES, CannotBuild, build, standard_actions
from netboot.fetch import CannotFetch, host_release
from reconciler.commands.terminal import columns, printable, show, working
from reconciler.sentence import Sentence

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Kernel's word → Debian's."""
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?[a-z0-9._/-]*")
"""As Docker takes them before and behind a name."""


@click.group("actions", help="Build and list the standard actions of workflows.")
def command() -> None:
    pass


@command.command("list", help="Print the standard actions.")
def list_actions() -> None:
    table = columns("ACTION", "DOES")
    for _, action in standard_actions():
        table.add_row(printable(action.name), printable(action.meaning))
    show(table)


@command.command("build", help="Make one archive with the images of all standard actions, from this host's Debian sources.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The archive (docker-archive).")
@click.option("--arch", type=click.Choice(list(ARCHITECTURES)), help="Of the machines; this host's when not given.")
@click.option(
    "--tag",
    multiple=True,
    default=("latest",),
    show_default=False,
    metavar="TAG",
    help="`latest` when none is given; may be repeated.",
)
@click.option("--prefix", default="", metavar="TEXT", help="Before each name, such as `registry.example/gitboot/`.")
def build_actions(out: Path, arch: str | None, tag: tuple[str, ...], prefix: str) -> None:
    arch = arch or MACHINES.get(platform.machine())
    if arch is None:
        raise Sentence(f"There are no actions for {platform.machine()}; say with --arch for which machines to build.", 2)
    if wrong := [each for each in tag if not TAG.fullmatch(each)]:
        raise Sentence(f"--tag is {wrong[0]!r}: write letters, digits, dots, hyphens and underscores, such as v3.", 2)
    if prefix and not PREFIX.fullmatch(prefix):
        raise Sentence(
            f"--prefix is {prefix!r}: write a registry's host and a path in lower case, such as registry.example/gitboot/.", 2
        )
    try:
        _, sources = host_release()
        with working("fetching Debian's packages, and making images of them"):
            names = build(out, arch, sources, tag, prefix)
        with out.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (CannotBuild, CannotFetch) as error:
        raise Sentence(str(error)) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            made = tempfile.gettempdir()
            raise Sentence(
                f"No space is left for {out}, or in {made} where it is made: free some, or set --out or TMPDIR."
            ) from None
        raise Sentence(f"{error.filename or out} cannot be written ({error.strerror}); choose another --out.") from None
    for name in names:
        click.echo(name)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.0f} MB for {arch}, sha256 {digest}; name it in the Site's images.archives")
