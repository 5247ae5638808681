"""Hostile templates and hostile data: always a string or a `TemplateError`, soon, and never much memory."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.template import FUNCTIONS, Limits, TemplateError, compile_template
from tests.effort import examples
from tests.reconciler.template_cases import DATA, GOLDEN
from tests.reconciler.template_grammar import template

SMALL = Limits(text=20_000, output=2000, steps=20_000, depth=10)


def render(text: str, data: dict[str, object] | None = None, limits: Limits = SMALL) -> str | None:
    """The output, or None for a `TemplateError`. Anything else that is raised fails the test."""
    try:
        return compile_template(text, limits).render(DATA if data is None else data)
    except TemplateError as error:
        check_place(error)
        return None


def check_place(error: TemplateError) -> None:
    assert error.line >= 1
    assert error.column >= 1
    assert len(error.message) < 1100


DOUBLING = "{{$x := list 1}}" + "{{$x = list $x $x}}" * 8

TOO_MUCH = [
    "{{repeat 1000000000 `x`}}",
    "{{repeat 3 (repeat 1000 `x`)}}",
    "{{printf `%1000000000d` 1}}",
    "{{printf `%99999999999999999999d` 1}}",
    "{{printf `%.1000000000f` 1.5}}",
    "{{printf `%*d` 1000000000 1}}",
    "{{indent 1000 `\n\n\n`}}",
    "{{replace `` (repeat 1000 `x`) `abc`}}",
    "{{join (repeat 1000 `x`) (list 1 2 3)}}",
    "{{range 10000}}x{{end}}",
    "{{range 1000000000}}{{end}}",
    "{{range 1000}}{{range 1000}}{{end}}{{end}}",
    "{{range 1000}}{{$x := repeat 1000 `x`}}{{end}}",
    "{{$x := `x`}}" + "{{$x = print $x $x}}" * 12,
    DOUBLING + "{{$x = list $x $x $x $x $x $x}}{{$x}}",
    DOUBLING + "{{$x = list $x $x $x $x $x $x}}{{toYaml $x}}",
    DOUBLING + "{{$x = list $x $x $x $x $x $x}}{{quote $x}}",
    "{{$x := list 1}}" + "{{$x = list $x}}" * 12 + "{{$x}}",
    "{{$x := list 1}}" + "{{$x = list $x}}" * 12 + "{{toYaml $x}}",
    "{{define `t`}}{{template `t` .}}{{end}}{{template `t` .}}",
    "{{define `t`}}{{range 9}}{{template `t` .}}{{end}}{{end}}{{template `t` .}}",
    "{{" + "(" * 11 + "1" + ")" * 11 + "}}",
    "{{if 1}}" * 11 + "{{end}}" * 11,
    "{{fromYaml `" + "[" * 1000 + "`}}",
    "{{fromYaml `" + "- " * 1000 + "`}}",
    "{{regexMatch `" + "(" * 100 + "` `x`}}",
    "{{regexMatch `((a{0,99}){0,99}){0,99}` `x`}}",
    "{{regexMatch `(((){1000}){1000}){1000}` `x`}}",
    "{{regexMatch `a{1001}` `x`}}",
    "{{regexMatch `.*.*.*.*.*.*=` (repeat 1999 `a`)}}",
    "{{regexMatch `" + "a" * 1001 + "` `x`}}",
    "x" * 2001,
    "é" * 1001,
    "{{/* " + "x" * 20_000 + " */}}",
]


@pytest.mark.parametrize("text", TOO_MUCH, ids=lambda text: text[:50])
def test_a_template_that_wants_too_much_is_refused(text: str) -> None:
    assert render(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "x" * 2000,
        "{{repeat 1000 `x`}}",
        "{{" + "(" * 10 + "1" + ")" * 10 + "}}",
        "{{if 1}}" * 10 + "x" + "{{end}}" * 10,
        "{{if 0}}" + "{{else if 0}}" * 500 + "{{else}}x{{end}}",
        DOUBLING + "{{len $x}}",
        "{{define `t`}}x{{if .}}{{template `t` sub}}{{end}}{{end}}{{template `t` 0}}".replace(" sub", " 0"),
        "{{regexMatch `(a|a)*b` (repeat 500 `a`)}}",
    ],
    ids=lambda text: text[:50],
)
def test_what_just_fits_is_rendered(text: str) -> None:
    assert render(text)


def test_the_default_limits_leave_room_for_a_large_template() -> None:
    text = "{{range .list}}- {{quote .}}\n{{end}}"
    assert render(text, {"list": ["x" * 40] * 5000}, Limits())


def test_as_much_nesting_as_the_default_limits_allow_fits_the_stack() -> None:
    deepest = Limits().depth
    assert render("{{" + "(print " * deepest + "1" + ")" * deepest + "}}", limits=Limits()) == "1"
    assert render("{{with 1}}" * deepest + "x" + "{{end}}" * deepest, limits=Limits()) == "x"
    assert render("{{regexMatch `" + "(" * (deepest - 1) + "x" + ")" * (deepest - 1) + "` `x`}}", limits=Limits())
    nested: object = 1
    for _ in range(deepest - 1):
        nested = [nested]
    assert render("{{.x}}{{toYaml .x}}{{fromYaml (toYaml .x)}}", {"x": nested}, Limits())


def cyclic() -> list[object]:
    items: list[object] = []
    items.append(items)
    return items


USES = ["{{.x}}", "{{toYaml .x}}", "{{quote .x}}", "{{join `` .x}}", "{{keys .x}}", "{{range .x}}{{.}}{{end}}"]
NOT_PLAIN = [
    *(10**5000, -(2**63) - 1, object(), b"bytes", {1, 2}, 1j, "\ud800"),
    *({1: 2}, {None: 1}, cyclic(), {"a": object()}, [{"a": b""}]),
]


@pytest.mark.parametrize("text", USES)
@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_data_that_is_not_plain_is_refused_when_it_is_met(text: str, value: object) -> None:
    output = render(text, {"x": value})
    assert output is None or output.encode()  # a lone surrogate is escaped by some, refused by the others


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12
)
PIECES = st.sampled_from(
    [
        *("{{", "}}", "{{-", "-}}", " ", "(", ")", "|", ":=", "=", ",", ".", "$", "$x", ".a", ".b.c", '"a"', "`b`", "'c'", "1"),
        *("-2.5", "0x", "1e9", "nil", "true", "if ", "else", "end", "range ", "with ", "define `d`", "template `d` "),
        *("block `e` ", "break", "continue", "/*", "*/", "\n", "é", "\x00", '"', "`", "'", "\\", "%", *FUNCTIONS),
    ]
)


@settings(max_examples=examples(500))
@given(st.lists(PIECES, max_size=25).map("".join), st.dictionaries(st.sampled_from("abc"), PLAIN))
@example("{{'\\400'}}", {})
@example("{{printf `%c%q` -1 1114112}}", {})
def test_any_text_and_any_plain_data_give_a_string_or_a_template_error(text: str, data: dict[str, object]) -> None:
    render(text, data)


@settings(max_examples=examples(300))
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(PLAIN, max_size=4))
def test_any_function_with_any_arguments_gives_a_string_or_a_template_error(name: str, values: list[object]) -> None:
    data = {f"a{number}": value for number, value in enumerate(values)}
    render("{{" + " ".join([name, *(f".{key}" for key in data)]) + " | toString}}", data)


@settings(max_examples=examples(300))
@given(st.text(alphabet="%+-# 0123456789.*[]vTtdboOxXcqUeEfFgGsp!é", max_size=12), st.lists(SCALARS, max_size=3))
def test_any_format_gives_a_string_or_a_template_error(format_: str, values: list[object]) -> None:
    data = {"a": format_} | {f"b{number}": value for number, value in enumerate(values)}
    render("{{" + " ".join(["printf", *(f".{key}" for key in data)]) + "}}", data)


@settings(max_examples=examples(300))
@given(st.text(alphabet="ab01()[]{}|*+?.^$\\-,:imsPdDwWsSbBzAxné<>=!", max_size=20), st.text(max_size=10))
def test_any_pattern_gives_a_string_or_a_template_error(pattern: str, text: str) -> None:
    render("{{regexMatch .pattern .text}}", {"pattern": pattern, "text": text})


@settings(max_examples=examples(200))
@given(st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_a_sound_template_with_a_piece_cut_out_gives_a_string_or_a_template_error(chance: Random, knife: Random) -> None:
    text = knife.choice((template(chance), knife.choice(GOLDEN)[0]))
    start = knife.randint(0, len(text))
    render(text[:start] + text[start + knife.randint(0, 4) :])
