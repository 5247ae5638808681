"""The dashboard in Debian's Chromium, on a live server: seen, read aloud, without a script, on a phone, with 10,000 machines.

Screenshots of every page are left in `.cache/screenshots`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from netboot.plan import Dump, Interface, Machine
from netboot.reconcile_document import Reconciliation
from tests.netboot import fleet_example
from tests.netboot.live_machine import Agent
from tests.netboot.live_server import Live
from tests.netboot.reviews import HEAD, SERVED, Told, answers
from tests.netboot.site import machine, plan

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
PAGES = {
    "fleet": "/",
    "map": "/?by=rack",
    "machine": "/machines/node-01",
    "failed": "/machines/node-03",
    "installed": "/machines/node-04",
    "unseen": "/machines/node-11",
    "log": "/view/01bead/os/write-image.1.log",
    "found": "/view/01bead/os/write-image.1.log?q=1%20%25",
    "workflows": "/workflows",
    "workflow": "/workflows/install",
    "apart": "/workflows/install?axis=own",
    "commits": "/commits?base=main~1&head=main",
    "why": "/machines/node-01/why",
    "history": "/machines/node-01/history",
    "discovered": "/discovered",
    "system": "/system",
}
SCREENSHOTS = Path(__file__).parents[2] / ".cache/screenshots"
MANY = 10_000
HEARS = """() => {
  looking = true;
  return ["hardware/other.json", "hardware/node-01.json"].map((path) => {
    due = false;
    source.dispatchEvent(new MessageEvent("changed", { data: JSON.stringify([path]) }));
    return due;
  });
}"""
"""Whether live.js would look again, on the page of node-01, for another machine and for this one."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Agent]]:
    """A machine whose agent is at work on its first action, one without work, and one that nobody knows."""
    here = machine(1, "look", labels={"rack": "r1"})
    first = replace(here, interfaces=(replace(here.interfaces[0], address="127.0.0.1"),))
    with Live(tmp_path_factory.mktemp("site"), plan(first, machine(2, labels={"rack": "r2"}))) as server:
        agent = Agent.of(server)
        agent.begin()
        server.world.strangers.note("52:54:00:aa:aa:aa", server.world.now(), "boot script", {"arch": "7"}, "10.1.0.200")
        yield agent.base, agent


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it is: a site at work, for pictures."""
    live = Live(tmp_path_factory.mktemp("busy"), fleet_example.served())
    with live as server:
        world = server.world
        world.strangers.note("52:54:00:aa:aa:aa", world.now(), "boot script", {"arch": "7"}, "10.1.0.200")
        world.reviewer = Told(lambda question: answers("Another gateway for rack1")[question.kind])
        problem = {
            "file": "site.yaml",
            "line": 2,
            "column": 3,
            "code": "unknown-field",
            "severity": "error",
            "message": "No such.",
        }
        world.git.latest = Reconciliation("/srv/site", "main", head=HEAD, revision=SERVED, problems=(problem,))
        assert world.plans is not None
        live.wait(world.ledger.commit(fleet_example.journal(world.plans.current, world.now())))
        log = world.settings.state / "logs/01bead/os/write-image.1.log"
        log.parent.mkdir(parents=True)
        log.write_bytes(fleet_example.LOG)
        yield f"http://127.0.0.1:{server.http_port}"


def opened(browser: Browser, base: str, path: str, **how: object) -> Page:
    """Whatever a browser complains of fails the test."""
    context = browser.new_context(**how)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("console", complain)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"{base}{path}")
    return page


def complain(message: ConsoleMessage) -> None:
    assert message.type not in ("error", "warning"), message.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody(browser: Browser, busy: str, scheme: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page = opened(browser, busy, "/", color_scheme=scheme, viewport={"width": 1200, "height": 800})
    for name, path in PAGES.items():
        page.goto(f"{busy}{path}")
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)
        assert [] == [each["id"] for each in Axe().run(page).response["violations"]], path
        left = page.evaluate("document.querySelector('h1').getBoundingClientRect().left")
        assert left >= 8, f"{path} has no margin"
    page.context.close()


def test_a_phone_shows_every_page_in_its_own_width(browser: Browser, busy: str) -> None:
    page = opened(browser, busy, "/", viewport={"width": 360, "height": 740}, has_touch=True)
    for name, path in PAGES.items():
        page.goto(f"{busy}{path}")
        page.screenshot(path=SCREENSHOTS / f"{name}-phone.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    page.context.close()


def test_without_a_script_everything_is_there_and_links_lead_on(browser: Browser, site: tuple[str, Agent]) -> None:
    page = opened(browser, site[0], "/", java_script_enabled=False)
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_role("searchbox").fill("rack=r2")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="node-02").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("node-02")
    page.get_by_role("link", name="Fleet").click()
    page.get_by_role("link", name="node-01").first.click()
    page.get_by_role("link", name="log", exact=True).click()
    expect(page.locator("body")).to_contain_text("hello")
    page.context.close()


def test_the_keyboard_goes_everywhere(browser: Browser, site: tuple[str, Agent]) -> None:
    page = opened(browser, site[0], "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("node-02")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    page.context.close()


def test_a_page_shows_what_happens_without_being_loaded_again(browser: Browser, tmp_path: Path) -> None:
    with Live(tmp_path) as server:
        page = opened(browser, f"http://127.0.0.1:{server.http_port}", "/machines/node-01")
        expect(page.get_by_role("status")).to_have_text("live")
        page.evaluate("window.stayed = true")
        expect(page.locator("main")).to_contain_text("It has never been seen.")
        agent = Agent.of(server)
        agent.begin()
        expect(page.locator("main")).to_contain_text("RUNNING")
        assert page.evaluate("window.stayed")
        assert [False, True] == page.evaluate(HEARS), "what it does not show is not asked for"
        page.context.close()


def test_a_log_grows_on_its_page_and_can_be_searched(browser: Browser, site: tuple[str, Agent]) -> None:
    page = opened(browser, site[0], f"/view/{site[1].run}/look/first.1.log")
    expect(page.locator("pre")).to_contain_text("hello")
    site[1].print(b"<b>error</b>: \x1b[31mno disk\x1b[0m\n")
    expect(page.locator("pre")).to_contain_text("<b>error</b>: no disk")
    page.get_by_role("searchbox").fill("ERROR")
    page.keyboard.press("Enter")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("listitem").get_by_role("link").click()
    expect(page.locator("pre")).not_to_contain_text("hello")
    page.context.close()


def fleet() -> Dump:
    def one(number: int) -> Machine:
        tail = f"{number >> 8:02x}:{number & 255:02x}"
        port = Interface(f"52:54:00:00:{tail}", f"10.1.{number >> 8}.{number & 255}", f"node-{number:05}", "rack1", b"")
        return Machine(f"node-{number:05}", "x86_64", (port,), labels={"rack": f"r{number % 250:03}"})

    return plan(*map(one, range(1, MANY + 1)))


def test_ten_thousand_machines_are_there_at_once(browser: Browser, tmp_path: Path) -> None:
    """How fast is in docs/benchmarks.md: here only that a page is a page and not ten thousand rows."""
    with Live(tmp_path, fleet()) as server:
        base = f"http://127.0.0.1:{server.http_port}"
        page = opened(browser, base, "/", viewport={"width": 1200, "height": 800})
        expect(page.get_by_role("heading", level=1)).to_contain_text(f"{MANY} machines")
        expect(page.locator("tbody tr")).to_have_count(100)
        page.screenshot(path=SCREENSHOTS / "ten-thousand.png")
        page.get_by_role("searchbox").fill("rack=r042 node-0")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("caption")).to_have_text("40 found")
        page.goto(f"{base}/?page=100")
        expect(page.locator("tbody tr").last).to_contain_text("node-10000")
        page.context.close()
