"""`gitboot reconcile`: follow git and publish plans; no port, no privilege."""

from __future__ import annotations

from typing import Any

import click

from reconciler.commands import forging, options
from reconciler.commands.running import reconcile_settings, serve


@click.command("reconcile", help="Follow a git repository and publish its plans, without any port.")
@options.repository
@forging.options
@options.state
@options.artifacts
def command(**given: Any) -> None:
    serve(None, reconcile_settings(given))
