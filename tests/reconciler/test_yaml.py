"""YAML with places: what scalars mean, where things are, and that nothing but faults comes of hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.places import Source
from reconciler.yaml import MAX_DEPTH, MAX_VALUES, Value, read


def value(text: str) -> Value:
    reading = read(text.encode())
    assert reading.faults == ()
    return reading.documents[0].value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("22:22", "22:22"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("0644", 644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        (".5e1", 5.0),
        ("true", True),
        ("FALSE", False),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("'0644'", "0644"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("=", "="),
        ("0b1", "0b1"),
        ("10.1.0.1", "10.1.0.1"),
    ],
)
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(text: str, expected: Value) -> None:
    assert {"a": expected} == value(f"a: {text}")
    assert type(expected) is type(value(f"[{text}]")[0])  # type: ignore[index]


@pytest.mark.parametrize("text", ["~", "null", "NULL", ""])
def test_nothing_is_written_in_four_ways(text: str) -> None:
    assert value(f"a: {text}") == {"a": None}


def test_the_written_text_of_what_is_not_text_is_kept() -> None:
    document = read(b"mode: 0644\nname: x\nwhich: True\n").documents[0]
    source = Source("f", document.root)
    assert [source.written((key,)) for key in ("mode", "name", "which")] == ["0644", None, "True"]


def test_keys_are_text_as_written() -> None:
    assert value("{42: 1, true: 2, 010: 3}") == {"42": 1, "true": 2, "010": 3}


def test_every_value_and_every_key_has_a_place() -> None:
    document = read(b"a: 1\nb:\n  - c: [x,\n      y]\n").documents[0]
    source = Source("f.yaml", document.root)
    assert str(source.at("b[0].c[1]")) == "f.yaml:4:7"
    assert str(source.key("b[0].c")) == "f.yaml:3:5"
    assert str(source.at("b[0].c")) == "f.yaml:3:8"


@pytest.mark.parametrize("data", [b"a: 1\r\nb: \xc3\xa9\r\nc: 2", b"\xef\xbb\xbfa: 1\nb: \xc3\xa9\nc: 2", b"a: 1\rb: x\rc: 2"])
def test_line_breaks_byte_order_marks_and_wide_characters_move_no_place(data: bytes) -> None:
    reading = read(data)
    assert Source("f", reading.documents[0].root).at("c")[1:] == (3, 4)


def test_a_literal_block_knows_where_its_text_begins() -> None:
    document = read("ä: ö\nb:\n  c: |\n\n     first\n      second\n".encode()).documents[0]
    assert Source("f", document.root).text("b.c")[1:] == (4, 6)


def test_a_file_holds_several_documents_and_empty_ones_do_not_count() -> None:
    documents = read(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n").documents
    assert [document.value for document in documents] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"---\n...\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_documents_and_no_faults(data: bytes) -> None:
    assert (read(data).documents, read(data).faults, read(data).whole) == ((), (), True)


def test_aliases_are_copied_so_that_nobodys_change_shows_elsewhere() -> None:
    data = value("a: &x [1]\nb: *x\n")
    assert isinstance(data, dict)
    assert data["a"] == data["b"]
    assert data["a"] is not data["b"]


def test_merged_keys_fill_what_the_map_itself_does_not_say_and_the_first_of_a_list_wins() -> None:
    text = "p: &p {a: 1, b: 1}\nq: &q {b: 2, c: 2}\nr: {<<: [*p, *q], a: 3}\n"
    assert value(text)["r"] == {"a": 3, "b": 1, "c": 2}  # type: ignore[call-overload,index]


def test_a_merged_value_has_the_place_where_it_was_written() -> None:
    document = read(b"p: &p {a: 1}\nr:\n  <<: *p\n").documents[0]
    assert Source("f", document.root).at("r.a")[1:] == (1, 11)


BAD = {
    "a key twice": (b"a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1),
    "a key twice in a flow map": (b"{a: 1, a: 2}", "duplicate-key", 1, 8),
    "a key twice, differently quoted": (b"a: 1\n'a': 2", "duplicate-key", 2, 1),
    "a tag for a Python object": (b"a: !!python/object/apply:os.system [ls]", "yaml-tag", 1, 4),
    "a tag of one's own": (b"a: !vault x", "yaml-tag", 1, 4),
    "a number's tag": (b"a: !!int x", "yaml-tag", 1, 4),
    "a tagged key": (b"!x a: 1", "yaml-tag", 1, 1),
    "a list as a key": (b"? [a]\n: 1", "bad-key", 1, 3),
    "an alias as a key": (b"a: &x 1\n*x : 2", "bad-key", 2, 1),
    "an alias to nothing": (b"a: *x", "bad-alias", 1, 4),
    "an alias to what it stands in": (b"a: &x [*x]", "bad-alias", 1, 8),
    "an alias to what it stands in, after another of its name": (b"- &x 1\n- &x [*x]", "bad-alias", 2, 7),
    "an alias to another document's anchor": (b"a: &x 1\n---\nb: *x", "bad-alias", 3, 4),
    "a merge of text": (b"a:\n  <<: x", "bad-merge", 2, 7),
    "a merge of a list with text": (b"<<: [{a: 1}, x]", "bad-merge", 1, 5),
    "a bracket left open": (b"a: [1, 2\nb: 3", "yaml-syntax", 2, 2),
    "a tab as indentation": (b"a:\n\tb: 1", "yaml-syntax", 2, 1),
    "a quote left open": (b"a: 'x\n", "yaml-syntax", 2, 1),
    "lines that do not align": (b"a:\n  b: 1\n c: 2", "yaml-syntax", 3, 2),
    "bytes that are not UTF-8": (b"a: 1\nb: \xff\n", "not-utf8", 2, 4),
    "UTF-16": ("a: 1".encode("utf-16"), "not-utf8", 1, 1),
    "NUL": (b"a: x\x00", "binary-file", 1, 5),
    "a control character": (b"a: 1\nb: \x1b[0m", "binary-file", 2, 4),
    "half a surrogate pair": (b'a: "\\ud800"', "yaml-syntax", 1, 7),
    "a line break of YAML 1.1": ("a: 1\nb: x\u2028\nc: [".encode(), "yaml-syntax", 2, 5),
    "the next line of EBCDIC": ("a: x\x85\n".encode(), "yaml-syntax", 1, 5),
    "depth": (b"[" * 100_000, "too-complex", 1, MAX_DEPTH + 2),
    "depth without brackets": (b"- " * 100_000, "too-complex", 1, 2 * MAX_DEPTH + 3),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_not_yaml_as_it_should_be_is_a_fault_with_its_place(reason: str) -> None:
    data, code, line, column = BAD[reason]
    faults = read(data).faults
    assert (code, line, column) == (faults[0].code, faults[0].line, faults[0].column)


def laughs() -> bytes:
    """Ten levels of ten aliases each: 10 billion values in 500 bytes."""
    levels = [b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"]
    levels += [b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(9)]
    return b"".join(levels)


def test_a_bomb_of_aliases_is_a_fault_before_it_goes_off() -> None:
    reading = read(laughs())
    assert reading.faults[0].code == "too-complex"
    assert not reading.whole


def test_a_bomb_of_merges_is_a_fault_too() -> None:
    wide = b"a: &a {" + b",".join(b"k%d: x" % n for n in range(1000)) + b"}\n"
    assert read(wide + b"b:\n" + b"- {<<: *a}\n" * (MAX_VALUES // 1000)).faults[0].code == "too-complex"


def test_aliases_cannot_stack_up_depth() -> None:
    nested = b"[" * 40 + b"x" + b"]" * 40
    assert read(b"a: &a " + nested + b"\nb: " + nested.replace(b"x", b"*a")).faults[0].code == "too-complex"


def test_documents_before_a_syntax_fault_are_not_lost() -> None:
    reading = read(b"a: 1\n---\nb: [")
    assert [document.value for document in reading.documents] == [{"a": 1}]
    assert not reading.whole


def test_a_file_full_of_values_is_read() -> None:
    text = b"\n".join(b"- {a: %d, b: [x, y]}" % n for n in range(20_000))
    reading = read(text)
    assert reading.faults == ()
    assert len(reading.documents[0].value) == 20_000  # type: ignore[arg-type]


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!|>'\"#%@`,? \n\t<~0.", max_size=80).map(str.encode))
def test_any_bytes_give_documents_or_faults_with_places_and_no_exception(data: bytes) -> None:
    reading = read(data)
    assert reading.whole or reading.faults
    assert all(fault.line >= 1 and fault.column >= 1 for fault in reading.faults)
