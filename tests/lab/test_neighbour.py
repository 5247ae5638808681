"""The lying neighbour in a network: the machine and it in namespaces of their own, on a bridge with a real server and HTTPS.

Nobody runs a firmware or an agent: what both send is made here, and carried by small clients in their namespaces. The machine
is at 10.77.0.11, the neighbour at 10.77.0.66, with any hardware address it likes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.session import Signer, from_json
from netboot.dhcp_packet import DECLINE, DISCOVER, RELEASE, REQUEST, Packet, decode, encode
from reconciler.firmware import BIOS, Firmware, discover
from tests.lab.clients import udhcpc
from tests.lab.network import Namespace, Network
from tests.lab.site import PROFILE, Gitboot, hardware, workflow

pytestmark = pytest.mark.lab
SERVER, NODE, NEIGHBOUR = "10.77.0.1", "10.77.0.11", "10.77.0.66"
MAC = "52:54:00:77:00:01"
SCRIPT = f"/ipxe/{MAC.replace(':', '-')}/boot.ipxe"
METADATA = "/latest/meta-data/instance-id"
FILES = {
    "profile.yaml": PROFILE,
    "node.yaml": hardware("node-01", MAC, NODE),
    "work.yaml": workflow("look", "node-01", template="look"),
    "template.yaml": """
version: "0.1"
name: look
tasks:
- {name: look, worker: "{{.device_1}}", actions: [{name: look, image: "none:v1", timeout: 60, command: ["true"]}]}
""",
}
STARTED = {"type": "action-started", "task": "look", "action": "look", "attempt": 1}
ENDED = {**STARTED, "type": "action-ended", "state": "SUCCESS", "exit_code": 0, "reason": ""}
WORK: tuple[dict[str, Any], ...] = (STARTED, ENDED, {"type": "run-ended", "state": "SUCCESS", "reason": ""})

ASK = """
import json, sys
from agent.pinned import connect
base, pins, method, path, body, headers = json.loads(sys.argv[1])
way = connect(base, pins, 20)
way.request(method, path, body, headers)
answer = way.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    sock.bind(("", 68))
    sock.settimeout(20)
    for datagram in map(bytes.fromhex, sys.argv[1:]):
        sock.sendto(datagram, ("255.255.255.255", 67))
    print(sock.recv(2048).hex())
"""
"""Sends DHCP messages, the last of which is answered by broadcast, and prints that answer."""
FLOOD = """
import http.client, socket, sys
asked, server, script = bytes.fromhex(sys.argv[1]), sys.argv[2], sys.argv[3]
held = []
for _ in range(400):
    held.append(socket.create_connection((server, 80), 20))
print("holds connections", flush=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    while True:
        for _ in range(100):
            sock.sendto(asked, (server, 67))
        for path, headers in (("/status/index.json", {"Authorization": "Bearer " + "0" * 64}), (script, {})):
            way = http.client.HTTPConnection(server, timeout=20)
            try:
                way.request("GET", path, headers=headers)
                print("got", way.getresponse().status, flush=True)
            except (OSError, http.client.HTTPException):
                print("was turned away", flush=True)
                if held:
                    held.pop().close()
            way.close()
"""


@dataclass
class Host:
    site: Gitboot
    place: Namespace
    words: dict[str, str] = field(default_factory=dict)
    """Of the last script it got."""
    signer: Signer | None = None
    run: str = ""

    def ask(self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """What agents say goes to the server and the certificate that the script named."""
        to_agents = path.startswith("/agent/")
        base = self.words["server"] if to_agents else f"http://{SERVER}"
        pins = [self.words["pin"]] if to_agents else []
        argv = json.dumps([base, pins, method, path, body, headers or {}])
        done = self.place.run([sys.executable, "-c", ASK, argv])
        assert 0 == done.returncode, done.stderr
        status, said = json.loads(done.stdout)
        return status, said

    def script(self, **headers: str) -> int:
        status, text = self.ask("GET", SCRIPT, headers=headers)
        self.words = dict(re.findall(r"gitboot\.(\w+)=(\S+)", text)) or self.words
        return status

    def exchange(self, words: Mapping[str, str], system: str) -> tuple[int, Any]:
        self.words = dict(words)
        body = json.dumps({"boot": words["boot"], "system": system})
        status, said = self.ask("POST", "/agent/session", body, {"Authorization": f"Bearer {words['token']}"})
        session = from_json(json.loads(said))
        self.signer = Signer(session) if session else None
        return status, json.loads(said)

    def say(self, path: str, **document: Any) -> tuple[int, Any]:
        assert self.signer is not None
        body = json.dumps({"boot": self.words["boot"], **document})
        signature = str(self.signer.sign("POST", path, body.encode()))
        status, said = self.ask("POST", path, body, {"Authorization": signature})
        return status, json.loads(said)

    def claim(self, system: str) -> None:
        self.run = self.say("/agent/claim", system=system)[1]["run"]["id"]

    def begin(self) -> None:
        assert 200 == self.script()
        assert 200 == self.exchange(self.words, "os-1")[0]
        self.claim("os-1")

    def report(self, sequence: int, event: dict[str, Any]) -> tuple[int, Any]:
        return self.say("/agent/report", run=self.run, sequence=sequence, event=event)

    def send(self, *messages: Packet) -> Packet:
        """The answer to the last of these DHCP messages."""
        done = self.place.run([sys.executable, "-c", SEND, *(encode(message).hex() for message in messages)])
        assert 0 == done.returncode, done.stderr
        return decode(bytes.fromhex(done.stdout))


def forged(message: int, **options: bytes) -> Packet:
    """In the machine's name, to be answered by broadcast."""
    packet = decode(discover(Firmware(MAC, BIOS, bytes(16)), "pxe", b"\1\2\3\4"))
    more = {int(key[1:]): value for key, value in options.items()}
    return replace(packet, flags=0x8000, options={**packet.options, 53: bytes([message]), **more})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Gitboot]:
    with Network(tmp_path) as network:
        gitboot = Gitboot(network, tmp_path / "site")
        for name in ("vmlinuz", "initrd"):
            (gitboot.artifacts / "lab" / name).write_text(name)
        commit = gitboot.commit({"site.yaml": gitboot.site(), **FILES})
        gitboot.start("--new-site")
        gitboot.served(commit)
        yield gitboot


@pytest.fixture
def neighbour(site: Gitboot) -> Host:
    return Host(site, site.network.host(f"{NEIGHBOUR}/24"))


@pytest.fixture
def node(site: Gitboot) -> Host:
    return Host(site, site.network.host(f"{NODE}/24", MAC))


def test_it_takes_the_machines_address_by_its_mac_and_is_the_machine_for_everybody(site: Gitboot) -> None:
    """While the machine is off. Only a guard in the switch is against it."""
    neighbour = Host(site, site.network.host(mac=MAC))
    assert NODE == udhcpc(neighbour.place).told("bound")["address"]
    assert 200 == neighbour.ask("GET", METADATA)[0]
    neighbour.begin()
    assert (200, {"accepted": 1}) == neighbour.report(1, STARTED)


def test_its_packets_and_requests_in_the_machines_name_leave_a_session_and_a_run_alone(
    site: Gitboot, node: Host, neighbour: Host
) -> None:
    node.begin()
    assert 200 == node.ask("GET", METADATA)[0]
    ours, theirs = bytes(map(int, SERVER.split("."))), bytes(map(int, NODE.split(".")))
    lies = [replace(forged(RELEASE, _54=ours), ciaddr=theirs), forged(DECLINE, _50=theirs, _54=ours)]
    for _ in range(2):  # the second time after what the first brought about
        offer = neighbour.send(*lies, forged(DISCOVER))
        ack = neighbour.send(forged(REQUEST, _50=theirs, _54=ours))
        assert [(2, theirs), (5, theirs)] == [(each.message, each.yiaddr) for each in (offer, ack)], "it is offered the address"
        headers = {"X-Forwarded-For": NODE, "X-Real-IP": NODE, "Forwarded": f"for={NODE}"}
        assert [403, 403] == [neighbour.script(), neighbour.script(**headers)], "which it does not have by that"
        assert [403, 403] == [neighbour.ask("GET", METADATA, headers=each)[0] for each in ({}, headers)]
    assert 403 == neighbour.exchange(node.words, "os-2")[0]
    for sequence, event in enumerate(WORK, 1):
        assert (200, {"accepted": sequence}) == node.report(sequence, event)


@pytest.mark.parametrize(("mode", "expected"), [("reservation", {(200, 403)}), ("proxy", {(200, 423), (423, 200)})])
def test_it_races_the_machines_claim_with_a_token_that_it_read_and_wins_only_where_addresses_are_not_ours(
    site: Gitboot, node: Host, neighbour: Host, mode: str, expected: set[tuple[int, int]]
) -> None:
    """And whoever has the session keeps it, which people are shown."""
    site.served(site.commit({"site.yaml": f"{site.site()}  dhcp: {{mode: {mode}}}\n"}))
    assert 200 == node.script()
    hosts, systems = (node, neighbour), ("os-1", "os-2")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda host, system: host.exchange(node.words, system)[0], hosts, systems))
    assert tuple(answers) in expected
    first = answers.index(200)
    hosts[first].claim(systems[first])
    assert answers[1 - first] == hosts[1 - first].exchange(node.words, systems[1 - first])[0]
    assert (200, {"accepted": 1}) == hosts[first].report(1, STARTED)
    shown = {each["type"]: each["status"] for each in site.status("hardware/node-01.json")["conditions"]}
    assert str(mode == "proxy") == shown["Contested"]


def test_it_floods_the_server_and_the_machine_goes_on(site: Gitboot, node: Host, neighbour: Host) -> None:
    node.begin()
    asked = encode(forged(DISCOVER)).hex()
    flood = neighbour.place.spawn([sys.executable, "-c", FLOOD, asked, SERVER, SCRIPT])
    for said in ("holds connections", "was turned away", "got 403", "got 429"):
        flood.wait_for(said, 60)
    for sequence, event in enumerate(WORK, 1):
        assert (200, {"accepted": sequence}) == node.report(sequence, event)
    assert flood.running()
    flood.stop()
    counts = dict(re.findall(r'gitboot_exchanges_total\{kind="(\w+)",outcome="too-many"\} (\S+)', site.get("/metrics")))
    assert float(counts["dhcp"]) > 0
    assert float(counts["read"]) > 0
