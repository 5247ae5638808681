"""`gitboot detect`: a Site document that fits this host, ready to commit."""

from __future__ import annotations

import click

from netboot.host import Link, NoHost, gateway_of, links, name_servers
from reconciler.sentence import Sentence


@click.command("detect", help="Print a Site document that fits this host.")
@click.option("--interface", metavar="IF", help="The interface machines are on; needed when the host has several.")
@click.option("--name", default="home", show_default=True, help="The site's name.")
@click.option("--domain", default="lab.example", show_default=True, help="The site's DNS domain.")
def command(interface: str | None, name: str, domain: str) -> None:
    try:
        link = _choose(links(), interface)
    except NoHost as error:
        raise Sentence(str(error)) from None
    click.echo(_site(link, name, domain), nl=False)


def _choose(found: list[Link], wanted: str | None) -> Link:
    """The named link, or the only one; several are never guessed at, for DHCP on the wrong one harms strangers."""
    if wanted is not None:
        for link in found:
            if link.name == wanted:
                return link
        names = ", ".join(sorted({link.name for link in found})) or "none"
        raise Sentence(f"No interface {wanted!r} is up with an IPv4 address; there are: {names}.", 2)
    if len(found) == 1:
        return found[0]
    if not found:
        raise Sentence("No network interface is up with an IPv4 address; give one a static address first.")
    listed = ", ".join(f"{link.name} ({link.address})" for link in found)
    raise Sentence(f"This host has several interfaces; choose one with --interface: {listed}.", 2)


def _site(link: Link, name: str, domain: str) -> str:
    network = link.address.network
    servers = name_servers() or [link.address.ip]
    lines = [
        f"# Written by `gitboot detect` for {link.name} ({link.mac}).",
        "apiVersion: gitboot/v1",
        "kind: Site",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  domain: {domain}",
        f"  server: {link.address.ip}",
        "  dhcp: {mode: reservation}",
        "  unknown: ignore  # or wait: machines that git does not know get an address of the range, and wait to be added",
        "  subnets:",
        f"  - name: {link.name.lower()}",
        f"    cidr: {network}",
        f"    gateway: {_gateway(link)}",
        f"    nameServers: [{', '.join(map(str, servers))}]",
        "    leaseTime: 24h",
    ]
    if network.num_addresses >= 256:
        first, last = network.broadcast_address - 55, network.broadcast_address - 5
        if not first <= link.address.ip <= last:
            lines.append(f"    range: [{first}, {last}]")
    return "\n".join([*lines, ""])


def _gateway(link: Link) -> str:
    return str(gateway_of(link.name) or link.address.ip)
