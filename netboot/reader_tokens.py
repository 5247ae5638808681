"""The list of tokens that may read, `STATE/tokens.json`.

Shell. Law: the file holds no token, only SHA-256 of them, belongs to who owns the state directory, and is for its owner alone;
it is replaced by one rename, and two who change it at once do so one after the other. A server reads it again once it changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from netboot.errors import Malformed
from netboot.journal import sync_directory, write_and_sync
from netboot.readers import PREFIX, Token, decode_tokens, digest_of, encode_tokens

NAME = "tokens.json"


class TokenFile:
    """What a server asks with every request that shows a token."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME
        self._seen: tuple[int, ...] = ()
        self._tokens: list[Token] = []
        self.trouble = ""
        """Why nobody's token is right at the moment; "" when there is no such reason."""

    def tokens(self) -> list[Token]:
        """The newest list; empty where there is no file, and where it is damaged."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._seen, self._tokens, self.trouble = (), [], ""
                self._tokens = decode_tokens(self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._tokens, self.trouble = (), [], ""
        except OSError as error:
            self._tokens, self.trouble = [], f"{self._path} cannot be read ({error.strerror}); give it to the server's user"
        except Malformed as error:
            self._tokens, self.trouble = [], f"{self._path} is damaged ({error}); remove it and make the tokens anew"
        return self._tokens


def list_tokens(state: Path) -> list[Token]:
    """Raises OSError or Malformed."""
    try:
        return decode_tokens((state / NAME).read_bytes())
    except FileNotFoundError:
        return []


def add_token(state: Path, name: str) -> str:
    """The token, which is written nowhere. Raises FileExistsError for a name that is taken, OSError or Malformed."""
    token = PREFIX + secrets.token_urlsafe(32)
    with _changing(state) as tokens:
        if any(each.name == name for each in tokens):
            raise FileExistsError(name)
        tokens.append(Token(name, digest_of(token), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))
    return token


def remove_token(state: Path, name: str) -> bool:
    """Whether there was one. Raises OSError or Malformed."""
    with _changing(state) as tokens:
        kept = [each for each in tokens if each.name != name]
        found = len(kept) < len(tokens)
        tokens[:] = kept
    return found


@contextlib.contextmanager
def _changing(state: Path) -> Iterator[list[Token]]:
    """The list, to be changed in place, and written unless the body raises."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        tokens = list_tokens(state)
        yield tokens
        fresh = state / f"{NAME}.new"
        fresh.unlink(missing_ok=True)  # of one that was killed
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:  # root makes it for the server's user
                owner = os.fstat(folder)
                os.fchown(file, owner.st_uid, owner.st_gid)
            write_and_sync(file, encode_tokens(tokens))
        finally:
            os.close(file)
        fresh.rename(state / NAME)
        sync_directory(state)
    finally:
        os.close(folder)
