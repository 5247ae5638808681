"""One machine at 127.0.0.1: as its firmware, its agent, its readers and its forge rightly ask a live server on loopback."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from msgspec.structs import replace

from agent.session import Signer, from_json
from netboot.plan import Dump
from netboot.server import Netboot
from tests.netboot.forges import SECRET
from tests.netboot.site import KERNEL_SHA256, capability, mac, machine, plan

DASHED = mac(1).replace(":", "-")
STARTED = {"type": "action-started", "task": "look", "action": "first", "attempt": 1}


def served() -> Dump:
    """node-01, with work to do, is where the tests are."""
    node = machine(1, "look")
    here = replace(node, interfaces=(replace(node.interfaces[0], address="127.0.0.1"),))
    return plan(here, artifacts={"vmlinuz": KERNEL_SHA256})


@dataclass(slots=True)
class Agent:
    """Speaks for a boot that was just opened. With a session it has claimed the run, and begun its first action."""

    base: str
    boot: str
    bearer: str
    signer: Signer | None = None
    run: str = ""
    sequence: int = 0
    size: int = 0
    """Bytes of the first action's log."""

    @classmethod
    def of(cls, netboot: Netboot) -> Agent:
        base = f"http://127.0.0.1:{netboot.http_port}"
        requests.get(f"{base}/ipxe/{DASHED}/boot.ipxe", timeout=20).raise_for_status()
        boot = netboot.world.observed.open_boot(mac(1))
        assert boot is not None
        return cls(base, boot.id, capability(netboot.world, boot.id))

    def begin(self) -> None:
        session = from_json(self._post("/agent/session", self.known))
        assert session is not None
        self.signer = Signer(session)
        run = self._post("/agent/claim", self.known)["run"]
        self.run, self.sequence = run["id"], run["sequence"]
        if not self.sequence:
            self.report(STARTED)
        self.print(b"hello\n")

    def print(self, data: bytes) -> None:
        """As the first action does."""
        asked = {**self.known, "attempt": "1", "offset": str(self.size)}
        said = requests.post(f"{self.base}/agent/log", params=asked, data=data, auth=self.prove, timeout=20)
        self.size = said.json()["size"]

    def report(self, event: dict[str, Any]) -> None:
        self.sequence = self._post("/agent/report", {**self.known, "sequence": self.sequence + 1, "event": event})["accepted"]

    def fail(self) -> None:
        """The first action, and with it the run."""
        self.end({"state": "FAILED", "reason": "exit code 1"}, exit_code=1)

    def end(self, how: dict[str, str], exit_code: int = 0) -> None:
        self.report({**STARTED, "type": "action-ended", "exit_code": exit_code, **how})
        self.report({"type": "run-ended", **how})

    @property
    def known(self) -> dict[str, str]:
        return {"boot": self.boot, "run": self.run, "system": "os-1", "task": "look", "action": "first"}

    def prove(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """As the route wants it: the boot's token, a signature of the session, or the forge's of the body."""
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        assert isinstance(data, bytes)
        target, method = request.path_url, request.method or ""
        if target == "/hooks/git":
            request.headers["X-Hub-Signature-256"] = f"sha256={hmac.digest(SECRET, data, 'sha256').hex()}"
        elif target.startswith("/agent/session"):
            request.headers["Authorization"] = f"Bearer {self.bearer}"
        elif target.startswith("/agent/") and self.signer:
            request.headers["Authorization"] = str(self.signer.sign(method, target, data))
        return request

    def _post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(f"{self.base}{path}", json=document, auth=self.prove, timeout=20)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def right(agent: Agent, label: str) -> dict[str, Any]:
    """What makes of an operation a question that is answered well: the arguments of a Case."""
    paths = {
        "/status/{path}": {"path": "index.json"},
        "/logs/{path}": {"path": f"{agent.run}/look/first.1.log"},
        "/view/{path}": {"path": f"{agent.run}/look/first.1.log"},
        "/ipxe/{mac}/boot.ipxe": {"mac": DASHED},
        "/artifacts/sha256/{digest}": {"digest": KERNEL_SHA256},
        "/artifacts/sha256/{digest}/{name}": {"digest": KERNEL_SHA256, "name": "vmlinuz"},
        "/ipxe/{name}": {"name": "undionly.kpxe"},
        "/ipxe//{name}": {"name": "undionly.kpxe"},
        "/grub/{path}": {"path": f"boot.cfg-01-{DASHED}"},
        "/pxelinux.cfg/{path}": {"path": f"01-{DASHED}"},
        "/ipxe/pxelinux.cfg/{path}": {"path": f"01-{DASHED}"},
        "/machines/{name}": {"name": "node-01"},
        "/machines/{name}/why": {"name": "node-01"},
        "/machines/{name}/history": {"name": "node-01"},
        "/workflows/{name}": {"name": "look"},
        "/static/{name}": {"name": "style.css"},
        "/nocloud/{file}": {"file": "meta-data"},
        "/nocloud/{name}/{file}": {"name": "node-01", "file": "network-config"},
    }
    method, path = label.split(" ", 1)
    if method == "GET":
        return {"path_parameters": paths.get(path, {"path": "meta-data"} if "{path}" in path else {})}
    if method == "PUT":
        return {"headers": {"X-aws-ec2-metadata-token-ttl-seconds": "60"}}
    more = _MORE[path](agent) if path in _MORE else {}
    if path in ("/agent/log", "/agent/console"):
        return {"query": {**agent.known, **more}, "body": b"more\n", "media_type": "application/octet-stream"}
    return {"body": {**agent.known, **more}, "media_type": "application/json"}


_MORE: dict[str, Callable[[Agent], dict[str, Any]]] = {
    "/agent/report": lambda agent: {"sequence": agent.sequence, "event": STARTED},
    "/agent/log": lambda agent: {"attempt": 1, "offset": agent.size},
    "/agent/console": lambda _: {"offset": 0},
    "/agent/inventory": lambda _: {"hardware": {}},
    "/agent/rehearsal": lambda _: {"findings": []},
}
