"""Shape: whether a document is what its schema says, in sentences.

Core. The law: the schema is the only authority; what is here turns its verdict into problems and adds none. Titles and
examples of the schema are the words of the sentences. Where the schema wants text, a number or truth value counts as the
text that was written (`MODE: 0644` is "0644"), as Go reads it into a string; the document is changed so, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

import schemas
from reconciler.places import Path, Source, path_text
from reconciler.problems import Problem, Severity
from reconciler.values import FORMATS
from reconciler.yaml import Fault

Shape = Literal["site", "hardware", "profile", "workflow", "secret", "template", "template-data", "document", "trust-floor"]
"""A schema; `template-data` is a template whose workflow document is text, `document` a workflow document by itself,
`trust-floor` a site's setting of trust by itself with a commit and a policy beside it."""


class Complaints:
    """The problems of one document, as they are found."""

    def __init__(self, source: Source, prefix: Path = ()) -> None:
        self.source = source
        self.found: dict[Problem, None] = {}
        self.prefix = prefix

    def at(self, path: Path, code: str, message: str, severity: Severity = "error") -> None:
        """About a value."""
        self._add(self.source.at((*self.prefix, *path)), path, code, message, severity)

    def at_key(self, path: Path, code: str, message: str) -> None:
        """About the key a value stands under."""
        self._add(self.source.key((*self.prefix, *path)), path, code, message, "error")

    def in_text(self, path: Path, line: int, column: int, code: str, message: str) -> None:
        """About a spot in a text that is a literal block (`|`); line and column count from 0."""
        begin = self.source.text((*self.prefix, *path))
        self._add((begin.file, begin.line + line, begin.column + column), path, code, message, "error")

    def fault(self, fault: Fault) -> None:
        """About the text itself."""
        self._add((self.source.file, fault.line, fault.column), fault.path, fault.code, fault.message, "error")

    def _add(self, place: tuple[str, int, int], path: Path, code: str, message: str, severity: Severity) -> None:
        self.found[Problem(*place, path_text((*self.prefix, *path)), code, severity, message)] = None

    @property
    def errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.found)


def check(shape: Shape, value: Any, complaints: Complaints, written: Callable[[Path], str | None]) -> None:
    """Says everything that is wrong with a document's shape. `written` gives what was written for a value that is no text."""
    validator = _validator(shape)
    verdicts = [_Verdict.of(error) for error in validator.iter_errors(value)]
    if _as_written(value, verdicts, written):
        verdicts = [_Verdict.of(error) for error in validator.iter_errors(value)]
    for verdict in verdicts:
        _SENTENCES.get(verdict.keyword, _other)(verdict, complaints)


class _Verdict(NamedTuple):
    """What the validator says about one value."""

    keyword: str
    wanted: Any
    """The keyword's value in the schema."""
    found: Any
    schema: Any
    cause: object
    path: Path
    message: str

    @classmethod
    def of(cls, error: ValidationError) -> _Verdict:
        path = tuple(error.absolute_path)
        return cls(str(error.validator), error.validator_value, error.instance, error.schema, error.cause, path, error.message)


def _as_written(document: Any, verdicts: Iterable[_Verdict], written: Callable[[Path], str | None]) -> bool:
    """Puts the written text where text is wanted. Returns whether anything changed."""
    changed = False
    for verdict in verdicts:
        if verdict.keyword == "type" and "string" in _types(verdict) and isinstance(verdict.found, int | float):
            *around, last = verdict.path
            text = written(verdict.path)
            if text is not None:
                _parent(document, around)[last] = text
                changed = True
    return changed


def _parent(document: Any, path: Iterable[str | int]) -> Any:
    for step in path:
        document = document[step]
    return document


# Schemas ---------------------------------------------------------------------------------------------------------------

_NUMERIC = frozenset(("limit", "duration", "count", "size", "sectors", "volume-size"))
"""Formats that numbers have too."""


@cache
def _validator(shape: Shape) -> Draft202012Validator:
    checker = _formats(template=shape == "template")
    if shape == "trust-floor":
        site = schemas.load("site")["properties"]["spec"]["properties"]
        trust, since = site["trust"], {"title": "commit", "type": "string", "format": "commit"}
        fields = {**trust["properties"], "since": since, "policy": site["policy"]}
        return Draft202012Validator({**trust, "properties": fields}, format_checker=checker)
    if shape not in ("template", "template-data", "document"):
        return Draft202012Validator(schemas.load(shape), format_checker=checker)
    schema = schemas.load("template")
    if shape == "document":
        return Draft202012Validator({"$ref": "#/$defs/document", "$defs": schema["$defs"]}, format_checker=checker)
    # The kind of a document decides its schema, not `oneOf`, which would blame it for the branch it does not mean.
    spec = {"$ref": "#/$defs/data" if shape == "template-data" else "#/$defs/document"}
    schema = {**schema, "properties": {**schema["properties"], "spec": spec}}
    return Draft202012Validator(schema, format_checker=checker)


def _formats(template: bool) -> FormatChecker:
    """The value parsers as formats; in a template, text that is still to be rendered is let pass."""
    checker = FormatChecker(formats=())
    for name, parse in FORMATS.items():
        checker.checks(name, raises=ValueError)(_format(parse, name in _NUMERIC, template))
    return checker


def _format(parse: Callable[..., object], numeric: bool, template: bool) -> Callable[[object], bool]:
    def conforms(value: object) -> bool:
        if isinstance(value, str):
            if not (template and "{{" in value):
                parse(value)
        elif numeric and isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
            parse(value)  # 1e30 is an integer for JSON Schema, and a number of seconds for nobody
        return True

    return conforms


# Sentences -------------------------------------------------------------------------------------------------------------


def suggestion(word: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?`, or nothing when nothing known is close."""
    close = get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


class Suggestions:
    """Suggestions for many words out of the same known ones, each made once, and only for the first few: comparing ten
    thousand names with ten thousand others takes hours, and a person who corrects twenty checks again."""

    LIMIT = 20

    def __init__(self, known: Iterable[str]) -> None:
        self._known = known
        self._made: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        if word not in self._made and len(self._made) < self.LIMIT:
            self._made[word] = suggestion(word, self._known)
        return self._made.get(word, "")


def shown(value: object) -> str:
    """A value in a sentence: text and numbers quoted or printed, cut when long; lists and maps by what they are."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…{text[0]}"


def _types(verdict: _Verdict) -> tuple[str, ...]:
    wanted = verdict.wanted
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def _title(schema: Any, article: bool = True) -> str:
    title = str(schema.get("title", "map"))
    return f"{'an' if title[0] in 'aeioAEIO' else 'a'} {title}" if article else title


def _example(schema: Any) -> str:
    examples = [example for example in schema.get("examples", ()) if isinstance(example, str | int)]
    return f"; for example {str(examples[0]).splitlines()[0]}" if examples else ""


def _unknown_field(verdict: _Verdict, complaints: Complaints) -> None:
    fields = verdict.schema.get("properties", {})
    suggest = Suggestions(fields)
    for field in verdict.found:
        if field not in fields:
            hint = suggest(field) or f": there are {', '.join(fields)}."
            complaints.at_key((*verdict.path, field), "unknown-field", f"There is no field {shown(field)} here{hint}")


def _missing_field(verdict: _Verdict, complaints: Complaints) -> None:
    for field in verdict.wanted:
        if field not in verdict.found:
            example = _example(verdict.schema.get("properties", {}).get(field, {}))
            complaints.at(verdict.path, "missing-field", f"{_here(verdict)} needs the field '{field}': add it{example}.")


def _here(verdict: _Verdict) -> str:
    return f"The {verdict.schema['title']}" if "title" in verdict.schema else "What stands here"


_TYPE_NAMES = {"string": "text", "integer": "a whole number", "object": "a map", "array": "a list", "boolean": "true or false"}


def _wrong_type(verdict: _Verdict, complaints: Complaints) -> None:
    wanted = " or ".join(_TYPE_NAMES.get(name, name) for name in _types(verdict))
    subject = _title(verdict.schema) if "title" in verdict.schema else "what stands here"
    message = f"{subject[0].upper()}{subject[1:]} is {wanted}, not {shown(verdict.found)}{_example(verdict.schema)}."
    complaints.at(verdict.path, "wrong-type", message)


def _bad_choice(verdict: _Verdict, complaints: Complaints) -> None:
    choices = verdict.wanted if verdict.keyword == "enum" else [verdict.wanted]
    listed = ", ".join(map(str, choices))
    hint = suggestion(str(verdict.found), choices) if len(choices) > 1 else ""
    message = f"{shown(verdict.found)} is not {_title(verdict.schema)}: it takes {listed}{hint.replace(':', ';') or '.'}"
    complaints.at(verdict.path, "bad-value", message)


def _bad_format(verdict: _Verdict, complaints: Complaints) -> None:
    message = f"{shown(verdict.found)} is not {_title(verdict.schema)}: {verdict.cause}{_example(verdict.schema)}."
    complaints.at(verdict.path, "bad-value", message)


_LIMITS = {
    "minItems": "needs at least {} in it",
    "maxItems": "takes no more than {} in it",
    "minLength": "must not be empty",
    "maxLength": "takes no more than {} characters",
    "minProperties": "needs at least {} in it",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
}


def _beyond(verdict: _Verdict, complaints: Complaints) -> None:
    limit = _LIMITS[verdict.keyword].format(verdict.wanted)
    complaints.at(verdict.path, "bad-value", f"{_here(verdict)} {limit}{_example(verdict.schema)}.")


def _choice_of_fields(verdict: _Verdict, complaints: Complaints) -> None:
    """`oneOf` and `anyOf` are used in one way only: a list of fields of which one is needed."""
    if not isinstance(verdict.found, Mapping):
        return
    fields = [field for branch in verdict.wanted for field in branch["required"]]
    present = [field for field in fields if field in verdict.found]
    if not present:
        complaints.at(verdict.path, "missing-field", f"{_here(verdict)} needs one of {', '.join(fields)}: add one.")
    for field in present[1:]:
        message = f"'{present[0]}' and '{field}' exclude each other: keep one."
        complaints.at_key((*verdict.path, field), "conflicting-fields", message)


def _needs_companion(verdict: _Verdict, complaints: Complaints) -> None:
    for field, companions in verdict.wanted.items():
        for companion in companions:
            if field in verdict.found and companion not in verdict.found:
                message = f"'{field}' means something only beside '{companion}': add that, or remove this."
                complaints.at_key((*verdict.path, field), "conflicting-fields", message)


def _other(verdict: _Verdict, complaints: Complaints) -> None:
    complaints.at(verdict.path, "bad-value", f"{_here(verdict)} is not as the schema has it: {verdict.message}.")


_SENTENCES: Mapping[str, Callable[[_Verdict, Complaints], None]] = {
    "additionalProperties": _unknown_field,
    "required": _missing_field,
    "type": _wrong_type,
    "enum": _bad_choice,
    "const": _bad_choice,
    "format": _bad_format,
    "oneOf": _choice_of_fields,
    "anyOf": _choice_of_fields,
    "dependentRequired": _needs_companion,
    **dict.fromkeys(_LIMITS, _beyond),
}
