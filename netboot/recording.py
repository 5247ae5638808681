"""A recording: what a machine asked, what was decided and why, and what it was told, each exchange as one value.

Core. Law: an exchange whose question is kept can be answered again: beside the plan and the journal up to `Seen.position`, it
holds all that the decision was taken from, and `answer_again` asks the very functions that answered then. Tokens are masked
before they get in; what an agent says or is given is not in it at all. One line of JSON each, in which bytes are base64; what
a reader does not know of a line it lets pass, so that later fields spoil no older recording.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from netboot.boot import Plans
from netboot.desk import Answer, Counter, answer
from netboot.dhcp import Client, Destination, Packet, Reply, classify, decode
from netboot.dhcp_packet import MESSAGES, dotted
from netboot.errors import Malformed
from netboot.events import BootOpened, Event, Trying
from netboot.ipxe import Secure, mask
from netboot.observed import Observed
from netboot.scripts import Asked, House, Language, NoScript, Script, script_for
from netboot.work import Work

PATHS: Mapping[Language, str] = {
    "ipxe": "ipxe/{}/boot.ipxe",
    "grub": "grub/boot.cfg-01-{}",
    "pxelinux": "pxelinux.cfg/01-{}",
}
"""Where each loader asks for its script, by its MAC with hyphens."""


class DhcpQuestion(msgspec.Struct, frozen=True, tag="dhcp"):
    datagram: bytes
    at: Counter


class ScriptQuestion(msgspec.Struct, frozen=True, tag="script"):
    asked: Asked
    base: str
    hold: str
    fresh: str
    language: Language = "ipxe"
    secure: Secure | None = None


Question = DhcpQuestion | ScriptQuestion


class SeenTry(msgspec.Struct, frozen=True):
    """That the machine was to boot another plan, once."""

    machine: str
    trying: Trying
    plan: str


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there was to be known when a question came."""

    position: int
    """The journal's last event then."""
    current: str
    """Id of the plan served."""
    pinned: tuple[str, ...] = ()
    """Ids of the plans that open boots were pinned to, or that were to be tried."""
    held: dict[str, dict[str, str]] = {}
    """Plan → work of the machine (`title_of`) → why no run of it might start: a policy, or a secret that cannot be read."""
    tried: SeenTry | None = None
    listening: float = 0.0
    boot_heard: float = 0.0
    """When the machine's open boot was last heard of, and its session: neither is journalled."""
    session_heard: float = 0.0


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    at: float
    """Seconds since the epoch, by the server's clock: the decision's own time."""
    kind: str
    """As in the log: dhcp, script, tftp, artifact, dns, metadata, session, claim, report …"""
    mac: str = ""
    machine: str = ""
    boot: str = ""
    plan: str = ""
    """Id of the plan that the answer came from."""
    commit: str = ""
    """That the plan was made of; "": not known."""
    outcome: str = "ok"
    reason: str = ""
    said: str = ""
    """What was asked, in a word or a path."""
    client: str = ""
    """Who asked by DHCP: `dhcp.Kind`."""
    answer: bytes = b""
    """What went out, tokens masked; empty for silence, and where it is not kept."""
    to: Destination | None = None
    """Where a DHCP answer went."""
    question: Question | None = None
    seen: Seen | None = None


def title_of(work: Work) -> str:
    return f"{work.workflow} {work.run}"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Exchange)


def encode(exchange: Exchange) -> bytes:
    """One line without its newline; `decode_line` is the inverse."""
    return _encoder.encode(exchange)


def decode_line(line: bytes) -> Exchange:
    """Raises Malformed, and nothing else, for any bytes."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error


def of_dhcp(
    question: DhcpQuestion, packet: Packet, client: Client, decided: Answer, plan: str, now: float, seen: Seen | None = None
) -> Exchange:
    """`plan`: of the machine's open boot, or else the served one."""
    outcome = decided.outcome
    reply = outcome if isinstance(outcome, Reply) else None
    return Exchange(
        at=now,
        kind="dhcp",
        mac=packet.mac,
        machine=decided.machine,
        boot=decided.boot,
        plan=_plan(decided.events, plan),
        outcome=word(decided),
        reason=reason(decided),
        said=MESSAGES.get(packet.message, str(packet.message)),
        client=client.kind,
        answer=reply.data if reply else b"",
        to=reply.destination if reply else None,
        question=question,
        seen=seen,
    )


def of_script(
    question: ScriptQuestion, decided: Script | NoScript, plan: str, now: float, seen: Seen | None = None
) -> Exchange:
    asked, said = question.asked, PATHS[question.language].format(question.asked.mac.replace(":", "-"))
    if isinstance(decided, NoScript):
        return Exchange(
            at=now, kind="script", mac=asked.mac, plan=plan, outcome=str(decided.status), reason=decided.reason, said=said,
            question=question, seen=seen,
        )  # fmt: skip
    return Exchange(
        at=now,
        kind="script",
        mac=asked.mac,
        machine=decided.machine,
        boot=decided.boot,
        plan=_plan(decided.events, plan),
        reason=decided.why,
        said=said,
        answer=mask(decided.text).encode(),
        question=question,
        seen=seen,
    )


def word(decided: Answer) -> str:
    """The outcome of a DHCP packet, as it is counted."""
    outcome = decided.outcome
    if isinstance(outcome, Reply):
        return outcome.message.lower()
    return getattr(outcome, "kind", "ignored").lower()


def reason(decided: Answer) -> str:
    outcome = decided.outcome
    if isinstance(outcome, Reply) and any(outcome.address):
        return f"{outcome.reason} {dotted(outcome.address)}"
    return outcome.reason


def _plan(events: tuple[Event, ...], before: str) -> str:
    return next((event.plan for event in events if isinstance(event, BootOpened)), before)


def answer_again(
    question: Question, plans: Plans, observed: Observed, now: float, key: bytes = b""
) -> tuple[Exchange, tuple[Event, ...]]:
    """What the cores say, and the events that they want journalled. `key`: of the server; tokens are masked, so any will do.

    Raises Malformed for a question that was never one.
    """
    match question:
        case DhcpQuestion(datagram, at):
            packet = decode(datagram)
            plan = plans.of(observed.open_boot(packet.mac)).id
            client = classify(packet)
            decided = answer(packet, client, plans, observed, at, now)
            return of_dhcp(question, packet, client, decided, plan, now), decided.events
        case ScriptQuestion(asked, base, hold, fresh, language, secure):
            plan = plans.of(observed.open_boot(asked.mac)).id
            script = script_for(House(base, key, language, secure), plans, observed, asked, hold, now, fresh)
            exchange = of_script(question, script, plan, now)
            return exchange, () if isinstance(script, NoScript) else script.events
