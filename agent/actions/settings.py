"""What an action is told: its parameters, read from the environment once, with a sentence for each that is missing or wrong.

Core. Law: an action reads declared parameters only, and `docs/actions.md` has a row for each. An empty value is none, as
templates leave one behind where a value is optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))
FALSE = frozenset(("0", "f", "false", "n", "no", "off"))


class Failed(Exception):
    """The action cannot do what it was asked; the message is a sentence for the person who reads the run's status."""

    status = 1
    """What the action exits with."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One variable of the environment."""

    name: str
    meaning: str
    """For the sentence that says that it is missing, and for a reader of the code."""
    default: str | None = ""
    """None: it must be given."""


@dataclass(frozen=True, slots=True)
class Settings:
    values: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.values[name]

    def flag(self, name: str) -> bool:
        """Raises Failed unless it is a word for yes or no; an empty one is no."""
        value = self.values[name].strip().lower()
        if value in TRUE:
            return True
        if value in FALSE or not value:
            return False
        raise Failed(f"{name} is {self.values[name]!r}: write true or false")

    def number(self, name: str) -> int:
        """Raises Failed unless it is a number, zero or greater."""
        value = self.values[name].strip()
        if value.isascii() and value.isdigit():
            return int(value)
        raise Failed(f"{name} is {self.values[name]!r}: write a whole number, zero or greater")

    def choice(self, name: str, *choices: str) -> str:
        """Raises Failed unless it is one of `choices`."""
        if self.values[name] in choices:
            return self.values[name]
        raise Failed(f"{name} is {self.values[name]!r}: write one of {', '.join(word for word in choices if word)}")


def read(parameters: Sequence[Parameter], environ: Mapping[str, str]) -> Settings:
    """Raises Failed naming every parameter that is missing."""
    if missing := list(_missing(parameters, environ)):
        raise Failed("; ".join(missing))
    return Settings({each.name: environ.get(each.name) or each.default or "" for each in parameters})


def _missing(parameters: Sequence[Parameter], environ: Mapping[str, str]) -> Iterator[str]:
    for each in parameters:
        if each.default is None and not environ.get(each.name):
            yield f"{each.name} is not set: {each.meaning}"
