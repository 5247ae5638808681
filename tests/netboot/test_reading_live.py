"""On real sockets: loopback, and the socket in the state directory. tests/lab/test_operators.py asks from elsewhere."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import closing
from pathlib import Path

import pytest

from netboot.listening import CannotListen
from netboot.reader_tokens import add_token
from netboot.server import Netboot
from tests.netboot.test_server import running, serve
from tests.unix_http import ask

pytestmark = pytest.mark.shell


def get(server: Netboot, **headers: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)) as connection:
        connection.request("GET", "/status/reconcile.json", headers=headers)
        return connection.getresponse().status


def test_this_host_reads_by_loopback_and_by_the_socket_and_nobody_in_its_name(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        assert 200 == await asyncio.to_thread(get, server)
        assert 401 == await asyncio.to_thread(lambda: get(server, Host="evil.example"))
        token = add_token(tmp_path, "ada")
        assert 200 == await asyncio.to_thread(lambda: get(server, Host="evil.example", Authorization=f"Bearer {token}"))
        status, body = await asyncio.to_thread(ask, tmp_path, "/status/reconcile.json")
        assert (200, "gitboot/v1") == (status, json.loads(body)["apiVersion"])

    serve(tmp_path, story)


def test_every_route_is_there_by_the_socket(tmp_path: Path) -> None:
    async def story(server: Netboot) -> None:
        for path, status in {"/healthz": 200, "/auto.ipxe": 200, "/ipxe/52-54-00-12-34-01/boot.ipxe": 503}.items():
            assert status == (await asyncio.to_thread(ask, tmp_path, path))[0]

    serve(tmp_path, story)


def test_a_second_start_takes_the_place_of_the_socket_that_the_first_one_left(tmp_path: Path) -> None:
    for _ in range(2):

        async def story(server: Netboot) -> None:
            assert 200 == (await asyncio.to_thread(ask, tmp_path, "/healthz"))[0]

        serve(tmp_path, story)


def test_a_socket_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    async def start() -> None:
        (tmp_path / "http.sock").mkdir()
        with pytest.raises(CannotListen, match=r"The unix socket .* cannot be made"):
            async with running(tmp_path):
                pass

    asyncio.run(start())
