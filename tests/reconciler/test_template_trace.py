"""A trace renders what the template does, and knows where each character came from."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.template import Trace, compile_template
from tests.reconciler.template_cases import DATA as PLAIN
from tests.reconciler.template_cases import GOLDEN

DATA: dict[str, Any] = {
    "x": "X",
    "map": {"y": "why", "list": [{"z": "zed"}, {"z": "zee"}]},
    "text": "a b",
    "names": ["one", "two"],
}


def traced(text: str) -> Trace:
    return compile_template(text).trace(DATA)


def source(text: str, printed: str) -> str:
    """The template from where this part of the output came on."""
    found = traced(text)
    return text[found.source(found.text.index(printed)) :]


def read(text: str, printed: str) -> list[str]:
    found = traced(text)
    start = found.text.index(printed)
    return [".".join(map(str, keys)) for keys in found.read(start, start + len(printed))]


@pytest.mark.parametrize(
    ("text", "printed", "begin"),
    [
        ("one\ntwo\n", "two", "two\n"),
        ("{{ if .x }}\nyes\n{{ end }}", "yes", "yes\n"),
        ("a {{- /* gone */ -}}   b", "b", "b"),
        ("k: {{ .x }}\nl: m\n", "X", ".x }}"),
        ("k: {{ .x }}\nl: m\n", "m", "m\n"),
        ("{{ range .map.list }}- {{ .z }}\n{{ end }}last", "zee", ".z }}"),
        ("{{ range .map.list }}- {{ .z }}\n{{ end }}last", "last", "last"),
    ],
)
def test_every_character_has_its_place_in_the_template(text: str, printed: str, begin: str) -> None:
    assert source(text, printed).startswith(begin)


@pytest.mark.parametrize(
    ("text", "printed", "keys"),
    [
        ("{{ .x }} and {{ .text }}", "X", ["x"]),
        ("{{ .x }}-{{ .map.y }}", "X-why", ["x", "map.y"]),
        ("{{ with .map }}{{ .y }}{{ end }}", "why", ["map.y"]),
        ("{{ range .map.list }}{{ .z }} {{ end }}", "zee", ["map.list.1.z"]),
        ("{{ $kept := .map.y }}{{ .x }} {{ $kept | upper }}", "WHY", ["map.y"]),
        ('{{ printf "%s.%s" .x $.map.y }}', "X.why", ["x", "map.y"]),
        ("{{ range .names }}[{{ . }}]{{ end }}{{ .x }}", "two", ["names"]),
        ("{{ range $at, $name := .names }}[{{ $name }}]{{ end }}", "two", ["names"]),
        ("{{ range .map.list }}{{ range $.names }}{{ . }}{{ end }}{{ .z }} {{ end }}", "zee", ["map.list.1.z"]),
        ("{{ range .names }}[{{ . }}]{{ end }}{{ .x }}", "X", ["x"]),
        ("{{ range .names }}{{ with $.x }}{{ . }}{{ end }}{{ end }}", "X", []),
        ("plain {{ .x }}", "plain", []),
        ('{{ define "t" }}{{ .y }}{{ end }}{{ template "t" .map }}', "why", ["map.y"]),
    ],
)
def test_what_was_printed_knows_the_data_that_it_was_printed_from(text: str, printed: str, keys: list[str]) -> None:
    assert keys == read(text, printed)


@pytest.mark.parametrize(("text", "rendered"), GOLDEN)
def test_a_trace_is_what_is_rendered(text: str, rendered: str) -> None:
    found = compile_template(text).trace(PLAIN)
    assert rendered == found.text
    assert [piece.start for piece in found.pieces] == sorted({piece.start for piece in found.pieces})
    assert all(0 <= found.source(at) < len(text) for at in range(len(rendered)))
