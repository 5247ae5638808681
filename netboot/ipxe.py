"""iPXE scripts: what a machine's firmware is told, as text a person at the console can follow.

Core. Every script says what happens and why before it does it, retries what may fail and sleeps before it does, and needs
nothing that Debian 12's iPXE (of 2019) or one started by a provider's own script lacks: no `params`, no HTTPS, no `vlan`.
Names and reasons are only ever said, never obeyed, whoever wrote them. A script holds one secret at most, the boot's token, on
the kernel command line or in the setting `gitboot-token`; `mask` hides it wherever a script is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from netboot.kernel_network import StaticAddress, static_address
from netboot.plan import Artifact, Handover, Interface, Profile

MASK = "*" * 64
RETRY_SECONDS = 5
POLL_SECONDS = 30
"""The same for all: machines poll by when each of them began to wait, and a poll is a look-up. A thousand that wait are 33 a
second.
"""
_SEPARATORS = ("||", "&&", ";")
"""Words between commands. With `#`, which begins a comment, all that iPXE sees in a line beside words and `${}`: it has no
quoting, and hands quotes on to the kernel as they are.
"""


@dataclass(frozen=True, slots=True)
class Secure:
    """Where we are reached by TLS, and by what we are known there."""

    url: str
    """`https://10.1.0.1:443`."""
    pin: str
    """SHA-256 of the certificate that agents are shown, as 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Console:
    """Who is booting and from what: the head of every script, and the addresses in it."""

    base: str
    """`http://10.1.0.1` or with a port; no trailing slash."""
    machine: str
    """The machine's name, or "" when git does not know it."""
    mac: str
    plan: str = ""
    """The id of the plan this boot is pinned to."""
    network: tuple[str, ...] = ()
    """What a kernel is told of its network (`kernel_network`)."""
    secure: Secure | None = None
    """For the booted system; None: it uses `base` too."""

    @property
    def self_url(self) -> str:
        return f"{self.base}/ipxe/{self.mac.replace(':', '-')}/boot.ipxe"


@dataclass(frozen=True, slots=True)
class Capability:
    """What a booted system needs to speak for its machine."""

    boot: str
    token: str


def mask(script: str) -> str:
    """The script with every boot token replaced by as many asterisks."""
    return re.sub(r"((?:gitboot\.token=|set gitboot-token ))[0-9a-f]+", rf"\g<1>{MASK}", script)


def boot_script(
    console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None, why: str
) -> str:
    """Boot the profile. `artifacts` holds every path the profile names; without a capability no agent can claim."""
    if profile.chain:
        body = [*_settings(console, capability), f"chain --replace --autofree {profile.chain} || goto gitboot-again"]
    elif profile.script:
        body = [*_settings(console, capability), *_inline(profile.script)]
    else:
        body = _kernel(console, profile, artifacts, capability)
    return _script(console, why, [":gitboot-start", *body, *_again(profile.name)])


def objection(cmdline: str) -> str:
    """Why iPXE cannot hand a kernel this command line, as half a sentence; "" when it can."""
    for word in cmdline.split():
        if word in _SEPARATORS:
            return f"iPXE takes {word!r} for the end of the command"
        if word.startswith("#"):
            return f"iPXE takes {word!r} for the beginning of a comment"
    return ""


def disk_script(console: Console, handover: Handover, why: str) -> str:
    """Hand over to the local disk.

    `auto`: `exit` is what BIOS wants; under UEFI it lands in the firmware's menu, so there iPXE boots the disk itself, which an
    old one cannot, or else GRUB does. A failing exit is the last resort: the firmware goes on to the next entry of its boot
    order, which may take it minutes (docs/handover.md).
    """
    sanboot, grub = "sanboot --no-describe --drive 0x80", f"chain {console.base}/ipxe/disk-${{buildarch}}.efi"
    ways = {
        "auto": ["iseq ${platform} efi && goto efi ||", "exit", ":efi", f"{sanboot} ||", f"{grub} ||", "exit 1"],
        "exit": ["exit"],
        "sanboot": [f"{sanboot} || exit 1"],
        "grub": [f"{grub} || exit 1"],
        "no-boot-file": ["exit 1"],
    }
    return _script(console, why, ["echo gitboot: booting from the local disk", *ways[handover]])


def wait_script(console: Console, why: str, seconds: int = POLL_SECONDS) -> str:
    """Stay, say why, and ask again: a push can give this machine work at any time."""
    return _script(
        console,
        why,
        [
            ":gitboot-poll",
            f"echo gitboot: asking again in {seconds} seconds; press Ctrl-C for the firmware's next boot device",
            f"sleep {seconds} || exit 1",
            f"chain --replace --autofree {console.self_url} ||",
            "echo gitboot: the server does not answer",
            "goto gitboot-poll",
        ],
    )


def find_script(base: str) -> str:
    """`/auto.ipxe` for a machine the server cannot tell by its address: the interface in use, else each one, until git knows
    a MAC. The one in use comes first because the kernel is told to use the one that was known.
    """
    return "\n".join(
        [
            "#!ipxe",
            "echo gitboot: looking for this machine in the inventory, one interface after the other",
            f"chain --replace --autofree {base}/ipxe/${{netX/mac:hexhyp}}/boot.ipxe?known=1 ||",
            "set idx:int32 0",
            ":next",
            "isset ${net${idx}/mac} || goto unknown",
            f"chain --replace --autofree {base}/ipxe/${{net${{idx}}/mac:hexhyp}}/boot.ipxe?known=1 ||",
            "inc idx",
            "iseq ${idx} 16 || goto next",
            ":unknown",
            f"chain --replace --autofree {base}/ipxe/${{netX/mac:hexhyp}}/boot.ipxe ||",
            "echo gitboot: no interface of this machine is in the inventory; its first MAC is ${net0/mac}",
            f"sleep {RETRY_SECONDS} ||",
            "exit 1",
            "",
        ]
    )


def bootstrap_script(base: str, interface: Interface) -> str:
    """To put into iPXE (USB, ISO, embedded) or to paste at a provider, where no DHCP of ours starts the machine: find the
    interface with this MAC, tag its frames and give it its address as git says, chain to us.

    An iPXE without `vcreate` (Debian 12's) says so and goes on untagged: where a firmware or a switch sees to the tag that is
    right, and otherwise nobody answers.
    """
    return "\n".join(
        [
            "#!ipxe",
            "ifclose",
            "set idx:int32 0",
            ":next",
            "isset ${net${idx}/mac} || goto missing",
            f"iseq ${{net${{idx}}/mac}} {interface.mac} && goto found ||",
            "inc idx",
            "goto next",
            ":missing",
            f"echo gitboot: no interface has the MAC {interface.mac}",
            "exit 1",
            ":found",
            "set iface net${idx}",
            *_tagged(interface.vlan),
            *_configured(static_address(interface)),
            f"chain --autofree {base}/auto.ipxe || exit",
            "",
        ]
    )


def _tagged(vlan: int) -> list[str]:
    if not vlan:
        return []
    return [
        f"vcreate --tag {vlan} ${{iface}} && set iface ${{iface}}-{vlan} ||",
        f"iseq ${{iface}} net${{idx}} && echo gitboot: this iPXE cannot tag for VLAN {vlan}, going on untagged ||",
    ]


def _configured(static: StaticAddress | None) -> list[str]:
    if static is None:
        return ["dhcp ${iface} || dhcp ${iface} || exit 1"]
    wanted = {"ip": static.address, "netmask": static.netmask, "gateway": static.gateway, "dns": "".join(static.servers[:1])}
    return [*(f"set ${{iface}}/{name} {value}" for name, value in wanted.items() if value), "ifopen ${iface} || exit 1"]


def _script(console: Console, why: str, body: list[str]) -> str:
    who = console.machine or "unknown machine"
    head = [
        "#!ipxe",
        f"echo gitboot: {who} ({console.mac})" + (f", plan {console.plan[:12]}" if console.plan else ""),
        f"echo gitboot: {_plain(why)}",
    ]
    return "\n".join([*head, *body, ""])


def _kernel(console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None) -> list[str]:
    names = [f"initrd{number}" for number in range(len(profile.initrd))]
    words = [profile.cmdline, *(f"initrd={name}" for name in names), *identity(console, capability)]
    kernel = artifact_url(console.base, artifacts[profile.kernel])
    lines = [
        f"echo gitboot: fetching {_plain(profile.kernel)}",
        f"kernel --name vmlinuz {kernel} {' '.join(filter(None, words))} || goto gitboot-again",
    ]
    for name, path in zip(names, profile.initrd, strict=True):
        lines += [
            f"echo gitboot: fetching {_plain(path)}",
            f"initrd --name {name} {artifact_url(console.base, artifacts[path])} || goto gitboot-again",
        ]
    return [*lines, "boot || goto gitboot-again"]


def identity(console: Console, capability: Capability | None) -> list[str]:
    """The words on every kernel's command line by which the booted system knows its interface, its server and its boot."""
    words = [f"BOOTIF=01-{console.mac.replace(':', '-')}", *console.network]
    words += [f"gitboot.{name}={value}" for name, value in _addresses(console).items()]
    return words + ([f"gitboot.boot={capability.boot}", f"gitboot.token={capability.token}"] if capability else [])


def _settings(console: Console, capability: Capability | None) -> list[str]:
    """For scripts of others, which build their own command line."""
    lines = [f"set gitboot-{name} {value}" for name, value in _addresses(console).items()]
    if console.network:
        lines.append(f"set gitboot-network {' '.join(console.network)}")
    if capability:
        lines += [f"set gitboot-boot {capability.boot}", f"set gitboot-token {capability.token}"]
    return lines


def _addresses(console: Console) -> dict[str, str]:
    """What the booted system says is for `server`, known by `pin`; `http` has files, which are known by their digests."""
    if console.secure is None:
        return {"server": console.base}
    return {"server": console.secure.url, "pin": console.secure.pin, "http": console.base}


def _inline(script: str) -> list[str]:
    """A user's script as it stands, between ours: a command of it that fails without `||` ends it, as in any iPXE script, and
    the firmware goes on. The empty line keeps a backslash at its end (iPXE's continuation) to itself.
    """
    return [*(line.rstrip("\r") for line in script.split("\n")[1:]), ""]


def _again(what: str) -> list[str]:
    return [
        ":gitboot-again",
        f"echo gitboot: could not boot {_plain(what)}, trying again in {RETRY_SECONDS} seconds",
        f"sleep {RETRY_SECONDS} || exit 1",
        "imgfree",
        "goto gitboot-start",
    ]


def artifact_url(base: str, artifact: Artifact) -> str:
    """Where a machine fetches it: by digest from us, or straight from its origin when the inventory gave no digest."""
    if artifact.url:
        return artifact.url
    digest = artifact.sha256 or "DIGEST"  # without an artefact folder at hand, as in `gitboot render`
    return f"{base}/artifacts/sha256/{digest}/{quote(artifact.path.rsplit('/', 1)[-1], safe='')}"


def _plain(text: str) -> str:
    """Text for `echo`: one line of printable ASCII with nothing that iPXE would expand, obey or continue on the next line."""
    printable = re.sub(r"[^ -~]|\\", "?", text).replace("${", "$ {")
    return " ".join(f"'{word}'" if word in _SEPARATORS or word.startswith("#") else word for word in printable.split())
