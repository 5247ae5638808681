"""A function of a template as the evaluator sees it: what it takes, checked, and how it is called.

Core. The signature is read from the Python function's own annotations, so that it is written once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.template.errors import Budget, Fault
from reconciler.template.values import Value, kind, shown

_ACCEPTS = {
    "str": frozenset(("string",)),
    "int": frozenset(("integer",)),
    "bool": frozenset(("bool",)),
    "List": frozenset(("list",)),
    "Map": frozenset(("map",)),
    "Value": frozenset(("nil", "bool", "integer", "float", "string", "list", "map")),
}
_NAMES = {"str": "a string", "int": "an integer", "bool": "a bool", "List": "a list", "Map": "a map"}


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table, ready to be called."""

    name: str
    call: Callable[..., Value]
    parameters: tuple[str, ...]
    """What each parameter accepts: a key of `_ACCEPTS`."""
    rest: str | None
    """What further arguments accept; None when there may be none."""
    optional: int = 0
    """How many of the parameters may be left out, from the end."""
    budgeted: bool = False
    """Whether it is handed the rendering's budget first."""
    stops_at: bool | None = None
    """For `and` and `or`: the truth at which they stop; the evaluator does their work."""

    @classmethod
    def of(cls, name: str, call: Callable[..., Value]) -> Function:
        """The row for a Python function, from its annotations."""
        parameters = list(inspect.signature(call).parameters.values())
        budgeted = bool(parameters) and parameters[0].annotation == "Budget"
        fixed = [p for p in parameters[budgeted:] if p.kind is not p.VAR_POSITIONAL]
        rest = next((p.annotation for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        wanted = tuple(p.annotation for p in fixed)
        if not {*wanted, rest} <= {*_ACCEPTS, None}:
            raise TypeError(f"the function {name} has a parameter whose annotation says nothing to a template")
        return cls(name, call, wanted, rest, sum(p.default is not p.empty for p in fixed), budgeted)

    @classmethod
    def deciding(cls, name: str, stops_at: bool) -> Function:
        """`and` or `or`, whose arguments are only evaluated as far as needed."""
        return cls(name, _not_called, ("Value",), "Value", stops_at=stops_at)

    def check_count(self, count: int) -> None:
        """Raises `Fault` when it cannot take this many arguments."""
        most = len(self.parameters)
        least = most - self.optional
        if count < least or (count > most and self.rest is None):
            wanted = f"at least {least}" if self.rest else f"{least} to {most}" if self.optional else str(most)
            raise Fault(f"{self.name} wants {wanted} argument{'' if wanted[-2:] in {'1', ' 1'} else 's'}, not {count}")

    def wants_integer(self, index: int) -> bool:
        """Whether this argument must be an integer."""
        return self._wanted(index) == "int"

    def checked(self, index: int, value: Value) -> Value:
        """The value as this argument. Raises `Fault` when its kind does not fit."""
        wanted = self._wanted(index)
        what = kind(value)
        if what not in _ACCEPTS[wanted]:
            raise Fault(f"{self.name} wants {_NAMES[wanted]} as argument {index + 1}, not {shown(value)}")
        return value

    def _wanted(self, index: int) -> str:
        return self.parameters[index] if index < len(self.parameters) else self.rest or "Value"

    def __call__(self, arguments: Sequence[Value], budget: Budget) -> Value:
        """Call it with arguments that were counted and checked. Raises `Fault`."""
        budget.spend(1 + sum(len(value) // 64 for value in arguments if isinstance(value, str | list | dict)))
        try:
            value = self.call(budget, *arguments) if self.budgeted else self.call(*arguments)
        except Fault as fault:
            raise Fault(f"{self.name}: {fault}") from None
        kind(value)
        return value


def _not_called(*_: Value) -> Value:
    raise Fault("and and or are the evaluator's own")
