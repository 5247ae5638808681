"""Template text → tokens, as Go's text/template cuts it.

Core. Linear in the text. Trim markers and comments end here: the parser sees neither. White space inside an action is no
token; each token knows whether white space came before it, because `.a.b` is one operand and `.a .b` are two.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from reconciler.template.errors import TemplateError

Kind = Literal[
    "text", "open", "close", "end",
    "string", "raw", "char", "number", "field", "dot", "variable", "word",
    "declare", "assign", "pipe", "comma", "left", "right", "other",
]  # fmt: skip

SPACE = " \t\r\n"
_LONGEST = 1000  # characters of a message

_TOKEN = re.compile(
    r"""
      (?P<string>"(?:[^"\\\n]|\\[^\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:[^'\\\n]|\\[^\n])*')
    | (?P<number>(?=[+-]|\.?[0-9])[+-]?
        (?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
          |0[oObB][0-9_]*
          |[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?)
    | (?P<field>\.\w+)
    | (?P<dot>\.)
    | (?P<variable>\$\w*)
    | (?P<word>\w+)
    | (?P<declare>:=) | (?P<assign>=) | (?P<pipe>\|) | (?P<comma>,)
    | (?P<left>\() | (?P<right>\))
    | (?P<other>[!-~])
    """,
    re.VERBOSE,
)
_CLOSE = re.compile(r"[ \t\r\n]*?(?P<trim>[ \t\r\n]-)?\}\}")
_AFTER_COMMENT = re.compile(r"(?P<trim>[ \t\r\n]-)?\}\}")
_AFTER_WORD = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")
_UNFINISHED = {'"': "this quoted string has no end", "`": "this raw string has no end", "'": "this character has no end"}


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the text. `at` is its offset in characters; an "end" token closes the stream."""

    kind: Kind
    text: str
    at: int
    spaced: bool = False
    """Whether white space came before it, inside an action."""


@dataclass(frozen=True, slots=True)
class Source:
    """A template's text, to say where an offset is."""

    text: str

    def error(self, message: str, at: int) -> TemplateError:
        """The complaint, with the line and column of the offset."""
        if len(message) > _LONGEST:  # it may quote the template or what `fail` was given
            message = message[:_LONGEST] + "…"
        line_start = self.text.rfind("\n", 0, at) + 1
        return TemplateError(message, self.text.count("\n", 0, at) + 1, at - line_start + 1)


def tokens(source: Source) -> Iterator[Token]:
    """Cut the text. Raises `TemplateError` at the first piece that is none."""
    text, position = source.text, 0
    while (opening := text.find("{{", position)) >= 0:
        inside = opening + 2
        trims = text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in SPACE and inside + 1 < len(text)
        before = text[position:opening]
        yield Token("text", before.rstrip(SPACE) if trims else before, position)
        inside += 2 if trims else 0
        if text.startswith("/*", inside):
            position = _comment(source, opening, inside)
        else:
            position = yield from _action(source, opening, inside)
    yield Token("text", text[position:], position)
    yield Token("end", "", len(text))


def _comment(source: Source, opening: int, inside: int) -> int:
    """The offset where text goes on after the comment."""
    end = source.text.find("*/", inside + 2)
    if end < 0:
        raise source.error("this comment has no end: `*/` is missing", opening)
    close = _AFTER_COMMENT.match(source.text, end + 2)
    if not close:
        raise source.error("a comment must fill its action: `}}` or ` -}}` comes right after `*/`", opening)
    return _after(source.text, close)


def _after(text: str, close: re.Match[str]) -> int:
    """The offset where text goes on after `}}`, past the white space that a trim marker removes."""
    return _skip_space(text, close.end()) if close["trim"] else close.end()


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in SPACE:
        position += 1
    return position


def _action(source: Source, opening: int, inside: int) -> Generator[Token, None, int]:
    """The tokens of one action; returns the offset where text goes on."""
    text, position = source.text, inside
    yield Token("open", "{{", opening)
    while not (close := _CLOSE.match(text, position)):
        start, position = position, _skip_space(text, position)
        if position == len(text):
            raise source.error("this action has no end: `}}` is missing", opening)
        token = _token(source, position, position > start)
        yield token
        position += len(token.text)
    yield Token("close", close[0], close.end() - 2)
    return _after(text, close)


def _token(source: Source, at: int, spaced: bool) -> Token:
    match = _TOKEN.match(source.text, at)
    if not match:
        raise source.error(f"the character {source.text[at]!a} means nothing here", at)
    token = Token(cast(Kind, match.lastgroup), match[0], at, spaced)
    if token.kind == "other" and token.text in _UNFINISHED:
        raise source.error(_UNFINISHED[token.text], at)
    if token.kind in {"field", "dot", "variable", "word"} and not _AFTER_WORD.match(source.text, match.end()):
        raise source.error(_bad_character(token, source.text[match.end()]), match.end())
    if token.kind == "number" and source.text[match.end() : match.end() + 1].isalnum():
        raise source.error(f"{token.text + source.text[match.end()]} is no number", at)
    return token


def _bad_character(token: Token, character: str) -> str:
    if token.kind == "field" and character == "-":
        return f'a key with "-" cannot follow a dot: write (index … "{token.text[1:]}-…") instead of {token.text}-…'
    if character == "[":
        return f"items are not picked with [ ]: write (index {token.text} 0)"
    return f"the character {character!a} cannot follow {token.text}: put a space between them, or close the action with }}}}"
