"""Syntax tree + data → text, by the rules of Go's text/template with `missingkey=error`.

Core. Keys are looked up in dicts and nothing else is ever reached; a key that is not there is an error, and so is printing
nil: no output contains `<no value>`. Every node visited is paid for from the rendering's budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from typing import Literal as Word

from reconciler.template.errors import Budget, Fault, Limits
from reconciler.template.functions import Function
from reconciler.template.lexer import Source
from reconciler.template.nodes import (
    Action,
    Body,
    Call,
    Chain,
    Command,
    Conditional,
    Field,
    Invoke,
    Jump,
    Literal,
    Number,
    Operand,
    Pipeline,
    Range,
    Text,
    Tree,
    Variable,
)
from reconciler.template.values import Value, described, entries, kind, text_of, truth

Ending = Word["break", "continue"] | None
_SHOWN_KEYS = 12


class _Nothing:
    """No value came down the pipe (which is not nil)."""


_NOTHING: Final = _Nothing()


def evaluate(source: Source, tree: Tree, functions: Mapping[str, Function], data: dict[str, Value], limits: Limits) -> str:
    """Render the tree. Raises `TemplateError` with the place of the failing action."""
    rendering = Rendering(tree, functions, data, Budget(limits))
    try:
        rendering.body(tree.body, data)
    except Fault as fault:
        raise source.error(str(fault), rendering.at) from None
    return "".join(rendering.output)


class Rendering:
    """One rendering's state: what is written, the variables in scope, and where we are."""

    def __init__(self, tree: Tree, functions: Mapping[str, Function], data: dict[str, Value], budget: Budget) -> None:
        self._tree, self._functions, self._root, self._budget = tree, functions, data, budget
        self._variables: list[tuple[str, Value]] = [("$", data)]
        self._depth = -1  # of blocks, parentheses and called templates around us; 0 in the template's own body
        self._written = 0
        self.output: list[str] = []
        self.at = 0

    # Nodes

    def body(self, body: Body, dot: Value) -> Ending:
        """Write the nodes in turn; the variables they declare end with the body. Says whether a jump ended it early."""
        mark = len(self._variables)
        self._depth += 1
        self._budget.enter(self._depth)
        ending: Ending = None
        for node in body:
            self._budget.spend()
            self.at = node.at
            match node:
                case Text():
                    self._write(node.text)
                case Action():
                    self._action(node, dot)
                case Conditional():
                    ending = self._conditional(node, dot)
                case Range():
                    ending = self._range(node, dot)
                case Invoke():
                    self._invoke(node, dot)
                case Jump():
                    ending = "break" if node.leaves else "continue"
            if ending:
                break
        self._depth -= 1
        del self._variables[mark:]
        return ending

    def _write(self, text: str) -> None:
        try:
            self._written += len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            raise Fault("the output would hold half a character (a lone surrogate)") from None
        if self._written > self._budget.limits.output:
            raise Fault(f"the output is too large: more than {self._budget.limits.output} bytes")
        self.output.append(text)

    def _action(self, node: Action, dot: Value) -> None:
        value = self._pipeline(node.pipeline, dot)
        if node.pipeline.variables:
            return
        self.at = node.at
        if value is None:
            raise Fault("there is nothing to print: the value is nil (a null in the data, or a key that `index` did not find)")
        self._write(text_of(value, self._budget))

    def _conditional(self, node: Conditional, dot: Value) -> Ending:
        mark = len(self._variables)
        chosen, inner = node.otherwise, dot
        for pipeline, body in node.branches:
            value = self._pipeline(pipeline, dot)
            if truth(value):
                chosen, inner = body, value if node.sets_dot else dot
                break
        ending = self.body(chosen, inner)
        del self._variables[mark:]
        return ending

    def _range(self, node: Range, dot: Value) -> Ending:
        mark = len(self._variables)
        turns = self._turns(self._pipeline(node.pipeline, dot))
        ending: Ending = None
        empty = True
        for index, item in turns:
            empty = False
            self._budget.spend()
            self._set_turn(node.pipeline, index, item)
            if self.body(node.body, item) == "break":
                break
        if empty:
            ending = self.body(node.otherwise, dot)
        del self._variables[mark:]
        return ending

    def _turns(self, value: Value) -> Iterable[tuple[Value, Value]]:
        """Index (or key) and element of each turn of a range."""
        match kind(value), value:
            case "nil", _:
                return ()
            case "list", list() | tuple():
                return enumerate(value)
            case "map", dict():
                self._budget.spend(len(value))
                return entries(value)
            case "integer", int(count):
                return ((index, index) for index in range(count))
        raise Fault(f"range cannot go through {described(value)}: it wants a list, a map or an integer")

    def _set_turn(self, pipeline: Pipeline, index: Value, item: Value) -> None:
        names = pipeline.variables
        for name, value in zip(names, (index, item) if len(names) == 2 else (item,), strict=False):
            self._assign(name, value)

    def _invoke(self, node: Invoke, dot: Value) -> None:
        value = self._pipeline(node.pipeline, dot) if node.pipeline else None
        outer, self._variables = self._variables, [("$", value)]
        self.body(self._tree.named[node.name], value)
        self._variables = outer

    # Values

    def _pipeline(self, pipeline: Pipeline, dot: Value) -> Value:
        value: Value | _Nothing = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, dot, value)
        for name in pipeline.variables:
            if pipeline.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _assign(self, name: str, value: Value) -> None:
        """Set the innermost variable of that name."""
        for index in reversed(range(len(self._variables))):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise Fault(f"the variable {name} is not set here")

    def _command(self, command: Command, dot: Value, piped: Value | _Nothing) -> Value:
        head, *arguments = command.operands
        if isinstance(head, Call):
            return self._call(head, arguments, dot, piped)
        self.at = head.at
        if arguments or piped is not _NOTHING:
            raise Fault("a value that is no function cannot take arguments")
        if isinstance(head, Literal) and head.value is None:
            raise Fault("nil is no command")
        return self._operand(head, dot)

    def _operand(self, operand: Operand, dot: Value) -> Value:
        self._budget.spend()
        match operand:
            case Literal() | Number():
                return operand.value
            case Field():
                return self._follow(dot, operand.names, operand.at)
            case Variable():
                return self._follow(self._variable(operand), operand.names, operand.at)
            case Chain():
                return self._follow(self._operand(operand.base, dot), operand.names, operand.at)
            case Pipeline():
                self._depth += 1
                self._budget.enter(self._depth)
                value = self._pipeline(operand, dot)
                self._depth -= 1
                return value
            case Call():
                return self._call(operand, [], dot, _NOTHING)

    def _variable(self, variable: Variable) -> Value:
        for name, value in reversed(self._variables):
            if name == variable.name:
                return value
        self.at = variable.at
        raise Fault(f"the variable {variable.name} is not set here")

    def _follow(self, value: Value, names: tuple[str, ...], at: int) -> Value:
        """The value under these keys, one inside the other."""
        for depth, name in enumerate(names):
            self.at = at
            if not isinstance(value, dict):
                where = f"{'.'.join(('', *names[:depth]))} is " if depth else ""
                raise Fault(f'no key "{name}": {where}{described(value)}')
            if name not in value:
                raise Fault(self._missing(value, name, names[:depth]))
            value = value[name]
        kind(value)
        return value

    def _missing(self, found: dict[str, Value], name: str, path: tuple[str, ...]) -> str:
        keys = sorted(f"{key:.40}" for key in found if isinstance(key, str))
        seen = ", ".join(keys[:_SHOWN_KEYS]) + (f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else "")
        where = "the template" if found is self._root else f".{'.'.join(path)}" if path else "this map"
        verb = "sees" if found is self._root else "has"
        return f'no key "{name}": {where} {verb} {seen or "nothing"}'

    # Functions

    def _call(self, head: Call, arguments: list[Operand], dot: Value, piped: Value | _Nothing) -> Value:
        function = self._functions[head.name]
        self.at = head.at
        self._budget.spend()
        function.check_count(len(arguments) + (piped is not _NOTHING))
        if function.stops_at is not None:
            return self._short_circuit(function.stops_at, arguments, dot, piped)
        values = [self._argument(function, index, operand, dot) for index, operand in enumerate(arguments)]
        self.at = head.at
        if piped is not _NOTHING:
            values.append(function.checked(len(values), piped))
        return function(values, self._budget)

    def _argument(self, function: Function, index: int, operand: Operand, dot: Value) -> Value:
        self.at = operand.at
        if isinstance(operand, Number) and function.wants_integer(index) and operand.integer is not None:
            return operand.integer
        value = self._operand(operand, dot)
        self.at = operand.at
        return function.checked(index, value)

    def _short_circuit(self, stops_at: bool, arguments: list[Operand], dot: Value, piped: Value | _Nothing) -> Value:
        """`and` and `or`: the first value that decides, else the last; the values after it are not looked at."""
        value: Value = None
        for operand in arguments:
            value = self._operand(operand, dot)
            if truth(value) is stops_at:
                return value
        return value if piped is _NOTHING else piped
