"""`gitboot netboot`: serve the published plan; no git, no credentials."""

from __future__ import annotations

from typing import Any

import click

from reconciler.commands import options
from reconciler.commands.running import netboot_settings, serve


@click.command("netboot", help="Serve the published plan (DHCP, TFTP, HTTP), without git.")
@options.state
@options.artifacts
@options.age_identity
@options.listeners
def command(**given: Any) -> None:
    serve(netboot_settings(given), None)
