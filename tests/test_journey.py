"""One machine, from a commit to its installed disk: no socket, no clock. Read this first."""

from __future__ import annotations

import re
from pathlib import Path

from agent.workflow import from_json
from netboot.boot import Plans
from netboot.desk import Counter, answer
from netboot.dhcp import Reply, Server, classify, decode
from netboot.events import JournalOpened
from netboot.observed import Observed
from netboot.reports import Ended, Finished, Report, Started
from netboot.runs import Accepted, Claimed, claim, report
from netboot.scripts import House, Script, script_for
from reconciler.compile import Compiler
from reconciler.reader import Reader
from reconciler.target import snapshot_of_folder

ROOT = Path(__file__).parent
DISCOVER = bytes.fromhex((ROOT / "netboot/captures/bios-ipxerom.ipxe-DISCOVER.hex").read_text())


def test_a_commit_becomes_an_installed_machine() -> None:
    """Commit → plan → DHCP → script → claim → actions → disk."""
    observed, house = Observed(), House("http://10.1.0.1", b"the server's key")
    observed.apply(JournalOpened(at=0, journal="a new site"))

    # A commit is read, validated and compiled to a frozen plan.
    inventory, problems = Reader().read(snapshot_of_folder(ROOT.parent / "example-inventory"))
    assert (problems, inventory is not None) == ((), True)
    plan = Compiler().compile(inventory).dump.plan  # type: ignore[arg-type,union-attr] # asserted in the line above
    plans, machine = Plans(plan, {}), plan.machines["node-01"]

    # The machine's iPXE asks for an address: its boot opens, pinned to this plan.
    packet = decode(DISCOVER.replace(bytes.fromhex("525400770001"), bytes.fromhex("525400123401")))
    here = Counter(Server(bytes([10, 1, 0, 1])), house.base, hold="", fresh="boot-1")
    offer = answer(packet, classify(packet), plans, observed, here, now=1)
    assert isinstance(offer.outcome, Reply)
    assert ("OFFER", bytes([10, 1, 0, 11])) == (offer.outcome.message, offer.outcome.address)
    assert b"http://10.1.0.1/ipxe/52-54-00-12-34-01/boot.ipxe" in offer.outcome.data
    for event in offer.events:
        observed.apply(event)

    # The script boots the profile of its work and hands over a token.
    script = script_for(house, plans, observed, machine.macs[0], hold="", now=2, fresh="unused")
    assert isinstance(script, Script)
    assert "runs workflow inspect-node-01 run 1" in script.text
    assert re.search(r"gitboot\.boot=boot-1 gitboot\.token=[0-9a-f]{64}", script.text)
    for event in script.events:
        observed.apply(event)

    # The agent claims the run and carries out its action; every step is an event before it is an answer.
    claimed = claim(observed, "boot-1", "system-1", 3, machine.work[0], run_id="run-1")
    assert isinstance(claimed, Claimed)
    for event in claimed.events:
        observed.apply(event)
    task = from_json(claimed.answer["workflow"]).tasks[0]
    action = task.actions[0].name
    story: list[Report] = [
        Started(task=task.name, action=action, attempt=1),
        Ended(task=task.name, action=action, attempt=1, state="SUCCESS", exit_code=0),
        Finished(state="SUCCESS"),
    ]
    for sequence, said in enumerate(story, start=1):
        accepted = report(observed, "boot-1", "run-1", sequence, said, now=3 + sequence)
        assert isinstance(accepted, Accepted)
        for event in accepted.events:
            observed.apply(event)
    assert "SUCCESS" == observed.runs["run-1"].state

    # From now on it boots its disk, whatever its boot order says.
    again = script_for(house, plans, observed, machine.macs[0], hold="", now=60, fresh="boot-2")
    assert isinstance(again, Script)
    assert "booting from the local disk" in again.text
    assert "kernel" not in again.text
