"""Where the damage begins: sound inputs for each target, words that mean something to it, and the site that it asks.

The seeds are what firmware really sent (`tests/netboot/captures`) and the examples of the other tests, so they follow what
those learn. A file in `tests/fuzz/found` is an input that once broke a law: `<target>.<digest>`. It is a seed for ever.
"""

from __future__ import annotations

import hashlib
import json
import struct
from functools import cache
from pathlib import Path

from agent import messages
from agent.workflow import to_json
from netboot import dhcp_options, dhcp_packet, dns_query, events, tftp_packets
from netboot.boot import Plans
from netboot.desk import Counter
from netboot.dhcp import Server
from netboot.journal_format import lines
from netboot.plan import Interface, Machine
from tests.agent.test_lldp import FRAMES
from tests.netboot import dhcp_example, dns_example, site, story, test_inventory_document
from tests.netboot.test_dhcp_captures import NAMES, captured
from tests.reconciler.inventories import RICH, SOUND, example
from tests.reconciler.template_cases import DATA, GOLDEN, OURS, REFUSED
from tests.reconciler.test_mutations import HOSTILE_TEXT, encoded

FOUND = Path(__file__).parent / "found"
CONTENT = bytes(hashlib.shake_128(b"a boot program").digest(0xFFFF))
ZONE = dns_example.ZONE
__all__ = ["CONTENT", "COUNTER", "DATA", "FOUND", "PLANS", "ZONE", "keep", "seeds", "words"]


def _machine(name: str, mac: str, address: str, *workflows: str) -> Machine:
    work = site.machine(1, *workflows).work
    return Machine(name, "x86_64", (Interface(mac, address, name, "rack1", dhcp_example.LEASE.options),), work=work)


PLANS = Plans(
    site.plan(
        _machine("node-01", dhcp_example.MAC, "10.1.0.1", "look"),
        _machine("node-02", "52:54:00:77:00:02", ""),
        site.machine(3),
        unknown="wait",
    ).plan,
    {},
)
COUNTER = Counter(Server(bytes((10, 1, 0, 1))), "http://10.1.0.1", "", "boot-1")


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Sound inputs of the target, then those that were found."""
    found = tuple(path.read_bytes() for path in sorted(FOUND.glob(f"{name}.*")))
    return tuple(dict.fromkeys(_SEEDS[name]())) + found


def keep(name: str, data: bytes) -> Path:
    """Write an input that broke a law where the next run finds it."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}.{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


# --- the wire --------------------------------------------------------------------------------------------------------------


def _dhcp() -> list[bytes]:
    """Each capture as it was, from a machine of ours, past a relay, and asking for what has no room."""
    ours = bytes.fromhex(dhcp_example.MAC.replace(":", "")).ljust(16, b"\0")
    packets = [dhcp_packet.decode(captured(name)) for name in NAMES]
    packets += [dhcp_example.packet(message, {50: bytes((10, 1, 0, 1))}) for message in dhcp_packet.MESSAGES]
    packets += [dhcp_example.packet(8, ciaddr="10.1.0.9"), dhcp_example.packet(3, ciaddr="10.1.200.1", giaddr="10.1.0.254")]
    changed = []
    for packet in packets:
        relay = {82: b"\1\4eth0\5\4\x0a\1\0\0\x0b\4\x0a\1\0\xfe", 118: bytes((10, 1, 0, 0))}
        many = {55: bytes(range(1, 255)), 57: b"\2\x40", 61: bytes(200), 12: b"x" * 300}
        for more, giaddr, chaddr in (
            ({}, packet.giaddr, ours),
            (relay, bytes((10, 1, 0, 254)), ours),
            (many, packet.giaddr, ours[:5] + b"\2".ljust(11, b"\0")),
        ):
            options = {**packet.options, **more}
            fields = {name: getattr(packet, name) for name in packet.__struct_fields__}
            changed.append(dhcp_packet.Packet(**(fields | {"options": options, "giaddr": giaddr, "chaddr": chaddr})))
    overloaded = dhcp_packet.assemble(packets[0], dhcp_options.pack({52: b"\3", 53: b"\1"}))
    overloaded = (
        overloaded[:44] + b"\x0c\3abc\xff".ljust(64, b"\0") + b"\x3c\x09PXEClient\xff".ljust(128, b"\0") + overloaded[236:]
    )
    return [*map(captured, NAMES), *map(dhcp_packet.encode, [*changed, *_odd_sizes()]), overloaded]


def _odd_sizes() -> list[dhcp_packet.Packet]:
    """Options that something is decided on, in lengths that are wrong: damage to a length byte seldom leaves a packet."""
    codes, sizes = (50, 54, 57, 60, 61, 77, 82, 93, 97, 118, 175), (0, 1, 3, 5, 17)
    asked = [(message, code, size) for message in (1, 3, 4, 7, 8) for code in codes for size in sizes]
    return [dhcp_example.packet(message, {code: bytes(range(1, size + 1))}) for message, code, size in asked]


def _options() -> list[bytes]:
    values = [bytes((code,)) + data for code, data in dhcp_options.unpack(dhcp_example.LONG).items()]
    written: list[object] = [
        "10.1.0.1", ["10.1.0.1", "10.1.0.2"], ["10.0.0.0 255.0.0.0"], "text", 1, -1, 4294967295, True, "01:02:ff", [], {}, None,
        ["a.example", "b.a.example"],
        ["10.0.0.0/8 via 10.1.0.1", "0.0.0.0/0 10.1.0.1"], [{"to": "10.0.0.0/8", "via": "10.1.0.1"}]
    ]  # fmt: skip
    codes = (1, 2, 3, 12, 13, 19, 21, 33, 42, 43, 51, 66, 67, 80, 119, 121, 125, 150, 175, 210, 224)
    return values + [bytes((code,)) + json.dumps(value).encode() for code in codes for value in written]


_REQUESTS = [
    tftp_packets.ReadRequest("undionly.kpxe"),
    tftp_packets.ReadRequest("/snponly.efi", "octet", {"tsize": "0", "blksize": "1468", "windowsize": "4"}),
    tftp_packets.ReadRequest("\\a//./b", "netascii", {"timeout": "3", "blksize": "8"}),
    tftp_packets.ReadRequest("a/../b", "octet", {"windowsize": "65535", "blksize": "65464", "multicast": "", "x": "y"}),
]


def _tftp() -> list[bytes]:
    others: list[tftp_packets.Packet] = [
        tftp_packets.WriteRequest("a"), tftp_packets.Data(1, b"x" * 512), tftp_packets.Ack(1), tftp_packets.Error(8, "no"),
        tftp_packets.OptionAck({"tsize": "1"}), tftp_packets.Error(0, ""), tftp_packets.Data(0xFFFF, b""),
    ]  # fmt: skip
    return [*map(tftp_packets.encode, [*_REQUESTS, *others]), b"\0\1a\0octet\0blksize\0" + b"\0" * 20]


def _transfers() -> list[bytes]:
    """Peers that acknowledge what they get, at once, late, never, twice, or in the middle of a window."""
    peers = [
        bytes((96,)) * 40,
        bytes((0x80,)) * 5,
        bytes((96, 0x80, 96, 0xA0)) * 10,
        bytes((80, 88, 96, 104)) * 9,
        b"\xc4\0\5\0\0",
    ]
    sizes = (0, 1, 511, 512, 1468 * 3, 9000, 0xFFFF)
    requests = [tftp_packets.encode(request) for request in _REQUESTS]
    return [size.to_bytes(2, "big") + bytes((len(r),)) + r + peer for size in sizes for r in requests for peer in peers]


def _dns() -> list[bytes]:
    names: tuple[str, ...] = (
        "node-01.lab.example",
        "NODE-02.lab.example",
        "guest.elsewhere.example",
        "11.0.1.10.in-addr.arpa",
        "lab.example",
    )
    names += ("example", ".", "x" * 63 + ".lab.example", "nope.lab.example", "1.10.in-addr.arpa")
    asked = [dns_example.ask(name, qtype, edns) for name in names for qtype in ("A", "PTR", "SOA", "ANY") for edns in (0, 4096)]
    asked += [dns_example.ask("node-01.lab.example", qtype, 512, flags="do") for qtype in ("AAAA", "AXFR", "NS", "TXT")]
    queries = [bytes(query.pack()) for query in asked]
    pointing = dns_query.HEADER.pack(1, 0x0100, 1, 1, 0, 1) + b"\1a\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4"
    long = [b"\x40" + b"x" * 64, b"\x3f" + b"x" * 63 + b"\xbf" + b"x" * 191, (b"\x3f" + b"x" * 63) * 4]
    queries += [dns_query.HEADER.pack(1, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1" for labels in long]
    return [*queries, pointing + b"\0\0\x29\4\xd0\0\0\x80\0\0\4\0\x0a\0\0", struct.pack(">HH", 1, 0x2800) + bytes(8)]


def _router() -> list[bytes]:
    options = (b"", bytes.fromhex("0101525400770001"), bytes((14, 2, *bytes(14))), bytes((5, 1, *bytes(6))) * 3)
    return [bytes((hops, 133, *bytes(7))) + each for hops in (255, 64) for each in options]


# --- git, disk, agents -----------------------------------------------------------------------------------------------------


def _yaml() -> list[bytes]:
    files = [data for base in (example(), RICH, SOUND) for data in encoded(dict(base)).values()]
    odd = [
        "a: &x [1, *x]\nb: {<<: *x}",
        "- &a {k: 1}\n- {<<: [*a, *a]}\n---\n...\n--- |\n  x\n",
        "? [a]\n: !!set {x}\n",
        "'\\u2028'",
    ]
    return [data for data in files if len(data) < 5000] + [text.encode() for text in odd]


def _templates() -> list[bytes]:
    return [text.encode() for text in ([text for text, _ in GOLDEN] + [text for text, _ in OURS] + REFUSED)]


def _story() -> story.Story:
    told = story.Story().new_site()
    boot = told.boot()
    run = told.claimed(boot)["id"]
    told.start(boot, run, "disk", "wipe")
    told.end(boot, run, "disk", "wipe", exit_code=0)
    told.start(boot, run, "disk", "write")
    told.end(boot, run, "disk", "write", "FAILED", exit_code=1, reason="ü\n")
    told.claim(told.boot())
    told.happen(events.LeaseBound(at=9.0, mac=story.MAC, address="10.1.0.11"))
    return told


def _journal() -> list[bytes]:
    told = _story().journal
    return [lines(1, told), *(lines(1, (event,)) for event in told), *map(events.encode, told)]


def _agent() -> list[bytes]:
    told = story.Story().new_site()
    attempt = messages.Attempt("disk", "write:on-failure", 2)
    spoken: list[messages.Event] = [
        messages.ActionStarted(attempt), messages.ActionEnded(attempt, "FAILED", 1, "no"), messages.RunEnded("TIMEOUT", "late"),
    ]  # fmt: skip
    bodies = [
        {"boot": "b", "run": "r", "sequence": number, "event": messages.event_to_json(event)}
        for number, event in enumerate(spoken)
    ]
    boot = told.boot()
    claimed = told.claimed(boot)
    answers = [{"run": claimed}, {"run": None, "then": "wait", "reason": "", "retry": 10}, {"boot": "b", "system": "s"}]
    workflow = to_json(story.INSTALL)
    answers += [{"boot": "b", "system": "s", "hardware": test_inventory_document.SAID}]
    answers += [{"run": {**claimed, "resume": None, "done": [["disk", "wipe"]], "workflow": workflow}}]
    documents: list[object] = [*bodies, *answers, *(messages.event_to_json(event) for event in spoken)]
    return [json.dumps(document).encode() for document in documents]


def _lldp() -> list[bytes]:
    return list(FRAMES)


def _http() -> list[bytes]:
    """A request line, then a body; `$boot`, `$run` and `$mac` stand for what the site has just now."""
    report = (
        b'{"boot":"$boot","run":"$run","sequence":%d,"event":{"type":"action-%b","task":"look","action":"first","attempt":1%b}}'
    )
    bodies = [
        b"GET /ipxe/$mac/boot.ipxe\n",
        b"POST /agent/session\n" + b'{"boot":"$boot","system":"os-1"}',
        b"POST /agent/claim\n" + b'{"boot":"$boot","system":"os-1"}',
        b"POST /agent/report\n" + report % (1, b"started", b""),
        b"POST /agent/report\n" + report % (2, b"ended", b',"state":"FAILED","exit_code":1,"reason":"x"'),
        b"POST /agent/heartbeat\n" + b'{"boot":"$boot","run":"$run"}',
        b"POST /agent/inventory\n" + b'{"boot":"$boot","system":"os-1","hardware":{"disks":[{"path":"/dev/vda","size":512}]}}',
        b"POST /agent/log?boot=$boot&run=$run&task=look&action=first&attempt=1&offset=0\nhello",
    ]
    paths = [
        "",
        "auto.ipxe",
        "ipxe/$mac/boot.ipxe?known=1",
        "ipxe/$mac/boot.ipxe",
        "ipxe/undionly.kpxe",
        "latest/meta-data/public-keys/0/openssh-key",
        "2009-04-04/user-data",
        "nocloud/node-01/network-config",
        "nocloud/user-data",
        "metadata",
        "healthz",
        "readyz",
        "metrics",
    ]
    paths += ["status/index.json", "status/hardware/node-01.json", "status/workflows/look.json", "status/reconcile.json"]
    paths += ["logs/$run/look/first.1.log", "logs/../key", "artifacts/sha256/" + "0" * 64 + "/vmlinuz", "key"]
    return bodies + [f"{method} /{path}\n".encode() for path in paths for method in ("GET", "HEAD")]


def _secrets() -> list[bytes]:
    return [text.encode() for path, text in RICH.items() if path.startswith("secrets/")]


def _metadata() -> list[bytes]:
    """A path, then a token."""
    paths = ["", "meta-data/", "meta-data/placement/region", "meta-data/network/interfaces/macs/", "network-config"]
    return [f"{path}\n{token}".encode() for path in paths for token in ("60", "0" * 80, "00000000ffffffff" + "0" * 64)]


def _syslog() -> list[bytes]:
    return [
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su 8710 ID47 - \xef\xbb\xbf'su root' failed",
        b'<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [a@32473 iut="3" b="\\"]"][c@1] An event',
        b"<34>Oct 11 22:14:15 mymachine su[1]: 'su root' failed",
        b"<5>Command line: gitboot.token=" + b"a1" * 32,
        b"\x1b[2J\xff\xe2\x80\xae\n",
    ]


_SEEDS = {
    "dhcp": _dhcp, "dhcp-options": _options, "tftp": _tftp, "tftp-transfer": _transfers, "dns": _dns, "yaml": _yaml,
    "secret": _secrets,
    "template": _templates, "journal": _journal, "agent": _agent, "http": _http, "router": _router, "lldp": _lldp,
    "metadata": _metadata, "syslog": _syslog,
}  # fmt: skip
_WORDS = {
    "dhcp": [
        bytes((code, size))
        for code in (12, 43, 50, 52, 53, 54, 55, 57, 61, 77, 82, 93, 97, 118, 175)
        for size in (0, 1, 4, 255)
    ]
    + [b"iPXE", b"PXEClient:Arch:00007", b"HTTPClient", b"\xff", b"\0"],
    "lldp": [b"\0\0", b"\x10\x05\1\n\0\0\1", b"\xfe\x06\0\x80\xc2\1\0\7", b"\2\7\4", b"\4\7\3", b"\6\2\0\0"],
    "dhcp-options": [b"\xc0\0", b"\xc0\x01", b'"', b"[", b",", b"1e999", b"\\ud800", b"/33", b" via "],
    "tftp": [b"\0", b"\0\1", b"\0\5", b"octet\0", b"blksize\0", b"tsize\0", b"..", b"/", b"\\", b"\xc2\xb2", b"65465\0"],
    "tftp-transfer": [bytes((step,)) for step in (0, 88, 96, 104, 0x80, 0xA0, 0xC4)] + [b"\xc4\0\4\0\1", b"\xc5\0\5\0\0\0"],
    "dns": [b"\xc0\x0c", b"\xc0\0", b"\0\0\x29", b"\x3f", b"\x40", b"\0\1", b"\0\xff", b"\0"],
    "syslog": [b"<13>", b"1 - - - - - -", b'[a b="', b"]", b"\\", b"\n", b"\x1b[", b"gitboot.token="],
    "router": [b"\1\0", b"\1\1", b"\xff\x85", b"\x86"],
    "secret": [
        b"ENC[AES256_GCM,data:",
        b",iv:",
        b",tag:",
        b",type:str]",
        b"-----BEGIN AGE ENCRYPTED FILE-----",
        b"YWdlLWVuY3J5cHRpb24",
        b"lastmodified: ",
        b"mac: ",
        b"age: ",
        b"- enc: |",
        b"mac_only_encrypted: true",
        b"null",
        b"{}",
        b"[]",
    ],
    "yaml": [*HOSTILE_TEXT, b"? ", b">-\n", b"...\n", b"%YAML 1.2\n", b"0x", b"0o", b"1e", b"\xc2\x85", b"\xe2\x80\xa8"],
    "template": [
        b"{{",
        b"}}",
        b"{{-",
        b"end",
        b"range ",
        b"if ",
        b"$x",
        b":=",
        b"|",
        b"(",
        b"`",
        b"9999999999",
        b"printf ",
        b"%",
        b"\xff",
    ],
    "journal": [b"\n", b"\0", b'"seq":1', b'"event":{', b'"type":"', b"\\ud800", b"1e400", b"-0", b"\xff"],
    "agent": [b"null", b"1e400", b"NaN", b"\\ud800", b"[]", b"{}", b'"', b"-1", b"9" * 5000, b"[" * 1100, b'"attempt":'],
    "metadata": [b"/", b"//", b"..", b"meta-data", b"0/openssh-key", b"\n", b"-", b"_", b"f" * 16, b"\xff", b"\xb2"],
    "http": [
        b"%00",
        b"%2e%2e",
        b"/",
        b"//",
        b"%ff",
        b"$boot",
        b"$run",
        b"$mac",
        b"?",
        b"&",
        b"null",
        b"\\ud800",
        b"GET ",
        b"POST ",
    ],
}


def words(name: str) -> list[bytes]:
    """What to put in: bytes that mean something to this target."""
    return _WORDS[name]
