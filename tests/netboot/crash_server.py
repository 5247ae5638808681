"""A server to be killed: the ledger behind a socket, with none of the rest.

Started once (`python -m tests.netboot.crash_server`), it forks a fresh server for each line `STATE SOCKET` on its stdin, so
that two hundred crashes take seconds. A server connects to SOCKET, says its process id, and answers requests (JSON lines) in
whatever order they become durable. Its disk writes in two halves, so that a kill leaves torn lines behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from netboot import reports, runs
from netboot.events import BootOpened, Event, JournalOpened
from netboot.journal import Journal
from netboot.ledger import Ledger
from netboot.runs import Accepted, Claimed, Duplicate, Nothing
from netboot.work import Work
from tests.netboot.story import INSTALL, work

RESETS = 1


def asked(request: dict[str, Any]) -> Work:
    return work(INSTALL, request["number"], resets=RESETS)


def decide(ledger: Ledger, request: dict[str, Any]) -> tuple[tuple[Event, ...], dict[str, Any]]:
    """(events to commit, answer to give then)."""
    observed, now = ledger.observed, time.time()
    machine, mac = f"node-{request['machine']}", f"mac-{request['machine']}"
    match request["op"]:
        case "boot":
            boot = os.urandom(8).hex()
            opened = BootOpened(at=now, boot=boot, machine=machine, macs=(mac,), mac=mac, plan="plan-1", via="dhcp")
            site = () if observed.journal else (JournalOpened(at=now, journal="j1"),)
            return (*site, opened), {"boot": boot}
        case "claim":
            fresh = os.urandom(8).hex()
            claim = runs.claim(observed, request["boot"], request["system"], now, asked(request), run_id=fresh)
            match claim:
                case Claimed(events=events, answer=answer):
                    return events, {"run": answer}
                case Nothing(events=events, reason=reason):
                    return events, {"run": None, "reason": reason}
        case _:
            event = reports.decode_report(json.dumps(request).encode()).event
            verdict = runs.report(observed, request["boot"], request["run"], request["sequence"], event, now)
            match verdict:
                case Accepted(events=events):
                    return events, {"accepted": request["sequence"]}
                case Duplicate(sequence=sequence):
                    return (), {"accepted": sequence}
                case refused:
                    return (), {"refused": refused.status, "error": refused.error}


async def answer(ledger: Ledger, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    events, reply = decide(ledger, request)
    await ledger.commit(events)
    writer.write(json.dumps({"machine": request["machine"], **reply}).encode() + b"\n")


async def serve(state: Path, socket: str) -> None:
    ledger = Ledger(Journal(state / "journal", segment_bytes=50_000, sync=write_in_halves))
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"{os.getpid()}\n".encode())
    tasks = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(answer(ledger, json.loads(line), writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def write_in_halves(file: int, data: bytes) -> None:
    middle = len(data) // 2
    os.write(file, data[:middle])
    os.fdatasync(file)  # takes a while: many a kill falls here
    os.write(file, data[middle:])
    os.fdatasync(file)


def main() -> None:
    for line in sys.stdin:
        state, socket = line.split()
        if (child := os.fork()) == 0:
            asyncio.run(serve(Path(state), socket))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
