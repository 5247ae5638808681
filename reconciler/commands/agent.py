"""`gitboot agent`: the agent, on an ordinary host. The in-memory OS runs the same as `python -m agent`."""

from __future__ import annotations

import click

from agent.main import main


@click.command(
    "agent",
    help="Carry out this machine's workflow. `gitboot agent --help` is the agent's own help.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    return main(arguments)
