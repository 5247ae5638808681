"""What a person reads of a boot: a golden of a whole one, and what is said of an answer that is another.

After an intended change:

    python -m tests.reconciler.test_transcript     # writes it again; read the diff
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from netboot.dhcp import Destination
from netboot.plan import Binding
from netboot.recording import DhcpQuestion, Exchange
from netboot.replay import Replayed
from reconciler.firmware import PROFILES
from reconciler.simulation import Simulation, simulate
from reconciler.transcript import replay_text, transcript
from tests.netboot.site import KERNEL_SHA256, machine, plan
from tests.reconciler.test_simulation import WHERE

GOLDEN = Path(__file__).parent.parent / "goldens" / "simulated-boot.txt"


def simulated() -> Simulation:
    served = plan(machine(1, "look"), artifacts={"vmlinuz": KERNEL_SHA256}).plan
    here = served.machines["node-01"]
    return simulate(served, Binding(here, here.interfaces[0]), PROFILES["uefi"], WHERE)


def text() -> str:
    """Without the plan's id, which any new field of a plan changes."""
    return re.sub(r"plan [0-9a-f]{12}", "plan PLAN", transcript(simulated().exchanges, clock=False))


def test_a_whole_boot_reads_as_the_golden_says() -> None:
    assert GOLDEN.read_text() == text()


def test_a_replayed_boot_says_of_each_exchange_whether_it_is_the_same() -> None:
    offer = simulated().exchanges[0]
    told = Exchange(at=0.0, kind="tftp", mac=offer.mac, outcome="completed", said="snponly.efi")
    other = replace(offer, answer=offer.answer.replace(b"node-01", b"node-99"), to=Destination("unicast", "10.1.0.1", 68))
    lines = replay_text([Replayed(offer, offer), Replayed(offer, other), Replayed(told), Replayed(offer, why="it is lost")])
    assert "      ✓ the same again, 3" in lines
    assert "      ✗ answered otherwise:\n      -→ OFFER" in lines
    assert "to 10.1.0.1:68 by unicast" in lines
    assert "00:00:00.000  TFTP RRQ snponly.efi  52:54:00:12:34:01\n    → COMPLETED\n      · is only told of\n" in lines
    assert "      ✗ cannot be answered again: it is lost\n" in lines


def test_bytes_that_a_peer_chose_reach_no_terminal() -> None:
    offer = simulated().exchanges[0]
    assert isinstance(offer.question, DhcpQuestion)
    evil = replace(offer.question, datagram=offer.question.datagram.replace(b"PXEClient:Arch", b"PXEClient\x1b[2JX"))
    path = Exchange(at=0.0, kind="tftp", said="\x1b]0;mine\x07", reason="\u202etxt", answer=b"\x9b2J")
    shown = transcript([replace(offer, question=evil, answer=b""), path], clock=False)
    assert [] == [each for each in shown if not (each.isprintable() or each == "\n")]
    assert "RRQ \\x1b]0;mine\\x07" in shown


def test_a_packet_that_is_none_is_said_to_be_none() -> None:
    offer = simulated().exchanges[0]
    assert isinstance(offer.question, DhcpQuestion)
    shown = transcript([replace(offer, question=replace(offer.question, datagram=b"short"), answer=b"")], clock=True)
    assert "a DHCP message has at least 240 bytes, this one has 5" in shown


if __name__ == "__main__":
    GOLDEN.write_text(text())
