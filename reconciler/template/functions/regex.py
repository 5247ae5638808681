"""RE2's regular expressions, in time linear in pattern times text whatever the pattern.

Core. A pattern becomes a small program that is run on all its possible states at once (Thompson's construction), so that
nothing ever backtracks: Python's own `re` would let `(a|a)*b` in a template stop the reconciler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.template.errors import Budget, Fault
from reconciler.template.functions.regexsyntax import WORD, All, Any, Chars, Part, Place, Repeat, parse

MAX_PROGRAM = 4000
"""Instructions that a pattern may become; repetitions multiply."""

Fork = tuple[int, ...]
"""Go on at all of these instructions; none of them: this is the end, and the pattern is found."""

Program = list[Chars | Place | Fork]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. Each instruction eats a character of a set, checks a place, or goes on elsewhere."""

    _program: tuple[Chars | Place | Fork, ...]

    @classmethod
    def compile(cls, pattern: str, budget: Budget) -> Pattern:
        """Raises `Fault` for what is no pattern, is not supported or is too large."""
        program: Program = []
        _emit(parse(pattern, budget), program, budget)
        return cls((*program, ()))

    def found_in(self, text: str, budget: Budget) -> bool:
        """Whether it matches anywhere in the text. Pays for every state of every character."""
        states: set[int] = set()
        for position in range(len(text) + 1):
            states, found = self._closure(states | {0}, text, position)
            if found:
                return True
            budget.spend(1 + len(states))
            if position < len(text):
                states = {at + 1 for at in states if self._eats(at, text[position])}
        return False

    def _eats(self, at: int, character: str) -> bool:
        instruction = self._program[at]
        return isinstance(instruction, Chars) and instruction.has(character)

    def _closure(self, states: set[int], text: str, position: int) -> tuple[set[int], bool]:
        """Every state that can be reached without eating; and whether the end is among them."""
        seen: set[int] = set()
        left = list(states)
        while left:
            at = left.pop()
            if at in seen:
                continue
            seen.add(at)
            match self._program[at]:
                case ():
                    return seen, True
                case tuple(targets):
                    left.extend(targets)
                case str(place) if _PLACES[place](text, position):
                    left.append(at + 1)
        return seen, False


def _emit(part: Part, program: Program, budget: Budget) -> None:
    """Append the instructions for the part; control falls out at their end."""
    budget.spend()
    if len(program) > MAX_PROGRAM:
        raise Fault("the pattern is too large once its repetitions are written out")
    match part:
        case All(parts):
            for each in parts:
                _emit(each, program, budget)
        case Any(parts):
            _emit_choice(parts, program, budget)
        case Repeat(each, least, most):
            _emit_repeat(each, least, most, program, budget)
        case _:
            program.append(part)


def _emit_choice(parts: tuple[Part, ...], program: Program, budget: Budget) -> None:
    fork = len(program)
    program.append(())
    starts: list[int] = []
    exits: list[int] = []
    for part in parts:
        starts.append(len(program))
        _emit(part, program, budget)
        exits.append(len(program))
        program.append(())
    program[fork] = tuple(starts)
    for exit_ in exits:
        program[exit_] = (len(program),)


def _emit_repeat(part: Part, least: int, most: int | None, program: Program, budget: Budget) -> None:
    for _ in range(least):
        _emit(part, program, budget)
    forks: list[int] = []
    for _ in range(1 if most is None else most - least):
        forks.append(len(program))
        program.append(())
        _emit(part, program, budget)
    if most is None:
        program.append((forks[0],))
    for fork in forks:
        program[fork] = (fork + 1, len(program))


def _is_word(text: str, position: int) -> bool:
    return 0 <= position < len(text) and Chars(WORD).has(text[position])


def _at_word(text: str, position: int) -> bool:
    return _is_word(text, position - 1) != _is_word(text, position)


_PLACES: dict[str, Callable[[str, int], bool]] = {
    "begin": lambda _, position: position == 0,
    "end": lambda text, position: position == len(text),
    "line begin": lambda text, position: position == 0 or text[position - 1] == "\n",
    "line end": lambda text, position: position == len(text) or text[position] == "\n",
    "word": _at_word,
    "no word": lambda text, position: not _at_word(text, position),
}
