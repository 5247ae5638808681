"""Syslog: a datagram becomes one line of a log, and the boot that it belongs to is found by where it came from.

Core. Law: any datagram but an empty one is a message (RFC 3164 section 4.3.3), and a message is one printable line: what it
claims of its host and of the time is left out, for whoever sends it may write anything there. Whose it is says the address.

Formats: RFC 5424 section 6; RFC 3164 section 4, as it is sent: the host is often missing and so may everything be, as in what
the kernel's netconsole sends. Transport: RFC 5426, one message in each datagram.
"""

from __future__ import annotations

import re

import msgspec

from netboot.boot import Plans
from netboot.errors import Malformed
from netboot.ipxe import mask
from netboot.observed import Observed
from netboot.records import BootStatus

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
    "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
"""RFC 5424 table 1, by the names of syslog.conf(5)."""
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_UNMARKED = 13
"""user.notice: what a message without priority is (RFC 3164 section 4.3.3)."""
_PRIORITY = re.compile(r"<(0|[1-9][0-9]{0,2})>")
_HEAD = re.compile(r"1 \S{1,64} (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) ")
_NAME = r'[^\s=\]"]{1,32}'
_DATA = re.compile(rf'-|(?:\[{_NAME}(?: {_NAME}="(?:[^"\\]|\\.)*")*\])+', re.DOTALL)
_OLD_TIME = re.compile(r"[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d ", re.ASCII)
_OLD_HOST = re.compile(r"[^\s:\[\]]{1,255} (?=[^\s:\[]{1,48}(?:\[[^\s\]]{0,128}\])?: )")
"""A word is the host's name only where a tag follows it: many leave the host out."""


class Message(msgspec.Struct, frozen=True):
    facility: int
    severity: int
    text: str
    """With the program's name in front where that is known, as `name[process]: `; any characters."""


def parse(datagram: bytes) -> Message:
    """Raises Malformed for one with nothing in it."""
    text = datagram.decode(errors="backslashreplace").rstrip("\0\r\n ")
    if not text:
        raise Malformed("the datagram is empty")
    marked = _PRIORITY.match(text)
    priority = int(marked[1]) if marked else _UNMARKED
    if marked is None or priority >= len(FACILITIES) * 8:
        return Message(_UNMARKED >> 3, _UNMARKED & 7, text)
    body = text[marked.end() :]
    return Message(priority >> 3, priority & 7, _modern(body) or _old(body))


def _modern(body: str) -> str:
    """RFC 5424; "" when it is none."""
    head = _HEAD.match(body)
    data = _DATA.match(body, head.end()) if head else None
    if head is None or data is None or body[data.end() : data.end() + 1] not in ("", " "):
        return ""
    _, program, process, kind = ("" if each == "-" else each for each in head.groups())
    shown = (program + (f"[{process}]" if process else ""), kind, "" if data[0] == "-" else data[0])
    before = " ".join(filter(None, shown))
    said = body[data.end() + 1 :].removeprefix("\ufeff")
    return ": ".join(filter(None, (before, said))) or "-"


def _old(body: str) -> str:
    time = _OLD_TIME.match(body)
    if time is None:
        return body or "-"
    host = _OLD_HOST.match(body, time.end())
    return body[host.end() if host else time.end() :] or "-"


def line(message: Message, at: str) -> bytes:
    """As it is kept. `at`: when it came, as RFC 3339. Nothing in it moves a cursor, and no token of a boot is in it."""
    text = mask(message.text)
    if not text.isprintable():
        text = "".join(each if each.isprintable() or each == "\t" else _escaped(each) for each in text)
    return f"{at} {FACILITIES[message.facility]}.{SEVERITIES[message.severity]} {text}\n".encode()


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def boot_at(plans: Plans, observed: Observed, seen: str, peer: str) -> BootStatus | None:
    """The last boot of the machine that has the address `peer`, open or not; None: nobody's, or that machine never booted.

    The address is the machine's by the plan that its boot is pinned to, or by its lease. `seen`: the MAC that last fetched a
    script from there, which anybody can in its name; so it counts only where another server gives the addresses, and git
    says of none which it gives to that interface.
    """
    plan = plans.current
    named = plan.by_address.get(peer)
    is_ours = plan.site.mode == "reservation"
    binding = named or plan.by_mac.get(observed.mac_of.get(peer, "") if is_ours else seen)
    if binding and binding is not named and not is_ours and binding.interface.address:
        return None
    boot = observed.last_boot_of(binding.machine.name) if binding else None
    if boot is None or not named or boot.plan == plan.id:
        return boot
    then = plans.of(boot).by_address.get(peer)
    return boot if then and then.machine.name == boot.machine else None
