"""One download: from a URL into a file, with its digest, and never for ever.

Shell. Law: whoever waits for it waits at most `LONGEST` seconds and is free at once when told to stop. The work is done in a
thread of its own, because a name server or a half-dead connection cannot be interrupted; it is abandoned, and ends by itself.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

CHUNK = 1024 * 1024
TIMEOUT = 30.0
"""Seconds without a byte from the origin."""
LONGEST = 1800.0
"""Seconds for all of it: a commit after this one waits as long."""
RESERVE = 128 << 20
"""Bytes that stay free on the disk: the journal lies on it too, and no origin may stop that."""
SCHEMES = ("http://", "https://")
LOOK = 0.1
"""Seconds between two looks whether to stop."""


class MirrorError(Exception):
    """The origin did not give the promised bytes: the world's fault, tried again later. The message is a sentence."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """From http and https to http and https; by itself it would follow to ftp too."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith(SCHEMES):
            raise urllib.error.HTTPError(
                req.full_url, code, "it leads to an address that is neither http nor https", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_Redirects)


class _Work:
    """What the thread leaves: the digest, or the error."""

    def __init__(self, url: str, partial: Path, timeout: float) -> None:
        self.digest = ""
        self.error: Exception | None = None
        self.given_up = threading.Event()
        self.done = threading.Event()
        self._url = url
        self._partial = partial
        self._timeout = timeout

    def run(self) -> None:
        try:
            self.digest = self._copy()
        except urllib.error.HTTPError as error:
            error.close()
            self.error = error
        except Exception as error:
            self.error = error
        if self.error or self.given_up.is_set():
            self._partial.unlink(missing_ok=True)
        self.done.set()

    def _copy(self) -> str:
        digest = hashlib.sha256()
        with _opener.open(self._url, timeout=self._timeout) as answer, self._partial.open("wb") as file:
            while not self.given_up.is_set() and (chunk := answer.read1(CHUNK)):
                if _free(file.fileno()) < RESERVE:
                    raise MirrorError(f"the disk is full but for the {RESERVE >> 20} MiB that are kept for the journal")
                digest.update(chunk)
                file.write(chunk)
            if answer.length:
                raise MirrorError(f"the connection ended {answer.length} bytes early")
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()


def _free(descriptor: int) -> int:
    """Bytes that may still be written to this file's disk."""
    disk = os.statvfs(descriptor)
    return disk.f_bavail * disk.f_frsize


def download(
    url: str, target: Path, stop: threading.Event, timeout: float = TIMEOUT, longest: float = LONGEST
) -> tuple[Path, str]:
    """Returns a file beside `target`, complete and fsynced, and its SHA-256. Raises MirrorError, or OSError of the disk."""
    if not url.startswith(SCHEMES):
        raise MirrorError(f"{url} is neither http nor https; only those are mirrored")
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    work, deadline = _Work(url, Path(name), timeout), time.monotonic() + longest
    threading.Thread(target=work.run, name="download", daemon=True).start()
    while not work.done.wait(LOOK):
        if stop.is_set() or time.monotonic() > deadline:
            work.given_up.set()
            raise MirrorError(f"{url} was not fetched within {longest:.0f} seconds; it is tried again")
    match work.error:
        case None:
            return Path(name), work.digest
        case urllib.error.URLError() | HTTPException() | TimeoutError() | ConnectionError() | ValueError() | MirrorError():
            raise MirrorError(f"{url} could not be fetched ({work.error}); it is tried again") from work.error
    raise work.error
