"""What can go wrong with a template, and how much of anything a template may use.

Core. `TemplateError` is the only exception that leaves `reconciler.template`, for any text and any plain data. Inside,
`Fault` is a complaint that does not know its place yet: whoever knows the place turns it into a `TemplateError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class TemplateError(Exception):
    """The template cannot be used, or cannot be rendered with this data.

    `line` and `column` count from 1, in characters of the template text, and point at the failing action.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        self.message, self.line, self.column = message, line, column
        super().__init__(f"{line}:{column}: {message}")


class Fault(Exception):
    """A complaint without a place; never leaves the package."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a template may use. A hostile template meets these long before it is felt."""

    text: int = 256 * 1024
    """Characters of template text."""
    output: int = 256 * 1024
    """Bytes (UTF-8) of rendered output, and of any single text or list made on the way. Tinkerbell caps at the same size."""
    steps: int = 1_000_000
    """Units of work: about one for each operand, loop turn and 16 characters made; roughly a second."""
    depth: int = 40
    """Nesting of blocks, parentheses and called templates, each; and of data that is printed."""


class Budget:
    """What is left of one rendering's work and size limits. Every operation pays before it works, so none is too big."""

    __slots__ = ("_left", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._left = limits.steps

    def spend(self, steps: int = 1) -> None:
        """Pay for work about to be done.

        Raises `Fault` when the template has used up its steps.
        """
        self._left -= steps
        if self._left < 0:
            raise Fault(f"the template takes too long: more than {self.limits.steps} steps")

    def reserve(self, size: int) -> None:
        """Pay for a text or list of `size` characters or items about to be made.

        Raises `Fault` when it would be larger than any output may be.
        """
        if size > self.limits.output:
            raise Fault(f"a value of {size} characters or items is too large: the limit is {self.limits.output}")
        self.spend(1 + size // 16)

    def join(self, pieces: Iterable[str]) -> str:
        """Join texts that are made one by one, paying for each. Raises `Fault` as `spend` and `reserve`."""
        made: list[str] = []
        length = 0
        for piece in pieces:
            made.append(piece)
            length += len(piece)
            self.spend(1 + len(piece) // 16)
            if length > self.limits.output:
                self.reserve(length)
        return "".join(made)

    def enter(self, depth: int) -> None:
        """Check a nesting depth, counted from 1.

        Raises `Fault` when it is too deep.
        """
        if depth > self.limits.depth:
            raise Fault(f"nested too deeply: more than {self.limits.depth} levels")
