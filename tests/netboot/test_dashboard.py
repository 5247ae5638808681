"""The dashboard's pages: what they say, to whom, and that nothing a machine says becomes more than text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.workflow import to_json
from netboot.dashboard.discovered import as_hardware
from netboot.dashboard.events import _stream
from netboot.dashboard.pages import Kept
from netboot.events import BootClosed, BootOpened, RunEnded, RunStarted
from netboot.feed import Feed
from netboot.http import application
from netboot.issue_kinds import CATALOGUE
from netboot.issues import Issue
from tests.netboot.site import LOOK, browser, mac, machine, plan, world
from tests.reconciler.inventories import read

HTML = {"Accept": "text/html,application/xhtml+xml"}
PAGES = ("/", "/?by=rack", "/machines/node-01", "/workflows", "/workflows/look", "/commits", "/discovered", "/system")
EVIL = "<script>alert(1)</script>\"'\x1b[31m"
STRANGER = "52:54:00:aa:aa:aa"


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **values: Any) -> None:
        asyncio.run(test(*args, **values))

    return run


async def page(tmp_path: Path, path: str, **settings: Any) -> tuple[int, str, dict[str, str]]:
    async with world(tmp_path / "state", plan(), **settings) as here:
        here.strangers.note(STRANGER, here.now(), EVIL, {"vendorClass": EVIL}, "10.1.0.200")
        async with browser(here) as client:
            answer = await client.get(path, headers=HTML)
            return answer.status_code, answer.text, dict(answer.headers)


@pytest.mark.parametrize("path", PAGES)
@awaited
async def test_every_page_is_whole_and_runs_nothing_but_our_own_script(tmp_path: Path, path: str) -> None:
    status, text, headers = await page(tmp_path, path)
    assert 200 == status
    assert headers["content-type"].startswith("text/html")
    policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
    assert ("'none'", "'self'", "'self'") == (policy["default-src"], policy["script-src"], policy["style-src"])
    assert ['<script src="/static/live.js" defer>'] == re.findall(r"<script[^>]*>", text)
    assert not re.search(r"\son[a-z]+=|style=|javascript:|https?://(?!10\.)", text)
    assert text.rstrip().endswith("</html>")


@awaited
async def test_what_a_machine_says_is_text(tmp_path: Path) -> None:
    _, text, _ = await page(tmp_path, "/discovered")
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert EVIL.replace("\x1b", r"\x1b") in unescape(text)


@awaited
async def test_however_many_strangers_ask_the_fleet_page_names_three_and_says_what_to_do(tmp_path: Path) -> None:
    async with world(tmp_path / "state", plan()) as here:
        for number in range(1000):
            here.strangers.note(f"52:54:00:aa:{number >> 8:02x}:{number & 255:02x}", here.now(), "DISCOVER")
        async with browser(here) as client:
            text = (await client.get("/", headers=HTML)).text
    assert 3 == len(re.findall(r"52:54:00:aa:\S+ asked for something and is not in git", text))
    assert "; and 997 more" in text
    assert CATALOGUE["unknown-machine"].remedy in text


@awaited
async def test_who_does_not_ask_for_a_page_is_told_in_text_what_there_is(tmp_path: Path) -> None:
    async with world(tmp_path / "state", plan()) as here, browser(here) as client:
        answer = await client.get("/")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "/status/issues.json" in answer.text


@pytest.mark.parametrize("path", PAGES)
@awaited
async def test_nobody_reads_a_page_without_a_token(tmp_path: Path, path: str) -> None:
    status, _, headers = await page(tmp_path, path, open_status=False)
    assert (401, True) == (status, "basic" in headers["www-authenticate"].lower())


@awaited
async def test_the_fleet_finds_filters_and_says_so(tmp_path: Path) -> None:
    _, text, _ = await page(tmp_path, "/?q=node-02")
    assert "1 found" in text
    assert 'href="/machines/node-02"' in text
    assert 'href="/machines/node-01"' not in text
    _, none, _ = await page(tmp_path, "/?q=nobody")
    assert "No machine is like that." in none


@pytest.mark.parametrize("path", ["/machines/node-09", "/workflows/nope", "/static/../http.py", "/static/nope.css"])
@awaited
async def test_what_does_not_exist_is_not_found(tmp_path: Path, path: str) -> None:
    assert 404 == (await page(tmp_path, path))[0]


@awaited
async def test_before_the_first_plan_the_fleet_is_empty_and_a_machine_unavailable(tmp_path: Path) -> None:
    async with world(tmp_path / "state") as here, browser(here) as client:
        assert 200 == (await client.get("/", headers=HTML)).status_code
        assert 503 == (await client.get("/machines/node-01", headers=HTML)).status_code


@pytest.mark.parametrize("client", [{}, {"arch": "11"}, {"arch": EVIL, "vendorClass": EVIL}])
def test_what_is_offered_to_add_a_machine_can_be_served(client: dict[str, str]) -> None:
    document = as_hardware({"mac": STRANGER, "client": client})
    site = "apiVersion: gitboot/v1\nkind: Site\nmetadata: {name: s}\nspec:\n  subnets:\n"
    site += "  - {name: a, cidr: 10.1.0.0/16, range: [10.1.200.1, 10.1.200.9]}\n"
    inventory = read({"site.yaml": site, "new.yaml": document})
    assert {STRANGER} == {port.mac for port in inventory.hardware["node-aaaaaa"].interfaces}


@awaited
async def test_a_listener_is_told_of_each_change_once_and_goes_on_where_it_was() -> None:
    feed = Feed("e")
    stream = _stream(feed, 0, 60.0, 0.0)
    assert "id: e-0" in await anext(stream)
    feed.add(["hardware/node-01.json"])
    assert 'event: changed\ndata: ["hardware/node-01.json"]' in await anext(stream)
    waits = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waits.done()
    feed.add(["a", "b"])
    assert '["a", "b"]' in await waits
    assert 1 == feed.listeners
    await stream.aclose()
    assert 0 == feed.listeners
    again = _stream(feed, 2, 60.0)
    await anext(again)
    assert 'data: ["b"]' in await anext(again)
    await again.aclose()


@awaited
async def test_what_changes_soon_after_something_was_said_is_gathered() -> None:
    """Here for ever: but for a pause, nothing keeps the second change from being said."""
    feed = Feed("e")
    stream = _stream(feed, 0, 60.0, 3600.0)
    await anext(stream)
    feed.add(["a"])
    assert '["a"]' in await anext(stream)
    feed.add(["b"])
    waits = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waits.done()
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)


@awaited
async def test_a_listener_that_hears_nothing_is_told_that_somebody_is_there() -> None:
    stream = _stream(Feed("e"), 0, 0.0)
    await anext(stream)
    assert ": still here\n\n" == await anext(stream)
    await stream.aclose()


@awaited
async def test_a_page_of_one_machine_looks_at_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fetched again with every change, by everybody who looks."""
    looked = list[str]()

    def look(plans: Any, machine: Any, *_: Any) -> list[Issue]:
        looked.append(machine.name)
        return [Issue("boot-loop", 0.0, "it came back 3 times in a row", machine.name)]

    monkeypatch.setattr("netboot.issue_document.of_machine", look)
    status, text, _ = await page(tmp_path, "/machines/node-02")
    assert (200, ["node-02"]) == (status, looked)
    assert "it came back 3 times in a row" in text


@awaited
async def test_a_machine_shows_what_it_would_be_told_now_with_its_token_masked(tmp_path: Path) -> None:
    _, text, _ = await page(tmp_path, "/machines/node-01")
    assert "its firmware: OFFER 10.1.0.1" in text
    assert "gitboot.token=****" in text
    assert not re.search("[0-9a-f]{64}(?![^<]*artifacts)", unescape(text).split("gitboot.token=")[1][:80])


@awaited
async def test_a_page_can_be_read_through_the_servers_own_socket(tmp_path: Path) -> None:
    """Where no address of ours was asked, and the site names none."""
    async with world(tmp_path / "state", plan(server="")) as here:
        transport = httpx.ASGITransport(named(application(here)), client=("", 0))
        async with httpx.AsyncClient(transport=transport, base_url="http://gitboot") as client:
            answer = await client.get("/machines/node-01", headers=HTML)
    assert 200 == answer.status_code
    assert "called 127.0.0.1" in answer.text


def named(app: ASGIApp) -> ASGIApp:
    async def at_a_socket(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "server": ("/state/http.sock", None)}, receive, send)

    return at_a_socket


@awaited
async def test_the_page_of_all_workflows_renders_no_whole_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netboot.status_view.workflow_document", None)
    for path in ("/workflows", "/workflows/look"):
        status, text, _ = await page(tmp_path / path.replace("/", "-"), path)
        assert 200 == status
        assert "PENDING" in text


@awaited
async def test_a_workflow_that_failed_somewhere_says_which_change_in_git_begins_it_again(tmp_path: Path) -> None:
    who: dict[str, Any] = {"boot": "b1", "machine": "node-01", "macs": (mac(1),), "plan": plan().plan.id}
    opened = BootOpened(at=1.0, mac=mac(1), via="script", **who)
    began = RunStarted(at=1.0, run="r1", workflow="look", number=1, system="s", document=to_json(LOOK), **who)
    async with world(tmp_path / "state", plan()) as here, browser(here) as client:
        await here.ledger.commit((opened, began))
        assert "run: 2" not in (await client.get("/workflows/look", headers=HTML)).text
        await here.ledger.commit((RunEnded(at=2.0, run="r1", state="FAILED", reason="no disk"),))
        text = (await client.get("/workflows/look", headers=HTML)).text
        assert "write <code>run: 2</code> in the Workflow document <code>look</code>" in text


@awaited
async def test_a_workflow_shows_a_page_of_its_machines(tmp_path: Path) -> None:
    served = plan(*(machine(number, "look") for number in range(1, 71)))
    async with world(tmp_path / "state", served) as here, browser(here) as client:
        first = (await client.get("/workflows/look")).text
        second = (await client.get("/workflows/look?page=2&state=PENDING")).text
        found = (await client.get("/workflows?q=LOO")).text
        none = (await client.get("/workflows?q=%3Cb%3E")).text
    assert "70 machines" in first
    assert (50, 20) == (first.count('href="/machines/'), second.count('href="/machines/'))
    assert 'href="/workflows/look?state=PENDING">70 PENDING' in found
    assert "No workflow is called so." in none
    assert "<b>" not in none


def test_what_is_dear_is_kept_in_proportion_and_no_more_of_it_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, made = [100.0], list[str]()
    monkeypatch.setattr("netboot.dashboard.pages.time", SimpleNamespace(monotonic=lambda: clock[0]))
    kept = Kept[str](most=2)

    def make(key: str) -> Generator[None, None, str]:
        made.append(key)
        yield
        clock[0] += 1.0
        return key

    def ask(key: str) -> None:
        assert key == asyncio.run(kept.get(key, lambda: make(key)))

    ask("a")
    clock[0] += 19.0
    ask("a")
    assert ["a"] == made
    clock[0] += 2.0
    ask("a")
    ask("b")
    ask("c")
    ask("a")
    assert ["a", "a", "b", "c", "a"] == made


@awaited
async def test_a_machine_tells_each_of_its_last_boots_with_what_was_said_in_it(tmp_path: Path) -> None:
    async with world(tmp_path / "state", plan()) as here, browser(here, "10.1.0.1") as client:
        for _ in range(2):
            await client.get("/ipxe/52-54-00-12-34-01/boot.ipxe")
            boot = here.observed.open_boot_of("node-01")
            assert boot is not None
            console = tmp_path / f"state/logs/boot-{boot.id}/os/console.1.log"
            console.parent.mkdir(parents=True)
            console.write_text(EVIL)
            await here.ledger.commit((BootClosed(at=here.now(), boot=boot.id, reason=f"it was turned off {EVIL}"),))
        first, last = (path.name.removeprefix("boot-") for path in sorted((tmp_path / "state/logs").iterdir(), key=str))
        page = (await client.get("/machines/node-01")).text
        one, other = [(await client.get(f"/machines/node-01?boot={each}")).text for each in (first, last)]
    assert 2 == page.count(">console</a>") - 1, "of each boot in the history, and of the one that is shown"
    assert "boot script ipxe/52-54-00-12-34-01/boot.ipxe" in page
    assert 1 == (one + other).count("This is an earlier one")
    assert "<script>alert" not in page
    assert "\x1b" not in page


@awaited
async def test_a_boot_that_never_was_is_as_if_it_were_not_asked_for(tmp_path: Path) -> None:
    assert 200 == (await page(tmp_path, "/machines/node-01?boot=%3Cb%3E"))[0]
