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
    if world.plans is None:
        return NoScript(f"no plan is served yet: {world.no_plan}")
    now = world.now()
    house = world.house(local, language)
    answer = script_for(house, world.plans, world.observed, mac, world.hold(), now, world.new_id(), known_only)
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
