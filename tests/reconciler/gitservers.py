"""Servers around git as operators have them: a real sshd, TLS with an authority of one's own, a proxy; all on loopback."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reconciler.gitkit import _ENVIRONMENT, free_port, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
needs_sshd = pytest.mark.skipif(not SSHD or not shutil.which("ssh"), reason="openssh-server is not installed")

BEHAVIOURS = {
    "honest": 'exec sh -c "git $SSH_ORIGINAL_COMMAND"',
    "hangs in the middle of a pack": 'sh -c "git $SSH_ORIGINAL_COMMAND" | (dd bs=1 count=450 2>/dev/null; exec sleep 600)',
    "dies in the middle of a pack": 'sh -c "git $SSH_ORIGINAL_COMMAND" | (dd bs=1 count=450 2>/dev/null; kill -9 0)',
    "greets like a login shell": "echo Welcome to the git server",
    "talks for ever": "exec yes 0032",
}
"""What stands behind the login: `SSH_ORIGINAL_COMMAND` is `git-upload-pack '/path'`."""


@dataclass
class Ssh:
    """A running sshd: `command` is what GIT_SSH_COMMAND is to be, `address` is put before a repository's path."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"ssh://{_user()}@127.0.0.1:{self.port}"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def command(self) -> str:
        options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={self.known_hosts}"]
        key = str(self.folder / "deploy")
        return shlex.join(["ssh", "-F", "none", "-i", key, *(word for option in options for word in ("-o", option))])

    def behave(self, how: str) -> None:
        (self.folder / "serve").write_text(
            f'#!/bin/sh\nSSH_ORIGINAL_COMMAND="${{SSH_ORIGINAL_COMMAND#git-}}"\n{BEHAVIOURS[how]}\n'
        )

    def kill(self) -> None:
        """With every session."""
        for pid in [self.process.pid, *_descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def sshd(folder: Path, port: int = 0) -> Iterator[Ssh]:
    """A server with a host key of its own that lets one deploy key in, to one command."""
    assert SSHD is not None
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    for name in ("host", "deploy"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    public = (folder / "deploy.pub").read_text()
    (folder / "authorized").write_text(f'restrict,command="{folder}/serve" {public}')
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "serve").touch(mode=0o755)
    config = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized",
        "StrictModes": "no",  # the folder is below a temporary one, which everybody may write to
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in config.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled into sshd, made by its service otherwise
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], env=_ENVIRONMENT, stderr=subprocess.DEVNULL)
    server = Ssh(folder, port, process)
    server.behave("honest")
    try:
        assert wait_until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None
        yield server
    finally:
        server.kill()


def authority(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1 that signs itself: the server's context, and what GIT_SSL_CAINFO is to name."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=lab"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *words, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@contextmanager
def connect_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that knows CONNECT and nothing else: its address, and the lines it was asked with."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            while self.rfile.readline().strip():
                pass
            host, _, port = asked[-1].split()[1].rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_relay, args=(far, self.connection))
                back.start()
                _relay(self.connection, far)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
        return client.recv(4) == b"SSH-"
    return False


def _descendants(pid: int) -> list[int]:
    with suppress(OSError):
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [each for child in children for each in (child, *_descendants(child))]
    return []
