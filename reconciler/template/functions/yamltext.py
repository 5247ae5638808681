"""YAML text to plain data and back, for toYaml and fromYaml.

Core. Reading goes event by event, without recursion and without aliases, so that no text can blow up. Scalars follow YAML
1.2 (`no` and `on` are text) and text that looks like an octal number stays text, as the inventory's own files are read.
Writing quotes whatever any YAML version could take for something else.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from reconciler.template.errors import Budget, Fault
from reconciler.template.literals import INT64
from reconciler.template.values import Value, entries, kind

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})|0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LETTERS = set("yYnN")  # bools to some readers of YAML 1.1
_SPECIAL = re.compile(r"(?P<sign>[-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# Reading


def read(budget: Budget, text: str) -> Value:
    """The one document in the text. Raises `Fault` for anything that is not plain YAML."""
    budget.reserve(len(text))
    reader = _Reader(budget)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            budget.spend(4)
            reader.take(event)
    except (yaml.YAMLError, ValueError) as error:
        raise Fault(f"not YAML: {str(error).splitlines()[0] if str(error) else 'unreadable'}") from None
    if reader.documents != 1:
        raise Fault(f"one YAML document is wanted, not {reader.documents}")
    return reader.root


class _Reader:
    """Builds one value from events; remembers the lists and maps it is inside of."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._open: list[tuple[list[Value] | dict[str, Value], str | None]] = []  # each with the key that waits for a value
        self.documents = 0
        self.root: Value = None

    def take(self, event: yaml.Event) -> None:
        if getattr(event, "anchor", None) is not None:
            raise Fault("anchors and aliases are not supported")
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent():
                self._enter([], event, "tag:yaml.org,2002:seq")
            case yaml.MappingStartEvent():
                self._enter({}, event, "tag:yaml.org,2002:map")
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()

    def _enter(self, value: list[Value] | dict[str, Value], event: Any, tag: str) -> None:
        _check_tag(event.tag, tag)
        self._put(value)
        self._open.append((value, None))
        self._budget.enter(len(self._open))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = str(event.value)
        if self._open and isinstance(self._open[-1][0], dict) and self._open[-1][1] is None:
            mapping = self._open[-1][0]
            if text in mapping:
                raise Fault(f'the key "{text:.40}" comes twice')
            self._open[-1] = (mapping, text)
            return
        _check_tag(event.tag, "tag:yaml.org,2002:str")
        self._put(_resolved(text) if event.implicit[0] and event.tag is None else text)

    def _put(self, value: Value) -> None:
        match self._open[-1] if self._open else None:
            case None:
                self.root = value
            case list(items), _:
                items.append(value)
            case dict(mapping), str(key):
                mapping[key] = value
                self._open[-1] = (mapping, None)
            case _:
                raise Fault("a key that is a list or a map is not supported")


def _check_tag(tag: str | None, expected: str) -> None:
    if tag not in {None, "!", expected}:
        raise Fault(f"the tag {tag} is not supported")


def _resolved(text: str) -> Value:
    """What a plain scalar stands for."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INTEGER.fullmatch(text) and (whole := int(text, 0)) in INT64:
        return whole
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special["sign"] is None else float(special["sign"] + "inf")
    return float(text) if _FLOAT.fullmatch(text) else text


# Writing


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, text that could be something else in double quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain: str = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # untyped in the stubs
    is_text = plain == "tag:yaml.org,2002:str" and text not in _LETTERS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None if is_text else '"')


_Dumper.add_representer(str, _represent_text)


def write(budget: Budget, value: Value) -> str:
    """The value as a YAML document with sorted keys and a line end, long lines unbroken."""
    copied = _copy(value, budget, 1)
    text = yaml.dump(copied, Dumper=_Dumper, width=2**31, allow_unicode=True, default_flow_style=False)
    budget.reserve(len(text))
    return text[:-4] if text.endswith("\n...\n") else text  # PyYAML ends a lone scalar's document


def _copy(value: Value, budget: Budget, depth: int) -> Value:
    """The same as bare dicts and lists, checked, and paid for before any of it is written."""
    budget.enter(depth)
    budget.spend(8)
    match kind(value), value:
        case "list", list() | tuple():
            return [_copy(item, budget, depth + 1) for item in value]
        case "map", dict():
            return {_text(key, budget): _copy(item, budget, depth + 1) for key, item in entries(value)}
        case "string", str():
            return _text(value, budget)
    return value


def _text(text: str, budget: Budget) -> str:
    budget.reserve(len(text))
    budget.spend(len(text))  # the writer looks at every character
    return str(text)
