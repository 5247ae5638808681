"""The servers: everything that listens, started together and stopped together.

Shell. `Netboot` is the whole system on one screen: the state directory, the world, the follower of the published plan, and
one line for each listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence

import uvicorn

from netboot.binaries import find_binaries
from netboot.boot import timed_out
from netboot.dhcp_front import DhcpFront
from netboot.dhcp_server import DhcpServer, Peer, open_socket
from netboot.events import Event, JournalOpened
from netboot.follow import Follower
from netboot.http import application
from netboot.log import Log
from netboot.markers import take_new_site
from netboot.runs import overdue
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from netboot.status import StatusWriter
from netboot.status_documents import RECONCILE_PATH, paths_of
from netboot.status_view import all_paths
from netboot.store import Unavailable
from netboot.tftp import File, NotFound
from netboot.tftp_server import Exchange, TftpServer, serve_tftp
from netboot.world import World

TICK_SECONDS = 0.25
OFF = -1
BOOT_TIMEOUT = 1800
"""Seconds, before there is a plan to say it."""


class CannotListen(Exception):
    """A port or interface cannot be had; the message is a sentence with a next step."""


class Netboot:
    """The servers of one state directory. `async with netboot.running():` serves; nothing listens before."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Raises `Locked`, `Corrupt` or OSError when the state directory cannot be owned."""
        self.settings = settings
        self.log = log
        self.world = World(settings, StateDirectory(settings.state), find_binaries(settings.loaders), log)
        self.dhcp_port = self.tftp_port = self.http_port = 0
        """As bound."""
        self._everything_changed: Callable[[], None] = lambda: None
        """Marks every status file to be written again."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Netboot]:
        """Raises CannotListen; listeners that were already open are closed again."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.world.directory.close)
            stack.callback(self.log.flush)
            await self._open_site()
            follower = Follower(self.world, lambda: self._everything_changed())
            await follower.look()
            await stack.enter_async_context(_task(follower.run()))
            stack.enter_context(self._dhcp())
            await stack.enter_async_context(self._tftp())
            await stack.enter_async_context(self._http())
            await stack.enter_async_context(_task(self._write_status()))
            await stack.enter_async_context(_task(self._tick()))
            self.log.info("listening", dhcp=self.dhcp_port, tftp=self.tftp_port, http=self.http_port)
            yield self

    @contextlib.contextmanager
    def _dhcp(self) -> Iterator[None]:
        settings = self.settings
        if settings.dhcp_port == OFF:
            yield
            return
        front = DhcpFront(self.world)
        with _listening("UDP", settings.dhcp_port, "--dhcp-port"):
            sock = open_socket(settings.listen, settings.dhcp_port, settings.interface or "")
        server = DhcpServer(sock, front.handle, self._dhcp_failed, reply_to_source=settings.reply_to_source)
        front.send = server.send
        self.dhcp_port = server.port
        try:
            yield
        finally:
            server.close()

    def _dhcp_failed(self, datagram: bytes, peer: Peer, error: Exception) -> None:
        """Our fault or the network's: that datagram is lost, and its bytes are in the log."""
        self.world.counts["dhcp", "failed"] += 1
        self.log.error("dhcp-failed", peer=peer.address, reason=repr(error), bytes=datagram.hex())

    @contextlib.asynccontextmanager
    async def _tftp(self) -> AsyncIterator[None]:
        settings = self.settings
        if settings.tftp_port == OFF:
            yield
            return
        with _listening("UDP", settings.tftp_port, "--tftp-port"):
            server: TftpServer = await serve_tftp(
                settings.listen,
                settings.tftp_port,
                self._find,
                on_exchange=self._transferred,
                on_ignored=lambda peer, reason: self.world.exchange("tftp", "ignored", peer=peer[0], reason=reason),
                interface=settings.interface,
            )
        self.tftp_port = server.port
        try:
            yield
        finally:
            await server.close()

    def _find(self, path: str, peer: tuple[str, int]) -> File | NotFound:
        binary = self.world.binaries.get(path)
        if binary is None:
            return NotFound(f"no network boot program is called {path}; `gitboot doctor` says which there are")
        content = binary.content
        return File(size=len(content), read=lambda offset, length: content[offset : offset + length])

    def _transferred(self, exchange: Exchange) -> None:
        self.world.exchange("tftp", type(exchange.outcome).__name__.lower(), peer=exchange.peer[0], path=exchange.path)

    @contextlib.asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        with _listening("TCP", self.settings.http_port, "--http-port"):
            sock = _tcp_socket(self.settings.listen, self.settings.http_port)
        self.http_port = self.world.http_port = sock.getsockname()[1]
        server = _Uvicorn(
            uvicorn.Config(
                application(self.world),
                log_config=None,
                access_log=False,
                lifespan="off",
                proxy_headers=False,  # X-Forwarded-For would let anyone be any machine
                server_header=False,
                timeout_graceful_shutdown=1,
                limit_concurrency=4096,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving

    async def _write_status(self) -> None:
        """Keep the files under `STATE/status/` at what HTTP says, soon after each change."""
        world = self.world
        writer = StatusWriter(world.directory.status, world.status_document)

        def committed(events: Sequence[Event]) -> None:
            for event in events:
                writer.mark(paths_of(event, world.observed))

        world.ledger.on_commit = committed
        self._everything_changed = lambda: writer.mark(
            all_paths(world.plans.current, world.observed) if world.plans else [RECONCILE_PATH]
        )
        self._everything_changed()
        await writer.run()

    async def _open_site(self) -> None:
        """Once per site: `--new-site` or `gitboot init` says that there is no history to be lost."""
        asked = take_new_site(self.settings.state) or self.settings.new_site
        if asked and not self.world.observed.journal:
            await self.world.ledger.commit((JournalOpened(at=self.world.now(), journal=self.world.new_id()),))
            self.log.info("new-site", journal=self.world.observed.journal)

    async def _tick(self) -> None:
        """What nobody asks for: boots and runs that time out, the site's opening, the log."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            world, now = self.world, self.world.now()
            try:
                await self._open_site()
                if world.git.look():
                    self._everything_changed()
                timeout = world.plans.current.site.boot_timeout if world.plans else BOOT_TIMEOUT
                events = (*timed_out(world.observed, timeout, now), *overdue(world.observed, now))
                if events:
                    await world.ledger.commit(events)
            except Unavailable as error:
                self.log.warning("not-journalled", reason=str(error))
            except Exception as error:
                self.log.error("tick-failed", reason=repr(error))
            self.log.flush()


class _Uvicorn(uvicorn.Server):
    """Signals are the command's business: it stops all servers together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _task(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Runs beside the body and is cancelled after it; its failure is the body's."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _tcp_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _listening(protocol: str, port: int, flag: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise CannotListen(
            f"{protocol} port {port} needs root or the capability CAP_NET_BIND_SERVICE; "
            f"run as root or choose a port above 1023 with {flag}."
        ) from None
    except OSError as error:
        raise CannotListen(
            f"{protocol} port {port} cannot be opened ({error.strerror}); stop the program that holds it "
            f"(`ss -lnp` names it), correct --listen or --interface, or choose another port with {flag}."
        ) from None
