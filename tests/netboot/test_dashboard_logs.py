"""Logs as pages: what was printed is text, parts meet, a search finds what a plain one would, and what it costs is bounded."""

from __future__ import annotations

import asyncio
import tempfile
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dashboard.log_text import LONGEST, MOST_FOUND, PART, search, shown
from netboot.dashboard.logs import offset_of, read_part
from netboot.events import BootOpened
from tests.netboot.site import browser, mac, plan, world

EVIL = b"<script>alert(1)</script> \x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \xff\x00 \xe2\x80\xae"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"plain\tand tabbed", "plain\tand tabbed"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;a title\x07said", "said"),
        (b" 10%\r 50%\r100% done\r", "100% done"),
        (b"a\x00b\xffc\x1b", r"a\x00b\xffc\x1b"),
        ("gr\u00fcn \u202eevil".encode(), "gr\u00fcn \\u202eevil"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would_have_left_it_and_obeys_nothing(line: bytes, text: str) -> None:
    assert text == shown(line)


@given(st.binary())
def test_whatever_is_printed_is_shown_printable(line: bytes) -> None:
    assert all(each.isprintable() or each == "\t" for each in shown(line.replace(b"\n", b"")))


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=40), st.integers(8, 200))
def test_parts_read_one_after_the_other_are_the_whole_log(lines: list[bytes], size: int) -> None:
    """Also where a line is longer than a part, and is cut."""
    data = b"".join(line + b"\n" for line in lines)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        at, ends = 0, [0]
        while at < len(data):
            part, whole = read_part(Path(file.name), at, size)
            assert (at, len(data)) == (part.start, whole)
            assert at < part.end <= at + size
            at = part.end
            ends.append(at)
        assert len(data) == at
        assert all(data[end - 1 : end] == b"\n" or end - start == size for start, end in pairwise(ends))


def test_the_end_of_a_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"".join(b"line %06d\n" % number for number in range(20_000)))
    part, whole = read_part(file, None)
    assert ("line 019999", whole) == (part.lines[-1], part.end)
    assert part.lines[0].startswith("line ")
    assert whole - PART <= part.start <= whole - PART + 12


@given(
    st.lists(st.sampled_from([b"error: no disk", b"all is well", b"ERROR", b"", b"a line of Error and disk"]), max_size=30),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_a_search_finds_what_stands_there_wherever_blocks_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(lines)
    blocks, at = [], 0
    for cut in cuts:
        blocks.append(data[at : at + cut])
        at += cut
    found = search([*blocks, data[at:]], ["ERROR", "disk"])
    want = [line for line in lines if b"error" in line.lower() and b"disk" in line]
    assert [line.decode() for line in want] == [hit.line for hit in found.hits]
    assert all(data[hit.offset :].startswith(hit.line.encode()) for hit in found.hits)
    assert found.on is None


def test_a_search_stops_and_says_where_to_search_on() -> None:
    data = b"found\n" * (MOST_FOUND + 5)
    first = search([data], ["found"])
    assert (MOST_FOUND, 6 * MOST_FOUND) == (len(first.hits), first.on)
    second = search([data[first.on :]], ["found"], first.on or 0)
    assert (5, None) == (len(second.hits), second.on)
    assert 6 * MOST_FOUND == second.hits[0].offset


def test_a_search_looks_at_so_many_lines_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.dashboard.log_text.MOST_LOOKED", 10)
    data = b"a line\n" * 30 + b"a line: gone\n"
    found, at = search([data], ["line", "gone"]), 0
    assert ([], 70) == (found.hits, found.on)
    while found.on is not None:
        at = found.on
        found = search([data[at:]], ["line", "gone"], at)
    assert ["a line: gone"] == [hit.line for hit in found.hits]


def test_a_line_without_end_is_shown_cut() -> None:
    found = search([b"x" * 1_000_000] * 3, ["xx"])
    assert {LONGEST} == {len(hit.line) for hit in found.hits}


@pytest.mark.parametrize("text", ["", "-1", "1e3", "\u0663", "9" * 40, "a"])
def test_an_offset_that_is_none_is_as_if_it_were_not_said(text: str) -> None:
    assert offset_of(text) is None


def ask(tmp_path: Path, path: str, data: bytes) -> tuple[int, str]:
    async def look() -> tuple[int, str]:
        async with world(tmp_path / "state", plan()) as here, browser(here) as client:
            opened = BootOpened(at=1.0, boot="b1", machine="node-01", macs=(mac(1),), mac=mac(1), plan="p", via="script")
            await here.ledger.commit((opened,))
            file = tmp_path / "state/logs/boot-b1/os/console.1.log"
            file.parent.mkdir(parents=True)
            file.write_bytes(data)
            answer = await client.get(path)
            return answer.status_code, answer.text

    return asyncio.run(look())


CONSOLE = "/view/boot-b1/os/console.1.log"


def test_the_page_of_a_log_says_whose_it_is_and_shows_text(tmp_path: Path) -> None:
    status, text = ask(tmp_path, CONSOLE, EVIL + b"\nlast line\n")
    assert 200 == status
    assert 'href="/machines/node-01"' in text
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert r"<script>alert(1)</script> red \xff\x00 \u202e" in unescape(text)
    assert "last line" in text
    assert 'data-every="2"' in text, "its boot is open, so it grows"


def test_a_search_in_a_log_leads_to_the_lines_found(tmp_path: Path) -> None:
    status, text = ask(tmp_path, f"{CONSOLE}?q=%3Cdisk", b"nothing\na <DISK> is gone\n")
    assert 200 == status
    assert '<a href="?from=8"><code>a &lt;DISK&gt; is gone</code></a>' in text
    assert 'value="&lt;disk"' in text


@pytest.mark.parametrize("query", ["from=999999", "from=x", "q=", "q=%00", "from=3&q=last"])
def test_an_odd_question_about_a_log_gets_a_page(tmp_path: Path, query: str) -> None:
    assert 200 == ask(tmp_path, f"{CONSOLE}?{query}", b"first\nlast")[0]


def test_an_empty_log_says_so_and_one_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert "It has printed nothing." in ask(tmp_path, CONSOLE, b"")[1]
    assert 404 == ask(tmp_path / "other", "/view/../../key", b"")[0]
