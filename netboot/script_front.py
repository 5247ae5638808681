"""Boot scripts at the door: what a machine does next is decided, journalled, and only then told to it, by HTTP or by TFTP.

Shell. The decision is `scripts.script_for`'s.
"""

from __future__ import annotations

from netboot.scripts import Asked, Language, NoScript, Script, script_for
from netboot.world import World


async def fetch_script(world: World, language: Language, asked: Asked, local: str) -> Script | NoScript:
    """`local`: the address of ours that was asked. Raises Unavailable: nothing was acknowledged."""
    now, mac, peer = world.now(), asked.mac, asked.peer
    answer = _decide(world, language, asked, local, now)
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


def _decide(world: World, language: Language, asked: Asked, local: str, now: float) -> Script | NoScript:
    if world.plans is None:
        return NoScript(f"no plan is served yet: {world.no_plan}")
    return script_for(world.house(local, language), world.plans, world.observed, asked, world.hold(), now, world.new_id())
