"""One exchange with a forge over real sockets: it ends, whatever the other side does."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing

import pytest

from reconciler.errors import Unavailable
from reconciler.forges import Request, ask, forge_of
from reconciler.web import MOST_BYTES, exchange
from tests.reconciler.forgestub import TOKEN, forge
from tests.reconciler.gitkit import free_port, silent_server

pytestmark = pytest.mark.shell


def user(url: str) -> Request:
    settings = forge_of("github", url, "lab/site", TOKEN)
    return ask(settings, "GET", f"{settings.api}/user")


def test_an_answer_of_any_status_is_an_answer() -> None:
    with forge("github") as stub:
        assert (200, b'{"id": 7, "login": "ada"}') == ((answer := exchange(user(stub.url))).status, answer.body)
        stub.trouble = lambda *_: (429, {"Retry-After": "7"}, {"message": "slow down"})
        answer = exchange(user(stub.url))
        assert (429, "7") == (answer.status, answer.headers["retry-after"])


def test_the_token_follows_no_redirect() -> None:
    with forge("github") as stub, forge("github") as elsewhere:
        stub.trouble = lambda *_: (302, {"Location": f"{elsewhere.url}/api/v3/user"}, {})
        assert 302 == exchange(user(stub.url)).status
        assert [] == elsewhere.asked


def test_a_forge_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"^http://127.0.0.1:\d+ does not answer \(.*refused.*\)\.$"):
        exchange(user(f"http://127.0.0.1:{free_port()}"))


def test_a_forge_that_accepts_and_is_silent_is_given_up() -> None:
    with silent_server() as port, pytest.raises(Unavailable, match="does not answer"):
        exchange(user(f"http://127.0.0.1:{port}"), silence=0.2)


def dripping(listener: socket.socket, stop: threading.Event) -> None:
    connection, _ = listener.accept()
    with closing(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not stop.wait(0.02):
            try:
                connection.sendall(b"x")
            except OSError:
                return


def test_a_forge_that_drips_is_given_up_too() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dripping, args=(listener, stop))
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"nothing within 1 seconds"):
            exchange(user(f"http://127.0.0.1:{listener.getsockname()[1]}"), silence=30, longest=1)
        assert time.monotonic() - began < 20
        stop.set()
        thread.join()


def test_an_endless_answer_is_given_up() -> None:
    with forge("github") as stub:
        stub.trouble = lambda *_: (200, {}, b" " * (MOST_BYTES + 1))
        with pytest.raises(Unavailable, match="more than 32 MiB"):
            exchange(user(stub.url))


def test_what_does_not_speak_http_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def garbage() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(65536)
                connection.sendall(b"220 smtp.lab.example\r\n\r\n")

        thread = threading.Thread(target=garbage)
        thread.start()
        with pytest.raises(Unavailable, match="does not answer"):
            exchange(user(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()
