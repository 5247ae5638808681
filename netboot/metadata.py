"""Metadata: what a machine's own system is told of itself, in the forms that operating systems ask for.

Core. The law: all of it comes from one plan, by its machine alone, and is given to who has one of that machine's addresses, or
speaks for it; it travels in clear, so nothing secret can be in it. Sources of the forms: EC2 Instance Metadata Categories
(AWS), NoCloud and Networking Config Version 2 (cloud-init), `/metadata` as Tinkerbell's rootio action reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Any

import msgspec
import yaml

from netboot.boot import Plans
from netboot.machine_document import network_document
from netboot.observed import Observed
from netboot.plan import BootPlan, Interface, Machine, Metadata
from netboot.records import SessionStatus

EC2_VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
"""Those that cloud-init asks for, and what everybody else does; all are the same tree."""
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
"""Labels that say where a machine stands, under the names that Kubernetes has for them."""
_TAG = re.compile(r"(?!\.{1,2}$|_index$)[A-Za-z0-9+\-.,_:@]+")
"""What AWS lets a tag be called that is read as a path, but for `=`, which means something in a list of cloud-init's."""

Tree = Mapping[str, "str | Tree"]
Map = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """The machine that asks, the port by which it was known, and the plan that answers."""

    plan: BootPlan
    machine: Machine
    interface: Interface

    @property
    def metadata(self) -> Metadata:
        return self.machine.metadata or Metadata()

    @property
    def instance_id(self) -> str:
        return self.metadata.instance_id or self.machine.name

    @property
    def user_data(self) -> str:
        return self.metadata.user_data

    @property
    def vendor_data(self) -> str:
        own = self.metadata.vendor_data
        return self.plan.site.vendor_data if own is None else own


def asking(plans: Plans, observed: Observed, address: str) -> Told | None:
    """The machine that has this address: by the plan that its open boot is pinned to, or else by the current one; or by a lease
    of ours. None for everybody else.
    """
    for plan in (*plans.pinned.values(), plans.current):
        binding = plan.by_address.get(address)
        if binding is not None and _own_plan(plans, observed, binding.interface.mac) == plan:
            return Told(plan, binding.machine, binding.interface)
    mac = observed.mac_of.get(address, "") if plans.current.site.mode == "reservation" else ""
    plan = _own_plan(plans, observed, mac)
    binding = plan.by_mac.get(mac)
    if binding is None or binding.interface.address:  # git has given it another address since
        return None
    return Told(plan, binding.machine, binding.interface)


def speaking(plans: Plans, observed: Observed, session: SessionStatus) -> Told | None:
    """The machine that a session speaks for while its boot is open, by that boot's plan and port; wherever it asks from."""
    boot = observed.boots.get(session.boot)
    if session.over or boot is None or boot.closed is not None:
        return None
    plan = plans.of(boot)
    binding = plan.by_mac.get(boot.mac)
    return Told(plan, binding.machine, binding.interface) if binding and binding.machine.name == boot.machine else None


def _own_plan(plans: Plans, observed: Observed, mac: str) -> BootPlan:
    return plans.of(observed.open_boot(mac))


# Names -----------------------------------------------------------------------------------------------------------------


def host_name(ports: Iterable[Map], name: str) -> str:
    """With its domain: that of the first port with a name, or else the machine's own `name`."""
    port: Map = next((each for each in ports if each.get("hostname")), {"hostname": name})
    domain = port.get("domain", "")
    return f"{port['hostname']}.{domain}" if domain else str(port["hostname"])


def _placement(told: Told) -> dict[str, str]:
    """AWS names a zone by its region and a letter, and cloud-init takes the letter off again to know the region."""
    labels = told.machine.labels
    region = labels.get(REGION, told.plan.site.name)
    return {"availability-zone": labels.get(ZONE, f"{region}a"), "region": region}


# EC2 -------------------------------------------------------------------------------------------------------------------


def ec2(told: Told, address: str) -> dict[str, str]:
    """Path below the version → text, lists of folders among them; `address`: the one that asks. A folder has no slash at its
    end, in its own path; user-data is there only when there is any, and vendor-data never: EC2 has none.
    """
    identity = {"instance-identity": {"document": _identity(told, address)}}
    tree: dict[str, str | Tree] = {"dynamic": identity, "meta-data": _meta_data(told, address)}
    return dict(_flat("", tree | ({"user-data": told.user_data} if told.user_data else {})))


def ec2_key(path: str) -> str:
    """What `ec2` has for a path as it was asked for: a folder may be asked for with a slash at its end."""
    return path.removesuffix("/")


def _meta_data(told: Told, address: str) -> Tree:
    document = network_document(told.plan, told.machine)
    ports = document["interfaces"]
    name = host_name(ports, told.machine.name)
    tags = {key: value for key, value in told.machine.labels.items() if _TAG.fullmatch(key)}
    keys = {str(index): {"openssh-key": key} for index, key in enumerate(told.metadata.public_keys)}
    tree: dict[str, str | Tree] = {
        "hostname": name,
        "instance-id": told.instance_id,
        "local-hostname": name,
        "local-ipv4": address,
        "mac": told.interface.mac,
        "network": {"interfaces": {"macs": _macs(ports, document["bonds"], name)}},
        "placement": _placement(told),
    }
    if keys:
        tree["public-keys"] = keys
    if tags:
        tree["tags"] = {"instance": tags}
    return tree


def _identity(told: Told, address: str) -> str:
    """What cloud-init and the SDKs look into for the region where they take the machine for one of AWS'. It is not signed."""
    placement = _placement(told)
    said = {
        "version": "2017-09-30",
        "instanceId": told.instance_id,
        "region": placement["region"],
        "availabilityZone": placement["availability-zone"],
        "privateIp": address,
        "architecture": "arm64" if told.machine.arch == "aarch64" else told.machine.arch,
    }
    return msgspec.json.format(msgspec.json.encode(said), indent=2).decode()


def _macs(ports: Iterable[Map], bonds: Iterable[Map], name: str) -> Tree:
    """The ports that ask DHCP: whoever reads this asks it on each of them, and can be told of no other way."""
    bonded = {mac for bond in bonds for mac in bond["interfaces"]}
    macs: dict[str, Tree] = {}
    for number, port in enumerate(ports):
        if port["mac"] in bonded or port.get("vlan") or port.get("static"):
            continue
        said = {"device-number": str(number), "local-hostname": name, "mac": port["mac"]}
        if "address" in port:
            said["local-ipv4s"] = port["address"]
        if "address" in port and "prefix" in port:
            said["subnet-ipv4-cidr-block"] = str(IPv4Interface(f"{port['address']}/{port['prefix']}").network)
        macs[port["mac"]] = said
    return macs


def _flat(path: str, tree: Tree) -> Iterator[tuple[str, str]]:
    """Keys are listed as AWS lists them: `0=key-0` for the folder of a key, a slash behind the name of any other."""
    keys = path == "meta-data/public-keys"
    listed = [f"{name}=key-{name}" if keys else name if isinstance(below, str) else f"{name}/" for name, below in tree.items()]
    yield path, "\n".join(listed)
    for name, below in tree.items():
        at = f"{path}/{name}".lstrip("/")
        if isinstance(below, str):
            yield at, below
        else:
            yield from _flat(at, below)


# NoCloud ---------------------------------------------------------------------------------------------------------------


def nocloud(told: Told) -> dict[str, str]:
    """File → text. All are there, empty or not: cloud-init waits for one that is missing, and then does without all."""
    return {
        "meta-data": _yaml(_nocloud_meta_data(told)),
        "user-data": told.user_data,
        "vendor-data": told.vendor_data,
        "network-config": _yaml(network_config(told.plan, told.machine)),
    }


def _nocloud_meta_data(told: Told) -> dict[str, Any]:
    name = host_name(network_document(told.plan, told.machine)["interfaces"], told.machine.name)
    keys = list(told.metadata.public_keys)
    said = {"instance-id": told.instance_id, "local-hostname": name, "hostname": name, **_placement(told)}
    return {**said, "public-keys": keys} if keys else said


def network_config(plan: BootPlan, machine: Machine) -> dict[str, Any]:
    """Networking Config Version 2: as the `network` action has it, for whatever writes it in the system's own words.

    A port is known by its MAC and called `net0`, `net1`, … in the order of git: cloud-init's writers for ifupdown and
    systemd-networkd need a name, and the kernel's is not known here.
    """
    document = network_document(plan, machine)
    ports = {port["mac"]: port for port in document["interfaces"]}
    names = {mac: f"net{index}" for index, mac in enumerate(ports)}
    bonded = {mac for bond in document["bonds"] for mac in bond["interfaces"]}
    made: dict[str, dict[str, Any]] = {"ethernets": {}, "bonds": {}, "vlans": {}}
    for mac, port in ports.items():
        known = {"match": {"macaddress": mac}, "set-name": names[mac]}
        below = {"dhcp4": False} if mac in bonded else _linked(made, names[mac], port)
        made["ethernets"][names[mac]] = {**known, **below}
    for bond in document["bonds"]:
        members = [names[mac] for mac in bond["interfaces"] if mac in names]
        port = next((ports[mac] for mac in bond["interfaces"] if mac in ports), {})
        # without a look at the link a bond does not notice that a cable was pulled
        settings = {"interfaces": members, "parameters": {"mode": bond["mode"], "mii-monitor-interval": 100}}
        made["bonds"][bond["name"]] = {**settings, **_linked(made, bond["name"], port)}
    return {"version": 2, **{kind: each for kind, each in made.items() if each}}


def _linked(made: Mapping[str, dict[str, Any]], link: str, port: Map) -> dict[str, Any]:
    """What has the address is the link itself, or the VLAN on it."""
    if "vlan" not in port:
        return _addressed(port)
    made["vlans"][f"vlan{port['vlan']}"] = {"id": port["vlan"], "link": link, **_addressed(port)}
    return {"dhcp4": False}


def _addressed(port: Map) -> dict[str, Any]:
    if not port.get("static"):
        return {"dhcp4": True}
    said: dict[str, Any] = {"addresses": [f"{port['address']}/{port['prefix']}"]}
    if routes := routes_of(port):
        said["routes"] = routes
    resolving = {"addresses": port.get("nameServers", []), "search": [port["domain"]] if "domain" in port else []}
    resolving = {key: values for key, values in resolving.items() if values}
    return {**said, "nameservers": resolving} if resolving else said


def routes_of(port: Map) -> list[dict[str, str]]:
    """Where there are routes the gateway does not count, as for a DHCP client (RFC 3442, page 4)."""
    through = [{"to": "0.0.0.0/0", "via": port["gateway"]}] if "gateway" in port else []
    return list(port.get("routes", through))


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


# Tinkerbell ------------------------------------------------------------------------------------------------------------


def tinkerbell(told: Told) -> bytes:
    """JSON as the rootio action reads it: the layout of the disks with every size a number."""
    name = host_name(network_document(told.plan, told.machine)["interfaces"], told.machine.name)
    instance = {
        "id": told.instance_id,
        "hostname": name,
        "ssh_keys": told.metadata.public_keys,
        "storage": told.machine.storage,
    }
    return msgspec.json.encode({"metadata": {"instance": instance}})
