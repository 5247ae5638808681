"""Reading a file over HTTP from servers and connections that do not keep their word."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from agent.actions.download import Denied, Download, fetch_text
from agent.actions.settings import Failed
from tests.agent.actions.badweb import Answer, Request, Web, file, serving

pytestmark = pytest.mark.shell

CONTENT = random.Random(1).randbytes(3_000_000)


def download(web: Web, patience: float = 5.0) -> Download:
    return Download(f"{web.url}/image", patience=patience, pause=lambda _: None)


def test_a_file_comes_whole_with_its_size() -> None:
    with serving(CONTENT) as web:
        found = download(web)
        assert CONTENT == b"".join(found)
        assert len(CONTENT) == found.size
    assert 1 == len(web.requests)


def test_a_connection_that_breaks_at_any_point_is_taken_up_where_it_broke() -> None:
    chance = random.Random(2)

    def answer(request: Request, number: int) -> Answer:
        found = file(CONTENT, request)
        found.cut = chance.randrange(0, 400_000) if number < 12 else None
        return found

    with Web(answer) as web:
        assert CONTENT == b"".join(download(web, patience=1000))
        assert 12 == len(web.requests)
        assert all(request.headers["Range"] for request in web.requests[1:])


def test_a_server_without_ranges_sends_it_again_and_what_is_known_is_skipped() -> None:
    with Web(lambda request, number: Answer(CONTENT, cut=1_000_000 if number < 3 else None)) as web:
        assert CONTENT == b"".join(download(web))
        assert 3 == len(web.requests)


def test_a_file_that_changes_meanwhile_is_not_put_together_of_two() -> None:
    def answer(request: Request, number: int) -> Answer:
        found = file(CONTENT, request, '"one"' if number == 1 else '"two"')
        found.cut = 1000 if number == 1 else None
        return found

    with Web(answer) as web, pytest.raises(Failed, match="has changed while it was read: begin again"):
        b"".join(download(web))


def test_a_length_that_is_too_great_ends_in_a_sentence_and_not_in_a_short_file() -> None:
    with (
        Web(lambda request, number: Answer(status=416) if request.headers["Range"] else Answer(b"short", length=1000)) as web,
        pytest.raises(Failed, match=r"/image has 5 bytes, and said that it had 1000$"),
    ):
        b"".join(download(web))
    with (
        Web(lambda request, number: Answer(b"short", length=1000)) as web,
        pytest.raises(Failed, match=r"cannot be read: the connection ended after 5 of 1000 bytes$"),
    ):
        b"".join(download(web))


def test_a_length_that_is_too_small_is_all_that_is_read() -> None:
    with Web(lambda request, number: Answer(b"longer", length=3)) as web:
        assert b"lon" == b"".join(download(web))


def test_a_server_that_gives_no_length_is_read_to_its_end() -> None:
    with Web(lambda request, number: Answer(CONTENT, length=None)) as web:
        found = download(web)
        assert CONTENT == b"".join(found)
        assert found.size is None


def test_a_server_in_trouble_is_asked_again() -> None:
    said: list[str] = []
    with Web(lambda request, number: Answer(status=503) if number < 3 else file(b"x", request)) as web:
        assert b"x" == b"".join(Download(f"{web.url}/a", say=said.append, pause=lambda _: None))
    assert [f"{web.url}/a answers HTTP 503 Service Unavailable; trying again in {pause} s" for pause in ("0.5", "1")] == said


def test_an_answer_that_is_final_is_not_asked_for_again() -> None:
    with Web(lambda request, number: Answer(status=404)) as web:
        with pytest.raises(Failed, match="answers HTTP 404 Not Found"):
            b"".join(download(web))
        assert 1 == len(web.requests)
    with Web(lambda request, number: Answer(status=401, headers={"WWW-Authenticate": "Basic"})) as web:
        with pytest.raises(Denied) as denied:
            b"".join(download(web))
        assert "Basic" == denied.value.challenge


def test_without_patience_the_first_trouble_is_the_end() -> None:
    with Web(lambda request, number: Answer(status=503)) as web:
        with pytest.raises(Failed, match=r"cannot be read: .* answers HTTP 503"):
            b"".join(download(web, patience=0))
        assert 1 == len(web.requests)


def test_nobody_there_and_no_url_are_sentences() -> None:
    with serving(b"") as web:
        url = web.url
    with pytest.raises(Failed, match="does not answer"):
        b"".join(Download(url, patience=0))
    for wrong in ("file:///etc/passwd", "image.raw", "http:///x", "http://[", "ftp://a/b"):
        with pytest.raises(Failed, match="is not a URL"):
            b"".join(Download(wrong))


def test_a_server_that_sends_us_nowhere_or_counts_beyond_all_numbers_is_a_sentence() -> None:
    with Web(lambda request, number: Answer(status=302, headers={"Location": "http://[::1/x"})) as web:
        with pytest.raises(Failed, match="leads to what is no URL"):
            b"".join(download(web))
        assert 1 == len(web.requests)
    endless = {"Content-Range": f"bytes {'9' * 5000}-1/{'9' * 5000}"}
    with Web(lambda request, number: Answer(b"x", status=206, headers=endless)) as web:
        assert b"x" == b"".join(download(web))


def test_a_redirect_leads_to_http_and_nowhere_else() -> None:
    with Web(lambda request, number: Answer(status=302, headers={"Location": "ftp://127.0.0.1/x"})) as web:
        with pytest.raises(Failed, match="unknown url type: ftp"):
            b"".join(download(web, patience=0))
        assert 1 == len(web.requests)


def test_a_redirect_is_followed_and_takes_no_credentials_along() -> None:
    with serving(b"x") as other:

        def answer(request: Request, number: int) -> Answer:
            return Answer(status=307, headers={"Location": f"{other.url}/there"})

        with Web(answer) as web:
            assert b"x" == b"".join(Download(f"{web.url}/a", {"Authorization": "Bearer secret"}))
            assert "Bearer secret" == web.requests[0].headers["Authorization"]
    assert other.requests[0].headers["Authorization"] is None


def test_a_link_that_moves_on_however_little_is_not_given_up() -> None:
    with Web(lambda request, number: replace(file(CONTENT[:200_000], request), cut=1000)) as web:
        assert CONTENT[:200_000] == b"".join(download(web, patience=2.0))
        assert 200 == len(web.requests)


def test_a_file_that_is_not_there_in_time_is_given_up_though_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 61))
    monkeypatch.setattr("agent.actions.download.time.monotonic", lambda: next(clock))
    with serving(CONTENT) as web, pytest.raises(Failed, match=r"/image was not there in 1 minutes; \d+ bytes were$"):
        b"".join(Download(f"{web.url}/image", minutes=1))


@contextmanager
def dripping(begun: bytes) -> Iterator[str]:
    """A server that sends the beginning of a long answer, keeps the connection and says no more; its URL."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + begun)
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/image"
        finally:
            over.set()
            thread.join()


def test_time_is_kept_however_slowly_a_megabyte_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr("agent.actions.download.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("agent.actions.download.SILENCE", 0.05)
    with dripping(b"slow") as url, pytest.raises(Failed, match=r"/image was not there in 1 minutes; 0 bytes were$"):
        b"".join(Download(url, minutes=1, pause=lambda _: None))


def test_a_server_that_keeps_its_connection_is_not_waited_for_after_the_last_byte() -> None:
    with dripping(bytes(3_000_000)) as url:
        assert bytes(3_000_000) == b"".join(Download(url, pause=lambda _: None))


def test_a_small_file_is_read_whole_and_a_long_one_is_none() -> None:
    with serving(b"text") as web:
        assert "text" == fetch_text(download(web), limit=4)
        with pytest.raises(Failed, match="/image is longer than 3 bytes"):
            fetch_text(download(web), limit=3)
