"""`gitboot serve`: reconciler and servers in one process, one state directory."""

from __future__ import annotations

from typing import Any

import click

from reconciler.commands import forging, options
from reconciler.commands.running import netboot_settings, reconcile_settings, serve


@click.command("serve", help="Serve a git repository: reconciler and netboot servers in one process.")
@options.repository
@forging.options
@options.state
@options.artifacts
@options.age_identity
@options.listeners
def command(**given: Any) -> None:
    serve(netboot_settings(given), reconcile_settings(given), given["trust_floor"])
