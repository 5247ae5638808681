"""regexMatch: RE2's patterns, judged by a table and, where both agree on the syntax, by Python's own engine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.template.errors import Budget, Fault, Limits
from reconciler.template.functions.regex import Pattern


def found(pattern: str, text: str) -> bool:
    budget = Budget(Limits())
    return Pattern.compile(pattern, budget).found_in(text, budget)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("", "", None),
        ("b", "abc", "ac"),
        ("^b|c$", "bx", "xbcx"),
        ("^(a|bc)+$", "abca", "abcb"),
        ("a(arch|rm)", "aarch64", "amd64"),
        ("^a{2,3}$", "aaa", "aaaa"),
        ("^a{2}$", "aa", "a"),
        ("^a{2,}$", "aaaaa", "a"),
        ("^a{0}b$", "b", "ab"),
        ("^a{,2}$", "a{,2}", "aa"),
        ("^a??b+?c*?$", "abbcc", "acc"),
        ("^.$", "é", "\n"),
        ("(?s)^.$", "\n", "ab"),
        ("^[a-c-]+$", "a-c", "d"),
        ("^[^a-c]$", "d", "b"),
        ("^[]x]+$", "]x", "["),
        (r"^[\d\s.]+$", "1 2.3", "a"),
        (r"^[^\d]$", "a", "1"),
        (r"^[\D]$", "a", "1"),
        (r"^\w+\W\S\s\D$", "a_1- \tx".replace(" ", "y"), "é"),
        (r"^[[:alpha:][:digit:]]+$", "a1", "-"),
        (r"^[[:^space:]]$", "x", " "),
        (r"^\x41\x{1F600}\101\n\t$", "A😀A\n\t", "A"),
        (r"^\.\\\-\/$", ".\\-/", "abcd"),
        (r"\bone\b", "a one b", "aone"),
        (r"\Bone", "aone", "one"),
        (r"\Aa\z", "a", "a\n"),
        ("a$", "ba", "a\n"),
        ("(?m)^b$", "a\nb\nc", "a\nbc"),
        ("(?i)^ÀB[c-d]$", "àbD", "abD"),
        ("^(?i:a)b$", "Ab", "AB"),
        ("^((?i)a)b$", "Ab", "AB"),
        ("^(?i)a(?-i)b$", "Ab", "AB"),
        ("^(?P<name>x)(?<other>y)(?:z)$", "xyz", "xy"),
        ("^(a|)+$", "aa", "b"),
        ("^()*$", "", "a"),
        ("}{]", "}{]", "}"),
    ],
)
def test_a_pattern_is_found_in_one_text_and_not_in_the_other(pattern: str, matching: str, other: str | None) -> None:
    assert found(pattern, matching)
    assert other is None or not found(pattern, other)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[", "[a", "*", "+a", "a**", "a+*", "a{2}{3}", "a{3,2}", "a{1001}", "a{99999}", "(a{1000}){1000}"),
        *("[b-a]", "[[:nope:]]", "\\", "(?", "(?<", "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", r"(?P=a)", "(?z)", "(?U)a"),
        *(r"\q", r"\pL", r"\C", r"\Qa\E", r"\x{110000}", r"\xg", "x" * 1001),
    ],
    ids=lambda pattern: pattern[:20],
)
def test_what_re2_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(Fault):
        found(pattern, "a")


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\bb", "^", "$", "(?:ab)", "é"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "{2}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text(alphabet="ab1é ", max_size=6))
def test_patterns_of_both_worlds_are_found_where_python_finds_them(pattern: str, text: str) -> None:
    same = re.compile(pattern.replace("$", r"\Z"), re.ASCII)  # Python's $ also matches before a last line end
    assert found(pattern, text) is (same.search(text) is not None)


def test_a_pattern_that_stops_backtracking_engines_takes_no_time() -> None:
    budget = Budget(Limits(steps=100_000))
    assert not Pattern.compile("(x+x+)+y|(a|a)*b", budget).found_in("x" * 2000, budget)
