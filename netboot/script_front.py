"""Boot scripts at the door: what a machine does next is decided, journalled, and only then told to it, by HTTP or by TFTP.

Shell. The decision is `scripts.script_for`'s.
"""

from __future__ import annotations

from netboot.recording import ScriptQuestion, of_script
from netboot.scripts import Asked, Language, NoScript, Script, script_for
from netboot.world import World


async def fetch_script(world: World, language: Language, asked: Asked, local: str) -> Script | NoScript:
    """`local`: the address of ours that was asked. Raises Unavailable: nothing was acknowledged."""
    now, mac, peer = world.now(), asked.mac, asked.peer
    answer = _decide(world, language, asked, local, now, record=True)
    if isinstance(answer, NoScript):
        world.exchange("script", mac=mac, peer=peer, outcome=str(answer.status), reason=answer.reason)
        if answer.status == 404 and not asked.known_only:
            world.strangers.note(mac, now, "boot script", address=peer)
        return answer
    if answer.machine:
        world.sightings.note(mac, peer)
    else:
        world.strangers.note(mac, now, "boot script", address=peer)
    await world.ledger.commit(answer.events)
    if answer.boot:
        world.observed.notice(answer.boot, now)
    world.exchange("script", mac=mac, peer=peer, machine=answer.machine, boot=answer.boot, reason=answer.why)
    return answer


async def peek_script(world: World, language: Language, asked: Asked, local: str) -> Script | NoScript:
    """What `fetch_script` would answer, as long as it is; nothing happened, and nobody was heard of."""
    return _decide(world, language, asked, local, world.now())


def _decide(world: World, language: Language, asked: Asked, local: str, now: float, record: bool = False) -> Script | NoScript:
    plans = world.plans
    if plans is None:
        return NoScript(f"no plan is served yet: {world.no_plan}")
    house, hold, fresh = world.house(local, language), world.hold(), world.new_id()
    answer = script_for(house, plans, world.observed, asked, hold, now, fresh)
    if record and (asked.mac in plans.current.by_mac or (isinstance(answer, Script) and answer.boot)):
        question = ScriptQuestion(asked, house.base, hold, fresh, language, house.secure)
        plan = plans.of(world.observed.open_boot(asked.mac)).id
        world.recorder.note(of_script(question, answer, plan, now, world.seen(plans, asked.mac)))
    return answer
