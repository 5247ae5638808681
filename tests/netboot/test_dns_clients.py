"""Other people's DNS clients understand what they are told."""

from __future__ import annotations

import asyncio
import functools
import shutil

import pytest

from netboot.dns import Reply, respond
from netboot.dns_server import Asker, serve_dns
from netboot.dns_zone import zone_of
from tests.netboot.dns_example import machine, plan, port

pytestmark = pytest.mark.shell

CROWD = [f"10.1.{100 + number // 250}.{1 + number % 250}" for number in range(200)]
ZONE = zone_of(
    plan(
        machine("node-01", port("10.1.0.11", "node-01")),
        machine("crowd", *(port(address, "crowd") for address in CROWD)),
    )
)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} of bind9-dnsutils is not installed")


def told(program: str, words: str, at: str) -> tuple[str, list[tuple[str, str]]]:
    """What the program prints, and what the server was asked: by which way, and what came of it."""
    asked: list[tuple[str, str]] = []

    def answer(query: bytes, asker: Asker) -> bytes | None:
        reply = respond(query, ZONE, tcp=asker.tcp)
        assert isinstance(reply, Reply)
        asked.append(("tcp" if asker.tcp else "udp", reply.outcome))
        return reply.data

    async def scenario() -> str:
        server = await serve_dns("127.0.0.1", 0, answer, lambda *_: None)
        try:
            process = await asyncio.create_subprocess_exec(
                program, *at.format(port=server.port).split(), *words.split(),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            async with asyncio.timeout(30):
                return (await process.communicate())[0].decode()
        finally:
            await server.close()

    return asyncio.run(scenario()), asked


dig = functools.partial(told, "dig", at="@127.0.0.1 -p {port} +tries=1 +time=5")
delv = functools.partial(told, "delv", at="@127.0.0.1 -p {port} -i")
UDP, TCP = [("udp", "noerror")], [("tcp", "noerror")]


@needs("dig")
@pytest.mark.parametrize(
    ("words", "expected", "asked"),
    [
        ("node-01.lab.example", "10.1.0.11", UDP),
        ("NODE-01.Lab.Example", "10.1.0.11", UDP),
        ("node-01.lab.example +tcp", "10.1.0.11", TCP),
        ("node-01.lab.example +noedns", "10.1.0.11", UDP),
        ("node-01.lab.example +bufsize=512 +dnssec +nsid +subnet=10.0.0.0/8 +padding=128", "10.1.0.11", UDP),
        ("node-01.lab.example +edns=1", "10.1.0.11", [("udp", "badvers"), *UDP]),
        ("-x 10.1.0.11", "node-01.lab.example.", UDP),
        ("-x 10.1.0.11 +tcp", "node-01.lab.example.", TCP),
        ("lab.example NS", "gitboot.lab.example.", UDP),
        ("node-01.lab.example ANY", "10.1.0.11", TCP),
        ("node-01.lab.example AAAA", "", UDP),
        ("+tcp +keepopen node-01.lab.example node-01.lab.example TXT", "10.1.0.11", TCP * 2),
    ],
)
def test_dig_prints_what_it_asked_for(words: str, expected: str, asked: list[tuple[str, str]]) -> None:
    said, came = dig(f"+short {words}")
    assert (expected, asked) == (said.strip(), came)


@needs("dig")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("node-01.lab.example", ("status: NOERROR", "flags: qr aa rd;", "ANSWER: 1", "\t60\tIN\tA\t10.1.0.11")),
        ("no.lab.example", ("status: NXDOMAIN", "flags: qr aa rd;", "lab.example.\t\t10\tIN\tSOA\tgitboot.lab.example.")),
        ("node-01.lab.example TYPE65280", ("status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "IN\tSOA")),
        ("www.example", ("status: REFUSED", "flags: qr rd;", "ANSWER: 0, AUTHORITY: 0")),
        ("version.bind CH TXT", ("status: REFUSED",)),
        ("node-01.lab.example +opcode=NOTIFY", ("status: NOTIMP", "opcode: NOTIFY")),
        ("node-01.lab.example +header-only", ("status: FORMERR",)),
        ("crowd.lab.example +ignore", ("flags: qr aa tc rd;", "ANSWER: 0", "udp: 1232")),
        ("lab.example AXFR", ("Transfer failed.",)),
    ],
)  # fmt: skip
def test_dig_finds_every_rule_kept_and_nothing_to_complain_about(words: str, expected: tuple[str, ...]) -> None:
    said, _ = dig(words)
    for part in expected:
        assert part in said
    for complaint in ("malformed", "mismatch", "extra bytes", "bad packet", "unexpected source", ";; Warning"):
        assert complaint not in said


@needs("dig")
@pytest.mark.parametrize("edns", ["+noedns", "+bufsize=1232", "+bufsize=65535"])
def test_dig_asks_by_tcp_for_what_a_datagram_cannot_hold(edns: str) -> None:
    said, asked = dig(f"+short crowd.lab.example {edns}")
    assert sorted(CROWD) == sorted(line for line in said.split() if line.startswith("10."))
    assert [*UDP, *TCP] == asked


@needs("host")
def test_host_finds_name_and_address() -> None:
    said, _ = told("host", "node-01.lab.example 127.0.0.1", at="-p {port} -W 5")
    assert "node-01.lab.example has address 10.1.0.11" in said
    said, _ = told("host", "10.1.0.11 127.0.0.1", at="-p {port} -W 5")
    assert "11.0.1.10.in-addr.arpa domain name pointer node-01.lab.example." in said


@needs("delv")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("node-01.lab.example", "node-01.lab.example.\t60\tIN\tA\t10.1.0.11"),
        ("-x 10.1.0.11", "11.0.1.10.in-addr.arpa.\t60\tIN\tPTR\tnode-01.lab.example."),
        ("no.lab.example", "resolution failed: ncache nxdomain"),
        ("node-01.lab.example AAAA", "resolution failed: ncache nxrrset"),
    ],
)
def test_delv_resolves_with_bind_s_own_resolver(words: str, expected: str) -> None:
    """Stricter than dig: BIND's resolver library judges each answer before it takes it."""
    assert expected in delv(words)[0]
