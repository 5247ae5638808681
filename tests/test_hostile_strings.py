"""Whatever a machine calls itself, or somebody writes into git, no page and no terminal obeys it.

One running site is told hostile texts wherever it takes texts from others; then everything is looked at that people look at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from tests.live_site import LiveSite, Node
from tests.reconciler.forgestub import forge
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import gitboot

pytestmark = pytest.mark.shell

MARKUP = "'\"></title></script><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}&lt;b&gt;"
TERMINAL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202eesrever\u2066"
EVIL = MARKUP + TERMINAL
HTML_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a page or a terminal may be bent with."""
STRANGER = "52:54:00:aa:aa:aa"
NEIGHBOUR = {"name": EVIL[:100], "port": EVIL[-90:], "description": EVIL[:100]}
INVENTORY = {
    "cpu": {"model": EVIL},
    "firmware": {"vendor": EVIL, "version": EVIL},
    "tpm": EVIL[:100],
    "system": {"vendor": EVIL[:100], "product": EVIL[-90:], "serial": EVIL[:100]},
    "disks": [{"path": EVIL[:90], "serial": EVIL[:100], "model": EVIL[-90:], "size": 1}],
    "interfaces": [{"name": EVIL[:90], "mac": EVIL[:100], "driver": EVIL[-90:], "link": True, "neighbour": NEIGHBOUR}],
}


class Seen(HTMLParser):
    """The elements of a page with their attributes' names, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.handlers: set[str] = set()
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.handlers |= {name for name, value in attrs if name.startswith("on") or (value or "").startswith("javascript:")}
        self.sources += [str(value) for name, value in attrs if name in ("src", "srcdoc")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A site that was told them."""
    with pytest.MonkeyPatch.context() as patch, forge("gitea") as hub:
        folder = tmp_path_factory.mktemp("hostile")
        with LiveSite(folder, patch, hub) as site:
            of_git(site)
            of_a_stranger(site)
            of_a_machine(site, Node(site))
            yield site


def of_git(site: LiveSite) -> None:
    """A commit that is served, by somebody whose name, subject and values are what they are, and one that is refused."""
    subject = MARKUP + TERMINAL.replace("\r", "")
    site.work.write("profile.yaml", SOUND["profile.yaml"].replace("inspect/vmlinuz}", 'inspect/vmlinuz, cmdline: "a=<b>&"}'))
    site.work.git("commit", "-q", "-a", "-m", subject, "--author", f"{TERMINAL}'\"&lt; <a@b>")
    head = site.work.git("rev-parse", "HEAD")
    site.until(lambda: site.word["revision"] == head, "it is served")
    site.work.write("wrong.yaml", f"apiVersion: gitboot/v1\nkind: {json.dumps(EVIL)}\nmetadata: {{name: {json.dumps(EVIL)}}}\n")
    head = site.work.commit()
    site.until(lambda: site.word["head"] == head and site.word["problems"], "it is rejected")


def of_a_stranger(site: LiveSite) -> None:
    Node(site, STRANGER, "10.1.0.99").says_unanswered(options=OPTIONS)
    httpx.get(f"{site.url}/ipxe/52-54-00-aa-aa-aa/boot.ipxe", headers={"User-Agent": MARKUP, "X-Forwarded-For": "10.1.0.99"})
    httpx.get(f"{site.url}/ipxe/{MARKUP}", headers={"X-Forwarded-For": "10.1.0.99"})


OPTIONS = {12: EVIL.encode()[:255], 60: b"PXEClient" + EVIL.encode()[:200], 77: EVIL.encode()[:255], 93: b"\0\0"}


def of_a_machine(site: LiveSite, node: Node) -> None:
    node.gets_address()
    node.gets_address("ipxe")
    node.script()
    node.claims()
    node.says("inventory", system="os-1", hardware=INVENTORY)
    node.reports(type="action-started", task="look", action="look", attempt=1)
    for path, asked in (("log", {"run": node.run, "task": "look", "action": "look", "attempt": "1"}), ("console", {})):
        sent = node.sends(path, EVIL.encode() + b"\xff\xfe\n" + EVIL.encode(), offset="0", **asked)
        assert 200 == sent.status_code, sent.text
    node.ends("FAILED", EVIL)


PAGES = ("/", f"/?q={MARKUP}", "/machines/node-01", "/machines/node-01/why", "/machines/node-01/history", "/workflows",
         "/workflows/look-at-01", "/commits", "/commits?base=HEAD~1&head=HEAD", f"/commits?base={MARKUP}&head=HEAD",
         "/discovered", "/system", f"/machines/{MARKUP}")  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_more_than_what_it_is_without(told: LiveSite, page: str) -> None:
    text = awaited(told, page)
    seen = Seen(text)
    assert not seen.handlers
    assert "img" not in seen.elements
    assert all(source.startswith("/static/") for source in seen.sources)
    assert not HTML_CONTROLS.search(text), repr(HTML_CONTROLS.findall(text))


def awaited(site: LiveSite, page: str) -> str:
    """A page with what is worked out for it."""
    answers: list[httpx.Response] = []

    def whole() -> bool:
        answers[:] = [httpx.get(f"{site.url}{page}", headers={"Accept": "text/html"}, timeout=20)]
        return "refresh" not in answers[0].headers

    site.until(whole, f"{page} is worked out")
    (answer,) = answers
    return answer.text if answer.headers["content-type"].startswith("text/html") else ""


def test_the_texts_were_there_to_be_shown(told: LiveSite) -> None:
    """Else the tests here would prove nothing."""
    for page in ("/machines/node-01", "/commits", "/machines/node-01/history", "/discovered"):
        assert "onerror=alert" in awaited(told, page), page
    for words in ("status node-01", "issues", "events", "logs node-01", "logs node-01 --console"):
        assert "onerror=alert" in told.cli(*words.split()).output, words


def test_logs_are_text_that_no_browser_takes_for_anything_else(told: LiveSite) -> None:
    machine = told.get("/status/hardware/node-01.json").json()
    for path in (machine["run"]["tasks"][0]["actions"][0]["attempts"][0]["log"], machine["boot"]["console"]):
        raw = told.get(path)
        assert ("text/plain; charset=utf-8", "nosniff") == (raw.headers["content-type"], raw.headers["x-content-type-options"])
        view = Seen(told.page(path.replace("/logs/", "/view/")))
        assert not view.handlers
        assert "img" not in view.elements


COMMANDS = (
    *("status", "status node-01", "status -o wide", "status -o json", "status -o yaml", "issues", "issues -o json", "events"),
    *("events -o json", "issues -l x=y", "wait -l x=y"),
    *("events node-01", "logs node-01", "logs look-at-01", "logs node-01 --console", "wait node-01", "plan HEAD~1..HEAD"),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_tells_a_terminal_what_to_do(told: LiveSite, words: str) -> None:
    more = ["--repo", str(told.work.path)] if words.startswith("plan") else []
    said = told.cli(*words.split(), *more)
    assert not obeyed(said.output + said.stderr + str(said.exception or "")), obeyed(said.output)


def test_nor_does_what_happens_while_it_is_followed(told: LiveSite, monkeypatch: pytest.MonkeyPatch) -> None:
    news = [None, frozenset({"hardware/node-01.json"})]
    monkeypatch.setattr("reconciler.commands.events.changes", lambda *_: iter(news))
    said = told.cli("events", "-f", "-n", "100")
    assert "onerror=alert" in said.output
    assert not obeyed(said.output), obeyed(said.output)


@pytest.mark.parametrize(
    ("words", "shown"),
    [("replay", "node-01"), ("replay node-01", "node-01"),
     ("bisect --boot node-01 --good HEAD~2 --bad HEAD~1", "onerror=alert")],
)  # fmt: skip
def test_nor_does_one_that_reads_recordings(told: LiveSite, words: str, shown: str) -> None:
    git = ("--repo", told.work.path) if words.startswith("bisect") else ()
    done = gitboot(*words.split(), "--state", told.state, *git)
    assert shown in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not obeyed(done.stdout + done.stderr), obeyed(done.stdout + done.stderr)


@pytest.mark.parametrize("words", ["check", "history node-01", "why node-01", "render node-01", "simulate node-01"])
def test_nor_does_one_that_reads_git(told: LiveSite, words: str) -> None:
    name, *machine = words.split()
    done = gitboot(name, *machine, *(("--repo", told.work.path, "--at", "HEAD~1") if machine else (told.work.path,)))
    assert "Traceback" not in done.stderr
    assert not obeyed(done.stdout + done.stderr), obeyed(done.stdout + done.stderr)


def obeyed(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.replace("\t", "").isprintable()]


def test_figures_stay_figures(told: LiveSite) -> None:
    for line in told.get("/metrics").text.splitlines():
        assert re.fullmatch(r'#.*|[a-z_]+(\{([a-z_]+="[^"<>\\]*",?)*\})? [-+.0-9a-zA-Z]+', line), line
