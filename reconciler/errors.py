"""Faults outside the commit: each says what happened and what to do next, and never holds a secret.

Core. `Rejected` (in `reconciler.problems`) is the commit's fault. `Unavailable` is the world's: the caller retries with
backoff and keeps serving the last good plan. `BadSource` is a setting that no retry will mend.
"""

from __future__ import annotations

import re


class Unavailable(Exception):
    """The repository cannot be read just now. The text is one sentence and its next step, free of credentials."""


class UnknownRef(Unavailable):
    """The repository answered, but the branch, tag or commit asked for is not in it (or it has no commit at all)."""


class BadSource(Exception):
    """The repository's address cannot be used as it is written. The text never repeats an address that may hold a secret."""


def words_of(error: Exception) -> str:
    """What the system says is wrong, without the number that it has there."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


_ADVICE = tuple(
    (re.compile(pattern, re.IGNORECASE), step)
    for pattern, step in (
        (r"could not resolve host|name or service not known|name resolution", "check the host name and this host's DNS"),
        (
            r"connection refused|no route to host|unreachable|connection timed out|unable to connect|failed to connect",
            "check that the git server is running and that no firewall is in between",
        ),
        (r"host key verification failed", "add the server's key to ~/.ssh/known_hosts of the user gitboot runs as"),
        (r"permission denied \(|publickey", "add this host's public key to the repository as a deploy key"),
        (
            r"could not read (username|password)|authentication failed|error: 40[13]|http basic: access denied",
            "put a user and a token that may read it in ~/.netrc, or as USER:TOKEN@ before the host",
        ),
        (r"certificate|ssl", "let GIT_SSL_CAINFO name the authority that signed the server's certificate"),
        (
            r"not found|not appear to be a git repository|not exported|no such file",
            "check the address and that this host may read it",
        ),
        (
            r"protocol error|bad line length|not valid: is this a git|invalid server response",
            "check the address: what answers there does not speak git",
        ),
        (
            r"inflate|early EOF|index-pack|unpack-objects|hung up|body are still expected|disconnect|RPC failed|did not send",
            "the answer was damaged or cut off: check the server (`git fsck`) and what is in between, if this repeats",
        ),
        (r"no space left|disk quota", "make room in the state directory"),
        (r"(unable|could not|cannot) (to )?create|permission denied|read-only", "check who owns the state directory"),
    )
)


def advise(complaint: str) -> str:
    """The next step for what git (or ssh, or curl below it) said."""
    for pattern, step in _ADVICE:
        if pattern.search(complaint):
            return step
    return "try `git ls-remote` with the same address by hand"


_NOISE = re.compile(r"^(remote: *$|warning:|hint:|Please make sure|and the repository exists)", re.IGNORECASE)


def complaint_of(stderr: str) -> str:
    """The line of git's stderr that names the cause: what came just before git's own generic last words, on one line.

    ssh and curl explain themselves first and git then says only that it could not read from the remote, so that generic
    sentence is used only when nothing better was said.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    telling = [line for line in lines if "Could not read from remote repository" not in line]
    last = (telling or lines or ["no reason given"])[-1]
    best = next((line for line in telling if line.startswith(("fatal:", "error:"))), last)
    return re.sub(r"^(fatal|error): ", "", best).rstrip(".")
