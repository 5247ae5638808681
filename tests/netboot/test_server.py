"""The servers on real sockets: bounded peers, nothing half alive, and an end in time."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from msgspec.structs import replace

from netboot import server as module
from netboot.boot import Plans
from netboot.clock import Clock
from netboot.events import JournalOpened
from netboot.follow import Follower
from netboot.http_server import Bounds
from netboot.listening import CannotListen
from netboot.log import Log
from netboot.markers import declare_new_site, freeze, unfreeze
from netboot.notifier import Notifier
from netboot.plans import PlanStore
from netboot.pruning import Pruner
from netboot.runs import claim
from netboot.server import Died, Netboot
from netboot.settings import Settings
from netboot.status import StatusWriter
from netboot.syslog_server import SyslogServer
from netboot.tracing import Tracing
from tests.netboot.site import logged, machine, plan

pytestmark = pytest.mark.shell
FREE = {"dhcp_port": 0, "tftp_port": 0, "http_port": 0, "https_port": 0, "listen": "127.0.0.1"}


@asynccontextmanager
async def running(state: Path, **settings: Any) -> AsyncIterator[Netboot]:
    server = Netboot(Settings(state=state, **{**FREE, **settings}), Log(io.StringIO()))
    async with server.running():
        yield server


def serve(state: Path, story: Callable[[Netboot], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), running(state, **settings) as server:
            await story(server)

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def events(server: Netboot) -> list[str]:
    return [line["event"] for line in logged(server.log)]


async def dial(server: Netboot, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.http_port, local_addr=(source, 0))


async def ask(server: Netboot, request: bytes, source: str = "127.0.0.1") -> bytes:
    """Everything the server says until it closes the connection."""
    reader, writer = await dial(server, source)
    with closing(writer):
        writer.write(request)
        return await reader.read()


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


LOOPBACK = ("127.0.0.1/32",)
FETCH = get("/ipxe/52-54-00-12-34-01/boot.ipxe", "X-Forwarded-For: 10.1.0.1")
"""By node-01, through a proxy at LOOPBACK."""


# Peers


def test_a_thousand_half_open_connections_are_bounded_and_keep_nobody_out(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        bounds = server._bounds
        async with AsyncExitStack() as stack:
            for number in range(1000):
                _, writer = await dial(server, f"127.0.0.{2 + number % 2}")
                stack.enter_context(closing(writer))
                writer.write(b"GET / HTTP/1.1\r\nHost:")
            await until(lambda: bounds.counts["turned-away"] == 1000 - 2 * bounds.most_per_peer)
            assert b"200 OK" in await ask(server, get("/"))
        await until(lambda: not bounds.peers)
        await until(lambda: server.world.counts["http", "turned-away"] == bounds.counts["turned-away"])

    serve(tmp_path, story)


@pytest.mark.parametrize(
    ("files", "most", "per_peer"), [(1 << 20, 4096, 256), (4096, 1024, 256), (1024, 256, 64), (64, 16, 4), (8, 4, 1)]
)
def test_connections_leave_descriptors_to_the_rest_of_the_server(files: int, most: int, per_peer: int) -> None:
    bounds = Bounds.within(files)
    assert (most, per_peer) == (bounds.most, bounds.most_per_peer)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"],
    ids=["nothing", "a letter", "half a head", "half of a second head"],
)
def test_a_head_that_does_not_end_is_not_waited_for_however_it_trickles(tmp_path: Path, beginning: bytes) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.15
        reader, writer = await dial(server)
        with closing(writer):
            writer.write(beginning)
            closed = asyncio.create_task(reader.read())
            began = time.monotonic()
            while not closed.done() and time.monotonic() - began < 8:
                writer.write(b"x")
                await asyncio.sleep(0.02)
            await asyncio.gather(closed, return_exceptions=True)
        assert 0.1 < time.monotonic() - began < 8  # unbounded heads are let go after ten

    serve(tmp_path, story)


def test_a_connection_that_says_nothing_at_all_is_closed(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.05
        reader, writer = await dial(server)
        with closing(writer):
            async with asyncio.timeout(5):
                assert b"" == await reader.read()
        await until(lambda: 1 == server.world.counts["http", "too-slow"])

    serve(tmp_path, story)


def test_a_connection_may_be_used_again_and_again(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        server._bounds.head = 0.1
        reader, writer = await dial(server)
        with closing(writer):
            for _ in range(10):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"200 OK" in head
                assert b"ok\n" == await reader.readexactly(3)
                await asyncio.sleep(0.02)

    serve(tmp_path, story)


def with_artifact(tmp_path: Path, size: int) -> tuple[str, dict[str, Any]]:
    """A plan with one big artefact, published; its path and the settings to serve it."""
    folder = tmp_path / "art"
    folder.mkdir()
    content = bytes(size)
    (folder / "vmlinuz").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    PlanStore(tmp_path / "state/plans").publish(plan(machine(1), artifacts={"vmlinuz": digest}))
    return f"/artifacts/sha256/{digest}/vmlinuz", {"artifacts": folder}


def test_a_client_that_stops_reading_is_cut_off_and_one_that_reads_gets_all(tmp_path: Path) -> None:
    path, settings = with_artifact(tmp_path, 24 << 20)

    async def story(server: Netboot) -> None:
        server._bounds.stall = 0.3
        _, writer = await dial(server, "127.0.0.2")
        with closing(writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport can
            writer.write(get(path))
            answer = await ask(server, get(path))
            assert (24 << 20) == len(answer.split(b"\r\n\r\n", 1)[1])
            await until(lambda: "127.0.0.2" not in server._bounds.peers)

    serve(tmp_path / "state", story, **settings)


def test_a_large_file_on_its_way_does_not_hold_up_the_others(tmp_path: Path) -> None:
    path, settings = with_artifact(tmp_path, 64 << 20)

    async def story(server: Netboot) -> None:
        downloads = [asyncio.create_task(ask(server, get(path))) for _ in range(2)]
        answered = 0
        while not all(task.done() for task in downloads):
            assert b"200 OK" in await ask(server, get("/healthz"))
            answered += 1
        assert answered > 5
        for task in downloads:
            assert (64 << 20) < len(task.result())

    serve(tmp_path / "state", story, **settings)


@pytest.mark.parametrize(
    ("request_", "status", "counted"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431, "too-many-headers"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 17_000 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 17_000, 431, "head-too-large"),
        (b"GET /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "target-too-long"),
        (b"GET /auto.ipxe?" + b"x" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "target-too-long"),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, "malformed"),
        (
            b"POST /agent/claim HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;x=" * 9000,
            431,
            "head-too-large",
        ),
    ],
    ids=["many headers", "a long one", "one without end", "a long path", "a long query", "no header", "a chunk without end"],
)
def test_a_head_has_bounds_and_what_is_beyond_them_is_refused_and_counted(
    tmp_path: Path, request_: bytes, status: int, counted: str
) -> None:
    async def story(server: Netboot) -> None:
        reader, writer = await dial(server)
        with closing(writer):
            writer.write(request_)
            async with asyncio.timeout(5):
                assert f"HTTP/1.1 {status} ".encode() == (await reader.readexactly(13))
        await until(lambda: 1 == server.world.counts["http", counted])
        assert b"200 OK" in await ask(server, get("/healthz"))

    serve(tmp_path, story)


def test_the_largest_head_that_is_allowed_is_answered(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        headers = [f"X-{number}: {'y' * 60}" for number in range(97)]
        assert b"404 Not Found" in await ask(server, get("/" + "x" * 7900, *headers))

    serve(tmp_path, story)


GARBAGE = [
    b"\0\1\2\3\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"GET / HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET ../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://elsewhere/../key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /status/../key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /logs/%2e%2e/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /logs/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
]


def test_whatever_comes_the_key_stays_and_the_server_lives(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        for request in GARBAGE:
            try:
                answer = await ask(server, request)
            except ConnectionError:
                answer = b""  # cut off while the rest of a request that is too long was still coming
            assert server.world.key not in answer, request[:80]
            assert b" 500 " not in answer, request[:80]
            assert b"200 OK" in await ask(server, get("/healthz")), request[:80]
        assert 0 == server.world.counts["http", "defect"]

    serve(tmp_path, story)


def test_a_proxys_headers_make_nobody_another_machine(tmp_path: Path) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1)))

    async def story(server: Netboot) -> None:
        answer = await ask(server, get("/auto.ipxe", "X-Forwarded-For: 10.1.0.1", "X-Real-IP: 10.1.0.1"))
        assert b"node-01" not in answer

    serve(tmp_path, story)


# The whole


def test_status_files_become_what_http_says(tmp_path: Path) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1, "look"), machine(2), trusted_proxies=LOOPBACK))

    async def story(server: Netboot) -> None:
        await until(lambda: (tmp_path / "status/hardware/node-02.json").exists())
        await ask(server, FETCH)
        file = tmp_path / "status/hardware/node-01.json"
        await until(lambda: json.loads(file.read_bytes())["boot"] is not None)
        answer = await ask(server, get("/status/hardware/node-01.json"))
        assert answer.split(b"\r\n\r\n", 1)[1] == file.read_bytes()

    serve(tmp_path, story, new_site=True)


def test_a_machines_story_is_the_same_after_a_restart(tmp_path: Path) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1, "look"), trusted_proxies=LOOPBACK))
    told: list[Any] = []

    async def story(server: Netboot) -> None:
        if not told:
            await ask(server, FETCH)
        await until(lambda: bool(told) <= (server.world.recorder.chronicle.before is not None))
        answer = await ask(server, get("/status/stories/node-01.json"))
        told.append(json.loads(answer.split(b"\r\n\r\n", 1)[1]))

    serve(tmp_path, story, new_site=True)
    serve(tmp_path, story)
    assert told[0] == told[1]
    assert ["script"] == [event["kind"] for event in told[1]["boots"][0]["events"]]


def test_the_status_file_of_a_machine_goes_when_git_removes_it_whether_a_server_runs_or_not(tmp_path: Path) -> None:
    store = PlanStore(tmp_path / "plans")
    store.publish(plan(machine(1), machine(2), machine(3)))
    files = [tmp_path / f"status/hardware/node-0{number}.json" for number in (1, 2, 3)]

    async def running(server: Netboot) -> None:
        await until(lambda: all(file.exists() for file in files))
        store.publish(plan(machine(1), machine(2)))
        await until(lambda: not files[2].exists())

    async def again(server: Netboot) -> None:
        await until(lambda: not files[1].exists())

    serve(tmp_path, running)
    store.publish(plan(machine(1)))
    serve(tmp_path, again)
    assert files[0].exists()


def test_a_freeze_reaches_the_files_of_a_running_server_and_so_does_its_end(tmp_path: Path) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1, "look"), trusted_proxies=LOOPBACK))

    async def story(server: Netboot) -> None:
        file = tmp_path / "status/hardware/node-01.json"

        def held() -> bool:
            return file.exists() and "held: frozen" in json.loads(file.read_bytes())["next"]

        freeze(tmp_path, "moving")
        await until(held)
        unfreeze(tmp_path)
        await until(lambda: not held())

    serve(tmp_path, story, new_site=True)


def test_a_push_that_cancels_ends_the_run_and_an_agent_that_falls_silent_shows_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netboot.clock.SLOW_TICKS", 1)
    monkeypatch.setattr("netboot.endings.LOST", -1.0)
    store, node = PlanStore(tmp_path / "plans"), machine(1, "look")
    store.publish(plan(node, trusted_proxies=LOOPBACK))

    def run() -> dict[str, Any]:
        file = tmp_path / "status/hardware/node-01.json"
        found: dict[str, Any] = (json.loads(file.read_bytes()) if file.exists() else {}).get("run") or {}
        return found

    async def story(server: Netboot) -> None:
        await until(lambda: server.world.observed.journal != "")
        await ask(server, FETCH)
        world = server.world
        boot = world.observed.open_boot("52:54:00:12:34:01")
        assert boot is not None
        claimed = claim(world.observed, boot.id, "os-1", world.now(), node.work[0], run_id="r1")
        await world.ledger.commit(claimed.events)
        await until(lambda: run().get("lostSince") is not None)
        store.publish(plan(replace(node, work=(replace(node.work[0], cancel=True),))))
        await until(lambda: (run()["state"], run()["reason"]) == ("CANCELLED", "git cancels workflow look"))

    serve(tmp_path, story, new_site=True)


def test_a_new_site_is_opened_while_the_server_runs_once(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        assert "" == server.world.observed.journal
        assert "gitboot init" in server.world.hold()
        for _ in range(2):
            declare_new_site(tmp_path)
            await until(lambda: not (tmp_path / "new-site").exists())
        assert "" == server.world.hold()
        opened = [event for _, event in server.world.directory.read() if isinstance(event, JournalOpened)]
        assert 1 == len(opened)

    serve(tmp_path, story)


def test_a_lost_state_directory_starts_no_run_until_somebody_says_so(tmp_path: Path) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1, "look"), trusted_proxies=LOOPBACK))

    async def story(server: Netboot) -> None:
        script = await ask(server, FETCH)
        assert b"knows no history" in script
        assert b"kernel" not in script
        await until(lambda: "runs-held" in events(server))
        declare_new_site(tmp_path)
        await until(lambda: "runs-free" in events(server))
        assert ["runs-held", "runs-free"] == [event for event in events(server) if event.startswith("runs-")]
        assert b"kernel" in await ask(server, FETCH)

    serve(tmp_path, story)


def test_a_declaration_outlives_a_disk_that_could_not_take_it(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        journal = server.world.directory.journal
        healthy, journal._retry = journal._sync, 0.01

        def full(file: int, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        journal._sync = full
        declare_new_site(tmp_path)
        await until(lambda: server.world.counts["tick", "failed"] > 0)
        assert (tmp_path / "new-site").exists()
        journal._sync = healthy
        await until(lambda: bool(server.world.observed.journal))
        assert 1 == sum(line["event"] == "not-journalled" for line in logged(server.log))

    serve(tmp_path, story)


PARTS: dict[str, tuple[type, str]] = {
    "follower": (Follower, "run"),
    "status writer": (StatusWriter, "run"),
    "status refresh": (Netboot, "_refresh"),
    "pruner": (Pruner, "run"),
    "tick": (Clock, "run"),
    "http": (uvicorn.Server, "serve"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_dies_is_noticed(tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(*PARTS[part], broken)

    async def story(server: Netboot) -> None:
        with pytest.raises(Died, match=rf"the part `{part}` of the server ended .*report it"):
            await server.died()
        (line,) = [line for line in logged(server.log) if line["event"] == "part-died"]
        assert (part, True) == (line["part"], "ZeroDivisionError" in line["traceback"])

    serve(tmp_path, story)


TELLERS: dict[str, type] = {"notifier": Notifier, "syslog": SyslogServer, "tracing": Tracing}


@pytest.mark.parametrize("part", TELLERS)
def test_a_part_that_only_tells_of_machines_is_begun_again_and_ends_nothing(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    async def broken(*_: object) -> None:
        begun.append(part)
        if len(begun) < 3:
            raise ZeroDivisionError("a defect")
        await asyncio.Event().wait()

    monkeypatch.setattr(TELLERS[part], "run", broken)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)
    targets = tmp_path / "notify.toml"
    targets.write_text('[[target]]\nname = "x"\nkind = "slack"\nurl = "http://127.0.0.1:1/"\n')

    async def story(server: Netboot) -> None:
        await until(lambda: len(begun) == 3 or server._death.done())
        assert not server._death.done()
        died = [line for line in logged(server.log) if line["event"] == "part-died"]
        assert [part] * 2 == [line["part"] for line in died]
        assert 2 == server.world.counts["part", "died"]

    serve(tmp_path / "state", story, notify=targets, traces="http://127.0.0.1:1", syslog_port=0)


def test_an_end_in_time_with_connections_in_every_state(tmp_path: Path) -> None:
    path, settings = with_artifact(tmp_path, 32 << 20)

    async def run() -> float:
        async with AsyncExitStack() as stack:
            async with running(tmp_path / "state", **settings) as server:
                for beginning in (
                    b"",
                    b"GET /",
                    get(path),
                    b"POST /agent/claim HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
                ):
                    _, writer = await dial(server)
                    stack.enter_context(closing(writer))
                    writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport can
                    writer.write(beginning)
                await asyncio.sleep(0.1)
                began = time.monotonic()
            return time.monotonic() - began

    assert asyncio.run(run()) < 20


def test_a_server_left_out_listens_nowhere(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        assert (0, 0) == (server.dhcp_port, server.tftp_port)
        assert server.http_port

    serve(tmp_path, story, dhcp_port=-1, tftp_port=-1)


TAKEN: tuple[dict[str, Any], str] = ({}, r"port \d+ cannot be opened \(Address already in use\).*`ss -lnp` names it")
ABSENT = ({"listen": "192.0.2.1"}, r"this host has no address 192\.0\.2\.1")
NONSENSE = ({"listen": "nonsense.invalid"}, r"correct --listen nonsense\.invalid")
NOWHERE = ({"interface": "nowhere0"}, r"there is no interface 'nowhere0'")


@pytest.mark.parametrize(
    ("which", "settings", "said"),
    [
        *((which, *case) for which in ("dhcp", "tftp") for case in (TAKEN, ABSENT, NONSENSE, NOWHERE)),
        *(("http", *case) for case in (TAKEN, ABSENT, NONSENSE)),  # HTTP is heard on every interface
    ],
)
def test_what_cannot_be_listened_on_is_a_sentence(tmp_path: Path, which: str, settings: dict[str, Any], said: str) -> None:
    kind = socket.SOCK_STREAM if which == "http" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = 0 if settings else holder.getsockname()[1]
        others = {f"{name}_port": -1 for name in ("dhcp", "tftp") if name != which}

        async def nothing(server: Netboot) -> None:
            raise AssertionError("it must not serve")

        with pytest.raises(CannotListen, match=said):
            serve(tmp_path, nothing, **{**others, f"{which}_port": port, **settings})


def test_what_was_opened_before_a_failure_is_closed_again(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            for _ in range(2):  # the second time the state directory is free, or it would be Locked
                with pytest.raises(CannotListen):
                    async with running(tmp_path, http_port=port):
                        raise AssertionError("it must not serve")

    asyncio.run(run())


def test_programs_are_fetched_by_tftp_and_counted(tmp_path: Path) -> None:
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    (loaders / "tiny.efi").write_bytes(b"program")

    async def story(server: Netboot) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.bind(("127.0.0.1", 0))
            for name, opcode in ((b"tiny.efi", 3), (b"other", 5), (b"../key", 5)):
                await loop.sock_sendto(client, b"\0\1" + name + b"\0octet\0", ("127.0.0.1", server.tftp_port))
                data, peer = await asyncio.wait_for(loop.sock_recvfrom(client, 600), 5)
                assert opcode == data[1]
                assert server.world.key not in data
                if opcode == 3:
                    assert b"program" == data[4:]
                    await loop.sock_sendto(client, b"\0\4\0\1", peer)
        await until(lambda: sum(count for (kind, _), count in server.world.counts.items() if kind == "tftp") >= 3)
        reasons = [line["reason"] for line in logged(server.log) if line["event"] == "tftp"]
        assert any("no network boot program is called other" in reason for reason in reasons)

    serve(tmp_path / "state", story, loaders=loaders)


def test_a_datagram_that_breaks_us_costs_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PlanStore(tmp_path / "plans").publish(plan(machine(1)))

    async def story(server: Netboot) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr("netboot.dhcp_front.decode", broken)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"some bytes", ("127.0.0.1", server.dhcp_port))
            await until(lambda: server.world.counts["dhcp", "defect"] == 1)
        line = next(line for line in logged(server.log) if line["event"] == "dhcp-failed")
        assert ("ZeroDivisionError('a defect')", b"some bytes".hex()) == (line["reason"], line["bytes"])
        assert b"200 OK" in await ask(server, get("/healthz"))

    serve(tmp_path, story)


def test_status_files_of_a_large_site_are_written_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SLICE", 10)
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.01)
    PlanStore(tmp_path / "plans").publish(plan(*(machine(number) for number in range(1, 60))))

    async def story(server: Netboot) -> None:
        marked: list[int] = []
        mark = server._status.mark

        def watched(paths: Any) -> None:
            marked.append(len(list(paths)))
            mark(paths)

        monkeypatch.setattr(server._status, "mark", watched)
        await until(lambda: len(list((tmp_path / "status/hardware").glob("*.json"))) == 59)
        assert max(marked) <= 10

    serve(tmp_path, story)


def test_a_push_that_makes_the_site_a_proxy_opens_its_port_or_says_why_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        async def story(server: Netboot) -> None:
            def said() -> list[Any]:
                return [line for line in logged(server.log) if line["event"] == "proxy-port-closed"]

            server.world.plans = Plans(plan(mode="proxy").plan, {})
            await until(lambda: bool(said()))
            assert "cannot be opened (Address already in use)" in said()[0]["reason"]
            other.close()
            await until(lambda: bool(server._ports.proxy_port))
            assert 1 == len(said())

        serve(tmp_path, story, proxy_port=other.getsockname()[1])


def test_headers_are_written_with_capitals_for_a_loader_that_reads_no_others(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        head = (await ask(server, get("/grub/grub.cfg"))).partition(b"\r\n\r\n")[0]
        assert b"Content-Length" in [line.partition(b":")[0] for line in head.split(b"\r\n")]

    serve(tmp_path, story)
