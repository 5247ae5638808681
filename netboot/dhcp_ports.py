"""The DHCP sockets: port 67 always, 4011 while the site's mode is a proxy one, and an ear on port 68.

Shell. What is sent to port 68 is sent to clients. Bound to the broadcast address, the ear hears other servers' broadcasts and
never takes a datagram from this host's own DHCP client; where it cannot be had, nothing else suffers.
"""

from __future__ import annotations

from contextlib import suppress

from netboot.dhcp import CLIENT_PORT, SERVER_PORT
from netboot.dhcp_front import DhcpFront
from netboot.dhcp_server import DhcpServer, OnError, open_socket
from netboot.world import World

PROXY_MODES = ("proxy", "auto-proxy")
OFF = -1


class DhcpPorts:
    """Nothing is open before `open`."""

    def __init__(self, world: World, on_error: OnError) -> None:
        self._world = world
        self._on_error = on_error
        self._front = DhcpFront(world)
        self._main: DhcpServer | None = None
        self._proxy: DhcpServer | None = None
        self._ear: DhcpServer | None = None

    @property
    def port(self) -> int:
        """As bound; 0 while it is closed, as for `proxy_port`."""
        return self._main.port if self._main else 0

    @property
    def proxy_port(self) -> int:
        return self._proxy.port if self._proxy else 0

    def open(self) -> None:
        """Raises OSError for port 67."""
        settings = self._world.settings
        sock = open_socket(settings.listen, settings.dhcp_port, settings.interface or "")
        self._main = DhcpServer(sock, self._front.handle, self._on_error, reply_to_source=settings.reply_to_source)
        self._front.send = self._main.send
        if settings.dhcp_port == SERVER_PORT:
            with suppress(OSError):
                ear = open_socket("255.255.255.255", CLIENT_PORT, settings.interface or "", shared=True)
                self._ear = DhcpServer(ear, self._front.overhear, self._on_error)

    def follow(self) -> None:
        """Open or close port 4011 as the served plan's mode wants it. Raises OSError."""
        plans, settings = self._world.plans, self._world.settings
        wanted = self._main is not None and plans is not None and plans.current.site.mode in PROXY_MODES
        if wanted and self._proxy is None and settings.proxy_port != OFF:
            sock = open_socket(settings.listen, settings.proxy_port, settings.interface or "")
            front = DhcpFront(self._world, boot_port=True)
            self._proxy = DhcpServer(sock, front.handle, self._on_error, reply_to_source=True)
            front.send = self._proxy.send
        elif self._proxy is not None and not wanted:
            self._proxy.close()
            self._proxy = None

    def close(self) -> None:
        for server in (self._main, self._proxy, self._ear):
            if server is not None:
                server.close()
