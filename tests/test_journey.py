"""One machine, from a commit to its installed disk: no socket, no clock. Read this first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from netboot.boot import Plans
from netboot.desk import Counter, answer
from netboot.dhcp import Reply, Server, classify, decode
from netboot.events import Event, JournalOpened
from netboot.observed import Observed, fold
from netboot.reports import Ended, Finished, Report, Started
from netboot.runs import Accepted, Claimed, claim, report
from netboot.scripts import Asked, House, Script, script_for
from netboot.sessions import Opened, exchange
from reconciler.compile import Compiler
from reconciler.reader import Reader
from reconciler.target import snapshot_of_folder

HERE = Path(__file__).parent
CAPTURED = bytes.fromhex((HERE / "netboot/captures/bios-ipxerom.ipxe-DISCOVER.hex").read_text())
DISCOVER = CAPTURED.replace(bytes.fromhex("525400770001"), bytes.fromhex("525400123401"))  # from node-01 of the example


def test_a_commit_becomes_an_installed_machine() -> None:
    """Commit → plan → DHCP → script → claim → action → disk."""
    inventory, problems = Reader().read(snapshot_of_folder(HERE.parent / "example-inventory"))
    assert inventory is not None, problems
    dump = Compiler().compile(inventory).dump
    assert dump is not None
    plans, node = Plans(dump.plan, {}), dump.plan.machines["node-01"]
    house, observed = House("http://10.1.0.1", b"the server's key"), fold([JournalOpened(at=0, journal="a new site")])

    # Its iPXE asks for an address: a boot opens, pinned to this plan.
    packet, here = decode(DISCOVER), Counter(Server(bytes([10, 1, 0, 1])), house.base, hold="", fresh="boot-1")
    offer = answer(packet, classify(packet), plans, observed, here, now=1)
    assert isinstance(offer.outcome, Reply)
    assert ("OFFER", bytes([10, 1, 0, 11])) == (offer.outcome.message, offer.outcome.address)
    happen(observed, offer.events)

    # It fetches its script, which boots the profile of its work and hands over the boot's token.
    script = script_for(house, plans, observed, Asked(node.macs[0], "10.1.0.11"), hold="", now=2, fresh="")
    assert isinstance(script, Script)
    assert "runs workflow inspect-node-01 run 1" in script.text
    assert "gitboot.boot=boot-1 gitboot.token=" in script.text
    happen(observed, script.events)

    # Its agent exchanges the token for a session; from now on nobody else speaks for this machine.
    session = exchange(observed, observed.boots["boot-1"], "this start of the system", now=3, fresh="session-1")
    assert isinstance(session, Opened)
    happen(observed, session.events)

    # The agent claims the run and reports each step; a step is an event before it is an answer.
    claimed = claim(observed, "boot-1", "this start of the system", 3, node.work[0], run_id="run-1")
    assert isinstance(claimed, Claimed)
    happen(observed, claimed.events)
    story: list[Report] = [
        Started(task="inspect", action="look-around", attempt=1),
        Ended(task="inspect", action="look-around", attempt=1, state="SUCCESS", exit_code=0),
        Finished(state="SUCCESS"),
    ]
    for sequence, said in enumerate(story, start=1):
        accepted = report(observed, "boot-1", "run-1", sequence, said, now=4)
        assert isinstance(accepted, Accepted)
        happen(observed, accepted.events)
    assert "SUCCESS" == observed.runs["run-1"].state

    # From now on it boots its disk, whatever its boot order says.
    again = script_for(house, plans, observed, Asked(node.macs[0], "10.1.0.11"), hold="", now=60, fresh="boot-2")
    assert isinstance(again, Script)
    assert "booting from the local disk" in again.text


def happen(observed: Observed, events: Iterable[Event]) -> None:
    for event in events:
        observed.apply(event)
