"""Options that several commands share, so that they are spelt and explained the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.sentence import Sentence
from reconciler.values import cidr

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)

state = click.option("--state", type=FOLDER, required=True, metavar="DIR", help="State directory.")
artifacts = click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Folder of kernels and initrds.",
)
trust_floor = click.option(
    "--trust-floor",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Signatures that are asked for at least, and signers, whatever git says.",
)

age_identity = click.option(
    "--age-identity",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="age key that opens the secrets in git; may be given several times.",
)

repo = click.option(
    "--repo", metavar="PATH_OR_REPO", default=".", show_default=True, help="The inventory: a folder or a repository."
)
at = click.option("--at", metavar="REV", help="Branch, tag or commit; else a folder as it lies, or a repository's HEAD.")


server = click.option("--server", metavar="URL", default="http://127.0.0.1", show_default=True, help="A running gitboot.")
state_instead = click.option("--state", type=FOLDER, metavar="DIR", help="Read its files instead.")
token_file = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Holds the token to read with (`gitboot token add`); without it the environment's GITBOOT_TOKEN counts.",
)


def token_from(file: Path | None) -> str:
    """What to read with; "" for nothing. Raises Sentence."""
    try:
        token = file.read_text().strip() if file else os.environ.get("GITBOOT_TOKEN", "")
    except (OSError, UnicodeDecodeError) as error:
        raise Sentence(f"The token file {file} cannot be read ({error}); correct --token-file.", 2) from None
    if not token.isascii() or not token.isprintable():
        raise Sentence("A token is one line of letters, digits, `-` and `_`, as `gitboot token add` printed it.", 2)
    return token


class _Port(click.IntRange):
    name = "port number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(-1 if value == "off" else value, param, ctx)


class _Network(click.ParamType[str]):
    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(cidr(value))
        except ValueError as error:
            self.fail(f"{value!r} is no network such as 10.1.0.5/32: {error}", param, ctx)


def repository(command: Command) -> Command:
    """What to follow."""
    for option in (
        trust_floor,
        click.option(
            "--poll",
            type=click.FloatRange(1, 86400),
            metavar="N",
            default=30.0,
            show_default=True,
            help="Seconds between looks.",
        ),
        click.option("--path", default="", metavar="FOLDER", help="Folder of the inventory inside the repository."),
        click.option("--branch", default="HEAD", show_default=True, metavar="REF", help="Branch, tag or commit."),
        click.option("--repo", required=True, metavar="URL", help="Git repository: a path, or an https, ssh, http or git URL."),
    ):
        command = option(command)
    return command


def _port(name: str, default: int, protocol: str, least: int = -1) -> Callable[[Command], Command]:
    """`least` 0: this one cannot be left out, for without scripts and status there is no server."""
    said = f"{protocol}; off or -1 for none." if least < 0 else f"{protocol}."
    return click.option(f"--{name}-port", type=_Port(least, 65535), metavar="N", default=default, show_default=True, help=said)


def listeners(command: Command) -> Command:
    """What to listen on."""
    for option in (
        click.option("--reply-to-source", is_flag=True, hidden=True, help="DHCP replies go to the port the request left from."),
        click.option("--trusted-proxy", "trusted_proxies", type=_Network(), multiple=True, metavar="CIDR",
                     help="Believe X-Forwarded-For from there, as from the Site's trustedProxies. Repeatable."),
        click.option("--new-site", is_flag=True, help="Declare an empty state directory a new site, as `gitboot init` does."),
        click.option("--loaders", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
                     help="Network boot programs that beat the host's."),
        click.option("--user", metavar="NAME", default="", help="The user to become, for root, once every port is bound."),
        click.option("--webhook-secret-file", type=click.Path(path_type=Path), metavar="FILE",
                     help="The secret by which a git forge's webhook proves itself at /hooks/git."),
        click.option("--notify", type=click.Path(path_type=Path), metavar="FILE",
                     help="Whom to tell of issues and of ends of runs: docs/notifications.md."),
        click.option("--open-status", is_flag=True, help="Status, logs and metrics to everybody, without a token."),
        click.option("--traces", metavar="URL", default="",
                     help="Where a trace of each boot goes, by OTLP over HTTP: http://127.0.0.1:4318. Needs gitboot[otel]."),
        click.option("--router-advertisement", is_flag=True, help="Spare iPXE its wait for an IPv6 router."),
        click.option("--tftp-single-port", is_flag=True, help="Answer TFTP from its port alone, for a NAT in between."),
        click.option("--private-key", type=click.Path(path_type=Path), metavar="FILE", help="The key of --certificate."),
        click.option("--certificate", type=click.Path(path_type=Path), metavar="FILE",
                     help="What people's browsers are shown, in PEM; without it gitboot's own."),
        _port("https", 443, "Agents, and people (TCP)"),
        _port("http", 80, "Scripts, artefacts, status (TCP)", least=0),
        _port("syslog", -1, "What machines log, kept beside their consoles; usually 514 (UDP)"),
        _port("dns", -1, "Names of the machines (UDP and TCP)"),
        _port("tftp", 69, "Network boot programs (UDP)"),
        _port("proxy", 4011, "ProxyDHCP's second port, in the DHCP modes that need it (UDP)"),
        _port("dhcp", 67, "DHCP (UDP)"),
        click.option("--interface", metavar="IF", help="The only interface machines are heard on."),
        click.option("--listen", default="0.0.0.0", show_default=True, metavar="ADDR", help="Address to bind."),  # noqa: S104 - machines must reach it
    ):  # fmt: skip
        command = option(command)
    return command
