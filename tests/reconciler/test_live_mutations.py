"""Damaged commits, one after another, pushed to a live server: for a rejected one nothing on the wire ever changes.

`GITBOOT_MUTATIONS=2000` runs as many; without it the first of them, as many as belong into every run of the tests. They are the
same each time. Beside the server stands an oracle: a server of the test's own that is handed only plans which the test compiled
itself, and is asked the same. What the two answer must be the same bytes, after every commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import socket
import time
import zlib
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from netboot.artifacts import ArtifactStore
from netboot.boot import Plans
from netboot.dhcp_front import DhcpFront
from netboot.dhcp_server import Peer
from netboot.plan import Dump
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import ReconciliationReader
from netboot.world import World
from reconciler.compile import Compiler
from reconciler.firmware import BIOS, Firmware, discover
from reconciler.reader import Reader
from tests.netboot.site import browser, world
from tests.reconciler.gitkit import Work, wait_until
from tests.reconciler.inventories import SOUND, snapshot
from tests.reconciler.process import FREE, Gitboot
from tests.reconciler.test_mutations import encoded, mutated
from tests.reconciler.test_reconcile import SECOND_MACHINE

MUTATIONS = int(os.environ.get("GITBOOT_MUTATIONS", "150"))
KNOWN = Firmware("52:54:00:12:34:01", BIOS, bytes(16))
SCRIPT = f"/ipxe/{KNOWN.mac.replace(':', '-')}/boot.ipxe"
SECOND = SECOND_MACHINE + "---\n" + SOUND["workflow.yaml"].replace("-01", "-02")
WORDS = "# Whatever is said here is for people: damage to it is none to the machines, and the commit is accepted.\n" * 3
SILENCE = 0.05
"""Seconds in which a server that should not answer is listened to; a late answer is found in the next round all the same."""

pytestmark = [pytest.mark.shell, pytest.mark.timeout(120 + MUTATIONS * 2)]
Heard = tuple[bytes | None, int, bytes]
"""What the known machine was sent: by DHCP, and as its script with the HTTP status."""


def change(seed: int) -> dict[str, bytes]:
    """A sound commit that moves the known machine, and with it everything it is told; two of three are then damaged."""
    hardware = SOUND["hardware.yaml"].replace("10.1.0.11", f"10.1.{seed % 199}.11")
    files = encoded({**SOUND, "hardware.yaml": hardware, "more.yaml": SECOND})
    files = {path: WORDS.encode() + data for path, data in files.items()}
    return mutated(seed, [files]) if seed % 3 else files


class Commits:
    """Objects and the branch written as git writes them: thousands of commits in seconds."""

    def __init__(self, work: Work) -> None:
        self._git = work.path / ".git"

    def commit(self, files: dict[str, bytes], number: int) -> str:
        rows = [b"100644 " + name.encode() + b"\0" + self._write(b"blob", data) for name, data in sorted(files.items())]
        who = b"Ann <ann@lab.example> %d +0000" % (1_700_000_000 + number)
        tree = self._write(b"tree", b"".join(rows)).hex().encode()
        head = self._write(b"commit", b"tree %s\nauthor %s\ncommitter %s\n\nchange %d\n" % (tree, who, who, number)).hex()
        fresh = self._git / "refs/heads/main.new"
        fresh.write_text(f"{head}\n")
        fresh.rename(self._git / "refs/heads/main")
        return head

    def _write(self, kind: bytes, data: bytes) -> bytes:
        whole = kind + b" %d\0" % len(data) + data
        digest = hashlib.sha1(whole)
        path = self._git / "objects" / digest.hexdigest()[:2] / digest.hexdigest()[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".new").write_bytes(zlib.compress(whole, 1))
            path.with_suffix(".new").rename(path)
        return digest.digest()


class Wire:
    """The live server's DHCP and HTTP ports."""

    def __init__(self, server: Gitboot) -> None:
        self._dhcp = ("127.0.0.1", int(server.wait_for("listening")["dhcp"]))
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        self._http.close()
        self._socket.close()

    def ask(self, question: bytes, answered: bool) -> Heard:
        """What ought to be answered is said again every second, as clients do: one that asks this fast is not always heard."""
        reply = None
        for _ in range(20 if answered else 1):
            self._socket.sendto(question, self._dhcp)
            if reply := self._reply(question[4:8], 1 if answered else SILENCE):
                break
        return reply, *self.get(SCRIPT)

    def _reply(self, xid: bytes, seconds: float) -> bytes | None:
        """The answer to this question; one that is said again can have two."""
        self._socket.settimeout(seconds)
        with suppress(TimeoutError):
            while (reply := self._socket.recv(2048))[4:8] != xid:
                pass
            return reply
        return None

    def serves(self, plan: str) -> bool:
        return f'"plan": "{plan}"'.encode() in self.get("/status/reconcile.json")[1]

    def get(self, path: str) -> tuple[int, bytes]:
        """By a connection of its own: the server ends one that is idle, and a commit may take as long."""
        with closing(self._http):
            self._http.request("GET", path)
            answer = self._http.getresponse()
            return answer.status, answer.read()


async def ask_the_oracle(oracle: World, question: bytes) -> Heard:
    sent: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    front = DhcpFront(oracle)
    front.send = lambda outgoing: sent.set_result(outgoing.data)
    at_once = front.handle(question, Peer("127.0.0.1", 68, 1, bytes((127, 0, 0, 1))))
    await oracle.ledger.commit(())  # what was to be sent after the journal is sent now
    reply = at_once.data if at_once else sent.result() if sent.done() else None
    async with browser(oracle, "127.0.0.1") as client:
        script = await client.get(f"http://127.0.0.1{SCRIPT}")  # scripts name the address that they were asked at
    return reply, script.status_code, script.content


def compiled(files: dict[str, bytes], artifacts: ArtifactStore) -> Dump | None:
    inventory, _ = Reader().read(snapshot(files))
    if inventory is None:
        return None
    references = [each.path for profile in inventory.profiles.values() for each in profile.references if each.path]
    return Compiler().compile(inventory, artifacts.find(references)).dump


def test_the_wire_never_changes_for_a_rejected_commit_and_is_the_plan_of_an_accepted_one(tmp_path: Path) -> None:
    work, state = Work(tmp_path / "site"), tmp_path / "state"
    (tmp_path / "art/inspect").mkdir(parents=True)
    (tmp_path / "art/inspect/vmlinuz").write_bytes(b"kernel")
    flags = ("--repo", work.path, "--state", state, "--artifacts", tmp_path / "art", "--reply-to-source", *FREE)
    commits = Commits(work)
    commits.commit(change(0), 0)

    async def story() -> None:
        with Gitboot("serve", *flags) as server, closing(Wire(server)) as wire:
            server.wait_for("plan-served")
            async with world(tmp_path / "oracle", new_site=False, listen="127.0.0.1") as oracle:
                oracle.ports["http"] = server.port
                await push(oracle, wire)
            assert 0 == server.stop(10)

    async def push(oracle: World, wire: Wire) -> None:
        artifacts = ArtifactStore(tmp_path / "art", tmp_path / "oracle")
        reader = ReconciliationReader(state)

        def word_about(head: str) -> Reconciliation:
            assert wait_until(lambda: (reader.look() or True) and reader.latest is not None and reader.latest.head == head)
            assert reader.latest is not None
            return reader.latest

        heard: Heard = (None, 0, b"")
        accepted, began = 0, time.monotonic()
        for seed in range(MUTATIONS):
            files = change(seed)
            expected = compiled(files, artifacts)
            head = commits.commit(files, seed)
            word = word_about(head)
            assert "" == word.unavailable, f"mutated({seed}): {word}"
            assert (expected is not None) == (word.revision == head), f"mutated({seed})"
            if expected is not None:
                accepted += 1
                before = oracle.plans.current if oracle.plans else expected.plan
                oracle.plans = Plans(expected.plan, {before.id: before})
                assert wait_until(partial(wire.serves, expected.plan.id)), f"mutated({seed})"
            question = discover(KNOWN, "pxe", seed.to_bytes(4))
            told = await ask_the_oracle(oracle, question)
            assert told == wire.ask(question, told[0] is not None), f"mutated({seed})"
            if expected is None:
                assert without_xid(heard) == without_xid(told), f"mutated({seed})"
            heard = told
        print(f"{MUTATIONS} mutations, {accepted} accepted, {time.monotonic() - began:.1f} s")
        assert MUTATIONS // 3 < accepted < MUTATIONS * 2 // 3

    asyncio.run(story())


def without_xid(heard: Heard) -> Heard:
    reply, status, script = heard
    return reply and reply[:4] + reply[8:], status, script
