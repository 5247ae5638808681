"""The machine document: what the actions of a run are told about the machine they run on.

Core. The law: it is made once, when a run begins, from the plan that its boot is pinned to; the run keeps to it whatever later
plans say, so that an action that is carried out again meets the same disks in the same layout. What is empty is left out.
docs/agent-protocol.md shows one, `schemas/agent-claim.json` has every field.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import msgspec

from netboot.dhcp_options import code_of, decode, unpack
from netboot.kernel_network import static_address
from netboot.plan import BootPlan, Disk, Interface, Machine, Subnet
from netboot.work import Work

_ROUTERS, _NAME_SERVERS, _DOMAIN = map(code_of, ("routers", "domain-name-servers", "domain-name"))
_ROUTES = code_of("classless-static-route")


def machine_document(plan: BootPlan, machine: Machine, run: str, work: Work) -> dict[str, Any]:
    """`run`: the id of the run that begins, `work` what it carries out. JSON values."""
    return _filled(
        {
            "site": plan.site.name,
            "name": machine.name,
            "arch": machine.arch,
            "labels": dict(machine.labels),
            "run": _run(run, work),
            **network_document(plan, machine),
            "disks": [_disk(each) for each in machine.disks],
            "storage": machine.storage,
        }
    )


def _run(run: str, work: Work) -> dict[str, Any]:
    told = {"id": run, "workflow": work.workflow, "number": work.run, "part": work.part, "overwrites": list(work.overwrites)}
    return _filled(told)


def network_document(plan: BootPlan, machine: Machine) -> dict[str, list[dict[str, Any]]]:
    """The machine's `interfaces` and `bonds`."""
    return {
        "interfaces": [_interface(each, plan.subnets.get(each.subnet)) for each in machine.interfaces],
        "bonds": [{"name": each.name, "mode": each.mode, "interfaces": list(each.interfaces)} for each in machine.bonds],
    }


def _interface(interface: Interface, subnet: Subnet | None) -> dict[str, Any]:
    """Gateway, resolvers and domain as DHCP says them: both ways a machine may be told are the same."""
    said = {code: decode(code, data) for code, data in unpack(interface.options).items()}
    return _filled(
        {
            "mac": interface.mac,
            "address": interface.address,
            "prefix": IPv4Network(subnet.cidr).prefixlen if subnet else 0,
            "gateway": next(_texts(said.get(_ROUTERS)), ""),
            "routes": [dict(zip(("to", "via"), each.split(" via "), strict=True)) for each in _texts(said.get(_ROUTES))],
            "nameServers": list(_texts(said.get(_NAME_SERVERS))),
            "hostname": interface.hostname,
            "domain": said.get(_DOMAIN, ""),
            "vlan": interface.vlan,
            "static": static_address(interface) is not None,
        }
    )


def _disk(disk: Disk) -> dict[str, Any]:
    return _filled(msgspec.to_builtins(disk))


def _texts(value: object) -> Iterator[str]:
    return iter(value if isinstance(value, list) else ())


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value}
