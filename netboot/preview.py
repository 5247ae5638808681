"""What a machine would be told if it asked now: its DHCP answers and its boot script, masked.

Core. The law: the answers are those of the very functions that answer machines, and asking changes nothing: what they would
journal is dropped. Tokens and passwords are masked. It asks as its firmware did last, for every option that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from netboot.boot import Plans
from netboot.desk import Counter, answer
from netboot.dhcp import Reply, classify
from netboot.dhcp_packet import BOOTREQUEST, BROADCAST_FLAG, DISCOVER, ETHERNET, ZERO, Packet, decode, describe, dotted
from netboot.ipxe import mask
from netboot.masks import masked_text
from netboot.observed import Observed
from netboot.plan import Binding, BootPlan
from netboot.scripts import Asked, House, Language, NoScript, script_for

FRESH = "0" * 16
"""The id of the boot that would open."""
_ARCHITECTURES = {"aarch64": 11}
"""Option 93 of UEFI, by `arch` of a Hardware; x86_64 is 7 (IANA, Processor Architecture Types)."""
_EVERYTHING = bytes(code for code in range(1, 255) if code != 55)
MOST_SHOWN = 16 << 10
"""Characters of an answer."""
_LANGUAGES: Mapping[str, Language] = {"grub": "grub", "shim": "grub", "pxelinux": "pxelinux"}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer."""

    who: str
    """Who asks."""
    outcome: str
    """In a few words, with the reason."""
    text: str
    """The answer; "": there is none."""


def told_now(
    house: House, plans: Plans, observed: Observed, binding: Binding, at: Counter, now: float, client: Mapping[str, str]
) -> tuple[Told, ...]:
    """`binding`: the interface that boots, of the served plan. `client`: what firmware said at its last boot
    (`desk.facts`), if anything. `house.language` is of no account: a machine has its own.
    """
    return (*_dhcp(plans, observed, binding, at, now, client), _script(house, plans, observed, binding, at.hold, now, client))


def _dhcp(
    plans: Plans, observed: Observed, binding: Binding, at: Counter, now: float, client: Mapping[str, str]
) -> Iterator[Told]:
    """For firmware and for iPXE, unless that is the firmware; U-Boot needs none."""
    mac, kind, asking = binding.interface.mac, client.get("kind"), dict[str, Packet]()
    if kind != "ipxe":
        vendor = client.get("vendorClass", "").encode("ascii", "replace") or b"PXEClient"
        asking["its firmware"] = _discover(mac, _arch(binding, client), vendor)
    if kind != "uboot":
        asking["iPXE"] = _discover(mac, _arch(binding, client), b"PXEClient", ipxe=True)
    for who, packet in asking.items():
        outcome = answer(packet, classify(packet), plans, observed, at, now).outcome
        if isinstance(outcome, Reply):
            given = f"{outcome.message} {dotted(outcome.address)}" if any(outcome.address) else outcome.message
            yield Told(who, given, _shown(describe(decode(outcome.data))))
        else:
            yield Told(who, f"no answer: {outcome.reason}", "")


def _arch(binding: Binding, client: Mapping[str, str]) -> int:
    said = client.get("arch", "")
    known = said.isascii() and said.isdecimal() and len(said) < 6 and int(said) < 65536
    return int(said) if known else _ARCHITECTURES.get(binding.machine.arch, 7)


def _discover(mac: str, arch: int, vendor: bytes, *, ipxe: bool = False) -> Packet:
    """RFC 2131 section 4.4.1, with RFC 4578's options."""
    options = {53: bytes((DISCOVER,)), 55: _EVERYTHING, 57: b"\xff\xff", 60: vendor[:255], 93: arch.to_bytes(2, "big")}
    if ipxe:
        options |= {77: b"iPXE"}
    chaddr = bytes.fromhex(mac.replace(":", ""))
    return Packet(
        op=BOOTREQUEST, message=DISCOVER, htype=ETHERNET, hlen=len(chaddr), xid=bytes(4), secs=0, flags=BROADCAST_FLAG,
        ciaddr=ZERO, yiaddr=ZERO, siaddr=ZERO, giaddr=ZERO, chaddr=chaddr.ljust(16, b"\0"), sname=b"", file=b"",
        options=options,
    )  # fmt: skip


def _script(
    house: House, plans: Plans, observed: Observed, binding: Binding, hold: str, now: float, client: Mapping[str, str]
) -> Told:
    machine, mac = binding.machine, binding.interface.mac
    language = "pxelinux" if client.get("kind") == "uboot" else _LANGUAGES.get(machine.loader, "ipxe")
    spoken = House(house.base, house.key, language, house.secure)
    asked = Asked(mac, _address(plans.current, binding, observed))
    script = script_for(spoken, plans, observed, asked, hold, now, FRESH)
    who = {"ipxe": "iPXE's script", "grub": "GRUB's configuration", "pxelinux": "PXELINUX's configuration"}[language]
    if isinstance(script, NoScript):
        return Told(who, f"none: {script.reason}", "")
    return Told(who, script.why, _shown(mask(script.text)))


def _shown(text: str) -> str:
    """Masked, and in whole lines, for half of one might not show any more that it holds a secret."""
    if len(text) <= MOST_SHOWN:
        return masked_text(text)
    shown, _, _ = text[:MOST_SHOWN].rpartition("\n")
    return masked_text(shown) + f"\n… and {len(text) - len(shown)} characters more"


def _address(plan: BootPlan, binding: Binding, observed: Observed) -> str:
    """Where it would ask from: what git gives it, else what it has from us, else some address of its subnet."""
    interface = binding.interface
    if known := interface.address or observed.address_of.get(interface.mac, ""):
        return known
    subnet = plan.subnets.get(interface.subnet)
    return str(IPv4Network(subnet.cidr).network_address) if subnet else ""
