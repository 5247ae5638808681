"""Recorded at the door, answered again from the journal: the same bytes, and no token among them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.boot import Plans, Tried
from netboot.dhcp_packet import DISCOVER, REQUEST
from netboot.errors import Malformed
from netboot.events import LeaseBound, Trying
from netboot.holds import Hold, Holds, gate
from netboot.journal import events_of
from netboot.plan import BootPlan, Dump
from netboot.recorder import read
from netboot.recording import Exchange, decode_line, encode
from netboot.replay import Replayed, in_place_of, replay
from netboot.script_front import fetch_script
from netboot.scripts import Asked
from netboot.world import World
from tests.netboot.site import mac, machine, plan, world
from tests.netboot.test_dhcp_front import PXE, Door, asked

SEVERAL = (machine(1, "look"), machine(2), machine(3, idle="wait"))


def recorded(state: Path, served: Dump, story: Callable[[World, Door], Awaitable[None]]) -> list[Exchange]:
    """What the doors of one server recorded."""

    async def run() -> None:
        async with world(state, served) as here:
            await story(here, Door(here))
            here.recorder.close()

    asyncio.run(run())
    return list(read(state / "recordings"))


def again(state: Path, exchanges: list[Exchange], *plans: BootPlan) -> list[Replayed]:
    return list(replay(exchanges, events_of(state / "journal"), {each.id: each for each in plans}))


async def boots(here: World, door: Door, number: int = 1) -> None:
    """From the PXE ROM to the script."""
    chosen = {50: bytes((10, 1, 0, number)), 54: bytes((10, 1, 0, 1))}
    for message, more in ((DISCOVER, {}), (REQUEST, chosen)):
        door.hand_in(asked(number, {53: bytes([message])} | PXE | more))
        await door.settled()
    await fetch_script(here, "ipxe", Asked(mac(number), f"10.1.0.{number}"), "10.1.0.1")


def test_a_recorded_boot_is_answered_again_byte_for_byte(tmp_path: Path) -> None:
    async def story(here: World, door: Door) -> None:
        for number in (1, 2, 3):
            await boots(here, door, number)
        await boots(here, door, 1)  # a reset

    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, story)
    assert ["offer", "ack", "ok"] * 4 == [each.outcome for each in exchanges]
    assert all(each.same and each.again for each in again(tmp_path, exchanges, served.plan))
    assert 4 == len({each.boot for each in exchanges})


def test_no_token_and_no_key_is_in_a_recording(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def story(here: World, door: Door) -> None:
        for language in ("ipxe", "grub", "pxelinux"):
            script: Any = await fetch_script(here, language, Asked(mac(1), "10.1.0.1"), "10.1.0.1")
            tokens.extend(word.split("=")[1].strip("'\"") for word in script.text.split() if "gitboot.token=" in word)
        tokens.append(here.key.hex())

    recorded(tmp_path, plan(*SEVERAL), story)
    assert 4 == len(tokens)
    text = b"".join(path.read_bytes() for path in (tmp_path / "recordings").iterdir())
    plain = b"".join(each.answer for each in read(tmp_path / "recordings"))
    assert b"gitboot.token=****" in plain
    assert [] == [token for token in tokens if token.encode() in text + plain]


def test_another_plan_in_its_place_shows_what_the_machine_would_be_told_otherwise(tmp_path: Path) -> None:
    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, boots)
    ids = {served.plan.id}
    elsewhere = plan(machine(1, "look"), machine(2, "look")).plan  # nothing that this machine is told
    assert all(each.same for each in again(tmp_path, exchanges, *in_place_of(ids, elsewhere, {}).values()))
    without = plan(machine(1), machine(2)).plan
    found = again(tmp_path, exchanges, *in_place_of(ids, without, {}).values())
    assert [True, True, False] == [each.same for each in found]
    assert found[2].again is not None
    assert b"git names no work for it" in found[2].again.answer


def test_digests_that_a_commit_alone_does_not_know_come_from_the_recorded_plan(tmp_path: Path) -> None:
    served = plan(*SEVERAL, artifacts={"vmlinuz": "5" * 64})
    exchanges = recorded(tmp_path, served, boots)
    unsure = plan(*SEVERAL, artifacts={"vmlinuz": ""}).plan
    assert not all(each.same for each in again(tmp_path, exchanges, *in_place_of({served.plan.id}, unsure, {}).values()))
    told = in_place_of({served.plan.id}, unsure, served.plan.artifacts)
    assert all(each.same for each in again(tmp_path, exchanges, *told.values()))


def test_what_held_runs_back_is_part_of_the_recording(tmp_path: Path) -> None:
    async def story(here: World, door: Door) -> None:
        (here.settings.state / "frozen").write_text('{"by": "me", "reason": "a look at the rack"}')
        await boots(here, door)

    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, story)
    assert b"a look at the rack" in exchanges[-1].answer
    (tmp_path / "frozen").unlink()
    assert all(each.same for each in again(tmp_path, exchanges, served.plan))


def test_what_policy_held_then_is_held_in_the_replay_and_what_it_did_not_is_not(tmp_path: Path) -> None:
    hold = Hold("destructive", "at most 1 machine destructive per site", "it is 2", "sign it", {"node-01": (("look", 1),)})

    async def story(here: World, door: Door) -> None:
        assert here.plans is not None
        free = here.plans.current
        here.plans = Plans(replace(free, gate=gate(Holds(free.id, held=(hold,)))), {})
        await boots(here, door, 1)
        here.plans = Plans(free, {})
        await boots(here, door, 1)

    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, story)
    assert b"at most 1 machine destructive" in exchanges[2].answer
    assert b"runs workflow look" in exchanges[-1].answer
    assert all(each.same for each in again(tmp_path, exchanges, served.plan))


def test_a_boot_that_tried_another_commit_is_answered_by_that_one_again(tmp_path: Path) -> None:
    served, other = plan(*SEVERAL), plan(machine(1), machine(2))
    attempt = Trying("t1", "c" * 40, "pull/17/head", "ann", False)

    async def story(here: World, door: Door) -> None:
        tried = {mac(1): Tried("node-01", attempt, other.plan)}
        here.plans = Plans(served.plan, {other.plan.id: other.plan}, tried)
        await boots(here, door, 1)

    exchanges = recorded(tmp_path, served, story)
    assert {other.plan.id} == {each.plan for each in exchanges}
    assert b"git names no work for it" in exchanges[-1].answer
    found = again(tmp_path, exchanges, served.plan, other.plan)
    assert [True, True, True] == [each.same and each.again is not None for each in found]
    assert any(each.why for each in again(tmp_path, exchanges, served.plan))


def test_an_exchange_is_answered_with_what_was_known_then_and_not_with_what_came_after(tmp_path: Path) -> None:
    async def story(here: World, door: Door) -> None:
        await boots(here, door)
        here.observed.boots[here.observed.open_boot(mac(1)).id].last_seen -= 4000.0  # type: ignore[union-attr]  # it is open
        await boots(here, door)  # not heard of for an hour: another boot
        await here.ledger.commit((LeaseBound(at=here.now(), mac=mac(1), address="10.1.200.1"),))

    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, story)
    assert 2 == len({each.boot for each in exchanges})
    assert all(each.same for each in again(tmp_path, exchanges, served.plan))


def test_a_journal_that_ends_before_and_a_plan_that_is_gone_are_said(tmp_path: Path) -> None:
    served = plan(*SEVERAL)
    exchanges = recorded(tmp_path, served, boots)
    assert {"the journal has 0 events, and this was after event 1"} >= {
        each.why for each in replay(exchanges[:1], (), {served.plan.id: served.plan})
    }
    [first, *_] = again(tmp_path, exchanges)
    assert first.why == f"the plan {served.plan.id[:12]} is not kept any more; name a commit with --at"
    assert not first.same


def test_an_operating_system_s_own_client_outside_of_a_boot_is_not_recorded(tmp_path: Path) -> None:
    async def story(here: World, door: Door) -> None:
        door.knock(DISCOVER)
        await door.settled()

    assert [] == recorded(tmp_path, plan(*SEVERAL), story)


def test_what_a_machine_asks_for_in_its_boot_is_told_of_by_name(tmp_path: Path) -> None:
    async def story(here: World, door: Door) -> None:
        await boots(here, door)
        here.exchange("tftp", "completed", peer="10.1.0.1", path="undionly.kpxe")
        here.exchange("tftp", "completed", peer="10.1.0.99", path="somebody-else")
        here.artifact_fetched("10.1.0.1", "vmlinuz", "GET")

    exchanges = recorded(tmp_path, plan(*SEVERAL), story)[3:]
    assert [("tftp", "undionly.kpxe", "node-01"), ("artifact", "vmlinuz", "node-01")] == [
        (each.kind, each.said, each.machine) for each in exchanges
    ]
    assert {exchanges[0].boot} == {each.boot for each in exchanges}


@given(st.binary(max_size=200) | st.builds(lambda text: text.encode(), st.from_regex(r'\{"at":[0-9]+,"kind":"[a-z]*".*')))
def test_any_bytes_are_an_exchange_or_malformed(line: bytes) -> None:
    try:
        found = decode_line(line)
    except Malformed:
        return
    assert decode_line(encode(found)) == found


def test_what_a_later_gitboot_adds_to_a_line_spoils_no_reading() -> None:
    assert Exchange(at=1.0, kind="tftp") == decode_line(b'{"at":1,"kind":"tftp","colour":"green"}')


def test_a_line_without_its_time_is_malformed() -> None:
    with pytest.raises(Malformed, match="at"):
        decode_line(b'{"kind":"tftp"}')
