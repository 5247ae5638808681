"""An error as a person at a terminal should read it.

Shell. Commands raise it, the entry point prints it; a traceback is only ever for our own faults.
"""

from __future__ import annotations

import click


class Sentence(click.ClickException):
    """What is wrong and what to do next. Exit status 1 unless said."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class, and reads it from the instance
