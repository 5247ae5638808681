"""`gitboot demo`: a whole site on loopback, for those who want to see it before they read about it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import click

from netboot.plan import BootPlan
from reconciler.check import as_text
from reconciler.commands.reading import read
from reconciler.demo.play import Settings, play
from reconciler.demo.screen import screen
from reconciler.demo.site import Failed
from reconciler.sentence import Sentence

EXAMPLE = Path(__file__).parent.parent.parent / "example-inventory"


@click.command("demo", help="A whole site on loopback: the server, simulated machines, and a commit that changes one.")
@click.option("--once", is_flag=True, help="End when every machine is done: 0 if all went well, within a minute.")
@click.option(
    "--inventory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=EXAMPLE,
    metavar="DIR",
    help="Inventory to play instead of the example. Its work is carried out on this host.",
)
@click.option("--http-port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port of the server; a free one.")
@click.option("--pace", type=click.FloatRange(0, 10), default=0.25, show_default=True, help="Seconds for each step.")
def command(once: bool, inventory: Path, http_port: int, pace: float) -> int:
    plan, problems = read(str(inventory), None)
    if plan is None:
        raise Sentence(f"{inventory} cannot be served.\n{as_text(problems).rstrip()}")
    settings = Settings(
        inventory.resolve(), _artifacts(plan), _images(plan), _left(plan), _environment(), once, pace, http_port
    )
    try:
        return asyncio.run(_play(settings))
    except Failed as error:
        for line in error.log:
            click.echo(f"  server: {line}", err=True)
        raise Sentence(f"The demo failed: {error}.") from None
    except OSError as error:
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        raise Sentence(f"The demo cannot go on ({what}); it works in a temporary folder, and TMPDIR names another.") from None


async def _play(settings: Settings) -> int:
    """The exit status: 0 also for Ctrl-C, which is how the demo is meant to end, unless it was to end by itself."""
    ended: list[signal.Signals] = []
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - we are in one

    def end(number: signal.Signals) -> None:
        ended.append(number)
        if len(ended) == 1:  # a terminal and make may both say it, and cleaning up is not to be broken off
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        with screen(sys.stdout) as shown:
            loop.add_signal_handler(signal.SIGWINCH, shown.redraw)
            await play(settings, shown)
    except asyncio.CancelledError:
        return 0 if ended[0] is signal.SIGINT and not settings.once else 128 + ended[0]
    return 0


def _artifacts(plan: BootPlan) -> frozenset[str]:
    """The files of all profiles, which the demo makes up."""
    return frozenset(path for path, artifact in plan.artifacts.items() if not artifact.url)


def _images(plan: BootPlan) -> frozenset[str]:
    works = [work.document for machine in plan.machines.values() for work in machine.work]
    return frozenset(action["image"] for work in works for task in work["tasks"] for action in task["actions"])


def _left(plan: BootPlan) -> frozenset[str]:
    """Machines with an action that is an image and no command: the demo's agents run processes, on the host that they share."""
    return frozenset(
        machine.name
        for machine in plan.machines.values()
        if any(not action["command"] for work in machine.work for task in work.document["tasks"] for action in task["actions"])
    )


def _environment() -> dict[str, str]:
    """Ours, without what a git hook, another gitboot or a proxy would have children do."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITBOOT_"))}
    return {name: value for name, value in ours.items() if not name.lower().endswith("_proxy")}
