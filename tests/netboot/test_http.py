"""HTTP: what machines and people are told, route by route, without a socket."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.types import Message

import schemas
from netboot.boot import Plans
from netboot.events import BootOpened
from netboot.http import application
from netboot.markers import freeze
from netboot.plan import Dump
from netboot.reconcile_document import Reconciliation
from netboot.reconciliation import write_reconciliation
from netboot.request_limits import RequestLimits
from netboot.store import Unavailable
from netboot.world import World
from tests.netboot.site import browser, logged, mac, plan, world

BIG = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(BIG).hexdigest()
SCRIPT = "/ipxe/52-54-00-12-34-01/boot.ipxe"
FOLDER = Path("art")

Visit = Callable[[World, httpx.AsyncClient], Awaitable[None]]


def visit(tmp_path: Path, story: Visit, served: Dump | None = None, peer: str = "10.1.0.1", **settings: Any) -> None:
    """A world with an artefact folder, a served plan (None of it with `served=None` and `empty=True`), and a visitor."""
    folder = tmp_path / "art"
    folder.mkdir(exist_ok=True)
    (folder / "vmlinuz").write_bytes(BIG)
    empty = settings.pop("empty", False)
    shown = None if empty else served or plan(artifacts={"vmlinuz": DIGEST})

    async def run() -> None:
        async with world(tmp_path / "state", shown, artifacts=folder, **settings) as here, browser(here, peer) as client:
            await story(here, client)

    asyncio.run(run())


# Scripts


@pytest.mark.parametrize(
    "path", [SCRIPT, "/ipxe/52:54:00:12:34:01/boot.ipxe", SCRIPT.upper().replace("IPXE", "ipxe")[:23] + "/boot.ipxe"]
)
def test_a_machine_gets_its_script_once_its_boot_is_in_the_journal(tmp_path: Path, path: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get(path)
        assert (200, "no-store") == (answer.status_code, answer.headers["cache-control"])
        assert answer.text.startswith("#!ipxe\necho gitboot: node-01 (52:54:00:12:34:01)")
        assert f"http://10.1.0.1/artifacts/sha256/{DIGEST}/vmlinuz" in answer.text
        (opened,) = [event for _, event in here.directory.read() if isinstance(event, BootOpened)]
        assert opened.boot in answer.text
        assert here.counts["script", "ok"] == 1

    visit(tmp_path, story)


def test_any_ipxe_is_known_by_its_address_and_told_urls_that_lead_back(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get("/auto.ipxe")
        assert "node-01" in answer.text
        assert f"kernel --name vmlinuz http://10.1.0.1/artifacts/sha256/{DIGEST}/vmlinuz" in answer.text

    visit(tmp_path, story, plan(artifacts={"vmlinuz": DIGEST}, server=""))


def test_an_ipxe_with_an_unknown_address_is_told_to_try_its_interfaces(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert "http://10.1.0.1/ipxe/${net${idx}/mac:hexhyp}/boot.ipxe?known=1" in (await client.get("/auto.ipxe")).text
        assert 0 == len(here.strangers)

    visit(tmp_path, story, peer="192.0.2.7")


@pytest.mark.parametrize("mode", ["proxy", "auto-proxy", "off"])
def test_where_another_server_gives_addresses_the_mac_alone_tells_who_asks(tmp_path: Path, mode: str) -> None:
    """What git says of an address is a wish there, and another machine may have come to it, now or since its last boot."""

    async def story(here: World, client: httpx.AsyncClient) -> None:
        for _ in range(2):  # the second time something was seen at this address
            assert "/ipxe/${netX/mac:hexhyp}/boot.ipxe?known=1" in (await client.get("/auto.ipxe")).text
            assert "node-02" in (await client.get("/ipxe/52-54-00-12-34-02/boot.ipxe?known=1")).text

    visit(tmp_path, story, plan(mode=mode))


def test_a_machine_is_seen_where_its_script_fetch_came_from(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.get("/ipxe/52-54-00-12-34-01/boot.ipxe")
        assert {mac(1): "10.1.0.7"} == (await client.get("/status/hardware/node-01.json")).json()["seenAt"]
        assert {} == (await client.get("/status/hardware/node-02.json")).json()["seenAt"]
        assert 200 == (await client.get(f"/artifacts/sha256/{DIGEST}/vmlinuz")).status_code
        await here.ledger.commit()
        assert "kernel" == (await client.get("/status/hardware/node-01.json")).json()["boot"]["phase"]
        await client.get("/ipxe/02-00-00-00-00-09/boot.ipxe")
        assert ["10.1.0.7"] == [stranger.address for stranger in here.strangers.list()]

    visit(tmp_path, story, plan(artifacts={"vmlinuz": DIGEST}, mode="proxy"), peer="10.1.0.7")


def test_nobody_can_be_another_machine_by_a_header(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            answer = await client.get("/auto.ipxe", headers={header: "10.1.0.1"})
            assert "node-01" not in answer.text

    visit(tmp_path, story, peer="192.0.2.7")


def test_a_header_counts_only_from_a_proxy_that_the_site_trusts(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get("/auto.ipxe", headers={"X-Forwarded-For": "10.1.0.1, 10.1.0.2"})
        assert "gitboot: node-02" in answer.text
        lied = [("X-Forwarded-For", "10.1.0.2"), ("X-Forwarded-For", "10.1.0.66")]
        assert "gitboot: node" not in (await client.get("/auto.ipxe", headers=lied)).text

    visit(tmp_path, story, plan(trusted_proxies=("192.0.2.0/24",)), peer="192.0.2.7")


def test_a_stranger_gets_nothing_to_boot_and_is_noted_once_for_itself(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get("/ipxe/02-00-00-00-00-09/boot.ipxe?known=1")
        assert (404, 0) == (answer.status_code, len(here.strangers))
        answer = await client.get("/ipxe/02-00-00-00-00-09/boot.ipxe")
        assert (404, "no machine in git has the MAC 02:00:00:00:00:09\n") == (answer.status_code, answer.text)
        assert ["02:00:00:00:00:09"] == [stranger.mac for stranger in here.strangers.list()]

    visit(tmp_path, story)


@pytest.mark.parametrize(
    "text", ["52-54-00-12-34", "52-54-00-12-34-01-02", "g2-54-00-12-34-01", "../etc", "%00", "52-54-00-12-34-0%0a1"]
)
def test_what_is_no_mac_is_no_script(tmp_path: Path, text: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert 404 == (await client.get(f"/ipxe/{text}/boot.ipxe")).status_code

    visit(tmp_path, story)


@pytest.mark.parametrize("failure", ["", "plan 1f0c cannot be loaded; the reconciler writes it again"])
def test_without_a_plan_a_machine_is_told_to_ask_again_and_why(tmp_path: Path, failure: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        here.plan_failure = failure
        why = failure or "no commit has been accepted so far"
        script, ready = await client.get(SCRIPT), await client.get("/readyz")
        assert (503, "5", f"No plan is served yet: {why}.\n") == (
            script.status_code,
            script.headers["retry-after"],
            script.text,
        )
        assert (503, f"no plan is served yet: {why}\n") == (ready.status_code, ready.text)
        assert 200 == (await client.get("/healthz")).status_code

    visit(tmp_path, story, empty=True)


# Artefacts


def test_an_artefact_is_served_by_its_digest_whatever_it_is_called(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for name in ("", "/vmlinuz", "/any/name"):
            answer = await client.get(f"/artifacts/sha256/{DIGEST}{name}")
            assert (200, f'"{DIGEST}"') == (answer.status_code, answer.headers["etag"])
            assert "immutable" in answer.headers["cache-control"]
            assert answer.content == BIG

    visit(tmp_path, story)


RANGES = [
    ("bytes=0-0", 206, BIG[:1], "bytes 0-0/1048576"),
    ("bytes=1000-1999", 206, BIG[1000:2000], "bytes 1000-1999/1048576"),
    ("bytes=1048570-", 206, BIG[-6:], "bytes 1048570-1048575/1048576"),
    ("bytes=-4", 206, BIG[-4:], "bytes 1048572-1048575/1048576"),
    ("bytes=1048570-9999999", 206, BIG[-6:], "bytes 1048570-1048575/1048576"),
    ("bytes=1048576-", 416, b"", "bytes */1048576"),
    ("bytes=5-2", 400, None, None),
    ("lines=1-2", 400, None, None),
]


@pytest.mark.parametrize(("asked", "status", "body", "told"), RANGES)
def test_a_range_is_served_as_rfc_9110_section_14_says(
    tmp_path: Path, asked: str, status: int, body: bytes | None, told: str | None
) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/artifacts/sha256/{DIGEST}", headers={"Range": asked})
        assert (status, told) == (answer.status_code, answer.headers.get("content-range"))
        assert body is None or body == answer.content

    visit(tmp_path, story)


def test_a_download_is_resumed_only_of_the_same_bytes(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for etag, status in ((f'"{DIGEST}"', 206), ('"another"', 200)):
            headers = {"Range": "bytes=5-", "If-Range": etag}
            assert status == (await client.get(f"/artifacts/sha256/{DIGEST}", headers=headers)).status_code

    visit(tmp_path, story)


def test_a_file_that_changed_is_not_served_under_its_old_digest(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        (tmp_path / "art/vmlinuz").write_bytes(b"another kernel")
        answer = await client.get(f"/artifacts/sha256/{DIGEST}/vmlinuz")
        assert (404, True) == (answer.status_code, "vmlinuz has changed or is gone" in answer.text)

    visit(tmp_path, story)


def test_a_file_written_to_while_it_is_sent_is_broken_off(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        sent = bytearray()

        async def send(message: Message) -> None:
            sent.extend(message.get("body", b""))
            with (tmp_path / "art/vmlinuz").open("r+b") as file:
                file.write(b"another kernel")

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        path = f"/artifacts/sha256/{DIGEST}/vmlinuz"
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "client": ("10.1.0.1", 1)}
        await application(here)(scope, receive, send)
        assert len(sent) < len(BIG)
        assert "written to while it was sent" in logged(here.log)[-1]["reason"]

    visit(tmp_path, story)


def test_only_what_a_served_plan_names_is_served_a_pinned_one_included(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert here.plans is not None
        old, new = here.plans.current, plan(artifacts={"vmlinuz": "1" * 64}).plan
        here.plans = Plans(new, {})
        assert 404 == (await client.get(f"/artifacts/sha256/{DIGEST}")).status_code
        here.plans = Plans(new, {old.id: old})
        assert 200 == (await client.get(f"/artifacts/sha256/{DIGEST}")).status_code

    visit(tmp_path, story)


def test_a_boot_is_seen_to_load_its_kernel_but_not_to_ask_for_its_size(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.get(SCRIPT)
        for method, phase in (("HEAD", "script"), ("GET", "kernel")):
            await client.request(method, f"/artifacts/sha256/{DIGEST}/vmlinuz")
            boot = here.observed.open_boot(mac(1))
            assert boot is not None
            assert phase == boot.phase

    visit(tmp_path, story)


def test_network_boot_programs_are_served_to_firmware_that_boots_from_a_url(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert bytes(600) == (await client.get("/ipxe/undionly.kpxe")).content
        assert 404 == (await client.get("/ipxe/other.efi")).status_code

    visit(tmp_path, story)


# Status, logs, health


async def validated(client: httpx.AsyncClient) -> int:
    """Each document the index names, by its schema; how many there were."""
    index = (await client.get("/status/index.json")).json()
    for path in index["documents"]:
        answer = await client.get(path)
        assert (200, "private, no-cache") == (answer.status_code, answer.headers["cache-control"])
        kind = {
            "HardwareStatus": "hardware",
            "WorkflowStatus": "workflow",
            "ReconcileStatus": "reconcile",
            "ServedStatus": "served",
            "TriesStatus": "tries",
            "Fleet": "fleet",
            "Issues": "issues",
        }.get(answer.json()["kind"])
        if kind:
            Draft202012Validator(schemas.load(f"status-{kind}")).validate(answer.json())
    return len(index["documents"])


def test_every_status_document_is_what_its_schema_says_before_and_after_a_boot(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert 9 == await validated(client)
        await client.get(SCRIPT)
        await client.get("/ipxe/02-00-00-00-00-09/boot.ipxe")
        write_reconciliation(here.settings.state, Reconciliation("https://a:b@git.example/x", revision="c1", last_success=1.0))
        here.git.look()
        assert 9 == await validated(client)
        shown = (await client.get("/status/reconcile.json")).text
        assert "02:00:00:00:00:09" in shown
        assert "a:b" not in shown

    visit(tmp_path, story)


def test_a_machines_story_tells_what_it_was_told_with_the_commit_that_decided_it(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert here.plans is not None
        write_reconciliation(here.settings.state, Reconciliation("/srv/site", revision="c1", plan=here.plans.current.id))
        here.git.look()
        for _ in range(2):
            await client.get(SCRIPT)
        told = (await client.get("/status/hardware/node-01.json")).json()["story"]
        assert ("script", None) == (told["phases"][-1]["name"], told["phases"][-1]["ended"])
        stories = (await client.get(told["document"])).json()
        Draft202012Validator(schemas.load("status-stories")).validate(stories)
        (event,) = stories["boots"][0]["events"]
        assert ("script", 2, "c1", here.plans.current.id) == tuple(event[key] for key in ("kind", "times", "commit", "plan"))
        assert "boot script" in event["text"]
        assert "runs workflow look run 1" in event["reason"]
        assert 404 == (await client.get("/status/stories/node-99.json")).status_code

    visit(tmp_path, story)


def test_the_plan_in_the_status_is_the_one_that_is_served_whatever_was_published(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        write_reconciliation(here.settings.state, Reconciliation("/srv/site", head="c2", revision="c2", plan="f" * 64))
        here.git.look()
        here.plan_failure = "plan ffffffffffff cannot be loaded"
        shown = (await client.get("/status/reconcile.json")).json()
        assert here.plans is not None
        assert here.plans.current.id == shown["plan"]
        (ready,) = [condition for condition in shown["conditions"] if condition["type"] == "Ready"]
        assert ("False", here.plan_failure) == (ready["status"], ready["message"])
        assert here.plan_failure in (await client.get("/readyz")).text

    visit(tmp_path, story)


@pytest.mark.parametrize("why", ["frozen", "lost state"])
def test_a_hold_is_told_on_the_console_and_in_every_status(tmp_path: Path, why: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        said = freeze(here.settings.state, "moving") if why == "frozen" else "gitboot init"
        script = (await client.get(SCRIPT)).text
        assert said in script
        assert "kernel" not in script
        assert said in (await client.get("/status/reconcile.json")).json()["hold"]
        assert said in (await client.get("/status/hardware/node-01.json")).json()["next"]
        assert f'gitboot_held{{by="{"freeze" if why == "frozen" else "new-state"}"}} 1.0' in (await client.get("/metrics")).text

    visit(tmp_path, story, new_site=why == "frozen")


def test_a_log_is_text_and_nothing_a_browser_would_run(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        file = here.settings.state / "logs/r1/look/first.1.log"
        file.parent.mkdir(parents=True)
        file.write_text("<script>")
        answer = await client.get("/logs/r1/look/first.1.log")
        assert ("<script>", "text/plain; charset=utf-8") == (answer.text, answer.headers["content-type"])
        assert ("nosniff", "sandbox") == (answer.headers["x-content-type-options"], answer.headers["content-security-policy"])

    visit(tmp_path, story)


def test_health_follows_the_journal(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert (200, "ok\n") == ((await client.get("/healthz")).status_code, (await client.get("/healthz")).text)
        here.directory.journal.failure = Unavailable("no space")
        sick = await client.get("/healthz")
        assert (503, "no space\n") == (sick.status_code, sick.text)
        script = await client.get(SCRIPT)
        assert (503, "5", "no space\n") == (script.status_code, script.headers["retry-after"], script.text)
        assert "gitboot_journal_writable 0.0" in (await client.get("/metrics")).text
        here.directory.journal.failure = None
        assert 200 == (await client.get(SCRIPT)).status_code

    visit(tmp_path, story)


# GRUB


def test_grub_finds_its_loop_its_step_and_what_is_beside_its_program(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        first = await client.get("/grub/x86_64-efi/grub.cfg")
        assert "set gitboot=(http,10.1.0.1)\n" in first.text
        step = await client.get(f"/grub/boot.cfg-01-{mac(1)}")
        assert step.text.startswith("echo 'gitboot: node-01")
        assert (await client.get("/ipxe/pxelinux.cfg/01-52-54-00-12-34-01")).text.startswith("SAY gitboot: node-01")
        assert 200 == (await client.get("/ipxe//undionly.kpxe")).status_code
        assert 404 == (await client.get("/grub/x86_64-efi/command.lst")).status_code

    visit(tmp_path, story)


@pytest.mark.parametrize("path", [SCRIPT, f"/grub/boot.cfg-01-{mac(1)}"])
def test_asking_for_the_length_of_a_script_is_no_step_of_a_boot(tmp_path: Path, path: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        head = await client.head(path)
        assert [] == [event for _, event in here.directory.read() if isinstance(event, BootOpened)]
        get = await client.get(path)
        assert head.headers["content-length"] == get.headers["content-length"]
        assert 1 == sum(isinstance(event, BootOpened) for _, event in here.directory.read())

    visit(tmp_path, story)


# Limits


def test_a_peer_that_never_ends_is_told_to_wait_and_its_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netboot.http.RequestLimits", lambda: RequestLimits(at_once=3, per_second=0.01))

    async def story(here: World, client: httpx.AsyncClient) -> None:
        for path in ("/healthz", SCRIPT, "/nothing"):
            assert 429 != (await client.get(path)).status_code
        answer = await client.get("/healthz")
        assert (429, True) == (answer.status_code, 1 <= int(answer.headers["retry-after"]) <= 101)
        refused = await client.post("/agent/claim")
        assert (429, ["error"]) == (refused.status_code, list(refused.json()))
        assert 2 == here.counts["http", "too-many"]
        async with browser(here, "10.1.0.2") as neighbour:  # application() is made anew, and so are its limits
            assert 200 == (await neighbour.get("/healthz")).status_code

    visit(tmp_path, story)
