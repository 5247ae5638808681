"""DHCP options as values: what option 42 is called, how a person writes it, and what lies on the wire.

Core. The law: whatever a person writes is either one correct wire form or one sentence that says what to write instead
(ValueError); whatever lies on the wire can be printed. `decode` shows bytes that do not fit their option's type as hex, so
it never fails; only `unpack`, which must find where options begin and end, raises Malformed.
Names are those of the IANA registry as ISC dhcpd and Kea spell them. RFC 2132 unless another is cited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from netboot.dhcp_names import EXTRA_NAMES, OWNED, TABLE
from netboot.errors import Malformed

Printable = str | int | bool | list[str]
"""What `decode` shows: plain JSON values, and for a well-formed option a value that `encode` takes back."""

PAD, END = 0, 255
LONGEST = 255
"""Bytes one length octet can announce; longer values are split (RFC 3396)."""


@dataclass(frozen=True, slots=True)
class _Kind:
    expects: str
    """Completes the sentence "option 3 (routers) needs …"."""
    encode: Callable[[object], bytes]
    """Raises ValueError, TypeError or KeyError; the message is added after the sentence when it is one of ours."""
    decode: Callable[[bytes], Printable]
    """Raises ValueError when the bytes do not fit."""


def encode(code_or_name: int | str, value: object) -> tuple[int, bytes]:
    """The option's code and its wire bytes (without code and length) for a value as an inventory writes it.

    `bytes` are taken as they are. Raises ValueError with a sentence for an unknown name, a code outside 1..254, an option
    that the server itself answers, or a value of the wrong kind.
    """
    code = code_of(code_or_name)
    if code in OWNED:
        raise ValueError(f"option {label(code)} cannot be set: {OWNED[code]}")
    if isinstance(value, bytes):
        return code, value
    kind = _kind(code)
    try:
        return code, kind.encode(value)
    except (ValueError, TypeError, KeyError) as error:
        detail = f": {error}" if isinstance(error, _Detail) else ""
        raise ValueError(f"option {label(code)} needs {kind.expects}, not {value!r}{detail}") from None


def decode(code: int, data: bytes) -> Printable:
    """The value as a person reads it. Never fails: bytes that do not fit the option's kind are shown as hex."""
    try:
        return _kind(code).decode(data)
    except ValueError:
        return _show_hex(data)


def escaped(data: bytes) -> str:
    """A peer's text, fit for a log or a page whatever its bytes are: without trailing NULs, `\\xff` for what is not ASCII."""
    return data.rstrip(b"\0").decode("latin-1").encode("unicode_escape").decode("ascii")


def code_of(code_or_name: int | str) -> int:
    """Raises ValueError with a sentence (and a suggestion) when there is no such option."""
    if isinstance(code_or_name, str) and not code_or_name.isdecimal():
        code = _BY_NAME.get(code_or_name.lower().replace("_", "-"))
        if code is None:
            close = get_close_matches(code_or_name.lower(), _BY_NAME, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "use its number from the IANA registry and a hex string"
            raise ValueError(f"there is no DHCP option named {code_or_name!r}; {hint}")
        return code
    code = int(code_or_name)
    if isinstance(code_or_name, bool) or not 0 <= code <= END:
        raise ValueError(f"a DHCP option is a name or a number from 1 to 254, not {code_or_name!r}")
    return code


def label(code: int) -> str:
    """`3 (routers)`, or just `231` for a code without a name."""
    return f"{code} ({TABLE[code][0]})" if code in TABLE else str(code)


def pack(options: Mapping[int, bytes]) -> bytes:
    """TLVs in ascending order of code, without END; values over 255 bytes are split into consecutive parts (RFC 3396)."""
    return b"".join(tlv(code, options[code]) for code in sorted(options))


def tlv(code: int, data: bytes) -> bytes:
    """One option on the wire: as many consecutive code-length-value parts as its length needs."""
    if len(data) <= LONGEST:
        return bytes((code, len(data))) + data
    parts = (data[at : at + LONGEST] for at in range(0, len(data), LONGEST))
    return b"".join(bytes((code, len(part))) + part for part in parts)


def unpack(data: bytes) -> dict[int, bytes]:
    """Options by code in the order of their first appearance, split ones joined (RFC 3396).

    Ends at END or at the end of the bytes: some clients leave END out. Raises Malformed when an option has no length or
    runs past the end.
    """
    return _walk(data, 2)


def parts(packed: bytes) -> dict[int, bytes]:
    """As `unpack`, but each option as it stands, code and length included: to be sent on."""
    return _walk(packed, 0)


def _walk(data: bytes, skip: int) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    at, size = 0, len(data)
    while at < size and (code := data[at]) != END:
        if code == PAD:
            at += 1
            continue
        if at + 1 == size:
            raise Malformed(f"option {code} has no length")
        start, at = at + skip, at + 2 + data[at + 1]
        if at > size:
            raise Malformed(f"option {code} runs {at - size} bytes past the end")
        options[code] = options[code] + data[start:at] if code in options else data[start:at]
    return options


# --- kinds of value: how each is written, and how it is read ---------------------------------------------------------------


class _Detail(ValueError):
    """A fault inside the value that is worth naming after the sentence."""


def _ip(value: object) -> bytes:
    if not isinstance(value, str | IPv4Address):
        raise TypeError
    return IPv4Address(value).packed


def _show_ip(data: bytes) -> str:
    return str(IPv4Address(data))


def _items(value: object) -> Sequence[object]:
    """A list as it is, a single value as a list of one; an empty list says nothing and is refused."""
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise _Detail("the list is empty")
    return items


def _ips(value: object) -> bytes:
    return b"".join(_ip(item) for item in _items(value))


def _show_ips(data: bytes) -> list[str]:
    if not data:
        raise ValueError
    return [_show_ip(data[at : at + 4]) for at in range(0, len(data), 4)]


def _pairs(value: object) -> bytes:
    """`10.0.0.0 255.0.0.0` per item: address and mask, or destination and router."""
    pairs = []
    for item in _items(value):
        left, right = str(item).split()
        pairs.append(_ip(left) + _ip(right))
    return b"".join(pairs)


def _show_pairs(data: bytes) -> list[str]:
    ips = _show_ips(data)
    if len(ips) % 2:
        raise ValueError
    return [f"{left} {right}" for left, right in zip(ips[::2], ips[1::2], strict=True)]


def _text(value: object) -> bytes:
    if not isinstance(value, str) or not value:
        raise TypeError
    if not (value.isascii() and value.isprintable()):
        raise _Detail("only printable ASCII can be sent (NVT ASCII, RFC 2132 section 2)")
    return value.encode("ascii")


def _show_text(data: bytes) -> str:
    text = data.rstrip(b"\0").decode("ascii")  # RFC 2132 section 2: receivers must expect trailing NULs
    if not text or not text.isprintable():
        raise ValueError
    return text


def _integer(size: int, signed: bool = False) -> _Kind:
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)

    def encode_integer(value: object) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value.to_bytes(size, "big", signed=signed)

    def decode_integer(data: bytes) -> int:
        if len(data) != size:
            raise ValueError
        return int.from_bytes(data, "big", signed=signed)

    return _Kind(f"a whole number from {low} to {high}", encode_integer, decode_integer)


def _bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise TypeError
    return bytes([value])


def _show_bool(data: bytes) -> bool:
    if data not in (b"\0", b"\1"):
        raise ValueError
    return data == b"\1"


def _flag(value: object) -> bytes:
    if value is not True:
        raise TypeError
    return b""


def _show_flag(data: bytes) -> bool:
    if data:
        raise ValueError
    return True


def _hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError
    return bytes.fromhex(re.sub(r"^0[xX]|[:.-]", "", value))


def _show_hex(data: bytes) -> str:
    return data.hex(":")


def _routes(value: object) -> bytes:
    """RFC 3442: prefix length, the significant octets of the destination, the router."""
    return b"".join(_route(item) for item in _items(value))


def _route(item: object) -> bytes:
    if isinstance(item, Mapping):
        destination, router = str(item["to"]), str(item["via"])
    else:
        destination, router = re.split(r"\s+(?:via\s+)?", str(item).strip())
    try:
        network = IPv4Network(destination)
    except AddressValueError:
        raise
    except ValueError as error:  # 10.1.2.3/8: ipaddress already says "has host bits set"
        raise _Detail(str(error)) from None
    return bytes([network.prefixlen]) + network.network_address.packed[: _significant(network.prefixlen)] + _ip(router)


def _show_routes(data: bytes) -> list[str]:
    routes, at = [], 0
    while at < len(data):
        octets = _significant(data[at])
        destination = data[at + 1 : at + 1 + octets]
        router = data[at + 1 + octets : at + 5 + octets]
        network = IPv4Network((destination.ljust(4, b"\0"), data[at]))
        routes.append(f"{network} via {_show_ip(router)}")
        at += 5 + octets
    if not routes:
        raise ValueError
    return routes


def _significant(prefix: int) -> int:
    """Octets of a destination that RFC 3442 sends for this prefix length."""
    if prefix > 32:
        raise ValueError
    return (prefix + 7) // 8


def _domains(value: object) -> bytes:
    """RFC 3397: a list of names in DNS form, each suffix written once and pointed to afterwards (RFC 1035 section 4.1.4)."""
    wire, offsets = bytearray(), dict[tuple[str, ...], int]()
    for item in _items(value):
        labels = _labels(item)
        while labels and labels not in offsets:
            if len(wire) < 0x4000:  # a pointer has 14 bits
                offsets[labels] = len(wire)
            wire += bytes([len(labels[0])]) + labels[0].encode("ascii")
            labels = labels[1:]
        wire += (0xC000 | offsets[labels]).to_bytes(2, "big") if labels else b"\0"
    return bytes(wire)


def _labels(item: object) -> tuple[str, ...]:
    if not isinstance(item, str):
        raise TypeError
    labels = tuple(item.removesuffix(".").split("."))
    if len(item) > 253 or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", part) for part in labels):
        raise _Detail(f"{item!r} is not a domain name")
    return labels


def _show_domains(data: bytes) -> list[str]:
    names, at = [], 0
    while at < len(data):
        labels, at = _read_name(data, at)
        names.append(".".join(labels))
    if not names:
        raise ValueError
    return names


def _read_name(data: bytes, at: int) -> tuple[list[str], int]:
    """Labels of the name at this offset, and the offset after it. A pointer must point backwards, so reading ends."""
    labels: list[str] = []
    after, limit = 0, len(data)
    while at < limit and (length := data[at]):
        if length >= 0xC0:
            target = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            if at + 2 > limit or target >= at:
                raise ValueError
            after, limit, at = after or at + 2, at, target
            continue
        part = data[at + 1 : at + 1 + length].decode("ascii")
        if length > 63 or len(part) < length or not part.isprintable():
            raise ValueError
        labels.append(part)
        at += 1 + length
    if at >= limit or not labels:
        raise ValueError
    return labels, after or at + 1


_KINDS: Mapping[str, _Kind] = {
    "ip": _Kind("an IPv4 address", _ip, _show_ip),
    "ips": _Kind("an IPv4 address or a list of them", _ips, _show_ips),
    "pairs": _Kind("a list of address pairs such as '10.0.0.0 255.0.0.0'", _pairs, _show_pairs),
    "text": _Kind("a text", _text, _show_text),
    "u8": _integer(1),
    "u16": _integer(2),
    "u32": _integer(4),
    "i32": _integer(4, signed=True),
    "bool": _Kind("true or false", _bool, _show_bool),
    "flag": _Kind("true (its presence is its meaning)", _flag, _show_flag),
    "domains": _Kind("a domain name or a list of them", _domains, _show_domains),
    "routes": _Kind("a list of routes such as '10.0.0.0/8 via 10.1.0.1'", _routes, _show_routes),
    "hex": _Kind("its bytes as a hex string such as '01:02:ff'", _hex, _show_hex),
}

_BY_NAME: Mapping[str, int] = {name: code for code, (name, _) in TABLE.items()} | dict(EXTRA_NAMES)


def _kind(code: int) -> _Kind:
    """A code without a table row is a string of bytes: nothing is known of its shape."""
    return _KINDS[TABLE[code][1] if code in TABLE else "hex"]
