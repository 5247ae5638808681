"""Compressed bytes become what they were, a piece at a time.

Shell (zstd is a process). Law: a piece is at most a MiB however well it was compressed, so that a few bytes cannot fill the
memory; what is cut off or damaged is `Failed`, and never taken for the end.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from agent.actions.settings import Failed

PIECE = 1 << 20
XZ_MEMORY = 512 << 20
"""Bytes that unpacking may take; `xz -9` needs 65 MB."""
MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0", "zstd": b"\x28\xb5\x2f\xfd"}
LONGEST_MAGIC = 6


class Decompressor(Protocol):
    """As bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def kind_of(beginning: bytes) -> str:
    """How something is compressed that begins so; "" if in no way we know."""
    return next((kind for kind, magic in MAGIC.items() if beginning.startswith(magic)), "")


def unpacked(chunks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """`kind` as `kind_of` says. Raises Failed."""
    match kind:
        case "":
            return iter(chunks)
        case "zstd":
            return _by_process(("zstd", "--decompress", "--stdout", "--quiet"), chunks)
        case "gzip":
            return _by_stream(_Gzip, chunks, kind)
        case "bzip2":
            return _by_stream(bz2.BZ2Decompressor, chunks, kind)
    return _by_stream(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), chunks, kind)


def begin(chunks: Iterable[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `length` bytes, or fewer if there are no more, and everything from the beginning."""
    rest = iter(chunks)
    first = b""
    for chunk in rest:
        first += chunk
        if len(first) >= length:
            break
    return first[:length], _after(first, rest)


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class _Gzip:
    """zlib in the words of bz2 and lzma."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._more = False

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._more

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self._more = len(found) == max_length
        return found


def _by_stream(new: Callable[[], Decompressor], chunks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """One stream after the other, with zeros between and after them, as the tools have it."""
    stream: Decompressor | None = None
    for chunk in chunks:
        data = chunk
        while True:
            if stream is None:
                if not (data := data.lstrip(b"\0")):
                    break
                stream = new()
            try:
                found = stream.decompress(data, PIECE)
            except (OSError, zlib.error, lzma.LZMAError, EOFError) as error:
                raise Failed(f"this is not {kind}, or damaged: {error}") from error
            if found:
                yield found
            data = b""
            if stream.eof:
                data, stream = stream.unused_data, None
            elif stream.needs_input:
                break
    if stream is not None:
        raise Failed(f"the end of the {kind} data is missing")


def _by_process(command: tuple[str, ...], chunks: Iterable[bytes]) -> Iterator[bytes]:
    trouble: list[BaseException] = []
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        except FileNotFoundError as error:
            raise Failed(f"this image has no {command[0]}") from error
        feeder = threading.Thread(target=_feed, args=(process, chunks, trouble), daemon=True)
        feeder.start()
        try:
            assert process.stdout  # noqa: S101 - it is a pipe
            while piece := process.stdout.read(PIECE):
                yield piece
            feeder.join()
            if trouble:
                raise trouble[0]
            if process.wait():
                said.seek(0)
                raise Failed(f"this is not whole: {said.read().decode(errors='replace').strip()}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def _feed(process: subprocess.Popen[bytes], chunks: Iterable[bytes], trouble: list[BaseException]) -> None:
    assert process.stdin  # noqa: S101 - it is a pipe
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
    except BrokenPipeError:
        pass  # it says itself why it ended
    except BaseException as error:  # raised where it is waited for
        trouble.append(error)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
