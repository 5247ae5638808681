"""Downloads over a bad link: every byte once, or a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from agent.actions.download import TRIES, Download, fetch_text, read_checksum
from agent.actions.settings import Failed
from tests.agent.actions.web import Web

pytestmark = pytest.mark.shell
CONTENT = b"".join(number.to_bytes(4) for number in range(300_000))


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(file=CONTENT) as server:
        yield server


def download(web: Web, path: str = "file") -> tuple[bytes, list[str], list[float]]:
    """What came, what was said, and how long was waited."""
    said: list[str] = []
    waited: list[float] = []
    content = b"".join(Download(web.url(path), said.append, pause=waited.append))
    return content, said, waited


def test_a_file_comes_whole_and_its_size_is_said(web: Web) -> None:
    content, said, waited = download(web)
    assert CONTENT == content
    assert (["download: 2 of 2 MB"], []) == (said, waited)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(web: Web) -> None:
    web.fault = lambda number: 400_001 if number < 3 else None
    content, said, _ = download(web)
    assert CONTENT == content
    assert ["", "bytes=400001-", "bytes=800002-"] == [wanted for _, wanted in web.requests]
    assert "download: the connection ended early; trying again after 400001 bytes" == said[0]


def test_a_server_that_knows_no_ranges_sends_it_again_and_nothing_comes_twice(web: Web) -> None:
    web.fault = lambda number: 400_001 if number == 1 else "whole"
    assert CONTENT == download(web)[0]


def test_a_file_that_changed_meanwhile_is_not_put_together_of_two(web: Web) -> None:
    web.fault = lambda number: 400_001 if number == 1 else None
    web.before = lambda number: web.files.update({"/file": CONTENT[::-1]}) if number == 2 else None
    with pytest.raises(Failed, match=f"^{web.url('file')} changed on the server while it was fetched$"):
        download(web)


def test_a_server_that_is_overloaded_is_asked_again_and_given_time(web: Web) -> None:
    web.fault = lambda number: "503" if number < 4 else None
    content, _, waited = download(web)
    assert (CONTENT, [1, 2, 4]) == (content, waited)


def test_what_is_not_there_is_not_waited_for(web: Web) -> None:
    with pytest.raises(Failed, match=r"cannot be had: the server says 404 Not Found$"):
        download(web, "nothing")
    assert 1 == len(web.requests)


def test_a_link_that_never_works_is_given_up(web: Web) -> None:
    web.fault = lambda number: 0
    with pytest.raises(Failed, match=r"cannot be had: the connection ended early$"):
        download(web)
    assert TRIES == len(web.requests)


def test_a_link_that_breaks_for_ever_but_moves_on_is_not_given_up(web: Web) -> None:
    web.fault = lambda number: 40_000
    assert CONTENT == download(web)[0]
    assert TRIES < len(web.requests)


def test_nobody_listens(web: Web) -> None:
    said: list[str] = []
    with pytest.raises(Failed, match="cannot be had: "):
        list(Download("http://127.0.0.1:1/file", said.append, pause=lambda seconds: None))
    with pytest.raises(Failed, match="is not a URL"):
        list(Download("file:///etc/passwd", said.append))


def test_a_small_file_has_an_end(web: Web) -> None:
    web.files["/small"] = b"abc"
    assert "abc" == fetch_text(web.url("small"), lambda text: None)
    with pytest.raises(Failed, match="is longer than 1048576 bytes"):
        fetch_text(web.url("file"), lambda text: None)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_checksum_is_read_and_compared(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"abc").hexdigest()
    checksum = read_checksum("SUM", f"{algorithm}:{digest.upper()}\n")
    right, wrong = checksum.new(), checksum.new()
    right.update(b"abc")
    checksum.check(right, "url")
    with pytest.raises(Failed, match=f"^url is not what it should be: its {algorithm} is .*, wanted {digest}$"):
        checksum.check(wrong, "url")


@pytest.mark.parametrize("text", ["", "abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:abc", f"sha256:{'g' * 64}"])
def test_what_is_no_checksum_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(Failed, match=r"^SUM is .*: write sha256:, sha384: or sha512: and the digest in hexadecimal$"):
        read_checksum("SUM", text)
