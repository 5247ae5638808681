"""`gitboot render`: what a machine would be sent, from an inventory alone, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from netboot.boot import next_step
from netboot.dhcp_options import decode, label, unpack
from netboot.ipxe import Capability, Console, Secure, bootstrap_script, mask
from netboot.metadata import Told, ec2, nocloud
from netboot.observed import Observed
from netboot.plan import Binding, BootPlan, Interface
from netboot.scripts import House, script_text
from netboot.tokens import token
from reconciler.commands import options
from reconciler.commands.reading import find_machine, read_plan, target_at
from reconciler.sentence import Sentence

WHATS = ("dhcp", "ipxe", "bootstrap", "workflow", "metadata", "nocloud")


@click.command("render", help="Print what a machine would be sent: its DHCP answer, boot script, workflow, metadata.")
@click.argument("target", metavar="PATH_OR_REPO[@REV]")
@click.argument("machine", metavar="NAME_OR_MAC")
@click.option("--what", type=click.Choice(WHATS), default="ipxe", show_default=True, help="What to print.")
@options.at
@options.artifacts
def command(target: str, machine: str, what: str, at: str | None, artifacts: Path | None) -> None:
    plan = read_plan(target_at(target, at), artifacts)
    click.echo(_RENDER[what](plan, find_machine(plan, machine)), nl=False)


def _base(plan: BootPlan) -> str:
    return f"http://{_host(plan)}"


def _host(plan: BootPlan) -> str:
    """The server's address is known only where it runs, unless the site says it."""
    return plan.site.server or "SERVER"


def _ipxe(plan: BootPlan, binding: Binding) -> str:
    """As for a machine that nothing has been observed of, on a server that may start runs."""
    if not binding.interface.netboot:
        raise Sentence(f"git says that {binding.interface.mac} of {binding.machine.name} does not boot from the network.")
    step = next_step(plan, binding.machine, Observed(), "", "")
    secure = Secure(f"https://{_host(plan)}:443", "PIN")  # only a running server knows its certificate
    console = Console(_base(plan), binding.machine.name, binding.interface.mac, plan.id, secure=secure)
    return mask(script_text(House(_base(plan), b""), plan, console, step, Capability("*" * 16, token(b"", "", "", "", 0))))


def _bootstrap(plan: BootPlan, binding: Binding) -> str:
    return bootstrap_script(_base(plan), binding.interface)


def _dhcp(plan: BootPlan, binding: Binding) -> str:
    """Every interface's reservation, a line for each option in the order of the wire."""
    if plan.site.mode != "reservation":
        what = "nothing" if plan.site.mode == "off" else "a boot file and no address"
        return "".join(f"{each.mac}  {what}: the DHCP mode is {plan.site.mode}\n" for each in binding.machine.interfaces)
    return "".join(_reservation(interface) for interface in binding.machine.interfaces)


def _reservation(interface: Interface) -> str:
    address = interface.address or f"an address from the range of {interface.subnet}"
    lines = [f"{interface.mac}  {address if interface.dhcp else 'not answered (dhcp: false)'}"]
    lines += [f"  option {label(code)}: {_shown(decode(code, data))}" for code, data in unpack(interface.options).items()]
    return "\n".join([*lines, ""])


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _workflow(plan: BootPlan, binding: Binding) -> str:
    """The documents as the agent gets them, in the order they run."""
    work = [
        {"workflow": each.workflow, "run": each.run, "repeat": each.repeat, "profile": each.profile, "document": each.document}
        for each in binding.machine.work
    ]
    return json.dumps(work, indent=2, ensure_ascii=False) + "\n"


def _metadata(plan: BootPlan, binding: Binding) -> str:
    """Every path with its text, as EC2 has them."""
    tree = ec2(Told(plan, binding.machine, binding.interface), binding.interface.address or "ADDRESS")
    return "".join(f"/latest/{path}\n{indent(text, '  ')}\n" for path, text in tree.items())


def _nocloud(plan: BootPlan, binding: Binding) -> str:
    files = nocloud(Told(plan, binding.machine, binding.interface))
    return "".join(f"/nocloud/{binding.machine.name}/{name}\n{indent(text, '  ')}" for name, text in files.items())


_RENDER = {
    "dhcp": _dhcp,
    "ipxe": _ipxe,
    "bootstrap": _bootstrap,
    "workflow": _workflow,
    "metadata": _metadata,
    "nocloud": _nocloud,
}
