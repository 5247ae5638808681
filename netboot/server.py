"""The servers: everything that listens, started together and stopped together.

Shell. `Netboot` is the whole system on one screen: the state directory, the world, the follower of the published plan, and
one line for each listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any

from netboot.binaries import find_binaries
from netboot.certificate import BadCertificate, Tls, load_tls
from netboot.clock import Clock
from netboot.dhcp_ports import DhcpPorts
from netboot.dhcp_server import Peer
from netboot.dns_front import DnsFront
from netboot.dns_server import serve_dns
from netboot.events import BootClosed, Event
from netboot.follow import Follower
from netboot.http import application
from netboot.http_server import Bounds, serving, tcp_socket, unix_socket
from netboot.inventory_document import inventory_path
from netboot.listening import CannotListen, listening
from netboot.log import Log
from netboot.notifier import Notifier, read_notify
from netboot.privileges import become, bequeath_nothing, find_user
from netboot.pruning import Pruner
from netboot.router_front import TOO_MANY, RouterFront, open_router_socket
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from netboot.status import StatusWriter
from netboot.status_documents import RECONCILE_PATH, hardware_path, paths_of
from netboot.status_view import INDEX_PATH, all_paths
from netboot.syslog_server import SyslogServer, syslog_socket
from netboot.tftp import Completed
from netboot.tftp_front import TftpFront
from netboot.tftp_server import Exchange, TftpServer, serve_tftp
from netboot.traces import spans_of
from netboot.tracing import Tracing
from netboot.try_status import TRIES_PATH
from netboot.webhook import BadSecret
from netboot.world import World

OFF = -1
HTTP_SOCKET = "http.sock"
"""In the state directory: HTTP for whoever may open that file."""
REFRESH_SLICE, REFRESH_SECONDS = 200, 0.25
"""Status files written again at once, and the pause after them."""
AGAIN_SECONDS = 30.0
"""After which what only tells of machines is begun again when it died."""


class Died(Exception):
    """A part of the server ended that machines depend on; the message is a sentence."""


class Netboot:
    """The servers of one state directory. `async with netboot.running():` serves; nothing listens before."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Raises BadKey, BadNotify, or `Locked`, `Corrupt` or OSError when the state directory cannot be owned."""
        self.settings = settings
        self.log = log
        notify = read_notify(settings.notify)
        self.world = World(settings, StateDirectory(settings.state), find_binaries(settings.loaders), log)
        self.dhcp_port = self.tftp_port = self.dns_port = self.syslog_port = self.http_port = self.https_port = 0
        """As bound."""
        self._ports = DhcpPorts(self.world, self._dhcp_failed)
        self._bounds = Bounds.within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._status = StatusWriter(self.world.directory.status, self.world.status_document)
        self._stale = asyncio.Event()
        """Set when every status file is to be written again."""
        self._death: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._notifier = Notifier(self.world, notify) if notify else None
        self._clock = Clock(self.world, self._ports, self._bounds, self._mark, self._stale.set)
        self._tracing: Tracing | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Netboot]:
        """Raises CannotListen, CannotBecome, CannotTrace or Unavailable; listeners that were already open are closed again."""
        user = find_user(self.settings.user) if self.settings.user else None
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.world.directory.close)
            stack.callback(self.log.flush_soon)
            stack.callback(self.world.recorder.close)
            stack.callback(self.world.recorder.remember(self.world.started).join, 5.0)
            stack.callback(self.world.artifacts.stop)
            if self.settings.traces:
                self._tracing = Tracing(self.settings.traces, self.world.counts, self.log)
            self._follow_changes()
            self.world.git.look()
            await self._clock.open_site()
            follower = Follower(self.world, self._stale.set)
            await follower.look()
            stack.enter_context(self._dhcp())
            stack.enter_context(self._router())
            await stack.enter_async_context(self._tftp())
            await stack.enter_async_context(self._dns())
            await stack.enter_async_context(self._syslog())
            await stack.enter_async_context(self._http())
            bequeath_nothing()
            if user:
                become(user, self.settings.state)
            for name, work in (
                ("follower", follower.run()),
                ("status writer", self._status.run()),
                ("status refresh", self._refresh()),
                ("tick", self._clock.run()),
                ("pruner", Pruner(self.world).run()),
                *([("notifier", self._kept_up("notifier", self._notifier.run))] if self._notifier else []),
                *([("tracing", self._kept_up("tracing", self._tracing.run))] if self._tracing else []),
            ):
                await stack.enter_async_context(self._part(name, work))
            self._say_ready()
            yield self

    def _say_ready(self) -> None:
        for note in self.world.directory.journal.notes:
            self.log.warning("journal", note=note)
        self.world.ports = {
            "dhcp": self.dhcp_port, "tftp": self.tftp_port, "dns": self.dns_port, "syslog": self.syslog_port,
            "http": self.http_port, "https": self.https_port,
        }  # fmt: skip
        self.log.info("listening", **self.world.ports, pin=self.world.pin)

    @contextlib.contextmanager
    def _dhcp(self) -> Iterator[None]:
        settings = self.settings
        if settings.dhcp_port == OFF:
            yield
            return
        with contextlib.closing(self._ports):
            with listening(settings, "UDP", settings.dhcp_port, "--dhcp-port"):
                self._ports.open()
            with listening(settings, "UDP", settings.proxy_port, "--proxy-port"):
                self._ports.follow()
            self.dhcp_port = self._ports.port
            yield

    def _dhcp_failed(self, datagram: bytes, peer: Peer, error: Exception) -> None:
        """Our fault or the network's: that datagram is lost, and its bytes are in the log."""
        self.world.counts["dhcp", "defect"] += 1
        self.log.error("dhcp-failed", peer=peer.address, reason=repr(error), bytes=datagram.hex())

    @contextlib.contextmanager
    def _router(self) -> Iterator[None]:
        if not self.settings.router_advertisement:
            yield
            return
        try:
            sock = open_router_socket(self.settings.interface or "")
        except OSError as error:
            raise CannotListen(
                f"Router solicitations cannot be heard ({error.strerror}): run as root or grant CAP_NET_RAW, "
                "see that the interface has IPv6, or leave --router-advertisement out."
            ) from None
        with contextlib.closing(RouterFront(sock, self._solicited)):
            yield

    def _solicited(self, source: str, ignored: str) -> None:
        if ignored == TOO_MANY:
            self.world.counts["router", "too-many"] += 1
            return
        self.world.exchange("router", "ignored" if ignored else "advertised", peer=source, reason=ignored)

    @contextlib.asynccontextmanager
    async def _tftp(self) -> AsyncIterator[None]:
        settings = self.settings
        if settings.tftp_port == OFF:
            yield
            return
        with listening(settings, "UDP", settings.tftp_port, "--tftp-port"):
            server: TftpServer = await serve_tftp(
                settings.listen,
                settings.tftp_port,
                TftpFront(self.world).find,
                on_exchange=self._transferred,
                on_ignored=lambda peer, reason: self.world.exchange("tftp", "ignored", peer=peer[0], reason=reason),
                interface=settings.interface,
                single_port=settings.tftp_single_port,
            )
        self.tftp_port = server.port
        try:
            yield
        finally:
            await server.close()

    def _transferred(self, exchange: Exchange) -> None:
        outcome = exchange.outcome
        reason = "" if isinstance(outcome, Completed) else outcome.reason
        if isinstance(outcome, Completed):
            self.world.durations.answered("tftp", exchange.seconds)
        self.world.exchange("tftp", type(outcome).__name__.lower(), peer=exchange.peer[0], path=exchange.path, reason=reason)

    @contextlib.asynccontextmanager
    async def _dns(self) -> AsyncIterator[None]:
        settings = self.settings
        if settings.dns_port == OFF:
            yield
            return
        front = DnsFront(self.world)
        with listening(settings, "UDP or TCP", settings.dns_port, "--dns-port"):
            server = await serve_dns(
                settings.listen, settings.dns_port, front.answer, front.failed, interface=settings.interface
            )
        self.dns_port = server.port
        try:
            yield
        finally:
            await server.close()

    @contextlib.asynccontextmanager
    async def _syslog(self) -> AsyncIterator[None]:
        settings = self.settings
        if settings.syslog_port == OFF:
            yield
            return
        with listening(settings, "UDP", settings.syslog_port, "--syslog-port"):
            sock = syslog_socket(settings.listen, settings.syslog_port, settings.interface)
        with contextlib.closing(SyslogServer(sock, self.world, lambda name: self._mark([hardware_path(name)]))) as server:
            self.syslog_port = server.port
            async with self._part("syslog", self._kept_up("syslog", server.run)):
                yield

    @contextlib.asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        """The same routes on every socket."""
        settings = self.settings
        try:
            app = application(self.world)
            tls = load_tls(settings) if settings.https_port != OFF else None
        except (BadSecret, BadCertificate) as error:
            raise CannotListen(str(error)) from None
        async with contextlib.AsyncExitStack() as stack:
            open_ = [(stack.enter_context(contextlib.closing(sock)), context) for sock, context in self._http_sockets(tls)]
            for sock, context in open_:
                self._watch_over(await stack.enter_async_context(serving(app, sock, self._bounds, context)))
            yield

    def _http_sockets(self, tls: Tls | None) -> Iterator[tuple[socket.socket, ssl.SSLContext | None]]:
        settings = self.settings
        with listening(settings, "TCP", settings.http_port, "--http-port"):
            sock = tcp_socket(settings.listen, settings.http_port)
        self.http_port = self.world.ports["http"] = sock.getsockname()[1]
        yield sock, None
        yield self._unix_socket(), None
        if tls:
            with listening(settings, "TCP", settings.https_port, "--https-port"):
                sock = tcp_socket(settings.listen, settings.https_port)
            self.https_port = self.world.ports["https"] = sock.getsockname()[1]
            self.world.pin = tls.pin
            yield sock, tls.context

    def _unix_socket(self) -> socket.socket:
        path = self.settings.state / HTTP_SOCKET
        try:
            return unix_socket(path)
        except OSError as error:
            raise CannotListen(
                f"The unix socket {path} cannot be made ({error.strerror}): "
                "give --state a directory on a local disk that its user owns."
            ) from None

    @contextlib.asynccontextmanager
    async def _part(self, name: str, work: Coroutine[object, object, None]) -> AsyncIterator[None]:
        """Runs beside the body and is cancelled after it. Should it end before, the server must not go on as half of one."""
        task = asyncio.create_task(work, name=name)
        self._watch_over(task)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _watch_over(self, task: asyncio.Task[Any]) -> None:
        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or self._death.done():
                return
            error = task.exception()
            if error is not None:
                self._say_died(task.get_name(), error)
            self._death.set_result(f"the part `{task.get_name()}` of the server ended ({error!r})")

        task.add_done_callback(ended)

    def _say_died(self, part: str, error: BaseException) -> None:
        self.log.error("part-died", part=part, traceback="".join(traceback.format_exception(error)))

    async def _kept_up(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A part that no machine waits for is begun again after a defect: it ends nobody's boot."""
        while True:
            try:
                await run()
            except Exception as error:
                self.world.counts["part", "died"] += 1
                self._say_died(name, error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def died(self) -> None:
        """Waits for the first part that ends by itself, and raises Died."""
        raise Died(f"gitboot has a defect: {await self._death}; the log says where. Start it again, and report it.")

    def _follow_changes(self) -> None:
        """Of the journal, and of what is told and not journalled."""
        self.world.ledger.on_commit = self._committed
        self.world.inventories.on_change = lambda name: self._mark([hardware_path(name), inventory_path(name)])
        self.world.on_contest = lambda name: self._mark([hardware_path(name)])

    def _mark(self, paths: Collection[str]) -> None:
        """These documents are others now: for the files, and for who listens."""
        for tell in (self._status.mark, self.world.feed.add):
            tell(paths)

    def _committed(self, events: Sequence[Event]) -> None:
        """Status follows what is on disk; no one whose events those are may suffer from it."""
        try:
            for event in events:
                self.world.expectations.apply(event, self.world.observed)
                self.world.durations.apply(event, self.world.observed)
                self._trace(event)
                self._mark(paths_of(event, self.world.observed))
            self._mark([RECONCILE_PATH, TRIES_PATH])
        except Exception as error:
            self.log.error("status-not-marked", reason=repr(error))

    def _trace(self, event: Event) -> None:
        boot = self.world.observed.boots.get(event.boot) if self._tracing and isinstance(event, BootClosed) else None
        if self._tracing and boot:
            self._tracing.note(spans_of(boot, self.world.observed, self.world.git.commit_of(boot.plan)))

    async def _refresh(self) -> None:
        """After a swap or a freeze every status file is written again, a few at a time: meanwhile machines are answered.
        Those of machines that git has removed go."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            there = await asyncio.to_thread(self.world.directory.status.paths, ("hardware", "inventory"))
            plans = self.world.plans
            named = all_paths(plans.current, self.world.observed, self.world.inventories.names()) if plans else [RECONCILE_PATH]
            paths = list(dict.fromkeys((*named, *there))) if plans else named
            self.world.feed.add([INDEX_PATH])
            for start in range(0, len(paths), REFRESH_SLICE):
                self._status.mark(paths[start : start + REFRESH_SLICE])
                await asyncio.sleep(REFRESH_SECONDS)
