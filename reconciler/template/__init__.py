"""Go's text/template over plain data: what Tinkerbell's templates are written in, without Tinkerbell's Go around them.

Core. A template sees dicts, lists, text, numbers, bools and None, and can reach nothing else: no attribute, no method, no
clock, no environment. Any text and any plain data give a string or a `TemplateError`, in bounded time and space. What is
missing is an error (`missingkey=error`): no rendered document ever says `<no value>`. docs/templates.md is the manual.

    lexer (text → tokens) → parser (→ nodes) → evaluate (nodes + data → text), which calls functions by name; trace beside it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.template.errors import Limits, TemplateError
from reconciler.template.evaluate import evaluate
from reconciler.template.functions import FUNCTIONS
from reconciler.template.lexer import Source
from reconciler.template.nodes import Tree
from reconciler.template.parser import parse
from reconciler.template.trace import Trace, trace

__all__ = ["FUNCTIONS", "Limits", "Template", "TemplateError", "Trace", "compile_template"]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was understood; render it as often as there are machines."""

    _source: Source
    _tree: Tree
    _limits: Limits

    def render(self, data: Mapping[str, object]) -> str:
        """The text for this data, whose keys are the template's root: `.device_1`, `.hardware`.

        Raises `TemplateError` at the action that failed: a key that is not there, values of the wrong kind, too much work.
        """
        return evaluate(self._source, self._tree, FUNCTIONS, dict(data), self._limits)

    def trace(self, data: Mapping[str, object]) -> Trace:
        """As `render`, with the place in the template and in the data that each part of the text came from."""
        return trace(self._source, self._tree, FUNCTIONS, dict(data), self._limits)


def compile_template(text: str, limits: Limits = Limits()) -> Template:  # noqa: B008  (frozen)
    """Parse a template's text. Raises `TemplateError` at the first place that cannot be understood."""
    source = Source(text)
    if len(text) > limits.text:
        raise TemplateError(f"the template is too long: more than {limits.text} characters", 1, 1)
    return Template(source, parse(source, FUNCTIONS.keys(), limits), limits)
