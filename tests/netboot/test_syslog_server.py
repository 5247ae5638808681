"""The syslog port of a live server, asked by sockets."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from netboot import syslog_server as module
from netboot.events import BootClosed, BootOpened
from netboot.issues import LEAST_ROOM
from netboot.listening import CannotListen
from netboot.log import Log
from netboot.plans import PlanStore
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from tests.netboot.live_machine import DASHED, served
from tests.netboot.site import logged

pytestmark = pytest.mark.shell


@asynccontextmanager
async def running(folder: Path, syslog_port: int = 0) -> AsyncIterator[Netboot]:
    """node-01 is where the test is."""
    PlanStore(folder / "plans").publish(served())
    settings = Settings(
        folder, listen="127.0.0.1", dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1, syslog_port=syslog_port,
        new_site=True, open_status=True,
    )  # fmt: skip
    async with Netboot(settings, Log(io.StringIO())).running() as server:
        yield server


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.01)


def say(server: Netboot, *lines: bytes, address: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        for line in lines:
            sock.sendto(line, ("127.0.0.1", server.syslog_port))


async def ask(server: Netboot, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}") as client:
        return await client.get(path)


async def boot(server: Netboot) -> str:
    assert 200 == (await ask(server, f"/ipxe/{DASHED}/boot.ipxe")).status_code
    last = server.world.observed.last_boot_of("node-01")
    assert last is not None
    return last.id


def counted(server: Netboot) -> dict[str, int]:
    return {outcome: count for (kind, outcome), count in server.world.counts.items() if kind == "syslog"}


async def status(server: Netboot) -> dict[str, Any]:
    document: dict[str, Any] = (await ask(server, "/status/hardware/node-01.json")).json()
    return document


def test_what_a_machine_logs_stands_beside_the_console_of_its_boot_and_its_status_says_where(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as server:
            first = await boot(server)
            assert None is (await status(server))["syslog"]
            say(server, b"<6>one", b"<34>1 - somebody-else su - - - two")
            await until(lambda: counted(server).get("begins") == 1)
            where = (await status(server))["syslog"]
            assert f"/logs/boot-{first}/os/syslog.1.log" == where
            await until(lambda: (tmp_path / where.removeprefix("/")).read_bytes().endswith(b"su: two\n"))
            said = (await ask(server, where)).text.splitlines()
            assert ["kern.info one", "auth.crit su: two"] == [line.partition(" ")[2] for line in said]
            say(server, b"<6>three")
            await until(lambda: (tmp_path / where.removeprefix("/")).read_bytes().endswith(b"kern.info three\n"))
            assert {"kept": 3, "begins": 1, "lost": 0} == counted(server)

    run(scenario())


@pytest.mark.parametrize("form", ["--rfc5424", "--rfc3164"])
def test_util_linux_s_logger_is_understood(tmp_path: Path, form: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as server:
            where = await boot(server)
            to = ("--server", "127.0.0.1", "--port", str(server.syslog_port), "--udp", form)
            logger = await asyncio.create_subprocess_exec(
                "logger", *to, "--tag", "installer", "--priority", "daemon.err", "no disk"
            )
            assert 0 == await logger.wait()
            await until(lambda: counted(server).get("begins") == 1)
            said = (tmp_path / f"logs/boot-{where}/os/syslog.1.log").read_text()
            assert said.partition(" ")[2].startswith("daemon.err installer")
            assert said.endswith(": no disk\n")

    run(scenario())


def test_what_came_last_is_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 3600)

    async def scenario() -> str:
        async with running(tmp_path) as server:
            where = await boot(server)
            say(server, b"<6>0")
            await until(lambda: counted(server).get("begins") == 1)
            say(server, *(b"<6>%d" % number for number in range(1, 100)))
            await until(lambda: counted(server).get("kept") == 100)
            return where

    where = asyncio.run(scenario())
    kept = (tmp_path / f"logs/boot-{where}/os/syslog.1.log").read_text().splitlines()
    assert [str(number) for number in range(100)] == [line.rpartition(" ")[2] for line in kept]


def test_what_comes_from_nowhere_is_not_kept_and_told_of_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            say(server, b"<6>x", b"<6>y", b"", address="127.0.0.2")
            await until(lambda: counted(server).get("unknown") == 3)
            (told,) = [line for line in logged(server.log) if line["event"] == "syslog"]
            assert ("127.0.0.2", "unknown") == (told["peer"], told["outcome"])
            say(server, b"")
            await until(lambda: counted(server).get("malformed") == 1)
        assert not list(tmp_path.glob("logs/**/syslog*"))

    run(scenario())


def test_a_boot_that_is_forgotten_before_its_first_lines_are_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.0)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            first = await boot(server)
            old = server.world.observed.boots[first]
            say(server, b"<6>of the first")
            while not counted(server).get("kept"):  # nothing is written: the writer has had no turn
                await asyncio.sleep(0)
            now, newer = server.world.now(), "b" * 16
            server.world.observed.apply(
                BootOpened(at=now, boot=newer, machine=old.machine, macs=old.macs, mac=old.mac, plan=old.plan, via="dhcp")
            )
            assert first not in server.world.observed.boots
            await until(lambda: counted(server).get("begins") == 1 or server._death.done())
            assert not server._death.done()
            say(server, b"<6>of the second")
            await until(lambda: counted(server).get("begins") == 2)
        assert (tmp_path / f"logs/boot-{first}/os/syslog.1.log").read_text().endswith("of the first\n")

    run(scenario())


def test_a_peer_has_its_share_of_lines_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 5)
    monkeypatch.setattr(module, "PER_SECOND", 1e-9)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            say(server, *[b"<6>flood"] * 8)
            await until(lambda: counted(server).get("too-many") == 3)
            assert 5 == counted(server)["kept"]

    run(scenario())


def test_all_together_have_no_more_than_leaves_time_for_those_that_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALL_AT_ONCE", 3)
    monkeypatch.setattr(module, "ALL_PER_SECOND", 1e-9)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            say(server, *[b"<6>flood"] * 5)
            await until(lambda: counted(server).get("dropped") == 2)
            assert 3 == counted(server)["kept"]

    run(scenario())


def test_a_boot_has_its_share_of_the_disk_and_its_end_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOOT_BYTES", 1000)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            where = await boot(server)
            file = tmp_path / f"logs/boot-{where}/os/syslog.1.log"
            for number in range(1, 9):
                say(server, b"<6>" + b"x" * 300)
                await until(lambda number=number: counted(server).get("kept") == number)  # type: ignore[misc]
        assert 1000 + len(module.FULL) == file.stat().st_size
        assert file.read_bytes().endswith(module.FULL)

    run(scenario())


def test_a_machine_has_its_share_of_the_disk_however_many_boots_are_opened_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is written, where an unprintable byte is four."""
    monkeypatch.setattr(module, "MACHINE_AT_ONCE", 1000)
    monkeypatch.setattr(module, "MACHINE_PER_SECOND", 1e-9)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            first = await boot(server)
            say(server, b"<6>" + b"\x01" * 200)
            await until(lambda: counted(server).get("begins") == 1)
            over = BootClosed(at=server.world.now(), boot=first, reason="it was reset")
            await server.world.ledger.commit((over,))
            second = await boot(server)
            assert first != second
            say(server, b"<6>" + b"\x01" * 200, b"<6>short")
            await until(lambda: sum(counted(server).get(each, 0) for each in ("too-many", "kept")) == 3)
            assert (1, 2) == (counted(server)["too-many"], counted(server)["kept"])
        assert 1000 >= sum(file.stat().st_size for file in tmp_path.glob("logs/**/syslog*"))

    run(scenario())


def test_the_last_of_the_disk_is_left_to_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StateDirectory, "room", lambda _: LEAST_ROOM - 1)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            say(server, b"<6>one", b"<6>two")
            await until(lambda: counted(server).get("lost") == 2)
            (told,) = [line for line in logged(server.log) if line["event"] == "syslog-not-written"]
            assert "less than 512 MiB are left" in told["reason"]
            monkeypatch.setattr(StateDirectory, "room", lambda _: LEAST_ROOM)
            say(server, b"<6>three")
            await until(lambda: counted(server).get("begins") == 1)
        (file,) = tmp_path.glob("logs/**/syslog*")
        assert file.read_text().endswith("kern.info three\n")

    run(scenario())


def test_a_disk_that_takes_nothing_costs_the_lines_and_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")

    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            for number in (1, 2, 3):
                say(server, b"<6>lost")
                await until(lambda number=number: counted(server).get("kept") == number)  # type: ignore[misc]
            await until(lambda: any(line["event"] == "syslog-not-written" for line in logged(server.log)))
            assert 200 == (await ask(server, "/healthz")).status_code
        assert 1 == sum(line["event"] == "syslog-not-written" for line in logged(server.log))

    run(scenario())


def test_lines_that_come_faster_than_the_disk_takes_them_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 100)
    monkeypatch.setattr(module, "FLUSH_SECONDS", 3600)

    async def scenario() -> None:
        async with running(tmp_path) as server:
            await boot(server)
            say(server, b"<6>written at once")
            await until(lambda: counted(server).get("begins") == 1)
            say(server, *[b"<6>" + b"x" * 40] * 4)
            await until(lambda: counted(server).get("dropped") == 3)
            assert 2 == counted(server)["kept"]

    run(scenario())


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    async def scenario(taken: int) -> None:
        async with running(tmp_path, taken):
            raise AssertionError("it must not start")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        with pytest.raises(CannotListen, match=r"UDP port \d+ cannot be opened .* --syslog-port"):
            asyncio.run(scenario(holder.getsockname()[1]))
