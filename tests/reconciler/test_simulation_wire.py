"""What is simulated is what a running server sends: the same questions over real sockets get the same bytes."""

from __future__ import annotations

import asyncio
import http.client
import io
import re
import socket
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netboot.dhcp_options import pack
from netboot.ipxe import Secure, mask
from netboot.log import Log
from netboot.markers import declare_new_site
from netboot.plan import Binding, Dump, Interface, Machine
from netboot.plans import PlanStore
from netboot.recording import DhcpQuestion, Exchange, ScriptQuestion
from netboot.server import Netboot
from netboot.settings import Settings
from reconciler.firmware import PROFILES
from reconciler.simulation import BOOT, Simulation, Where, simulate
from tests.netboot.site import KERNEL_SHA256, mac, machine, plan
from tests.replaying import assert_all_the_same

pytestmark = pytest.mark.shell

PATIENCE = 20.0
OPTIONS = st.fixed_dictionaries(
    {51: st.just(b"\0\0\x0e\x10")},
    optional={12: st.binary(min_size=1, max_size=30), 15: st.binary(min_size=1, max_size=300), 119: st.binary(max_size=250)},
).map(pack)


@st.composite
def machines(draw: st.DrawFn) -> list[tuple[Machine, str]]:
    """Each with the firmware that boots it. One at most has no reservation: who came first tells the others' addresses."""
    found = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        plain = machine(
            number,
            *draw(st.sampled_from([(), ("look",)])),
            idle=draw(st.sampled_from(["disk", "wait", "profile:inspect", "profile:other"])),
            handover=draw(st.sampled_from(["auto", "exit", "sanboot", "grub", "no-boot-file"])),
            loader=draw(st.sampled_from(["", "ipxe", "grub", "shim", "pxelinux"])),
        )
        address = "" if number == 1 and draw(st.booleans()) else f"10.1.0.{number}"
        asks, boots = draw(st.sampled_from([(True, True)] * 4 + [(False, True), (True, False)]))
        port = Interface(mac(number), address, f"node-{number:02}", "rack1", draw(OPTIONS), dhcp=asks, netboot=boots)
        here = Machine(
            plain.name, plain.arch, (port,), work=plain.work, idle=plain.idle, handover=plain.handover, loader=plain.loader
        )
        found.append((here, draw(st.sampled_from(sorted(PROFILES)))))
    return found


@settings(max_examples=15)
@given(machines(), st.sampled_from(["reservation", "reservation", "proxy", "auto-proxy", "off"]))
def test_what_is_simulated_is_what_the_running_server_sends(fleet: list[tuple[Machine, str]], mode: str) -> None:
    artifacts = {"vmlinuz": KERNEL_SHA256}
    served = plan(*(each for each, _ in fleet), artifacts=artifacts, mode=mode, server="127.0.0.1")
    with TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder), served, fleet))
        assert_all_the_same(Path(folder))


async def _compare(state: Path, served: Dump, fleet: list[tuple[Machine, str]]) -> None:
    PlanStore(state / "plans").publish(served)
    declare_new_site(state)
    here = Settings(
        state, listen="127.0.0.1", dhcp_port=0, proxy_port=0, tftp_port=-1, http_port=0, https_port=0, reply_to_source=True,
        trusted_proxies=("127.0.0.1/32",),
    )  # fmt: skip
    async with asyncio.timeout(60), Netboot(here, Log(io.StringIO())).running() as server:
        base = f"http://127.0.0.1:{server.http_port}"
        where = Where("127.0.0.1", base, Secure(f"https://127.0.0.1:{server.https_port}", server.world.pin))
        for each, firmware in fleet:
            simulated = simulate(served.plan, Binding(each, each.interfaces[0]), PROFILES[firmware], where)
            await asyncio.to_thread(_hold_to, simulated, server.dhcp_port, server.http_port)


def _hold_to(simulated: Simulation, dhcp: int, http_port: int) -> None:
    for each in simulated.exchanges:
        if isinstance(each.question, DhcpQuestion):
            _hold_dhcp(each, each.question, dhcp)
        elif isinstance(each.question, ScriptQuestion):
            assert (each.outcome, each.answer.decode()) == _fetched(each, each.question, http_port)


def _hold_dhcp(each: Exchange, question: DhcpQuestion, port: int) -> None:
    """Where silence is expected, what comes back is the answer to what is asked next, and so no answer to this."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(PATIENCE if each.answer else 0.02)
        sock.sendto(question.datagram, ("127.0.0.1", port))
        try:
            said = sock.recv(4096)
        except TimeoutError:
            said = b""
    assert each.answer == said


def _fetched(each: Exchange, question: ScriptQuestion, port: int) -> tuple[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", f"/{each.said}", headers={"X-Forwarded-For": question.asked.peer})
        answer = connection.getresponse()
        text = answer.read().decode()
    if answer.status != 200:
        return str(answer.status), ""
    return "ok", re.sub(r"(gitboot[.-]boot[= ])[0-9a-f]{16}", rf"\g<1>{BOOT}", mask(text))
