"""HTTP through the unix socket in a state directory, as an operator on the server's host asks."""

from __future__ import annotations

import http.client
import os
import socket
from contextlib import closing
from pathlib import Path


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """By a descriptor of its folder: a socket's name has 108 bytes at most."""
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def ask(state: Path, path: str, timeout: float = 10) -> tuple[int, bytes]:
    """Status and body of a GET."""
    with closing(_Connection(state / "http.sock", timeout)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
