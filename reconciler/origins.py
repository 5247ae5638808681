"""Origins: what decided a value of a machine, line by line, and what it beat.

Core. The law: an origin is a line that somebody wrote, or says that nobody wrote one. The order in which they beat each other
is the compiler's (`reconciler.options`, `reconciler.bonding`), said once more here in words; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netboot.dhcp_options import code_of
from reconciler.inventory import Hardware, Interface, Inventory, Object, Subnet
from reconciler.places import Path

Line = tuple[str, int]
"""File, and line from 1."""


@dataclass(frozen=True, slots=True)
class Origin:
    """`what` it is, as a person says it; None for the line: nobody wrote it."""

    what: str
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """What decided a value first, then what else went into it; and what would have counted without that, nearest first."""

    by: tuple[Origin, ...]
    beaten: tuple[Origin, ...] = ()


def default(value: str) -> Origin:
    return Origin(f"gitboot's default: {value}")


def origin(document: Object, path: Path, what: str) -> Origin:
    """The value, or when it was not written what is around it."""
    place = document.where(path)
    return Origin(what, (place.file, place.line))


def said(document: Object | None, path: Path, what: str) -> tuple[Origin, ...]:
    """One origin, or none when it was not written there."""
    if document is None or document.where(path) == document.where(path[:-1]):
        return ()
    return (origin(document, path, what),)


def chosen(*candidates: Iterable[Origin], otherwise: Origin | None = None) -> Reason:
    """The first that was given decides."""
    given = [each for candidate in candidates for each in candidate]
    return Reason(tuple(given[:1] or filter(None, [otherwise])), tuple(given[1:]))


def both(*reasons: Reason) -> Reason:
    """A value that is made of several."""
    return Reason(
        tuple(dict.fromkeys(each for reason in reasons for each in reason.by)),
        tuple(dict.fromkeys(each for reason in reasons for each in reason.beaten)),
    )


class Port:
    """One interface of a machine as it acts: in a bond, its settings are the first member's."""

    def __init__(self, inventory: Inventory, hardware: Hardware, mac: str) -> None:
        self.inventory, self.hardware, self.mac = inventory, hardware, mac
        self._indexes = {each.mac: at for at, each in enumerate(hardware.interfaces)}
        self._bond = next((bond for bond in hardware.bonds if mac in bond.interfaces), None)
        self._first = self._bond.interfaces[0] if self._bond else mac
        self._subnet_at, self._subnet = self._own_subnet()

    def own(self, name: str, mac: str = "") -> tuple[Origin, ...]:
        """What the interface says by itself."""
        path = ("spec", "interfaces", self._indexes[mac or self._first], name)
        return said(self.hardware, path, f"the interface's {name}")

    def address(self) -> Reason:
        if self._bond is not None:
            path = ("spec", "bonds", self.hardware.bonds.index(self._bond), "address")
            return chosen(said(self.hardware, path, f"the address of bond {self._bond.name}"))
        return chosen(self.own("address"))

    def host_name(self) -> Reason:
        macs = self._bond.interfaces if self._bond else (self.mac,)
        given = [each for mac in macs for each in self._named(mac)]
        return chosen(given)

    def _named(self, mac: str) -> tuple[Origin, ...]:
        name = origin(self.hardware, ("metadata", "name"), "the machine's name")
        return (*self.own("hostname", mac), *([name] if mac == self.hardware.interfaces[0].mac else []))

    def network_boot(self) -> Reason:
        return chosen(self.own("netboot", self.mac), otherwise=default("yes"))

    def dhcp(self) -> Reason:
        mode = said(self.inventory.site, ("spec", "dhcp", "mode"), "the site's DHCP mode")
        if self._interface.dhcp:
            return chosen(mode, otherwise=default("reservation"))
        return chosen(self.own("dhcp"), mode)

    def vlan(self) -> Reason:
        return chosen(self.own("vlan"))

    def subnet(self) -> Reason:
        """The one that it names, that its address lies in, or that there is."""
        if self._subnet is None:
            return Reason(())
        network = self._of_subnet("cidr", f"the network of subnet {self._subnet.name}")
        name = self._of_subnet("name", "the subnet's name")
        if self._interface.subnet is not None:
            return Reason((*self.own("subnet"), *name))
        if address := self.address().by:
            return Reason((*address, *network, *name))
        return Reason(tuple(Origin(f"{each.what}, the only one", each.line) for each in name))

    def option(self, code: int) -> Reason:
        """Written options beat settings, and an interface its subnet."""
        options = self._written(code)
        if code in (51, 58, 59):
            lease = self._inherited("leaseTime", otherwise=default("leases of 24 hours"))
            return both(chosen(options, lease.by, lease.beaten))
        if code in (1, 28):
            network = self._of_subnet("cidr", f"the network of subnet {self._subnet.name}") if self._subnet else ()
            return chosen(options, network)
        if code == 12:
            name = self.host_name()
            return chosen(options, name.by, name.beaten)
        setting = self._inherited({3: "gateway", 6: "nameServers", 42: "timeServers"}.get(code, "domain"))
        return chosen(options, setting.by, setting.beaten)

    def domain(self) -> Reason:
        return self.option(15)

    def _inherited(self, name: str, otherwise: Origin | None = None) -> Reason:
        subnet = self._of_subnet(name, f"the {name} of subnet {self._subnet.name}") if self._subnet else ()
        own = self.own(name) if name != "timeServers" else ()
        site = said(self.inventory.site, ("spec", name), f"the site's {name}") if name == "domain" else ()
        return chosen(own, subnet, site, otherwise=otherwise)

    def _written(self, code: int) -> Iterator[Origin]:
        for name in _named(self._interface.options, code):
            yield from said(self.hardware, (*self._path, "options", name), f"the interface's own option {name}")
        for name in _named(self._subnet.options, code) if self._subnet else ():
            yield from self._of_subnet(
                f"options.{name}", f"option {name} of subnet {self._subnet.name if self._subnet else ''}"
            )

    def _of_subnet(self, name: str, what: str) -> tuple[Origin, ...]:
        return said(self.inventory.site, ("spec", "subnets", self._subnet_at, *name.split(".", 1)), what)

    @property
    def _path(self) -> Path:
        return ("spec", "interfaces", self._indexes[self._first])

    @property
    def _interface(self) -> Interface:
        return self.hardware.interfaces[self._indexes[self._first]]

    def _own_subnet(self) -> tuple[int, Subnet | None]:
        site, interface = self.inventory.site, self._interface
        address = self._bond.address if self._bond else interface.address
        named = next((each for each in site.subnets if each.name == interface.subnet), None)
        around = site.subnet_around(address) if address is not None else None
        found = named or (around if interface.subnet is None else None)
        found = found or (site.subnets[0] if len(site.subnets) == 1 and not (interface.subnet or address) else None)
        return (site.subnets.index(found), found) if found is not None else (0, None)


def _named(options: Mapping[str, object], code: int) -> Iterator[str]:
    """The name under which an option was written."""
    return (name for name in options if code_of(name) == code)


def path_in(value: Any, said: str) -> Path | None:
    """The way to a value that a fact calls `disks[0] wipe table` (`reconciler.facts`); None when there is none."""
    if not said:
        return ()
    if isinstance(value, list | tuple) and said.startswith("["):
        number, _, rest = said[1:].partition("]")
        below = path_in(value[int(number)], rest.lstrip(" "))
        return None if below is None else (int(number), *below)
    if not isinstance(value, Mapping):
        return None
    for key in sorted(value, key=len, reverse=True):
        spoken = str(key).replace("_", " ")
        if said.startswith(spoken) and said[len(spoken) :][:1] in ("", " ", "["):
            below = path_in(value[key], said[len(spoken) :].lstrip(" "))
            if below is not None:
                return (key, *below)
    return None
