"""HTTPS as agents and liars meet it: the same routes, bounded handshakes, and nothing of agents in clear."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import AsyncExitStack, closing
from hashlib import sha256
from pathlib import Path

import pytest

from netboot.certificate import AGENT
from netboot.server import Netboot
from tests.netboot.test_server import ask, get, running, serve, until
from tests.reconciler.process import FREE, Gitboot, gitboot

pytestmark = pytest.mark.shell
POST = b"POST /agent/claim HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


async def dial(server: Netboot, name: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", server.https_port, ssl=context, server_hostname=name)


async def ask_by_tls(server: Netboot, request: bytes) -> bytes:
    reader, writer = await dial(server)
    with closing(writer):
        writer.write(request)
        return await reader.read()


def test_agents_are_heard_by_tls_and_refused_in_clear_with_the_way_to_it(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        refusal = await ask(server, POST)
        assert refusal.startswith(b"HTTP/1.1 426")
        assert b"Upgrade: TLS/1.2, HTTP/1.1\r\n" in refusal
        assert f"by HTTPS, on port {server.https_port}; restart the machine".encode() in refusal
        assert (await ask_by_tls(server, POST)).startswith(b"HTTP/1.1 401")
        for path in ("/agent/secrets", "/agent/session"):  # whatever comes to be there
            assert b"200 OK" not in await ask(server, POST.replace(b"/agent/claim", path.encode()))

    serve(tmp_path, story)


def test_everything_else_is_had_both_ways(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        for path in ("/", "/healthz", "/status/index.json", "/nowhere"):
            in_clear, by_tls = await ask(server, get(path)), await ask_by_tls(server, get(path))
            assert in_clear.split(b"\r\n")[0] == by_tls.split(b"\r\n")[0]

    serve(tmp_path, story)


def test_without_https_agents_speak_in_clear(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        assert (0, "") == (server.https_port, server.world.pin)
        assert (await ask(server, POST)).startswith(b"HTTP/1.1 401")
        assert server.world.house("10.1.0.1").secure is None
        assert not (tmp_path / "tls").exists()

    serve(tmp_path, story, https_port=-1)


def test_the_pin_is_that_of_the_certificate_which_agents_are_shown_after_a_restart_too(tmp_path: Path) -> None:
    async def shown() -> tuple[str, str]:
        async with running(tmp_path) as server:
            _, writer = await dial(server, AGENT)
            with closing(writer):
                certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            secure = server.world.house("10.1.0.1").secure
            assert secure is not None
            assert f"https://10.1.0.1:{server.https_port}" == secure.url
            return secure.pin, sha256(certificate).hexdigest()

    first, second = asyncio.run(shown()), asyncio.run(shown())
    assert first[0] == first[1] == second[0] == second[1]


@pytest.mark.parametrize("beginning", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a byte", "half a hello"])
def test_a_handshake_that_stalls_is_ended_and_keeps_nobody_out(tmp_path: Path, beginning: bytes) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.3
        async with AsyncExitStack() as stack:
            stalled = []
            for _ in range(30):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.https_port)
                stack.enter_context(closing(writer))
                writer.write(beginning)
                stalled.append(asyncio.create_task(reader.read()))
            assert b"200 OK" in await ask_by_tls(server, get("/healthz"))
            began = time.monotonic()
            await asyncio.gather(*stalled, return_exceptions=True)
            assert time.monotonic() - began < 8  # asyncio's own patience is a minute
        await until(lambda: not server._bounds.peers)
        await until(lambda: server.world.counts["http", "handshake-failed"] == 30)

    serve(tmp_path, story)


def test_a_handshake_that_trickles_is_ended_too(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.3
        reader, writer = await asyncio.open_connection("127.0.0.1", server.https_port)
        with closing(writer):
            writer.write(b"\x16\x03\x01\x02\x00")
            closed = asyncio.create_task(reader.read())
            began = time.monotonic()
            while not closed.done() and time.monotonic() - began < 8:
                writer.write(b"\x00")
                await asyncio.sleep(0.02)
            await asyncio.gather(closed, return_exceptions=True)
            assert time.monotonic() - began < 8

    serve(tmp_path, story)


def test_handshakes_are_connections_and_bounded_like_them(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        bounds = server._bounds
        bounds.most_per_peer = 10
        async with AsyncExitStack() as stack:
            for _ in range(50):
                _, writer = await asyncio.open_connection("127.0.0.1", server.https_port)
                stack.enter_context(closing(writer))
            await until(lambda: bounds.counts["turned-away"] == 40)
            assert (10, 10) == (bounds.open, bounds.peers["127.0.0.1"])
        await until(lambda: not bounds.peers)
        for _ in range(20):  # each of which gives its place back
            assert b"200 OK" in await ask_by_tls(server, get("/healthz"))
        await until(lambda: bounds.open == 0)

    serve(tmp_path, story)


def test_a_request_that_is_not_ended_is_cut_off_by_tls_too(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.3
        reader, writer = await dial(server)
        with closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nX: ")
            async with asyncio.timeout(8):
                await asyncio.gather(reader.read(), return_exceptions=True)

    serve(tmp_path, story)


def hello(name: bytes) -> bytes:
    """A ClientHello of TLS 1.2 that asks for `name` (RFC 5246 section 7.4.1.2, RFC 6066 section 3)."""
    host = b"\0" + len(name).to_bytes(2, "big") + name
    entry = len(host).to_bytes(2, "big") + host
    sni = b"\0\0" + len(entry).to_bytes(2, "big") + entry
    groups = bytes.fromhex("000a00040002001d 000b00020100 000d00060004 04030804".replace(" ", ""))
    extensions = sni + groups
    body = b"\x03\x03" + bytes(32) + b"\0" + bytes.fromhex("0002c02b") + b"\x01\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def test_whatever_name_is_asked_for_costs_that_connection_at_most(tmp_path: Path) -> None:
    """In a process of its own: what Python cannot read it complains of where nobody can catch it."""
    with Gitboot("netboot", "--state", tmp_path / "state", *FREE) as server:
        for name in (b"\xff\xfe", b"x" * 300, b"a\0b", b"", AGENT.encode() + b"\xe9"):
            with socket.create_connection(("127.0.0.1", server.secure_port), 8) as connection:
                connection.sendall(hello(name))
                connection.recv(1)  # an alert, or the answer, or the end
        status, _ = server.ask("POST", "/agent/claim", b"{}")
        assert 401 == status
        assert [] == server.said
        assert "UnicodeDecodeError" in server.wait_for("not-caught")["reason"]


def test_clear_text_and_noise_at_the_tls_port_are_failed_handshakes(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        for said in (get("/"), POST, bytes(2000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.https_port)
            with closing(writer):
                writer.write(said)
                async with asyncio.timeout(8):
                    assert b"HTTP/" not in await reader.read()
        await until(lambda: server.world.counts["http", "handshake-failed"] == 3)

    serve(tmp_path, story)


def test_it_ends_in_time_with_handshakes_under_way(tmp_path: Path) -> None:
    async def run() -> float:
        async with AsyncExitStack() as stack:
            async with running(tmp_path) as server:
                for _ in range(3):
                    stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.https_port))))
                _, writer = await dial(server)
                stack.enter_context(closing(writer))
                await until(lambda: server._bounds.open == 4)
                began = time.monotonic()
            return time.monotonic() - began

    assert asyncio.run(run()) < 8


def test_who_trusts_a_copy_of_the_certificate_reads_by_it(tmp_path: Path) -> None:
    with Gitboot("netboot", "--state", tmp_path / "state", "--open-status", *FREE) as server:
        url = f"https://127.0.0.1:{server.secure_port}"
        lines = (tmp_path / "state/tls/ec.pem").read_text().splitlines()
        copy = tmp_path / "gitboot.crt"
        copy.write_text("\n".join([*lines[lines.index("-----BEGIN CERTIFICATE-----") :], ""]))
        assert "no commit" in gitboot("status", "--server", url, SSL_CERT_FILE=str(copy)).stdout
        refused = gitboot("status", "--server", url)
        assert (1, True) == (refused.returncode, "certificate verify failed" in refused.stderr)
