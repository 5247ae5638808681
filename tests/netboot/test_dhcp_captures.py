"""What real firmware sent, and what it is answered: packet in, decision, packet out.

`captures/*.hex` are UDP payloads as captured from QEMU's firmware, iPXE and busybox; beside each lies `*.golden`: how the
client is read, what is decided, the reply for a person to read, and its bytes. After an intended change:

    python -m tests.netboot.test_dhcp_captures     # writes them again; read the diff
"""

from __future__ import annotations

from pathlib import Path

import pytest

from netboot.dhcp import Reply, classify, decode
from netboot.dhcp_packet import Packet, describe, encode
from tests.netboot.dhcp_example import answer

CAPTURES = Path(__file__).parent / "captures"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.hex"))


def captured(name: str) -> bytes:
    return bytes.fromhex((CAPTURES / f"{name}.hex").read_text())


def golden(name: str) -> str:
    """The whole exchange as text."""
    asked = decode(captured(name))
    client = classify(asked)
    decision = answer(asked)
    lines = [
        "# asked", describe(asked),
        "# client", *(f"{field}: {getattr(client, field)}" for field in ("kind", "arch", "uefi", "user_class", "vendor_class")),
        f"guid: {client.guid.hex()}", f"features: {' '.join(map(str, sorted(client.features)))}",
        "# decision", _decision(decision) if isinstance(decision, Reply) else repr(decision),
    ]  # fmt: skip
    if isinstance(decision, Reply):
        lines += ["# reply", describe(decode(decision.data)), "# bytes", *_lines(decision.data.hex())]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _decision(reply: Reply) -> str:
    to = reply.destination
    hardware = f" at {to.chaddr.hex(':')}" if to.chaddr else ""
    return f"{reply.message} ({reply.reason}) by {to.kind} to {to.address}:{to.port}{hardware}"


def _lines(text: str) -> list[str]:
    return [text[at : at + 128] for at in range(0, len(text), 128)]


@pytest.mark.parametrize("name", NAMES)
def test_real_firmware_is_answered_as_the_golden_says(name: str) -> None:
    assert (CAPTURES / f"{name}.golden").read_text() == golden(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_captured_packet_survives_being_written_again(name: str) -> None:
    sent: Packet = decode(captured(name))
    assert sent == decode(encode(sent))


def test_every_golden_belongs_to_a_capture() -> None:
    assert NAMES
    assert sorted(path.stem for path in CAPTURES.glob("*.golden")) == NAMES


if __name__ == "__main__":
    for each in NAMES:
        (CAPTURES / f"{each}.golden").write_text(golden(each))
