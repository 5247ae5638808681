"""What no bytes may do: one function for each codec and for what stands right behind it. Bytes in, nothing out.

A target returns for every input, and raises only where a law is broken: another exception than the one that the codec
promises, or an answer that the protocol does not allow. `tests/fuzz/test_fuzz.py` runs them briefly, `make fuzz` for long.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address

import msgspec
from dnslib import DNSRecord

from agent import lldp, messages
from netboot import (
    dhcp,
    dhcp_options,
    dhcp_packet,
    dns,
    dns_query,
    events,
    imds,
    inventory_document,
    rehearsals,
    reports,
    syslog,
    tftp_packets,
)
from netboot.desk import Answer, answer
from netboot.errors import Malformed
from netboot.events import JournalOpened
from netboot.journal_format import lines, scan
from netboot.metadata import Told, ec2, ec2_key, nocloud
from netboot.observed import Observed
from netboot.router_advertisement import recipient
from netboot.tftp import Completed, File, Limits, Refused, Transfer, admit, negotiate
from reconciler.template import Limits as TemplateLimits
from reconciler.template import TemplateError, compile_template
from reconciler.yaml import MAX_DEPTH, read
from tests.fuzz import corpus
from tests.fuzz.http_target import http
from tests.fuzz.secret_target import secret

Target = Callable[[bytes], None]


# --- DHCP ------------------------------------------------------------------------------------------------------------------


def dhcp_message(data: bytes) -> None:
    """A datagram meets the desk twice: what is answered is a DHCP message, and a retry gets the same bytes."""
    try:
        packet = dhcp.decode(data)
    except Malformed as malformed:
        assert malformed.reason
        return
    assert packet == dhcp.decode(dhcp_packet.encode(packet))
    assert dhcp_packet.describe(packet).isascii()
    observed = Observed()
    observed.apply(JournalOpened(at=1.0, journal="fuzz"))
    first = _at_the_desk(packet, observed, 2.0)
    again = _at_the_desk(packet, observed, 3.0)
    if isinstance(first.outcome, dhcp.Reply) and isinstance(again.outcome, dhcp.Reply):
        assert first.outcome.data == again.outcome.data


def _at_the_desk(packet: dhcp.Packet, observed: Observed, now: float) -> Answer:
    answered = answer(packet, dhcp.classify(packet), corpus.PLANS, observed, corpus.COUNTER, now)
    for event in answered.events:
        assert event == events.decode(events.encode(event))
        observed.apply(event)
    if isinstance(answered.outcome, dhcp.Reply):
        _check_reply(packet, answered.outcome)
    else:
        assert answered.outcome.reason.isprintable()
    return answered


def _check_reply(asked: dhcp.Packet, reply: dhcp.Reply) -> None:
    read_back = dhcp.decode(reply.data)
    assert dhcp_packet.BOOTREPLY == read_back.op
    assert (asked.xid, asked.chaddr, asked.giaddr) == (read_back.xid, read_back.chaddr, read_back.giaddr)
    relayed = len(asked.options.get(82, b""))
    assert dhcp_packet.SMALLEST <= len(reply.data) <= 1472 + 4 * relayed  # one Ethernet frame; a relay takes out what it put in
    assert IPv4Address(reply.destination.address)


def dhcp_option(data: bytes) -> None:
    """The first byte is a code. What is shown can be printed, and what is taken back from a person says the same again."""
    code, value = data[:1], data[1:]
    try:
        assert dhcp_options.unpack(value) == dhcp_options.unpack(dhcp_options.pack(dhcp_options.unpack(value)))
        assert list(dhcp_options.parts(value)) == list(dhcp_options.unpack(value))
    except Malformed:
        pass
    if code:
        shown = dhcp_options.decode(code[0], value)
        json.dumps(shown)
        _written(code[0], shown)
        try:
            written = json.loads(value)
        except (ValueError, RecursionError):
            return
        _written(code[0], written)


def _written(code: int, value: object) -> None:
    """What a person writes is refused with a sentence or can be shown; what is shown is the same when it was written so."""
    try:
        _, wire = dhcp_options.encode(code, value)
    except ValueError as error:
        assert str(error)
        return
    shown = dhcp_options.decode(code, wire)
    assert wire == dhcp_options.encode(code, shown)[1]


# --- TFTP ------------------------------------------------------------------------------------------------------------------


def tftp_packet(data: bytes) -> None:
    try:
        packet = tftp_packets.decode(data)
    except Malformed as malformed:
        assert malformed.reason.isprintable()
        return
    assert packet == tftp_packets.decode(tftp_packets.encode(packet))
    if isinstance(packet, tftp_packets.ReadRequest | tftp_packets.WriteRequest):
        path = admit(packet)
        assert isinstance(path, Refused) or not {"", ".", ".."} & set(path.split("/"))
        granted = negotiate(packet.options, 1 << 40, Limits())
        assert granted.keys() <= packet.options.keys()


LIMITS = Limits(windowsize=8, retries=2)


def tftp_transfer(data: bytes) -> None:
    """A request of `data[2]` bytes for a file of `data[:2]`, then what its peer does: a byte each for an ACK or a timer, or
    the length of a datagram that follows. The transfer ends, sends nothing twice without cause, and never another's bytes.
    """
    size = int.from_bytes(data[:2], "big")
    length = data[2] if len(data) > 2 else 0
    try:
        request = tftp_packets.decode(data[3 : 3 + length])
    except Malformed:
        return
    if not isinstance(request, tftp_packets.ReadRequest) or isinstance(admit(request), Refused):
        return
    content = corpus.CONTENT[:size]
    transfer = Transfer(request, File.of(content), 0.0, LIMITS)
    link = _Link(transfer, content if request.mode == "octet" else None)
    link.drain()
    steps = iter(data[3 + length :])
    for step in steps:
        link.step(step, bytes(byte for _, byte in zip(range(step - 0xC0), steps, strict=False)))
    for _ in range(LIMITS.retries + 2):
        link.timer()
    assert transfer.done


class _Link:
    """The peer of one transfer, and what it can see of it."""

    def __init__(self, transfer: Transfer, content: bytes | None) -> None:
        self.transfer = transfer
        self.content = content
        """None: it is translated, and no block is compared."""
        self.now = 0.0
        self.sent = 0
        self.blksize = 512
        self.acked = 0

    def step(self, step: int, datagram: bytes) -> None:
        """0..0x7F: ACK of a block near the last one sent; ..0x9F: the timer; ..0xBF: the timer, too early; else a datagram."""
        if step < 0x80:
            ack = tftp_packets.encode(tftp_packets.Ack((self.sent + step // 8 - 12) & 0xFFFF))
            self.hear(ack)
            assert not self.hear(ack), "the Sorcerer's Apprentice"  # RFC 1123 section 4.2.3.1
        elif step < 0xA0:
            self.timer()
        elif step < 0xC0:
            self.transfer.handle_timer(self.now)
            assert not self.drain()
        else:
            self.hear(datagram)

    def hear(self, datagram: bytes) -> int:
        outcome = self.transfer.outcome
        self.now += 0.001
        try:
            self.transfer.receive(datagram, self.now)
        except Malformed:
            assert not self.drain()
        assert outcome is None or outcome is self.transfer.outcome
        return self.drain()

    def timer(self) -> None:
        self.now = max(self.now, self.transfer.timer or self.now)
        self.transfer.handle_timer(self.now)
        self.drain()

    def drain(self) -> int:
        """How many datagrams there were; each is what may be sent now."""
        datagrams = self.transfer.datagrams_to_send()
        assert not self.transfer.datagrams_to_send()
        assert len(datagrams) <= LIMITS.windowsize
        for datagram in datagrams:
            self._check(tftp_packets.decode(datagram))
        if self.transfer.done:
            assert self.transfer.timer is None
            if isinstance(self.transfer.outcome, Completed) and self.content is not None:
                assert self.sent == len(self.content) // self.blksize + 1
        return len(datagrams)

    def _check(self, packet: tftp_packets.Packet) -> None:
        match packet:
            case tftp_packets.OptionAck(options):
                self.blksize = int(options.get("blksize", "512"))
            case tftp_packets.Data(block, payload):
                number = self.sent + (block - self.sent + 0x8000 & 0xFFFF) - 0x8000
                assert 1 <= number <= self.sent + 1
                self.sent = max(self.sent, number)
                if self.content is not None:
                    assert self.content[(number - 1) * self.blksize : number * self.blksize] == payload
            case other:
                assert isinstance(other, tftp_packets.Error)


# --- DNS -------------------------------------------------------------------------------------------------------------------


def dns_message(data: bytes) -> None:
    """By both transports: what is answered can be read, belongs to the question, and is not longer than the asker takes."""
    for tcp in (False, True):
        decided = dns.respond(data, corpus.ZONE, tcp=tcp)
        if isinstance(decided, dns.Ignore):
            assert decided.reason
            continue
        _check_answer(data, decided, tcp)


def _check_answer(data: bytes, decided: dns.Reply, tcp: bool) -> None:
    assert data[:2] == decided.data[:2]
    assert decided.data[2] & 0x80
    assert tcp or len(decided.data) <= dns.LARGEST_UDP
    assert decided.outcome + decided.name + decided.qtype + decided.reason
    if decided.asked is not None:
        assert decided.asked.question == dns_query.decode(decided.data).question
        if decided.asked.name.isascii():  # dnslib holds names to be UTF-8, which RFC 2181 section 11 does not
            DNSRecord.parse(decided.data)
        assert dns_query.answers(decided.data, data)
        assert tcp or decided.asked.edns or len(decided.data) <= dns.SMALLEST_UDP
        assert dns.failure(decided.asked)
        _check_name(decided.asked.name)


def _check_name(name: bytes) -> None:
    """RFC 1035 section 2.3.4, and not a byte after the root."""
    at = 0
    while name[at]:
        assert name[at] <= 63
        at += 1 + name[at]
    assert at + 1 == len(name) <= 255


# --- what is written in git ------------------------------------------------------------------------------------------------


def yaml(data: bytes) -> None:
    """Documents are plain data of bounded depth, faults have a place in the file, and what hid the rest is a fault."""
    reading = read(data)
    assert reading.whole or reading.faults
    last = len(data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")) + 1
    for fault in reading.faults:
        assert 1 <= fault.line <= last
        assert fault.column >= 1
        assert fault.message
    for document in reading.documents:
        json.dumps(document.value, allow_nan=False)
        assert _depth(document.value) <= MAX_DEPTH + 1


def _depth(value: object) -> int:
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(_depth, inside), default=0)


SMALL = TemplateLimits(text=20_000, output=5000, steps=5000, depth=20)


def template(data: bytes) -> None:
    """Text within its bounds, or one error with a place."""
    try:
        rendered = compile_template(data.decode(errors="replace"), SMALL).render(corpus.DATA)
    except TemplateError as error:
        assert min(error.line, error.column) >= 1
        assert error.message
        return
    assert len(rendered) <= SMALL.output


# --- what is on disk, and what agents say ----------------------------------------------------------------------------------


def journal(data: bytes) -> None:
    """A segment's good part is the same when read alone, and says the same when written again."""
    found = scan(data, 1)
    assert 0 <= found.size <= len(data)
    assert (found.size == len(data)) == (not found.problem)
    alone = scan(data[: found.size], 1)
    assert (found.events, "") == (alone.events, alone.problem)
    assert found.events == scan(lines(1, found.events), 1).events
    try:  # a checksum that is right is not what chance finds
        event = events.decode(data.strip())
    except Malformed:
        return
    assert (event,) == scan(lines(7, (event,)), 7).events


def agent_message(data: bytes) -> None:
    """The server's requests, and what the agent reads of the answers."""
    decoders = (reports.decode_claim, reports.decode_heartbeat, reports.decode_report, rehearsals.decode_rehearsal)
    for decode in (*decoders, inventory_document.decode_inventory):
        try:
            asked = decode(data)
        except Malformed:
            continue
        assert asked == decode(msgspec.json.encode(asked))
        if isinstance(asked, reports.ReportRequest):
            event = reports.to_event(asked.event, asked.run, asked.sequence, 1.0)
            assert event == events.decode(events.encode(event))
        if isinstance(asked, inventory_document.InventoryRequest):
            kept = inventory_document.Kept(1.0, asked)
            assert kept == inventory_document.decode_kept(inventory_document.encode_kept(kept))
    _to_the_agent(data)


def _to_the_agent(data: bytes) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        claimed = messages.claim_from_json(document)
        if isinstance(claimed, messages.Claim) and claimed.last:
            messages.describe(claimed.last, claimed.workflow)
    except messages.Malformed as malformed:
        assert str(malformed)
    try:
        event = messages.event_from_json(document)
    except messages.Malformed:
        return
    assert event == messages.event_from_json(messages.event_to_json(event))


def router_solicitation(data: bytes) -> None:
    """The first byte is the hop limit. An answer goes to the one who asked, and only to a neighbour."""
    try:
        to = recipient(data[1:], data[0] if data else 0, "fe80::1")
    except Malformed as malformed:
        assert malformed.reason
        return
    assert ("fe80::1", 255, 133) == (to, data[0], data[1])
    assert 1 == len(data) % 8


def lldp_frame(data: bytes) -> None:
    """What was said is text and numbers that fit into the frame."""
    try:
        heard = lldp.decode(data)
    except messages.Malformed as malformed:
        assert str(malformed)
        return
    texts = (heard.chassis, heard.port, heard.description, heard.name, heard.address)
    assert len("".join(texts)) <= 4 * len(data)
    assert 0 <= heard.vlan < 1 << 16 > heard.ttl >= 0


# --- Metadata ---------------------------------------------------------------------------------------------------------------


def metadata(data: bytes) -> None:
    """A path and a token, as a peer may write them, meet one machine's tree: what is found is in it, and no token is right."""
    path, _, token = data.decode("latin-1").partition("\n")
    (node,) = (each for each in corpus.PLANS.current.machines.values() if each.name == "node-01")
    told = Told(corpus.PLANS.current, node, node.interfaces[0])
    for tree in (ec2(told, "10.1.0.11"), nocloud(told)):
        found = tree.get(ec2_key(path))
        assert found is None or found in tree.values()
    assert imds.admit(b"key", node.name, {imds.TOKEN_HEADER: token}, required=False, now=1_800_000_000.0) is not None
    imds.issue(b"key", node.name, {imds.TTL_HEADER: token}, 1_800_000_000.0)


def syslog_message(data: bytes) -> None:
    """Whatever it is, it is kept as one printable line whose bytes are bounded by those that came."""
    try:
        message = syslog.parse(data)
    except Malformed as malformed:
        assert malformed.reason
        return
    kept = syslog.line(message, "2026-01-31T12:00:00.000Z")
    assert 1 == kept.count(b"\n") == kept.endswith(b"\n")
    assert kept[:-1].decode().replace("\t", "").isprintable()
    assert len(kept) <= 8 * len(data) + 64


TARGETS: dict[str, tuple[Target, int]] = {
    "dhcp": (dhcp_message, 22),
    "dhcp-options": (dhcp_option, 9),
    "router": (router_solicitation, 2),
    "lldp": (lldp_frame, 2),
    "tftp": (tftp_packet, 10),
    "tftp-transfer": (tftp_transfer, 10),
    "dns": (dns_message, 25),
    "yaml": (yaml, 3),
    "secret": (secret, 1),
    "template": (template, 5),
    "journal": (journal, 3),
    "agent": (agent_message, 4),
    "http": (http, 2),
    "syslog": (syslog_message, 1),
    "metadata": (metadata, 1),
}
"""Name → the target, and its part of the inputs or the time in hundredths. Most goes to what anybody on the wire can reach."""
