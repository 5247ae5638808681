"""A real gitboot in a process of its own, driven over its sockets and signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.reconciler.gitkit import Work
from tests.reconciler.inventories import SOUND

DEADLINE = 20.0
FREE = (
    "--listen", "127.0.0.1", "--dhcp-port", "0", "--tftp-port", "0", "--http-port", "0", "--https-port", "0",
    "--trusted-proxy", "127.0.0.1/32",
)  # fmt: skip
"""What asks over loopback says by X-Forwarded-For which machine it plays."""


def environment() -> dict[str, str]:
    """Without settings of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GITBOOT_")}


def gitboot(*words: str | Path, timeout: float = DEADLINE, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `changed` are environment variables."""
    command = [sys.executable, "-m", "reconciler", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment() | changed, check=False)


def by_tls(port: int, timeout: float = DEADLINE) -> http.client.HTTPSConnection:
    """To a server of ours on loopback, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)


class Gitboot:
    """A command that runs until it is told to stop: `with Gitboot("serve", …) as server:`."""

    def __init__(self, *words: str | Path) -> None:
        command = [sys.executable, "-m", "reconciler", *map(str, words)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
        self.lines: deque[dict[str, Any]] = deque()
        self.said: list[str] = []
        """Lines that are no log, as an error is."""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first line of the log with this event, when there is one; AssertionError when there will be none."""
        with self._news:
            found = self._news.wait_for(lambda: self._find(event) or self.process.poll() is not None, DEADLINE)
        line = self._find(event)
        assert line, f"no {event!r} within {DEADLINE} s ({found}): {self.said} {list(self.lines)[-5:]}"
        return line

    @property
    def port(self) -> int:
        """Of HTTP."""
        return int(self.wait_for("listening")["http"])

    @property
    def secure_port(self) -> int:
        """Of HTTPS."""
        return int(self.wait_for("listening")["https"])

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """As agents do by TLS, everything else in clear. Raises OSError or HTTPException when the server is gone."""
        agent = path.startswith("/agent/")
        connection = by_tls(self.secure_port) if agent else http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str, machine: str = "") -> bytes:
        """`machine`: whose address it is that asks."""
        status, body = self.ask("GET", path, b"", **({"X-Forwarded-For": machine} if machine else {}))
        assert 200 == status, body
        return body

    def kill(self) -> None:
        """SIGKILL, and everything given back."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; the exit status, or TimeoutExpired when it takes longer than `seconds`."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        self._close()
        return status

    def _close(self) -> None:
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _find(self, event: str) -> dict[str, Any] | None:
        return next((line for line in list(self.lines) if line["event"] == event), None)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            with self._news:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.said.append(raw.decode())
                self._news.notify_all()
        with self._news:
            self.process.wait()
            self._news.notify_all()


def sound_site(folder: Path, place: str) -> Work:
    """A repository at `place` in the folder, with an inventory in which nothing is wrong, and its artefacts in `art`."""
    work = Work(folder / place)
    for path, content in SOUND.items():
        work.write(path, content)
    work.commit()
    (folder / "art/inspect").mkdir(parents=True)
    (folder / "art/inspect/vmlinuz").write_bytes(b"kernel")
    return work
