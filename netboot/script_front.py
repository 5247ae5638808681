"""Boot scripts at the door: what a machine does next is decided, journalled, and only then told to it, by HTTP or by TFTP.

Shell. The decision is `scripts.script_for`'s.
"""

from __future__ import annotations

from netboot.scripts import Language, NoScript, Script, script_for
from netboot.world import World


async def fetch_script(
    world: World, language: Language, mac: str, peer: str, local: str, *, known_only: bool = False
) -> Script | NoScript:
    """`peer`: who asks; `local`: the address of ours that was asked. Raises Unavailable: nothing was acknowledged."""
    now = world.now()
    answer = _decide(world, language, mac, local, known_only, now)
    if isinstance(answer, NoScript):
        world.exchange("script", mac=mac, peer=peer, outcome="404", reason=answer.reason)
        if not known_only:
            world.strangers.note(mac, now, "boot script", address=peer)
        return answer
    if answer.machine:
        world.sightings.note(mac, peer)
    else:
        world.strangers.note(mac, now, "boot script", address=peer)
    await world.ledger.commit(answer.events)
    if answer.boot:
        world.observed.touch(answer.boot, now)
    world.exchange("script", mac=mac, peer=peer, machine=answer.machine, boot=answer.boot, reason=answer.why)
    return answer


async def peek_script(
    world: World, language: Language, mac: str, peer: str, local: str, *, known_only: bool = False
) -> Script | NoScript:
    """What `fetch_script` would answer, as long as it is; nothing happened, and nobody was heard of."""
    return _decide(world, language, mac, local, known_only, world.now())


def _decide(world: World, language: Language, mac: str, local: str, known_only: bool, now: float) -> Script | NoScript:
    if world.plans is None:
        return NoScript(f"no plan is served yet: {world.no_plan}")
    house = world.house(local, language)
    return script_for(house, world.plans, world.observed, mac, world.hold(), now, world.new_id(), known_only)
