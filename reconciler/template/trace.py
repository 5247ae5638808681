"""Where each part of a rendered text came from: a place in the template, and the data it was printed from.

Core. The law: a trace renders exactly what `evaluate` does. Of the data it knows what was looked up by keys in the same action,
for a variable that the action prints, or for the list whose items it prints.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.template.errors import Budget, Fault, Limits
from reconciler.template.evaluate import Ending, Rendering
from reconciler.template.functions import Function
from reconciler.template.lexer import Source
from reconciler.template.nodes import Action, Pipeline, Range, Tree, Variable
from reconciler.template.values import Value

Keys = tuple[str | int, ...]
"""The way to a value of the data, from its root."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the output that was written at once."""

    start: int
    """Its offset in the output."""
    at: int
    """Offset in the template: of its first character when it was copied, else of the action that printed it."""
    copied: bool
    read: tuple[Keys, ...]
    """What the action looked up."""


@dataclass(frozen=True, slots=True)
class Trace:
    text: str
    pieces: tuple[Piece, ...]

    def source(self, offset: int) -> int:
        """The offset in the template that a character of the output came from."""
        piece = self.pieces[self._index(offset)] if self.pieces else Piece(0, 0, True, ())
        return piece.at + (offset - piece.start if piece.copied else 0)

    def read(self, start: int, end: int) -> tuple[Keys, ...]:
        """What was looked up to print this part of the output."""
        pieces = self.pieces[self._index(start) : bisect_right(self.pieces, end - 1, key=lambda piece: piece.start)]
        return tuple(dict.fromkeys(keys for piece in pieces for keys in piece.read))

    def _index(self, offset: int) -> int:
        return max(0, bisect_right(self.pieces, offset, key=lambda piece: piece.start) - 1)


def trace(source: Source, tree: Tree, functions: Mapping[str, Function], data: dict[str, Value], limits: Limits) -> Trace:
    """Render the tree and remember where everything came from. Raises `TemplateError` as `evaluate` does."""
    rendering = _Tracing(source.text, tree, functions, data, Budget(limits))
    try:
        rendering.body(tree.body, data)
    except Fault as fault:
        raise source.error(str(fault), rendering.at) from None
    return Trace("".join(rendering.output), tuple(rendering.pieces))


class _Tracing(Rendering):
    def __init__(
        self, text: str, tree: Tree, functions: Mapping[str, Function], data: dict[str, Value], budget: Budget
    ) -> None:
        super().__init__(tree, functions, data, budget)
        self.pieces: list[Piece] = []
        self._text = text
        self._length = 0
        self._known = dict(_places(data, ()))
        self._reads: list[Keys] = []
        self._of: dict[str, tuple[Keys, ...]] = {}
        """Variable → what was looked up when it was last set."""
        self._list: tuple[Keys, ...] = ()
        """What was looked up for the list that the innermost `range` goes through, and its item."""
        self._item: Value = None

    def _write(self, text: str) -> None:
        super()._write(text)
        if text:
            copied = self._text.startswith(text, self.at)
            self.pieces.append(Piece(self._length, self.at, copied, () if copied else tuple(dict.fromkeys(self._reads))))
            self._length += len(text)

    def _action(self, node: Action, dot: Value) -> None:
        self._reads = []
        super()._action(node, dot)
        self._reads = []

    def _pipeline(self, pipeline: Pipeline, dot: Value) -> Value:
        before = len(self._reads)
        value = super()._pipeline(pipeline, dot)
        self._of |= dict.fromkeys(pipeline.variables, tuple(self._reads[before:]))
        return value

    def _range(self, node: Range, dot: Value) -> Ending:
        outer, self._reads = (self._list, self._item), []
        ending = super()._range(node, dot)
        self._list, self._item = outer
        return ending

    def _turns(self, value: Value) -> Iterable[tuple[Value, Value]]:
        self._list, self._reads = tuple(self._reads), []
        return super()._turns(value)

    def _set_turn(self, pipeline: Pipeline, index: Value, item: Value) -> None:
        super()._set_turn(pipeline, index, item)
        self._item = item
        self._of |= dict.fromkeys(pipeline.variables, self._list)

    def _variable(self, variable: Variable) -> Value:
        self._reads.extend(self._of.get(variable.name, ()))
        return super()._variable(variable)

    def _follow(self, value: Value, names: tuple[str, ...], at: int) -> Value:
        found = super()._follow(value, names, at)
        if names and id(value) in self._known:
            self._reads.append((*self._known[id(value)], *names))
        elif not names and value is self._item:  # the dot itself
            self._reads.extend(self._list)
        return found


def _places(value: Value, keys: Keys) -> Iterator[tuple[int, Keys]]:
    """Every map of the data by its identity: one that functions made is none of these."""
    if isinstance(value, dict):
        yield id(value), keys
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, below in items:
        yield from _places(below, (*keys, key))
