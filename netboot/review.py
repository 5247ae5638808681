"""What people ask of the repository behind the served plan: its last commits, the difference of two, why a value, since when.

Core. The law: a question names commits and machines and nothing else, so that whoever answers can be handed what stands in a
page's address; and an answer is a document that may be shown, or a sentence that says why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Document = Mapping[str, Any]
Kind = Literal["commits", "plan", "why", "history"]

_COMMIT = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/+~^-]{0,199}")
"""A branch, a tag, an id, `main~2`. What looks into files (`main:x`), searches (`:/x`) or dates (`@{1}`) is none."""


class NotAnswered(Exception):
    """There is no answer, and the message says why: a sentence with its next step."""


@dataclass(frozen=True, slots=True)
class Question:
    kind: Kind
    subject: tuple[str, ...] = ()
    """`plan`: two names of commits. `why` and `history`: the machine's name. `commits`: nothing."""
    at: tuple[str, ...] = ()
    """What the answer rests on: the newest commit, the served one, its plan. With another there is another answer."""


class Reviewer(Protocol):
    async def ask(self, question: Question) -> Document | None:
        """None: it is being worked out, ask again. Raises NotAnswered."""


def is_commit_name(text: str) -> bool:
    return _COMMIT.fullmatch(text) is not None
