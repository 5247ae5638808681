"""Tokens → syntax tree, by the grammar of Go's text/template.

Core. Recursive descent with one token of look-ahead (two for declarations). Whatever can be known without data is refused
here: unknown functions, variables and templates, `break` outside `range`, nesting beyond the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Literal as Word
from typing import TypeVar

from reconciler.template import literals
from reconciler.template.errors import Fault, Limits, TemplateError
from reconciler.template.lexer import Kind, Source, Token, tokens
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
    Node,
    Number,
    Operand,
    Pipeline,
    Range,
    Text,
    Tree,
    Variable,
)

T = TypeVar("T")

_OPERANDS = frozenset[Kind](("string", "raw", "char", "number", "field", "dot", "variable", "word", "left"))
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}
_KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"))


def parse(source: Source, functions: Collection[str], limits: Limits) -> Tree:
    """Parse a template that may call these functions. Raises `TemplateError` at the first thing that is not understood."""
    return _Parser(source, functions, limits).tree()


class _Parser:
    def __init__(self, source: Source, functions: Collection[str], limits: Limits) -> None:
        self._source, self._functions, self._limits = source, functions, limits
        self._tokens = list(tokens(source))
        self._next = 0
        self._variables = ["$"]
        self._depth = self._ranges = 0
        self._named: dict[str, Body] = {}
        self._invoked: list[Invoke] = []
        self._nodes: dict[str, Callable[[Token], Node]] = {
            "if": self._conditional,
            "with": self._conditional,
            "range": self._range,
            "break": self._jump,
            "continue": self._jump,
            "template": self._invoke,
            "block": self._block,
        }

    # Tokens

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _takes(self, kind: Kind) -> Token | None:
        return self._take() if self._peek().kind == kind else None

    def _expect(self, kind: Kind, what: str) -> Token:
        token = self._take()
        if token.kind != kind:
            raise self._unexpected(token, what)
        return token

    def _takes_word(self, word: str) -> bool:
        found = self._peek().kind == "word" and self._peek().text == word
        self._next += found
        return found

    def _error(self, message: str, at: int) -> TemplateError:
        return self._source.error(message, at)

    def _unexpected(self, token: Token, where: str) -> TemplateError:
        shown = "the end of the action" if token.kind == "close" else token.text[:40] or "the end of the template"
        return self._error(f"unexpected {shown} in {where}", token.at)

    def _enter(self, at: int) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise self._error(f"nested too deeply: more than {self._limits.depth} levels", at)

    # Blocks

    def tree(self) -> Tree:
        body: list[Node] = []
        while (token := self._take()).kind != "end":
            if token.kind == "open" and self._takes_word("define"):
                self._define(token)
            else:
                body.extend(self._node(token))
        for invoke in self._invoked:
            if invoke.name not in self._named:
                raise self._error(f'there is no template "{invoke.name}"', invoke.at)
        return Tree(tuple(body), self._named)

    def _node(self, token: Token) -> list[Node]:
        """The node that starts with this token; none for empty text."""
        if token.kind == "text":
            return [Text(token.at, token.text)] if token.text else []
        word = self._peek()
        if word.kind == "word" and word.text in _KEYWORDS:
            self._take()
            if word.text not in self._nodes:
                raise self._error(f"{{{{{word.text}}}}} does not belong here", token.at)
            return [self._nodes[word.text](word)]
        return [Action(word.at, self._pipeline("an action", "close"))]

    def _body(self, opener: Token) -> tuple[Body, Word["end", "else"]]:
        """Everything up to the `end` (taken whole) or `else` (its word taken) that belongs to the opener."""
        self._enter(opener.at)
        mark = len(self._variables)
        body: list[Node] = []
        while (token := self._take()).kind != "end":
            ending = self._ending() if token.kind == "open" else None
            if ending:
                self._depth -= 1
                del self._variables[mark:]
                return tuple(body), ending
            body.extend(self._node(token))
        raise self._error(f"this {{{{{opener.text}}}}} has no {{{{end}}}}", opener.at)

    def _ending(self) -> Word["end", "else"] | None:
        if self._takes_word("end"):
            self._expect("close", "{{end}}")
            return "end"
        return "else" if self._takes_word("else") else None

    def _last_body(self, opener: Token) -> Body:
        """The body after a plain `{{else}}`."""
        self._expect("close", "{{else}}")
        body, ending = self._body(opener)
        if ending == "else":
            raise self._error(f"this {{{{{opener.text}}}}} has a second {{{{else}}}}", opener.at)
        return body

    def _conditional(self, opener: Token) -> Node:
        mark = len(self._variables)
        branches: list[tuple[Pipeline, Body]] = []
        otherwise: Body = ()
        ending = "else"
        while ending == "else":
            pipeline = self._pipeline(opener.text, "close")
            body, ending = self._body(opener)
            branches.append((pipeline, body))
            if ending == "else" and not self._takes_word(opener.text):
                otherwise = self._last_body(opener)
                break
        del self._variables[mark:]
        return Conditional(opener.at, opener.text == "with", tuple(branches), otherwise)

    def _range(self, opener: Token) -> Node:
        mark = len(self._variables)
        pipeline = self._pipeline("range", "close")
        self._ranges += 1
        body, ending = self._body(opener)
        self._ranges -= 1
        otherwise = self._last_body(opener) if ending == "else" else ()
        del self._variables[mark:]
        return Range(opener.at, pipeline, body, otherwise)

    def _jump(self, word: Token) -> Node:
        self._expect("close", f"{{{{{word.text}}}}}")
        if not self._ranges:
            raise self._error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.at)
        return Jump(word.at, word.text == "break")

    def _define(self, opener: Token) -> None:
        name = self._name("define")
        self._expect("close", "{{define}}")
        self._named_body(name, Token("word", "define", opener.at))

    def _named_body(self, name: str, opener: Token) -> None:
        """Parse and keep a named template. It sees its own `$` only, and no range around it."""
        if name in self._named:
            raise self._error(f'the template "{name}" is defined twice', opener.at)
        variables, self._variables = self._variables, ["$"]
        ranges, self._ranges = self._ranges, 0
        body, ending = self._body(opener)
        if ending == "else":
            raise self._error(f"{{{{{opener.text}}}}} has no {{{{else}}}}", opener.at)
        self._variables, self._ranges = variables, ranges
        self._named[name] = body

    def _name(self, where: str) -> str:
        token = self._take()
        if token.kind not in {"string", "raw"}:
            raise self._unexpected(token, f"{{{{{where}}}}}, which wants a name in quotes")
        return self._value(literals.unquote, token)

    def _invoke(self, word: Token) -> Node:
        name = self._name("template")
        pipeline = None if self._takes("close") else self._pipeline("template", "close")
        self._invoked.append(node := Invoke(word.at, name, pipeline))
        return node

    def _block(self, word: Token) -> Node:
        name = self._name("block")
        pipeline = self._pipeline("block", "close")
        self._named_body(name, word)
        return Invoke(word.at, name, pipeline)

    # Pipelines

    def _pipeline(self, where: str, closing: Kind) -> Pipeline:
        first = self._peek()
        variables, assigns = self._declaration(where)
        commands: list[Command] = []
        piped = False
        while piped or self._peek().kind != closing:
            commands.append(self._command(where, staged=piped))
            piped = self._takes("pipe") is not None
        if not commands:
            raise self._error(f"a value is missing in {where}", first.at)
        self._expect(closing, where)
        self._variables += [] if assigns else variables
        return Pipeline(first.at, tuple(variables), assigns, tuple(commands))

    def _declaration(self, where: str) -> tuple[list[str], bool]:
        """The variables before `:=` or `=`, and whether they are only assigned."""
        following = self._peek(1).kind
        if self._peek().kind != "variable" or following not in {"declare", "assign", "comma"}:
            return [], False
        names = [self._take()]
        if following == "comma":
            self._take()
            names.append(self._expect("variable", where))
        operator = self._take()
        if operator.kind not in {"declare", "assign"} or (len(names) > 1 and where != "range"):
            raise self._unexpected(operator, f"{where}: only {{{{range}}}} can set two variables")
        assigns = operator.kind == "assign"
        if assigns:
            for name in names:
                self._check_variable(name)
        return [name.text for name in names], assigns

    def _check_variable(self, token: Token) -> None:
        if token.text not in self._variables:
            raise self._error(f"the variable {token.text} is not defined", token.at)

    def _command(self, where: str, staged: bool) -> Command:
        first = self._peek()
        if first.kind not in _OPERANDS:
            raise self._unexpected(first, where)
        operands = [self._operand()]
        while self._peek().kind in _OPERANDS and self._peek().spaced:
            operands.append(self._operand())
        if self._peek().kind not in {"close", "right", "pipe"}:
            raise self._unexpected(self._peek(), where)
        head = operands[0]
        if staged and (isinstance(head, Literal | Number) or head == Field(head.at, ())):
            raise self._error("a value after | must be a function", first.at)
        return Command(first.at, tuple(operands))

    # Operands

    def _operand(self) -> Operand:
        """A term and the fields chained to it."""
        term = self._term()
        names: list[str] = []
        while self._peek().kind == "field" and not self._peek().spaced:
            names.append(self._take().text[1:])
        if not names:
            return term
        match term:
            case Field(at, (_, *_) as head):
                return Field(at, (*head, *names))
            case Variable(at, name, ()):
                return Variable(at, name, tuple(names))
            case Pipeline() | Call():
                return Chain(term.at, term, tuple(names))
        raise self._error(f"unexpected .{names[0]} after a value that has no keys", term.at)

    def _term(self) -> Operand:
        token = self._take()
        match token.kind:
            case "string" | "raw":
                return Literal(token.at, self._value(literals.unquote, token))
            case "char":
                code = self._value(literals.character, token)
                return Number(token.at, code, code)
            case "number":
                return self._number(token)
            case "dot":
                return Field(token.at, ())
            case "field":
                return Field(token.at, (token.text[1:],))
            case "variable":
                self._check_variable(token)
                return Variable(token.at, token.text, ())
            case "left":
                self._enter(token.at)
                pipeline = self._pipeline("parentheses", "right")
                self._depth -= 1
                return pipeline
        return self._word(token)

    def _word(self, token: Token) -> Operand:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in _KEYWORDS:
            raise self._unexpected(token, "an action")
        if token.text not in self._functions:
            similar = get_close_matches(token.text[:64], self._functions, 1)
            hint = f"; did you mean {similar[0]}?" if similar else "; docs/templates.md lists those that there are"
            raise self._error(f"there is no function {token.text}{hint}", token.at)
        return Call(token.at, token.text)

    def _number(self, token: Token) -> Number:
        value = self._value(literals.number, token)
        whole = isinstance(value, int) or (value.is_integer() and int(value) in literals.INT64)
        return Number(token.at, value, int(value) if whole else None)

    def _value(self, read: Callable[[str], T], token: Token) -> T:
        try:
            return read(token.text)
        except Fault as fault:
            raise self._error(str(fault), token.at) from None
