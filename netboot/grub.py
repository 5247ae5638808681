"""GRUB's configurations: what a machine whose network loader is GRUB is told, as text a person at the console can follow.

Core. The law: GRUB is never left at its prompt, where a machine without a person would stand for ever. So `first_config`
loops: it fetches the machine's configuration, which boots a system, goes to the disk, or comes back, and then it asks again.

Debian's signed GRUB fetches by TFTP alone; so everything is named below `$gitboot`, the server by whichever way the first
configuration came. Every word that is not ours is in single quotes, in which GRUB expands nothing (GRUB manual, "Quoting").
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from netboot.ipxe import POLL_SECONDS, RETRY_SECONDS, Capability, Console, identity
from netboot.plan import Artifact, Handover, Profile

VENDORS = ("debian", "ubuntu", "fedora", "centos", "redhat", "rocky", "almalinux", "opensuse", "sles")
"""Folders in `\\EFI` of the systems that install no loader under the name every firmware looks for."""
ON_DISK = (
    "/EFI/BOOT/BOOT$suffix.EFI",  # UEFI 2.10 section 3.5.1.1: what starts without a boot entry
    *(f"/EFI/{vendor}/{program}$suffix.efi" for vendor in VENDORS for program in ("shim", "grub")),
    "/EFI/systemd/systemd-boot$suffix.efi",
    "/EFI/Microsoft/Boot/bootmgfw.efi",
)
"""Loaders looked for on every disk, in this order; FAT cares nothing for upper and lower case."""
_SUFFIX = [
    "set suffix=x64",
    'if [ "$grub_cpu" = arm64 ]; then set suffix=aa64; fi',
    'if [ "$grub_cpu" = i386 ]; then set suffix=ia32; fi',
]
_IPXE = [
    "set ipxe=snponly.efi",
    'if [ "$grub_cpu" = arm64 ]; then set ipxe=ipxe-arm64.efi; fi',
    'if [ "$grub_cpu" = i386 ]; then set ipxe=ipxe-i386.efi; fi',
]


def first_config(server: str) -> str:
    """What GRUB reads first. `server`: where it finds the rest, in GRUB's words, such as `(tftp,10.1.0.1)`."""
    return _text(
        f"set gitboot={server}",
        'while [ "$gitboot" ]; do',
        '  if source "$gitboot/grub/boot.cfg-01-$net_default_mac"; then',
        "    true",
        "  else",
        "    echo 'gitboot: the server does not answer, asking again'",
        f"    sleep {RETRY_SECONDS}",
        "  fi",
        "done",
    )


def boot_config(
    console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None, why: str
) -> str:
    """Boot the profile; a chain or a script, which only iPXE obeys, by starting iPXE. Comes back when that fails."""
    if profile.kernel:
        body = _kernel(console, profile, artifacts, capability)
    else:
        body = [
            _say(f"{profile.name} is for iPXE, which follows"),
            *_IPXE,
            'if chainloader "$gitboot/ipxe/$ipxe"; then boot; fi',
        ]
    failed = f"could not boot {profile.name}, trying again in {RETRY_SECONDS} seconds"
    return _text(*_head(console, why), *body, _say(failed), f"sleep {RETRY_SECONDS}")


def disk_config(console: Console, handover: Handover, why: str) -> str:
    """Start the loader of the system that is installed, or leave it to the firmware's next boot device."""
    return _text(*_head(console, why), *(["exit"] if handover in ("exit", "no-boot-file") else _disk()))


def wait_config(console: Console, why: str, seconds: int = POLL_SECONDS) -> str:
    """Stay, say why, and come back."""
    return _text(*_head(console, why), _say(f"asking again in {seconds} seconds"), f"sleep {seconds}")


def disk_loader_config() -> str:
    """For the loader that does nothing but start what is installed (`disk_loader`): it knows no machine."""
    return _text(*_disk())


def _disk() -> list[str]:
    return [
        _say("booting from the local disk"),
        *_SUFFIX,
        f"for loader in {' '.join(ON_DISK)}; do",
        "  if search --no-floppy --file --set=root $loader; then",
        '    echo "gitboot: starting $loader of $root"',
        "    if chainloader $loader; then boot; fi",
        "  fi",
        "done",
        _say("no disk has a loader for UEFI"),
        "exit",
    ]


def _kernel(console: Console, profile: Profile, artifacts: Mapping[str, Artifact], capability: Capability | None) -> list[str]:
    words = [*profile.cmdline.split(), *identity(console, capability)]
    lines = [
        _say(f"fetching {profile.kernel}"),
        f"if linux {' '.join([place(artifacts[profile.kernel]), *map(quoted, words)])}; then",
    ]
    if not profile.initrd:
        return [*lines, "  boot", "fi"]
    files = " ".join(place(artifacts[path]) for path in profile.initrd)
    said = _say(f"fetching {', '.join(profile.initrd)}")
    return [*lines, f"  {said}", f"  if initrd {files}; then boot; fi", "fi"]


def place(artifact: Artifact) -> str:
    """The file in GRUB's words: by digest from us, or from its origin when the inventory gave no digest."""
    if artifact.url:
        url = urlsplit(artifact.url)
        return quoted(f"({url.scheme},{url.netloc}){url.path}" + (f"?{url.query}" if url.query else ""))
    return f'"$gitboot/artifacts/sha256/{artifact.sha256 or "DIGEST"}"'


def quoted(word: str) -> str:
    """One word of GRUB's, whatever is in it."""
    return "'" + word.replace("'", "'\\''") + "'"


def _say(text: str) -> str:
    printable = "".join(character if " " <= character <= "~" else "?" for character in text)
    return f"echo {quoted(f'gitboot: {printable}')}"


def _head(console: Console, why: str) -> list[str]:
    who = f"{console.machine or 'unknown machine'} ({console.mac})"
    return [_say(who + (f", plan {console.plan[:12]}" if console.plan else "")), _say(why)]


def _text(*lines: str) -> str:
    return "\n".join([*lines, ""])
