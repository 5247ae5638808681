"""Answers of somebody who reads the repository, for tests of the pages that show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netboot.review import Document, Question

HEAD, SERVED = "b" * 40, "a" * 40
DATE = "2026-01-01T00:00:00Z"


def answers(text: str) -> Mapping[str, Document]:
    """By kind of question, with `text` wherever git and its people say what they like."""
    row = {"name": text, "before": text, "after": text, "lines": []}
    long = {"name": "script", "before": None, "after": None, "lines": [f"+ {text}", f"- {text}"]}
    group = {
        "consequence": "destructive", "meaning": "disks", "title": text, "machines": [text, "node-01"], "reasons": [text],
        "rows": [row, long], "untold": 2,
    }  # fmt: skip
    commit = {"commit": HEAD, "author": f"{text} <x>", "date": DATE, "subject": text}
    by = {**commit, "what": text, "file": text, "line": 3, "text": text}
    beaten = {"what": "x", "file": "y", "line": 1, "text": "", "unknown": text}
    setting = {"name": "x", "group": text, "label": text, "value": f"{text}\n{text}", "by": [by, {"what": text}]}
    changed = {"change": "renamed", "machine": text, "was": text, "settings": [row] * 9}
    return {
        "commits": {
            "commits": [{**commit, "accepted": False}, {**commit, "commit": SERVED, "date": "", "accepted": True}],
            "cut": True,
            "places": [{"file": "site.yaml", "line": 2, "first": 1, "lines": [text, "here"]}],
        },
        "plan": {
            "before": SERVED, "after": HEAD, "changed": True, "summary": text, "held": [{"what": text, "release": text}],
            "groups": [group], "rest": 3, "site": [row, long],
        },
        "why": {"revision": SERVED, "settings": [{**setting, "beats": [beaten]}]},
        "history": {
            "commits": [{**commit, **changed}, {**changed, "commit": HEAD, "change": "added"}], "whole": False,
            "rejected": [SERVED],
        },
    }  # fmt: skip


class Told:
    """A reviewer that answers as it is told, and notes what it was asked."""

    def __init__(self, answer: Callable[[Question], Document | None]) -> None:
        self.asked: list[Question] = []
        self._answer = answer

    async def ask(self, question: Question) -> Document | None:
        self.asked.append(question)
        return self._answer(question)
