"""A connection to the server: in clear, or by TLS to the holder of one of the named certificates and to nobody else.

Shell, standard library only. Law: with `https` nothing is said to a server whose certificate is not one of the pins. Who signed
it, whose name is in it and when it ends are not looked at: a wrong clock is no obstacle, and no authority vouches for another.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Collection
from hashlib import sha256
from urllib.parse import urlsplit

NAME = "agent.gitboot.invalid"
"""What every agent asks for (SNI, RFC 6066 section 3), for the server to tell it from others. It is nobody's (RFC 6761)."""


class Impostor(OSError):
    """Who answers is not who the boot script named."""


def read_pins(text: str) -> frozenset[str]:
    """`<64 hex>,<64 hex>,…`: SHA-256 of certificates in DER. Raises ValueError with half a sentence."""
    pins = frozenset(pin.lower() for pin in text.split(",") if pin)
    if wrong := [pin for pin in pins if not re.fullmatch("[0-9a-f]{64}", pin)]:
        raise ValueError(f"{wrong[0]!r} is no SHA-256 in 64 hexadecimal digits")
    return pins


def connect(url: str, pins: Collection[str], timeout: float) -> http.client.HTTPConnection:
    """Not connected yet. `timeout`: seconds that it may stay silent, in the handshake too."""
    base = urlsplit(url)
    if base.scheme == "https":
        return _Pinned(base.hostname or "", base.port, pins, timeout)
    return http.client.HTTPConnection(base.hostname or "", base.port, timeout=timeout)


class _Pinned(http.client.HTTPConnection):
    default_port = 443

    def __init__(self, host: str, port: int | None, pins: Collection[str], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._pins = pins
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE  # the handshake proves that the key is the certificate's; we look at which
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def connect(self) -> None:
        """Raises Impostor, or another OSError."""
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=NAME)
        shown = sha256(self.sock.getpeercert(binary_form=True) or b"").hexdigest()
        if shown not in self._pins:
            self.close()
            raise Impostor(
                f"it shows the certificate {shown}, and the boot script named {' or '.join(sorted(self._pins))}; "
                "look for another server on this network, or, where STATE/tls was made anew, restart this machine"
            )
