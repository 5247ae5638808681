"""PXELINUX's configurations, which U-Boot reads too: what such a machine is told, as text a person at the console can follow.

Core. Every configuration does one thing by itself and, where that fails, asks for itself again after a pause: a machine is
not left at the prompt. Files are named by their path on this server, by TFTP, which is all that every reader of these has.
The text to the end of a line is PXELINUX's argument as it stands, so a line holds one word of ours and
the rest (doc/syslinux.txt of Syslinux 6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from netboot.ipxe import POLL_SECONDS, RETRY_SECONDS, Capability, Console, identity
from netboot.plan import Artifact, Handover, Profile

IDENTITY = "${gitboot}"
"""In the kernel's command line of a configuration from git."""


def path_of(mac: str) -> str:
    """Where PXELINUX looks for the configuration of the machine with this MAC: 01 is Ethernet's hardware type."""
    return f"pxelinux.cfg/01-{mac.replace(':', '-')}"


def boot_config(
    console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None, why: str
) -> str:
    """Boot the profile; a chain or a script, which only iPXE obeys, by starting iPXE. A profile's own words stand as they are,
    with what the agent must be told in place of IDENTITY.
    """
    if profile.pxelinux:
        return profile.pxelinux.replace(IDENTITY, " ".join(identity(console, capability)))
    ipxe = ["  KERNEL ipxe.lkrn"]
    body = _kernel(console, profile, artifacts, capability) if profile.kernel else ipxe
    return _config(console, why, "LABEL gitboot", *body)


def disk_config(console: Console, handover: Handover, why: str) -> str:
    """Hand over to the local disk: a BIOS that is told of a failure (-1) goes on to its next boot device. For U-Boot that is no
    boot at all; it takes the other label, and there leaves out the line that it does not know.
    """
    body = ["SAY gitboot: booting from the local disk", "LABEL gitboot", "  LOCALBOOT -1"]
    return _config(console, why, *body, other="  LOCALBOOT 0\n")


def wait_config(console: Console, why: str, seconds: int = POLL_SECONDS) -> str:
    """Stay, say why, and ask again."""
    asking = f"SAY gitboot: asking again in {seconds} seconds"
    return _config(console, why, asking, "LABEL gitboot", f"  CONFIG {path_of(console.mac)}", pause=seconds, prompt=True)


def _kernel(console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None) -> list[str]:
    files = [place(artifacts[path]) for path in (profile.kernel, *profile.initrd)]
    words = [*profile.cmdline.split(), *identity(console, capability)]
    initrd = [f"  INITRD {','.join(files[1:])}"] if profile.initrd else []
    return [f"  KERNEL {files[0]}", *initrd, f"  APPEND {' '.join(words)}"]


def place(artifact: Artifact) -> str:
    """By digest from us, or from its origin, which a PXELINUX below iPXE can fetch, when the inventory gave no digest."""
    return artifact.url or f"artifacts/sha256/{artifact.sha256 or 'DIGEST'}"


def _config(console: Console, why: str, *body: str, pause: int = RETRY_SECONDS, prompt: bool = False, other: str = "") -> str:
    """`pause`: seconds at the prompt, after which it asks again; with `prompt` it is there from the beginning. `other`: what
    U-Boot is to do in place of the body.
    """
    who = f"{console.machine or 'unknown machine'} ({console.mac})" + (f", plan {console.plan[:12]}" if console.plan else "")
    # U-Boot ignores SAY and shows a title; ONTIMEOUT is another word for DEFAULT to it, and the last one counts.
    head = [f"SAY gitboot: {_plain(who)}", f"SAY gitboot: {_plain(why)}", f"MENU TITLE gitboot: {_plain(why)}"]
    labels = ["ONTIMEOUT again", "DEFAULT gitboot"]
    again = [f"PROMPT {int(prompt)}", f"TIMEOUT {pause * 10}", *(reversed(labels) if other else labels)]
    return "\n".join([*head, *again, *body, "LABEL again", f"{other}  CONFIG {path_of(console.mac)}", ""])


def _plain(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)
