"""The syntax tree of a template: what the parser makes and the evaluator walks.

Core. Frozen; knows nothing of data. `at` is the offset of a node in the template text, for errors.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a bool or `nil`."""

    at: int
    value: str | bool | None


@dataclass(frozen=True, slots=True)
class Number:
    """A number. Untyped as in Go: `1e3` is the float 1000 in general, and the integer 1000 where one is wanted."""

    at: int
    value: int | float
    integer: int | None
    """Its value as an integer, where it has one."""


@dataclass(frozen=True, slots=True)
class Field:
    """`.` (no names) or `.a.b`: keys followed from the dot."""

    at: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`$` or `$x`, then keys followed from its value. The name keeps its `$`."""

    at: int
    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).a.b` or `function.a.b`: keys followed from what it yields."""

    at: int
    base: Pipeline | Call
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name; its arguments are the other operands of its command."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """One stage of a pipeline: a value alone, or a function and its arguments."""

    at: int
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`$i, $x := command | command`: each command's value is the last argument of the next."""

    at: int
    variables: tuple[str, ...]
    assigns: bool
    """`=` sets variables that exist, `:=` makes new ones."""
    commands: tuple[Command, ...]


Operand = Literal | Number | Field | Variable | Chain | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Copied to the output as it is."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """`{{pipeline}}`: its value is printed, unless it declares or sets a variable."""

    at: int
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if` or `with`: the body of the first pipeline that is true, else `otherwise`."""

    at: int
    sets_dot: bool
    """`with`: the pipeline's value is the dot inside the body."""
    branches: tuple[tuple[Pipeline, Body], ...]
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Range:
    """`range`: the body once for each element, or `otherwise` when there is none."""

    at: int
    pipeline: Pipeline
    body: Body
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` (leaves the range) or `continue` (goes to its next element)."""

    at: int
    leaves: bool


@dataclass(frozen=True, slots=True)
class Invoke:
    """`template "name" pipeline`: a named template, with the pipeline's value (or nothing) as dot and `$`."""

    at: int
    name: str
    pipeline: Pipeline | None


Node = Text | Action | Conditional | Range | Jump | Invoke
Body = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole template: its body, and the named templates it defines."""

    body: Body
    named: dict[str, Body]
