"""Every route of HTTP: methods, hostile paths, defects."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from netboot.http import application
from netboot.world import World
from tests.netboot.site import logged, mac, machine, plan
from tests.netboot.test_http import DIGEST, SCRIPT, visit

HOSTILE = [
    "/logs/../key", "/logs/outside.log", "/logs/../secret.log", "/logs/%2e%2e/secret.log",
    "/logs/%2e%2e/key", "/logs/..%2fkey", "/logs/x/../../key", "/logs/%00.log", "/logs/" + "x/" * 3000 + ".log",
    "/logs/" + "x" * 300 + ".log", "/logs/%ff.log", "/logs/link.log", "/logs/circle.log", "/logs//etc/hostname",
    "/logs/folder.log",
    "/status/../key", "/status/%2e%2e/key", "/status/hardware/../../key", "/status/%00", "/status/hardware/.json",
    "/status/hardware/%ff.json", "/status/" + "x" * 7900, "/artifacts/sha256/../../key", "/artifacts/sha256/%2e%2e%2fkey/x",
    "/artifacts/sha256/" + "0" * 64, "/artifacts/sha256/%00/x", "/ipxe/%2e%2e", "/ipxe/..%2f..%2fkey", "/key",
    "//key", "/%2e%2e/key",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_path_is_404_and_never_a_file_or_a_defect(tmp_path: Path, path: str) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        logs = here.settings.state / "logs"
        (logs / "folder.log").mkdir(parents=True)
        (logs / "link.log").symlink_to("../key")
        (here.settings.state / "secret.log").write_bytes(here.key)
        (logs / "outside.log").symlink_to("../secret.log")
        (logs / "circle.log").symlink_to("circle.log")
        for method in ("GET", "HEAD"):
            raw = httpx.URL(scheme="http", host="10.1.0.1", raw_path=path.encode())
            answer = await client.request(method, raw)
            assert 404 == answer.status_code
            assert here.key not in answer.content
        assert 0 == here.counts["http", "defect"]

    visit(tmp_path, story)


def routes(here: World, method: str) -> list[str]:
    values = {"mac": mac(1), "digest": DIGEST, "name:path": "vmlinuz", "path:path": "index.json", "name": "undionly.kpxe"}
    found = []
    for route in application(here).routes:
        assert isinstance(route, Route)
        path = route.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", value)
        if method in (route.methods or ()):
            found.append(path)
    return found


def test_head_says_what_get_would_without_a_body(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        paths = [path for path in routes(here, "GET") if path != "/events"]  # which has no end
        assert len(paths) > 30
        for path in paths:
            get, head = await client.get(path), await client.head(path)
            assert get.status_code == head.status_code
            assert get.headers.keys() == head.headers.keys()

    visit(tmp_path, story)


def test_every_other_method_is_refused(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        reading, writing = routes(here, "GET"), routes(here, "POST")
        assert [
            "/agent/session",
            "/agent/claim",
            "/agent/report",
            "/agent/log",
            "/agent/console",
            "/agent/heartbeat",
            "/agent/inventory",
            "/agent/secrets",
            "/agent/rehearsal",
            "/hooks/git",
        ] == writing
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            for path in reading:
                assert 405 == (await client.request(method, path)).status_code
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            for path in writing:
                assert 405 == (await client.request(method, path)).status_code

    visit(tmp_path, story)


def test_the_root_says_what_this_is_and_where_to_go_on(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        text = (await client.get("/")).text
        for word in ("gitboot", "/status/index.json", "/metrics"):
            assert word in text

    visit(tmp_path, story)


@pytest.mark.parametrize("path", [SCRIPT, "/status/reconcile.json", "/metrics"])
def test_a_defect_costs_one_request_and_is_told_in_the_log_not_on_the_wire(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        def broken(*args: object) -> str:
            raise ZeroDivisionError("a defect")

        with monkeypatch.context() as patch:
            patch.setattr(World, "hold", broken)
            answer = await client.get(path)
        assert (500, "This is a defect of gitboot; its log says more.\n") == (answer.status_code, answer.text)
        line = logged(here.log)[-1]
        assert ("request-failed", path) == (line["event"], line["path"])
        assert "ZeroDivisionError" in line["traceback"]
        assert 200 == (await client.get(path)).status_code

    visit(tmp_path, story)


def test_a_defect_in_the_agents_part_is_told_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr("netboot.sessions.from_header", lambda *_: 1 / 0)
        answer = await client.post("/agent/claim", json={"boot": "b"}, headers={"Authorization": "Bearer x"})
        assert (500, ["error"]) == (answer.status_code, list(json.loads(answer.text)))

    visit(tmp_path, story)


def test_two_machines_do_not_share_a_boot(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        for number in (1, 2):
            await client.get(f"/ipxe/{mac(number)}/boot.ipxe")
        assert {"node-01", "node-02"} == {boot.machine for boot in here.observed.open_boots()}

    visit(tmp_path, story, plan(machine(1, "look"), machine(2, "look"), artifacts={"vmlinuz": DIGEST}, mode="proxy"))
