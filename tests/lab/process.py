"""Programs under watch: what they wrote so far, and waiting for what they will write.

The law: a test never waits for a length of time, it waits for text, with a deadline. The text is that of a file which somebody
else writes, so this is the one place that polls.
"""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLL_INTERVAL = 0.02
"""Seconds between two looks at a file."""

PATIENCE = 5.0
"""Seconds that a program has to end after it was asked to, before it is killed."""

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Transcript:
    """Text that a program writes to `path`, read forwards: every match moves the reading position past itself.

    So `wait_for("login:")` twice means two logins, and after a reset nothing of the boot before is seen again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def text(self) -> str:
        """Everything written so far, without the escape sequences that firmware paints its screen with."""
        try:
            return _TERMINAL_CODES.sub("", self.path.read_bytes().decode("latin-1"))
        except FileNotFoundError:
            return ""

    def wait_for(self, pattern: str, within: float, running: Callable[[], bool] = lambda: True) -> re.Match[str]:
        """The next match of `pattern` after the last one.

        Raises AssertionError with the text when it has not come `within` seconds, or when the writer is no longer `running`.
        The file grows while it is read: a pattern that ends in a repetition should go on to the end of the line.
        """
        deadline = time.monotonic() + within
        while True:
            alive = running()  # asked before reading: what a program says while it ends still counts
            text = self.text()
            if match := re.compile(pattern).search(text, self._position):
                self._position = match.end()
                return match
            if not alive or time.monotonic() > deadline:
                why = f"did not come within {within:g} s" if alive else "can no longer come, the program has ended"
                raise AssertionError(f"{pattern!r} {why}; {self.path.name} says:\n{text[-6000:]}")
            time.sleep(POLL_INTERVAL)


class Process:
    """A running program and its output; ended by its own process id and no other."""

    def __init__(self, argv: Sequence[str | Path], log: Path) -> None:
        """Start `argv` with both outputs appended to `log`."""
        with log.open("ab") as output:
            self._popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.transcript = Transcript(log)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_for(self, pattern: str, within: float = 20) -> re.Match[str]:
        """The next match of `pattern` in what it writes; AssertionError when it does not come."""
        return self.transcript.wait_for(pattern, within, self.running)

    def wait(self, within: float) -> int:
        """Its exit code; `subprocess.TimeoutExpired` when it has not ended `within` seconds."""
        return self._popen.wait(within)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It hangs: nothing of it runs meanwhile."""
        self._popen.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """Ask it to end, and insist after `PATIENCE` seconds."""
        if not self.running():
            return
        self._popen.terminate()
        try:
            self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
