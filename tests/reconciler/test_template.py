"""What templates render to, where their errors point, and that a template is a value."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.template import TemplateError, compile_template
from tests.reconciler.template_cases import DATA, GOLDEN, OURS, REFUSED, STRICTER


def complaint(text: str, data: dict[str, object] | None = None) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        compile_template(text).render(DATA if data is None else data)
    return caught.value


@pytest.mark.parametrize(("text", "expected"), GOLDEN + OURS)
def test_a_template_renders_as_the_table_says(text: str, expected: str) -> None:
    assert expected == compile_template(text).render(DATA)


@pytest.mark.parametrize("text", REFUSED + STRICTER)
def test_a_template_that_makes_no_sense_is_refused(text: str) -> None:
    assert complaint(text).message


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("{{.device_2}}", (1, 3), 'no key "device_2": the template sees device_1, hardware'),
        ("{{.hardware.spec.nope}}", (1, 3), 'no key "nope": .hardware.spec has arch'),
        ("{{$h := .hardware}}\n{{$h.nope}}", (2, 3), 'no key "nope": this map has spec'),
        ("{{with .hardware}}{{.nope}}{{end}}", (1, 21), 'no key "nope": this map has spec'),
        ("{{.device_1.mac}}", (1, 3), 'no key "mac": .device_1 is a string'),
        ("a: b\nc: {{ upper 1 }}", (2, 13), "upper wants a string as argument 1, not the integer 1"),
        ("{{ 1 | upper }}", (1, 8), "upper wants a string as argument 1, not the integer 1"),
        ("{{\n  upper }}", (2, 3), "upper wants 1 argument, not 0"),
        ("{{replace `a` `b`}}", (1, 3), "replace wants 3 arguments, not 2"),
        ("{{index}}", (1, 3), "index wants at least 1 argument, not 0"),
        ("{{print (index .hardware `x` 0)}}", (1, 10), "index: nil has nothing to index"),
        ("{{index .hardware `x`}}", (1, 3), "there is nothing to print: the value is nil"),
        ("x {{ uper .device_1 }}", (1, 6), "there is no function uper; did you mean upper?"),
        ("x {{ zzz .device_1 }}", (1, 6), "there is no function zzz; docs/templates.md lists those that there are"),
        ('x {{ .device_1"', (1, 15), "put a space between them, or close the action with }}"),
        ("{{.spec.my-key}}", (1, 11), 'write (index … "my-…") instead of .my-…'),
        ("{{.keys[0]}}", (1, 8), "write (index .keys 0)"),
        ("é{{if .device_1}}\n{{range .x}}\n{{end}}", (1, 4), "this {{if}} has no {{end}}"),
        ("{{range .device_1}}{{end}}", (1, 9), "range cannot go through a string"),
        ("{{fail `no disk`}}", (1, 3), "fail: no disk"),
        ("{{required `say which disk` nil}}", (1, 3), "required: say which disk"),
        ("{{ .device_1", (1, 1), "this action has no end: `}}` is missing"),
        ('{{ "a }}', (1, 4), "this quoted string has no end"),
        ("{{ template `x` }}", (1, 4), 'there is no template "x"'),
        ("{{ $x }}", (1, 4), "the variable $x is not defined"),
        ("{{ printf `%d` .device_1 }}", (1, 4), 'cannot show the string "aa:bb" with %d'),
    ],
)
def test_an_error_says_what_is_missing_what_is_there_and_where(text: str, place: tuple[int, int], message: str) -> None:
    error = complaint(text, {"device_1": "aa:bb", "hardware": {"spec": {"arch": "amd64"}}})
    assert message in error.message
    assert place == (error.line, error.column)


def test_an_error_reads_as_place_and_message() -> None:
    assert str(complaint("{{.a}}", {})) == '1:3: no key "a": the template sees nothing'


def test_many_keys_are_not_all_listed() -> None:
    error = complaint("{{.nope}}", {f"key{number:02}": 1 for number in range(20)})
    assert error.message.endswith("key10, key11 and 8 more")


def test_a_template_is_a_value_that_renders_again_and_again() -> None:
    template = compile_template("{{$x := .a}}{{$x = add $x 1}}{{$x}}{{define `t`}}{{end}}")
    assert [template.render({"a": number}) for number in (1, 2, 1)] == ["2", "3", "2"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        template._source = None  # type: ignore[misc, assignment]  # that it cannot be set is the test


def test_the_data_is_not_changed() -> None:
    data: dict[str, object] = {"list": [3, 1, 2], "map": {"b": 1, "a": {}}}
    compile_template("{{sortAlpha .list}}{{keys .map}}{{range $k, $v := .map}}{{$v = 5}}{{end}}{{toYaml .}}").render(data)
    assert data == {"list": [3, 1, 2], "map": {"b": 1, "a": {}}}


class Innocent:
    """An object with something worth stealing."""

    secret = "s3cret"

    def keys(self) -> list[str]:
        return ["secret"]


@pytest.mark.parametrize(
    "text",
    ["{{.o.secret}}", "{{.o}}", "{{.o.__class__}}", "{{keys .o}}", "{{index .o `secret`}}", "{{range .o}}{{end}}", "{{.l}}"],
)
def test_no_attribute_of_an_object_is_ever_reached(text: str) -> None:
    assert "s3cret" not in complaint(text, {"o": Innocent(), "l": [Innocent()]}).message


@pytest.mark.parametrize("name", ["__class__", "keys", "items", "upper", "__len__", "__globals__"])
def test_plain_values_have_no_attributes_either(name: str) -> None:
    data: dict[str, object] = {"text": "x", "list": [1], "map": {"a": 1}}
    for key in data:
        assert f'no key "{name}"' in complaint(f"{{{{.{key}.{name}}}}}", data).message


def test_a_key_of_that_name_is_just_a_key() -> None:
    assert compile_template("{{.map.__class__}}").render({"map": {"__class__": "plain"}}) == "plain"


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_is_rendered_as_it_is(text: str) -> None:
    if text.isascii() or text.encode(errors="replace").decode() == text:
        assert text == compile_template(text).render({})
