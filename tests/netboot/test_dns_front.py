"""DNS at the door: which plan answers, what is noted, and that the whole server brings it up."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import DNSRecord

from netboot.boot import Plans
from netboot.dns_front import DnsFront
from netboot.dns_server import Asker
from netboot.listening import CannotListen
from netboot.log import Log
from netboot.plan import BootPlan, Site, dump
from netboot.plans import PlanStore
from netboot.rates import Rates
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from netboot.world import World
from tests.netboot.dns_example import ask, lines, machine, plan, port

pytestmark = pytest.mark.shell
ASKER = Asker("10.1.0.77", 4242, "10.1.0.1", tcp=False)


class House:
    """A world that serves one plan after another, and the front before it."""

    def __init__(self, state: Path) -> None:
        self.written = io.StringIO()
        self.world = World(Settings(state), StateDirectory(state), {}, Log(self.written))
        self.front = DnsFront(self.world)

    def serve(self, plan: BootPlan) -> None:
        self.world.plans = Plans(plan, {})

    def told(self, query: DNSRecord, asker: Asker = ASKER) -> DNSRecord:
        answer = self.front.answer(bytes(query.pack()), asker)
        assert answer is not None
        return DNSRecord.parse(answer)

    def log(self) -> list[dict[str, str]]:
        self.world.log.flush()
        return [json.loads(line) for line in self.written.getvalue().splitlines()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    asyncio.run(house.world.directory.close())


def one(address: str, site: Site | None = None) -> BootPlan:
    return plan(machine("m", port(address, "m")), site=site or Site("home", "lab.example"))


def test_until_there_is_a_plan_askers_are_sent_elsewhere(house: House) -> None:
    assert 2 == house.told(ask("m.lab.example")).header.rcode
    house.serve(one("10.1.0.5"))
    assert ["m.lab.example. 60 IN A 10.1.0.5"] == lines(house.told(ask("m.lab.example")).rr)


def test_the_plan_that_is_served_now_answers(house: House) -> None:
    other = Asker("10.1.0.77", 4242, "10.1.0.2", tcp=False)
    for last in (5, 6, 5):
        house.serve(one(f"10.1.0.{last}"))
        for asker in (ASKER, other, ASKER):
            assert f"10.1.0.{last}" == str(house.told(ask("m.lab.example"), asker).rr[0].rdata)


def test_the_servers_address_is_the_one_that_was_asked_unless_the_site_says_it(house: House) -> None:
    house.serve(one("10.1.0.5"))
    for number in range(200):
        local = f"127.0.0.{number}"
        asker = Asker("127.0.0.1", 4242, local, tcp=False)
        assert local == str(house.told(ask("gitboot.lab.example"), asker).rr[0].rdata)
    house.serve(one("10.1.0.5", Site("home", "lab.example", "192.0.2.1")))
    assert "192.0.2.1" == str(house.told(ask("gitboot.lab.example")).rr[0].rdata)


def test_every_exchange_is_counted_and_leaves_a_line(house: House) -> None:
    house.serve(one("10.1.0.5"))
    house.told(ask("m.lab.example"))
    house.told(ask("x\\007.lab.example", "AAAA"), Asker("10.1.0.77", 4242, "10.1.0.1", tcp=True))
    assert house.front.answer(b"?", ASKER) is None
    keys = ("event", "outcome", "peer", "via", "name", "type", "reason")
    assert [
        ("dns", "noerror", "10.1.0.77", "udp", "m.lab.example.", "A", ""),
        ("dns", "nxdomain", "10.1.0.77", "tcp", "x\\007.lab.example.", "AAAA", "no machine has this name or address"),
        ("dns", "ignored", "10.1.0.77", "udp", None, None, "1 bytes are shorter than a header"),
    ] == [tuple(line.get(key) for key in keys) for line in house.log()]
    counts = {outcome: count for (kind, outcome), count in house.world.counts.items() if kind == "dns"}
    assert {"noerror": 1, "nxdomain": 1, "ignored": 1} == counts


def test_a_failure_is_counted_and_its_bytes_are_in_the_log(house: House) -> None:
    house.front.failed(b"\1\2", ASKER, RuntimeError("a bug"))
    (line,) = house.log()
    assert ("dns-failed", "error", "0102", "RuntimeError('a bug')") == tuple(
        line[key] for key in ("event", "level", "bytes", "reason")
    )
    assert 1 == house.world.counts["dns", "defect"]


def settings(state: Path, dns_port: int) -> Settings:
    return Settings(state, listen="127.0.0.1", dhcp_port=-1, tftp_port=-1, http_port=0, https_port=-1, dns_port=dns_port)


def publish(state: Path) -> None:
    machines = [machine("m", port("10.1.0.5", "m"))]
    PlanStore(state / "plans").publish(dump(Site("home", "lab.example"), [], [], [], machines))


def test_the_whole_server_answers_on_its_dns_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        written = io.StringIO()
        publish(tmp_path)
        async with Netboot(settings(tmp_path, 0), Log(written)).running() as netboot:
            answer = await asyncio.to_thread(ask("m.lab.example").send, "127.0.0.1", netboot.dns_port, tcp=True, timeout=5)
            assert ["m.lab.example. 60 IN A 10.1.0.5"] == lines(DNSRecord.parse(answer).rr)
        (listening,) = (each for each in map(json.loads, written.getvalue().splitlines()) if each["event"] == "listening")
        assert netboot.dns_port == listening["dns"]

    asyncio.run(scenario())


def test_a_dns_port_that_is_taken_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    async def scenario(taken: int) -> None:
        async with Netboot(settings(tmp_path, taken), Log(io.StringIO())).running():
            raise AssertionError("it must not start")

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(CannotListen, match=r"port \d+ cannot be opened .* --dns-port"):
            asyncio.run(scenario(holder.getsockname()[1]))


def test_who_asks_too_often_by_udp_is_sent_to_tcp_in_as_few_bytes_and_nobody_else_is(house: House) -> None:
    """The sender of a packet may be a lie: our answers must not flood whom it names."""
    house.serve(one("10.1.0.5"))
    house.front._rates = Rates(1e-9, 5)  # in whose second nothing happens, however slow this host is
    query = bytes(ask("m.lab.example").pack())
    answers = [house.front.answer(query, ASKER) for _ in range(15)]
    for answer in answers[5:]:
        assert isinstance(answer, bytes)
        assert (len(query), 1, 0) == (len(answer), DNSRecord.parse(answer).header.tc, len(DNSRecord.parse(answer).rr))
    assert 10 == house.world.counts["dns", "too-many"]
    by_tcp = Asker(ASKER.address, 4242, ASKER.local, tcp=True)
    for asker in (by_tcp, Asker("10.1.0.78", 4242, "10.1.0.1", tcp=False)):
        assert ["m.lab.example. 60 IN A 10.1.0.5"] == lines(house.told(ask("m.lab.example"), asker).rr)
