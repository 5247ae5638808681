"""`gitboot simulate`: what a machine and the server would say to each other, from an inventory alone."""

from __future__ import annotations

from pathlib import Path

import click

from netboot.ipxe import Secure
from netboot.plan import BootPlan, Machine
from reconciler.commands import options
from reconciler.commands.reading import find_machine, read_plan, target_at
from reconciler.firmware import PROFILES
from reconciler.sentence import Sentence
from reconciler.simulation import Simulation, Where, simulate
from reconciler.transcript import transcript
from reconciler.values import ipv4

NOWHERE = "192.0.2.1"
"""Of an address range that is for examples (RFC 5737)."""


@click.command("simulate", help="Show a machine's boot packet by packet; without a machine, whether each boots as it should.")
@click.argument("machine", metavar="[NAME_OR_MAC]", required=False)
@options.at
@options.repo
@click.option(
    "--firmware", type=click.Choice(list(PROFILES)), help="What boots; else the usual one of the machine's architecture."
)
@click.option("--server", metavar="ADDR", default="", help="Where the server is reached, where the Site does not say it.")
@options.artifacts
def command(machine: str | None, at: str | None, repo: str, firmware: str | None, server: str, artifacts: Path | None) -> int:
    plan = read_plan(target_at(repo, at), artifacts)
    where = _where(plan, server)
    if machine is None:
        found = {name: _simulated(plan, name, firmware, where) for name in plan.machines}
        for name, each in found.items():
            click.echo(f"{name}: {_end(each)}")
        return _status(list(found.values()))
    one = _simulated(plan, machine, firmware, where)
    click.echo(transcript(one.exchanges, clock=False), nl=False)
    click.echo(f"In the end: {_end(one)}.")
    return _status([one])


def _simulated(plan: BootPlan, name: str, firmware: str | None, where: Where) -> Simulation:
    binding = find_machine(plan, name)
    return simulate(plan, binding, PROFILES[firmware or _usual(binding.machine)], where)


def _usual(machine: Machine) -> str:
    if machine.rpi:
        return "rpi"
    return next(name for name, profile in PROFILES.items() if profile.arch == machine.arch)


def _where(plan: BootPlan, server: str) -> Where:
    try:
        address = str(ipv4(server)) if server else plan.site.server or NOWHERE
    except ValueError as error:
        raise Sentence(f"--server {server!r} is no IPv4 address: {error}.", 2) from None
    return Where(address, f"http://{address}", Secure(f"https://{address}:443", "PIN"))


def _end(each: Simulation) -> str:
    return f"{each.end}: {each.trouble}" if each.trouble else each.end


def _status(found: list[Simulation]) -> int:
    return 1 if any(each.trouble for each in found) else 0
