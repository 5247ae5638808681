"""One file, read by one peer over a bad link: it arrives whole, or the transfer ends with a reason.

Core: TFTP (RFC 1350) with blksize (RFC 2348), tsize and timeout (RFC 2349) and windowsize (RFC 7440), read only, without
sockets or clocks. Three rules hold always: a block is sent again only when the timer says so or when an ACK inside the window
asks for it, never for a repeated ACK (RFC 1123 section 4.2.3.1, the Sorcerer's Apprentice); whatever comes from the peer is
ordinary input; and once there is an outcome it stays.

    transfer.receive(datagram, now)                 # or handle_timer(now), when `transfer.timer` has come
    for data in transfer.datagrams_to_send(): ...   # then look at `outcome` and `timer`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netboot.errors import Malformed
from netboot.tftp_packets import (
    ACCESS_VIOLATION,
    ILLEGAL_OPERATION,
    NOT_DEFINED,
    Ack,
    Data,
    Error,
    OptionAck,
    ReadRequest,
    WriteRequest,
    decode,
    encode,
)


def _nothing() -> None:
    """What there is to close in a file that is bytes."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to send: `size` octets, of which `read(offset, length)` returns exactly `length`, or raises `OSError`.

    A transfer reads a window at a time. Whoever started the transfer calls `close` after it.
    """

    size: int
    read: Callable[[int, int], bytes]
    close: Callable[[], None] = _nothing

    @classmethod
    def of(cls, content: bytes) -> File:
        """A file that is in memory."""
        return cls(len(content), lambda offset, length: content[offset : offset + length])

    def slice(self, offset: int, length: int) -> bytes:
        """`read`, held to its promise: raises `OSError` when the file turns out shorter than it said."""
        content = self.read(offset, length) if length else b""
        if len(content) != length:
            raise OSError(f"{len(content)} of {length} octets at offset {offset}")
        return content


@dataclass(frozen=True, slots=True)
class NotFound:
    """A look-up's other answer: there is no such file for this peer, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Every block was acknowledged. `retransmits` counts the datagrams that were sent more than once."""

    size: int
    seconds: float
    retransmits: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """The peer ended it. Ordinary: EDK2 reads the size from the OACK, sends ERROR 8 and then asks for the file."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """We answered the request with ERROR `code` and sent nothing of the file."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It broke off on our side of the wire or in between: the peer fell silent, or the file could not be read."""

    reason: str


Outcome = Completed | Aborted | Refused | Failed


def normalise(path: str) -> str:
    """The requested path as the tree knows it: `/` between parts, none in front, no empty, `.` or `..` parts.

    Firmware sends `/x`, `\\x`, `a//b` and `./x` for the same file. Raises `Malformed` for a path that climbs out of the
    tree, holds control characters or names nothing.
    """
    if not path.isprintable():
        raise Malformed(f"path {path!r} holds control characters")
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                raise Malformed(f"path {path!r} climbs out of the tree")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise Malformed(f"path {path!r} names no file")
    return "/".join(parts)


def admit(request: ReadRequest | WriteRequest) -> str | Refused:
    """The normalised path to look up, or why there is nothing to look up."""
    if isinstance(request, WriteRequest):
        return Refused(ACCESS_VIOLATION, "this server is read only")
    if request.mode not in ("octet", "netascii"):
        return Refused(ILLEGAL_OPERATION, f"mode {request.mode!r} is neither octet nor netascii")
    try:
        return normalise(request.path)
    except Malformed as malformed:
        return Refused(ACCESS_VIOLATION, malformed.reason)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server grants and how long it waits. Times are in seconds."""

    blksize: int = 1468
    """Octets of DATA that fit an Ethernet frame beside the IP, UDP and TFTP headers, as EDK2 reckons; more would fragment."""
    windowsize: int = 64
    timeout: float = 1.0
    """The first wait for an ACK, unless the client names its own; doubled at each retry."""
    longest_timeout: float = 8.0
    """Where the doubling ends; a client's own longer timeout stays as it is."""
    retries: int = 5
    netascii_size: int = 1024 * 1024
    """Largest file that is translated. Translation is done in memory, and what is larger is no text."""
    transfers: int = 1024
    """At once, from all peers."""
    transfers_per_peer: int = 8
    """At once, from one IP address. Machines behind one NAT share it."""


DEFAULT_LIMITS = Limits()


def negotiate(options: Mapping[str, str], size: int, limits: Limits) -> dict[str, int]:
    """The options of the OACK: each one asked for that we know and whose value is valid, with the value that will hold.

    An option that is unknown or has an invalid value is left out, and the transfer goes on without it: RFC 2347 has ERROR 8
    only for options whose own specification says so, and none of these does. A machine that boots slowly is better than
    one that does not boot.
    """
    granted: dict[str, int] = {}
    for name, text in options.items():
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else -1
        if name == "blksize" and 8 <= value <= 65464:  # RFC 2348: the answer may be smaller
            granted[name] = min(value, limits.blksize)
        elif name == "tsize" and value >= 0:  # RFC 2349: asked as 0, answered with the size
            granted[name] = size
        elif name == "timeout" and 1 <= value <= 255:  # RFC 2349: the answer must be the same
            granted[name] = value
        elif name == "windowsize" and 1 <= value <= 65535:  # RFC 7440: the answer may be smaller
            granted[name] = min(value, limits.windowsize)
    return granted


class Transfer:
    """The server's side of one read: from the request to an outcome.

    The caller starts it only for a request that `admit` let through, and closes `file` after it.
    """

    def __init__(self, request: ReadRequest, file: File, now: float, limits: Limits = DEFAULT_LIMITS) -> None:
        self.request = request
        self.outcome: Outcome | None = None
        self._limits = limits
        self._started = now
        self._replies: list[bytes] = []  # OACK or ERROR to send; DATA is made when it is sent
        self._acked = self._sent = 0  # the highest block acknowledged, and sent so far, counted from 1 without wrapping
        self._next = 1
        self._tries = self._retransmits = 0
        self._heard = False  # whether the peer acknowledged anything, be it the OACK
        self._file = self._translated(file) if request.mode == "netascii" else file
        options = negotiate(request.options, self._file.size, limits)
        self._blksize = options.get("blksize", 512)
        self._windowsize = options.get("windowsize", 1)
        self._timeout = float(options.get("timeout", limits.timeout))
        self._last = self._file.size // self._blksize + 1  # a short block ends the file, so there may be an empty one
        self._oack = encode(OptionAck({name: str(value) for name, value in options.items()})) if options else None
        if self._oack and not self.done:
            self._replies.append(self._oack)
        self._deadline = now + self._timeout

    @property
    def done(self) -> bool:
        """Whether there is an outcome. What `datagrams_to_send` still has is to be sent nonetheless."""
        return self.outcome is not None

    @property
    def timer(self) -> float | None:
        """When to call `handle_timer`, on the clock of `now`; None when done."""
        return None if self.done else self._deadline

    def receive(self, datagram: bytes, now: float) -> None:
        """Take in a datagram from the peer's own address and port. Raises `Malformed`, which leaves the transfer as it was."""
        match decode(datagram):
            case _ if self.done:
                pass
            case Ack(block):
                self._acknowledge(block, now)
            case Error(code, message):
                self.outcome = Aborted(code, f"the peer sent error {code} {message!r}")

    def handle_timer(self, now: float) -> None:
        """Send again what was not acknowledged, or give up. Too early or too late it does nothing."""
        if self.done or now < self._deadline:
            return
        if self._tries == self._limits.retries:
            waited_for = "OACK" if self._oack else f"block {self._acked + 1} of {self._last}"
            self.outcome = Failed(f"no answer to {waited_for}, sent {self._tries + 1} times")
            return
        self._tries += 1
        self._deadline = now + min(self._timeout * 2**self._tries, max(self._timeout, self._limits.longest_timeout))
        self._next = self._acked + 1
        if self._oack:
            self._replies.append(self._oack)
            self._retransmits += 1

    def datagrams_to_send(self) -> list[bytes]:
        """What to send to the peer now, in this order; asked again without new input, nothing."""
        data = [] if self.done or self._oack else self._window()
        replies, self._replies = self._replies, []
        return replies + data

    def cancel(self, reason: str) -> None:
        """End it from our side and tell the peer."""
        if not self.done:
            self._end(Failed(reason), Error(NOT_DEFINED, reason))

    def repeats(self, request: ReadRequest) -> bool:
        """Whether `request`, come again from this peer and port, is this transfer's own rather than a new beginning.

        A client whose OACK or first block was lost says the same again. But firmware counts its ports up from the same
        number at every reset: the same words after the peer left blocks unanswered are a machine that was reset.
        """
        return request == self.request and (not self._heard or self._tries == 0)

    def _acknowledge(self, block: int, now: float) -> None:
        if self._oack:
            if block != 0:
                return
            self._oack = None  # ACK 0 accepts the options (RFC 2347)
        else:
            advance = (block - self._acked) & 0xFFFF
            if not 0 < advance <= self._sent - self._acked:
                return  # a repeated or late ACK: to answer it would double every block after it
            self._acked += advance
        # Inside the window the peer missed what follows, and the next window begins there (RFC 7440 section 4).
        self._next = self._acked + 1
        self._heard, self._tries = True, 0
        self._deadline = now + self._timeout
        if self._acked == self._last:
            self.outcome = Completed(self._file.size, now - self._started, self._retransmits)

    def _window(self) -> list[bytes]:
        first, stop = self._next, min(self._acked + self._windowsize, self._last) + 1
        if first >= stop:
            return []
        start = (first - 1) * self._blksize
        try:
            content = self._file.slice(start, min((stop - 1) * self._blksize, self._file.size) - start)
        except OSError as error:
            self.cancel(f"the file cannot be read: {error}")
            return []
        self._retransmits += max(0, min(stop - 1, self._sent) - first + 1)
        self._next, self._sent = stop, stop - 1
        blocks = (content[i * self._blksize : (i + 1) * self._blksize] for i in range(stop - first))
        return [encode(Data((first + i) & 0xFFFF, block)) for i, block in enumerate(blocks)]

    def _end(self, outcome: Outcome, error: Error) -> None:
        self.outcome = outcome
        self._replies = [encode(error)]

    def _translated(self, file: File) -> File:
        """The file as netascii (RFC 764 by way of RFC 1350): LF becomes CR LF, a bare CR becomes CR NUL."""
        if file.size > self._limits.netascii_size:
            refused = Refused(NOT_DEFINED, "too large for netascii: ask for octet (binary)")
            self._end(refused, Error(refused.code, refused.reason))
            return file
        try:
            return File.of(file.slice(0, file.size).replace(b"\r", b"\r\0").replace(b"\n", b"\r\n"))
        except OSError as error:
            self.cancel(f"the file cannot be read: {error}")
            return file
