"""Values: what people write in one field, as what it means.

Core. The law: a parser returns the one normal form of a value or raises ValueError with what is wrong with it, as the end of
a sentence that begins with the value ("'52:54' is not a MAC address: …"). The schemas name these parsers as formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Literal, get_args

from agent.workflow import If, Then
from netboot.loader import LOADERS
from reconciler import container_values
from reconciler.openssh import public_key
from reconciler.policy_setting import group, share, time_of_day
from reconciler.signers import commit, gpg_key, moment, ssh_key

LONGEST_DURATION = 0xFFFFFFFF
"""Seconds that DHCP option 51 can say (RFC 2132, section 9.2)."""

_MAC = re.compile(r"[0-9a-f]{12}|([0-9a-f]{2}:){5}[0-9a-f]{2}|([0-9a-f]{2}-){5}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}", re.I)


def mac(text: str) -> str:
    """A MAC in any usual notation as `52:54:00:12:34:01`."""
    if not _MAC.fullmatch(text):
        raise ValueError("it takes twelve hexadecimal digits")
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    if int(digits[:2], 16) & 1:
        raise ValueError("it is a group's address (the first byte is odd), which no port has")
    if not int(digits, 16):
        raise ValueError("no port has this address")
    return ":".join(re.findall("..", digits))


def ipv4(text: str) -> IPv4Address:
    """One address, RFC 791."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        if ":" in text:
            raise ValueError("addresses are IPv4") from None
        raise ValueError("it takes four numbers from 0 to 255, without leading zeros and prefix length") from None
    if address.is_multicast or address.is_unspecified or int(address) == 0xFFFFFFFF:
        raise ValueError("no machine on a network can have it")
    return address


def cidr(text: str) -> IPv4Network:
    """A network with its prefix length; host bits are refused, because one of the two is a slip."""
    if "/" not in text:
        raise ValueError("the prefix length is missing")
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("addresses are IPv4" if ":" in text else "address or prefix length cannot be") from None
    if str(network.network_address) != text.split("/")[0]:
        raise ValueError(f"this is an address within the network {network}")
    return network


_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_UNITS = (86400, 3600, 60, 1)


def limit(value: str | int) -> int:
    """Seconds, from `3600`, `"3600"`, `90m`, `1h30m` or `2d`; 0 is allowed."""
    text = str(value)
    found = _DURATION.fullmatch(text)
    if len(text) > 20 or not text or not (found or re.fullmatch(r"[0-9]+", text)):
        raise ValueError("it takes seconds, or numbers with d, h, m and s in this order")
    seconds = sum(int(n or 0) * unit for n, unit in zip(found.groups(), _UNITS, strict=True)) if found else int(text)
    if seconds > LONGEST_DURATION:
        raise ValueError(f"it is longer than {LONGEST_DURATION} seconds")
    return seconds


def duration(value: str | int) -> int:
    """Seconds as `limit`, at least one."""
    if not (seconds := limit(value)):
        raise ValueError("it must be at least one second")
    return seconds


def count(value: str | int) -> int:
    """A number of times, up to a thousand."""
    if not re.fullmatch(r"[0-9]{1,4}", str(value)) or int(value) > 1000:
        raise ValueError("it takes a number from 0 to 1000")
    return int(value)


_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(?:([kKMGTP])(i?)B?|B)?")
_POWERS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def size(value: str | int) -> int:
    """Bytes, from a number or `480G`, `1.92TB` (powers of 1000), `512Gi`, `512GiB` (powers of 1024)."""
    if not (found := _SIZE.fullmatch(str(value))):
        raise ValueError("it takes bytes, or a number with K, M, G, T, Ki, Mi, Gi or Ti")
    number, unit, binary = found.groups()
    factor = Decimal(1024 if binary else 1000) ** _POWERS[unit] if unit else 1
    exact = int(Decimal(number) * factor)
    if not exact:
        raise ValueError("no disk has this size")
    return exact


def sectors(value: str | int) -> int:
    """Sectors of 512 bytes: a number as it is, a text with a unit as `size` has it, rounded up; 0 is allowed."""
    if re.fullmatch(r"[0-9]{1,15}", str(value)):
        return int(value)
    return -(-size(value) // 512)


def volume_size(value: str | int) -> int:
    """Bytes as `size`; 0 is allowed."""
    return 0 if str(value) == "0" else size(value)


def idle(text: str) -> tuple[Literal["disk", "wait", "profile"], str | None]:
    """`disk` or `wait` and None, or `profile` and its name."""
    if text == "disk":
        return "disk", None
    if text == "wait":
        return "wait", None
    if text.startswith("profile:") and text != "profile:":
        return "profile", text.removeprefix("profile:")
    raise ValueError("it takes disk, wait or profile:<name>")


_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*(\.[A-Za-z0-9_+-]+)+")


def loader(text: str) -> str:
    """`auto`, a row of the table of loaders, or the name of a file, which has a dot."""
    if text != "auto" and text not in LOADERS and not _FILE.fullmatch(text):
        raise ValueError(f"it takes auto, {', '.join(LOADERS)}, or the name of a file such as custom.efi")
    return text


# Names -----------------------------------------------------------------------------------------------------------------

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def name(text: str) -> str:
    """The name of an object, safe in paths, URLs and DNS: lower case, RFC 1123 labels with dots, up to 63 characters."""
    if len(text) > 63:
        raise ValueError("it is longer than 63 characters")
    if text != text.lower() or not all(map(_LABEL.fullmatch, text.split("."))):
        raise ValueError("it takes lower-case letters, digits, hyphens and dots, and begins and ends with a letter or digit")
    return text


def domain(text: str) -> str:
    """A DNS domain in lower case, without the dot at its end."""
    bare = text.removesuffix(".")
    if len(bare) > 253 or not all(map(_LABEL.fullmatch, bare.split("."))):
        raise ValueError("it takes letters, digits and hyphens, with dots between the parts (RFC 1123)")
    return bare.lower()


def device_name(text: str) -> str:
    """The name of a network device that the machine's system makes."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,14}", text):
        raise ValueError("it takes lower-case letters and digits, begins with a letter and has at most 15")
    return text


# Artefacts and boot ----------------------------------------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def artifact(text: str) -> str:
    """A path within the artefact folder."""
    if text.startswith("/"):
        raise ValueError("it must be relative to the artefact folder")
    if "://" in text:
        raise ValueError("a URL is written {url: …, sha256: …}")
    if any(part in ("", ".", "..") for part in text.split("/")) or re.search(r"[\s\\]", text) or _CONTROL.search(text):
        raise ValueError("it takes names with single slashes between, without '..', spaces and backslashes")
    return text


def url(text: str) -> str:
    """Where the server fetches an artefact."""
    if not re.fullmatch(r"https?://[^\s/?#][^\s#]*", text) or _CONTROL.search(text):
        raise ValueError("it takes http:// or https://, a host and a path, without spaces")
    return text


def chain(text: str) -> str:
    """What iPXE fetches; it may hold settings such as `${net0/mac}`."""
    if not re.fullmatch(r"(https?|tftp|ftp|nfs|slam)://\S+|\$\{\S+", text) or _CONTROL.search(text):
        raise ValueError("it takes http://, https://, tftp:// or another scheme iPXE knows, without spaces")
    return text


def sha256(text: str) -> str:
    """A digest in lower-case hex; `sha256:` before it is dropped."""
    digest = text.lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("it takes 64 hexadecimal digits")
    return digest


def cmdline(text: str) -> str:
    """A kernel command line as one line."""
    line = " ".join(filter(None, map(str.strip, re.split(r"[\r\n]", text))))
    if _CONTROL.search(line):
        raise ValueError("it must not hold tabs and other control characters")
    return line


def script(text: str) -> str:
    """An iPXE script, which iPXE tells by its first line."""
    if not text.startswith("#!ipxe"):
        raise ValueError("its first line must be #!ipxe")
    return text


def serial(text: str) -> str:
    """The last eight hex digits of a Raspberry Pi's serial number, lower case; /proc/cpuinfo shows sixteen."""
    if not re.fullmatch(r"(?:[0-9a-fA-F]{8})?[0-9a-fA-F]{8}", text):
        raise ValueError("it takes eight hexadecimal digits, as `vcgencmd otp_dump` shows them in line 28")
    return text[-8:].lower()


# Workflow documents ----------------------------------------------------------------------------------------------------


def condition(text: str) -> str:
    """After what an action is carried out."""
    return _word(text, get_args(If))


def then(text: str) -> str:
    """What a machine does when its work is done."""
    return _word(text, get_args(Then))


def _word(text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise ValueError(f"it takes {', '.join(words[:-1])} or {words[-1]}")
    return text


def device(text: str) -> str:
    """The path of a device file."""
    if not re.fullmatch(r"/dev/\S+", text) or ".." in text.split("/"):
        raise ValueError("it takes a path below /dev")
    return text


def array(text: str) -> str:
    """The name of a software RAID array, without /dev/."""
    name = text.removeprefix("/dev/")
    if not re.fullmatch(r"md[0-9]{1,3}", name):
        raise ValueError("it takes md and a number")
    return name


def volume_name(text: str) -> str:
    """A name that LVM and the device mapper take."""
    if not re.fullmatch(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}", text) or text in (".", ".."):
        raise ValueError("it takes letters, digits and _ + . -, and no - at its start")
    return text


def guid(text: str) -> str:
    """A partition's type (UEFI 2.10, section 5.3.3)."""
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.I):
        raise ValueError("it takes 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12")
    return text


FILESYSTEMS = ("bios", "btrfs", "ext2", "ext3", "ext4", "none", "swap", "vfat", "xfs")
"""What the action `disk-partition` knows; on the machine a wrong one would be noticed after the disk was emptied."""


def filesystem(text: str) -> str:
    """A type of filesystem, swap, or none."""
    if text not in FILESYSTEMS:
        raise ValueError(f"it must be one of {', '.join(FILESYSTEMS)}")
    return text


def mount_point(text: str) -> str:
    """A folder of the installed system, or `none`."""
    if text not in ("none", "swap", ""):
        file_path(text)
    return text


def file_path(text: str) -> str:
    """An absolute path without a way up."""
    if not text.startswith("/") or ".." in text.split("/") or _CONTROL.search(text):
        raise ValueError("it takes a path that begins with / and has no ..")
    return text


def file_mode(text: str) -> str:
    """Permissions in octal."""
    if not re.fullmatch(r"0?[0-7]{3,4}", text):
        raise ValueError("it takes three or four octal digits")
    return text


def instance_id(text: str) -> str:
    """What cloud-init also makes a folder of."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}", text):
        raise ValueError("it takes letters, digits, dots, hyphens, colons and underscores, up to 255")
    return text


FORMATS: Mapping[str, Callable[..., object]] = {
    "mac": mac,
    "ipv4": ipv4,
    "cidr": cidr,
    "limit": limit,
    "duration": duration,
    "count": count,
    "size": size,
    "idle": idle,
    "loader": loader,
    "name": name,
    "hostname": domain,
    "domain": domain,
    "device-name": device_name,
    "artifact": artifact,
    "url": url,
    "chain": chain,
    "sha256": sha256,
    "cmdline": cmdline,
    "script": script,
    "serial": serial,
    "image": container_values.image,
    "registry": container_values.registry,
    "volume": container_values.volume,
    "pid": container_values.pid,
    "ssh-key": ssh_key,
    "gpg-key": gpg_key,
    "moment": moment,
    "share": share,
    "group": group,
    "time-of-day": time_of_day,
    "commit": commit,
    "if": condition,
    "then": then,
    "device": device,
    "sectors": sectors,
    "volume-size": volume_size,
    "array": array,
    "volume-name": volume_name,
    "guid": guid,
    "filesystem": filesystem,
    "mount-point": mount_point,
    "file-path": file_path,
    "file-mode": file_mode,
    "public-key": public_key,
    "instance-id": instance_id,
    "secret-key": container_values.secret_key,
    "container-file": container_values.container_file,
    "variable": container_values.variable,
}
"""By the name under which the schemas call them with `format`."""
