"""A rehearsal gone through: what is brought, asked and looked at, and what becomes of what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agent.images import NotHad
from agent.marking import read_block
from agent.messages import Attempt
from agent.rehearser import Rehearser
from agent.workflow import Action
from tests.agent.test_rehearsal import DISKS, LINK, action, work

pytestmark = pytest.mark.shell


class Images:
    """Has what is not called `gone`."""

    def __init__(self) -> None:
        self.logins: list[Mapping[str, str] | None] = []

    def get(self, action: Action, say: Any, login: Mapping[str, str] | None = None) -> str:
        self.logins.append(login)
        if "gone" in action.image:
            raise NotHad(f"{action.image} cannot be pulled: manifest unknown")
        return "sha256:1"


class Web(BaseHTTPRequestHandler):
    """`/there` has a size; `/only-get` knows no HEAD; `/busy` mends itself; the rest is 404."""

    asked: list[tuple[str, str, str]] = []  # noqa: RUF012 - each test begins with an empty one
    busy = 2

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        type(self).asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        status = {"/there": 200, "/only-get": 405 if self.command == "HEAD" else 206, "/busy": 200}.get(path, 404)
        if path == "/busy" and type(self).busy:
            type(self).busy -= 1
            status = 503
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", "bytes 0-0/3000000")
        self.send_header("Content-Length", "1" if status == 206 else "5000000" if status == 200 else "0")
        self.end_headers()
        if status == 206:
            self.wfile.write(b"x")

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def web() -> Iterator[str]:
    Web.asked, Web.busy = [], 2
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def gone_through(
    *actions: Action, images: Images | None = None, look: Any = lambda disk: (3, b"")
) -> dict[str, tuple[str, str]]:
    """Subject → state and what was said."""
    spoken: list[str] = []
    rehearser = Rehearser(
        images or Images(), lambda attempt: {"username": str(attempt), "password": "x"}, spoken.append,
        disks=lambda: DISKS, look=look, pause=lambda seconds: None,
    )  # fmt: skip
    findings = rehearser.go_through([work(*actions)])
    assert len(findings) == sum(": " in line and not line.startswith("rehearsal of") for line in spoken)
    return {each.subject: (each.state, each.said) for each in findings}


def test_all_that_the_work_needs_is_there() -> None:
    with web() as host:
        found = gone_through(action(environment={"IMG_URL": f"http://{host}/there", "DEST_DISK": LINK}))
        assert ("ok", "is there, 5.0 MB") == found[f"http://{host}/there"]
        assert ("ok", "is here as sha256:1") == found["image2disk:v3"]
        assert "note" == found["root"][0]
        assert "MiB are free" in found["memory"][1]
        assert ["HEAD"] == [method for method, _, _ in Web.asked]


@pytest.mark.parametrize(
    ("path", "state", "said", "asked"),
    [
        ("/only-get", "ok", "is there, 3.0 MB", ["HEAD", "GET"]),
        ("/busy", "ok", "is there, 5.0 MB", ["HEAD", "HEAD", "HEAD"]),
        ("/nope", "failed", "answers HTTP 404", ["HEAD"]),
    ],
)
def test_a_url_is_asked_as_often_as_helps(path: str, state: str, said: str, asked: list[str]) -> None:
    with web() as host:
        assert (state, said) == gone_through(action(command=("get", f"http://{host}{path}")))[f"http://{host}{path}"]
        assert asked == [method for method, _, _ in Web.asked]


def test_a_password_in_a_url_is_used_and_never_said() -> None:
    with web() as host:
        found = gone_through(action(environment={"URL": f"http://ann:p%40ss@{host}/there?sig=1"}))
        assert ("ok", "is there, 5.0 MB") == found[f"http://{host}/there?…"]
        assert [("HEAD", "/there?sig=1", "Basic YW5uOnBAc3M=")] == Web.asked


def test_a_server_that_is_not_there_is_told() -> None:
    state, said = gone_through(action(command=("get", "http://127.0.0.1:9/x")))["http://127.0.0.1:9/x"]
    assert ("failed", True) == (state, said.startswith("cannot be reached: ")), said


def test_an_image_that_is_not_there_is_told_and_the_others_are_brought_all_the_same() -> None:
    found = gone_through(action("gone:v1"), action("there:v1", "two"))
    assert ("failed", "gone:v1 cannot be pulled: manifest unknown") == found["gone:v1"]
    assert "ok" == found["there:v1"][0]


def test_a_registry_is_opened_with_the_login_of_the_action() -> None:
    images = Images()
    gone_through(action("a:1", "one"), action("b:1", "two", login="registry.example"), images=images)
    assert [None, {"username": str(Attempt("os", "two", 1)), "password": "x"}] == images.logins


def test_without_an_engine_images_are_noted() -> None:
    rehearser = Rehearser(None, lambda attempt: None, lambda line: None, disks=lambda: DISKS)
    (image, _) = rehearser.go_through([work(action("a:1"))])
    assert ("note", True) == (image.state, "no container engine" in image.said)


def test_a_disk_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    def broken(disk: str) -> tuple[int, bytes]:
        return 0, read_block(str(tmp_path / "gone"))

    assert ("failed", "/dev/vda cannot be read: No such file or directory") == gone_through(
        action(environment={"DISK": LINK}), look=broken
    )["root"]


def test_where_nothing_is_due_nothing_is_found() -> None:
    assert [] == Rehearser(None, lambda attempt: None, lambda line: None).go_through([])
