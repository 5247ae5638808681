"""A commit object is read as its bytes say, or not at all."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from reconciler.commits import Commit, names_commit, read_commit, shown

TREE, ONE, TWO = "1" * 40, "2" * 40, "3" * 40
HEAD = f"tree {TREE}\nparent {ONE}\nauthor Ann <ann@lab.example> 1 +0000\ncommitter Bob <bob@lab.example> 2 +0000\n"
SIGNATURE = "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n"


def named(data: bytes, kind: str = "commit", algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def read(text: str | bytes) -> Commit:
    data = text.encode() if isinstance(text, str) else text
    return read_commit(named(data), data)


def test_a_commit_says_who_made_it_what_for_and_whether_it_is_signed() -> None:
    commit = read(f"{HEAD}\nchange a thing\n\nand more\n")
    assert ((ONE,), "Ann <ann@lab.example>", "change a thing", False) == (
        commit.parents,
        commit.author,
        commit.subject,
        commit.signed,
    )
    assert read(f"{HEAD}{SIGNATURE}\nchange\n").signed
    assert not read(f"{HEAD}\n{SIGNATURE}").signed, "that is its message"


def test_a_commit_of_a_sha256_repository_is_one_too() -> None:
    data = HEAD.replace(TREE, "1" * 64).replace(ONE, "2" * 64).encode() + b"\nchange\n"
    assert ("2" * 64,) == read_commit(named(data, algorithm="sha256"), data).parents


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}encoding ISO-8859-1\n\nchange\n",
        f"{HEAD}mergetag object {ONE}\n type commit\n tag v1\n tagger A <a> 1\n \n text\n gpgsig inside\n\nchange\n",
        f"{HEAD}HG:extra branch:x\n\nchange\n",
        f"{HEAD}\n",
        HEAD.replace(f"parent {ONE}\n", "") + "\nroot\n",
        HEAD.replace(f"parent {ONE}\n", f"parent {ONE}\nparent {TWO}\n") + "\nmerge\n",
    ],
)
def test_what_git_writes_is_read(text: str) -> None:
    assert not read(text).signed


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nothing", ""),
        ("no header's end", HEAD),
        ("another order", f"{HEAD.replace(f'parent {ONE}', f'x {ONE}')}\nchange\n"),
        ("a parent behind the author", f"{HEAD}parent {TWO}\n\nchange\n"),
        ("a second tree", f"{HEAD}tree {TWO}\n\nchange\n"),
        ("a second author", f"{HEAD}author Eve <eve> 1 +0000\n\nchange\n"),
        ("two signatures", f"{HEAD}{SIGNATURE}{SIGNATURE}\nchange\n"),
        ("two kinds of signature", f"{HEAD}{SIGNATURE}gpgsig-sha256 x\n\nchange\n"),
        ("a parent twice", f"{HEAD.replace(f'parent {ONE}', f'parent {ONE}{chr(10)}parent {ONE}')}\nchange\n"),
        ("a byte that ends texts in C", f"{HEAD}\nchange\0\n"),
        ("a short id", f"{HEAD.replace(ONE, ONE[:39])}\nchange\n"),
        ("capital letters", f"{HEAD.replace(TREE, 'A' * 40)}\nchange\n"),
        ("a header that begins with a space", f"{HEAD.replace('author', ' author')}\nchange\n"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_no_commit(what: str, text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_an_object_under_another_id_is_none() -> None:
    data = f"{HEAD}\nchange\n".encode()
    with pytest.raises(Malformed, match="another digest"):
        read_commit(named(data + b"x"), data)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda more: HEAD.encode() + more))
def test_any_bytes_are_a_commit_or_malformed(data: bytes) -> None:
    try:
        commit = read(data)
    except Malformed:
        return
    assert commit.author.isprintable()
    assert commit.subject.isprintable()


def test_what_is_shown_is_one_line_and_short() -> None:
    assert "Ann?[2J?" == shown(b"Ann\x1b[2J\n")
    assert "a?b" == shown("a\u202eb".encode()), "which turns text round"
    assert 60 == len(shown(b"x" * 1000))
    assert "\ufffd" in shown(b"\xff")


def test_a_tag_names_the_commit_that_it_says() -> None:
    tag = f"object {ONE}\ntype commit\ntag v1\ntagger Ann <ann@lab.example> 1 +0000\n\nreviewed\n".encode()
    assert ONE == names_commit(named(tag, "tag"), tag)
    assert "" == names_commit(named(tag, "tag"), tag + b"x")
    for change in (
        (b"type commit", b"type tree"),
        (b"type commit", b"type tag"),
        (b"object ", b"object x"),
        (b"\n\n", b"\0\n\n"),
    ):
        other = tag.replace(*change)
        assert "" == names_commit(named(other, "tag"), other)
