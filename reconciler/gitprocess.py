"""One git process: started with nothing inherited, fed, read up to a limit, and gone by its deadline with all its children.

Shell, over gitpython's process wrapper. The user's and the host's git configuration do not count, nor do the `GIT_…`
variables a hook leaves in the environment; `~/.ssh`, `~/.netrc`, `GIT_SSH_COMMAND`, `GIT_SSL_…` and the proxy variables
do. Nothing here ever asks a question at a terminal. A command is a fixed list of words: text from outside reaches git by
standard input, or behind a word that cannot be an option.

Reading a repository that belongs to another user is allowed (`safe.directory=*`), because nothing in its configuration can
make us run anything: only `rev-parse`, `ls-tree`, `ls-files`, `cat-file` and `merge-base` are run in it, `blame` of a commit
without text conversion, and for signatures `rev-list`, `diff-tree`, `for-each-ref`, `verify-commit` and `verify-tag`, without
hooks and file monitor, with programs that verify named by us, and no protocol is allowed through which a missing object could
be fetched.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO

from reconciler.source import Remote

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # else gitpython cannot even be imported where git is not installed
import git

MAX_OUTPUT_BYTES = 512 * 1024 * 1024
"""What one command may say before it is killed: a tree can be crafted that lists for ever."""

NOT_FOUND = 127
"""The status of a git that is not installed, as `env` and shells have it."""

_MAX_STDERR_BYTES = 64 * 1024
_MOST_WRITTEN = 4 << 30  # bytes of one file, and
_MOST_HELD = 2 << 30  # bytes of memory, when git speaks with a server: one could send for ever
_BOUND = f'ulimit -f {_MOST_WRITTEN // 512} 2>/dev/null; ulimit -d {_MOST_HELD // 1024} 2>/dev/null; exec "$@"'
_READ_BYTES = 256 * 1024
_PIPE_BUF = 4096  # what select() promises can be written to a pipe without blocking (POSIX: 512, Linux: 4096)
_ORPHAN_GRACE = 5  # seconds after our own deadline until `timeout` ends a git whose gitboot was killed

# `git rev-parse --local-env-vars`, and what redirects a repository: set by hooks, wrong for any other repository.
_FORGET = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CURL_VERBOSE",
    "GIT_DIR",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_WORK_TREE",
)

_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_GRAFT_FILE": "/dev/null",  # .git/info/grafts could give a commit other parents than its own
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace could make one commit id mean two contents
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGUAGE": "C",
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}

_CONFIG = {
    "advice.graftFileDeprecated": "false",  # that there is a graft file at all, which we name, is worth a hint to git
    "core.askPass": "",
    "core.commitGraph": "false",  # a file beside the objects, which could give a commit another tree
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    # ControlPath: a shared connection would outlive git in the background, holding the pipes we read.
    "core.sshCommand": "ssh -oBatchMode=yes -oConnectTimeout=15 -oServerAliveInterval=15 -oControlPath=none",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "safe.directory": "*",
    "submodule.recurse": "false",
}

_HELPER = (
    '!f() { test "$1" = get && printf \'username=%s\\npassword=%s\\n\' "$GITBOOT_GIT_USERNAME" "$GITBOOT_GIT_PASSWORD"; }; f'
)


class GitFailed(Exception):
    """Git ended with a status other than 0. The text is its stderr, unscrubbed: for the caller to judge, not to show."""

    def __init__(self, stderr: str, status: int = 1) -> None:
        self.stderr = stderr
        self.status = status
        super().__init__(stderr)


class TimedOut(GitFailed):
    """The deadline passed (or `GitProcess.stop` was called); the process group has been killed."""


class TooMuchOutput(GitFailed):
    """The command said more than it may; the process group has been killed."""


class GitProcess:
    """Runs git commands, one at a time. `timeout` is seconds for each command as a whole."""

    def __init__(self, timeout: float, remote: Remote | None = None, inherit: Sequence[int] = ()) -> None:
        """`remote` allows the network protocols and lends its credentials; `inherit` are descriptors children keep open."""
        # gitpython quietly runs a command in *our* directory when the one it was given has vanished, and git would then
        # answer from whatever repository that is in. So the directory is always the root, and the repository always named.
        self._git = git.Git("/")
        self.timeout = timeout
        self._remote = remote
        self._environment = _environment(remote)
        self._inherit = tuple(inherit)
        self._guard = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self,
        *words: str,
        feed: bytes = b"",
        limit: int = MAX_OUTPUT_BYTES,
        patience: float = 1,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Run `git WORDS…` with `feed` on its standard input; its standard output. Raises `GitFailed`.

        `patience` multiplies the timeout; `environment` is added to ours.
        """
        seconds = self.timeout * patience
        deadline = time.monotonic() + seconds
        process = self._start([*self._prefix(seconds), "git", *words], {**self._environment, **environment})
        try:
            out, err = exchange(process, feed, limit, deadline)
        except BaseException:
            kill_group(process)
            raise
        finally:
            reap(process)
            with self._guard:
                self._running = None
        if self._stopped:
            raise TimedOut("stopped")
        if process.returncode != 0:
            raise GitFailed(err.decode(errors="replace"), process.returncode)
        return out

    def stop(self) -> None:
        """End the command running now, from any thread, and refuse every later one."""
        with self._guard:
            self._stopped = True
            if self._running is not None:
                kill_group(self._running)

    def _prefix(self, seconds: float) -> list[str]:
        prefix = ["env", *(word for name in _FORGET for word in ("-u", name))]
        if self._remote is not None:
            # Fires only when gitboot itself was killed: no git may hang on behind it for ever.
            orphaned = str(int(seconds) + _ORPHAN_GRACE)
            prefix += ["sh", "-c", _BOUND, "sh", "timeout", "--signal=KILL", orphaned]
        return prefix

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._stopped:
                raise TimedOut("stopped")
            try:
                started = self._git.execute(
                    command,
                    as_process=True,
                    istream=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,  # its own process group: ssh and remote helpers die with it
                    pass_fds=self._inherit,
                )
            except git.GitCommandNotFound as error:
                raise GitFailed(str(error), NOT_FOUND) from None
            process = started.proc
            started.proc = None  # from here on the process is ours to end: gitpython would kill git alone
            if process is None:
                raise GitFailed("git could not be started")
            self._running = process
            return process


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and everything it started. Does nothing once it has been waited for: its number may be another's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _environment(remote: Remote | None) -> dict[str, str]:
    config = dict(_CONFIG)
    environment = dict(_ENVIRONMENT)
    environment["GIT_ALLOW_PROTOCOL"] = "none" if remote is None else "git:http:https:ssh"
    if remote is not None and (remote.username or remote.password):
        # By environment, which only this user can read: an argument or a file in the mirror would show them to others.
        config[f"credential.{remote.origin}.helper"] = _HELPER
        environment |= {"GITBOOT_GIT_USERNAME": remote.username, "GITBOOT_GIT_PASSWORD": remote.password}
    environment["GIT_CONFIG_COUNT"] = str(len(config))
    for index, (key, value) in enumerate(config.items()):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return environment


def exchange(process: subprocess.Popen[bytes], feed: bytes, limit: int, deadline: float) -> tuple[bytes, bytes]:
    """Feed and read at once until both outputs are closed: neither side can block the other, nor pass the deadline."""
    stdin, stdout, stderr = _pipes(process)
    heard: dict[IO[bytes], list[bytes]] = {stdout: [], stderr: []}
    room = {stdout: limit, stderr: _MAX_STDERR_BYTES}
    pending = memoryview(feed)
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE, stdin)
        selector.register(stdout, selectors.EVENT_READ, stdout)
        selector.register(stderr, selectors.EVENT_READ, stderr)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimedOut("timed out")
            for pipe in (key.data for key, _ in ready):
                if pipe is stdin:
                    pending = _write(stdin, pending)
                    if not pending:
                        selector.unregister(stdin)
                        stdin.close()
                elif data := os.read(pipe.fileno(), _READ_BYTES):
                    room[pipe] -= len(data)
                    if room[stdout] < 0:
                        raise TooMuchOutput("too much output")
                    if room[pipe] >= 0:
                        heard[pipe].append(data)
                else:
                    selector.unregister(pipe)
    return b"".join(heard[stdout]), b"".join(heard[stderr])


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise GitFailed("git was started without pipes")
    return process.stdin, process.stdout, process.stderr


def _write(stdin: IO[bytes], pending: memoryview) -> memoryview:
    """What is still to be written. A git that ended early wants no more; its status tells why."""
    try:
        return pending[os.write(stdin.fileno(), pending[:_PIPE_BUF]) :] if pending else pending
    except BrokenPipeError:
        return pending[:0]


def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process and close our ends. A process stuck in the kernel (a dead NFS mount) is left behind."""
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        kill_group(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
