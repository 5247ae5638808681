"""`gitboot replay`: a boot that a server recorded, answered again from any commit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from netboot.recording import Exchange
from netboot.replay import Replayed
from reconciler.commands import options
from reconciler.commands.reading import read_plan, target_at
from reconciler.commands.recorded import recorded, recorded_boots
from reconciler.transcript import plain, replay_text


@click.command("replay", help="Answer a recorded boot again, from its own plan or from any commit; without a boot, list them.")
@click.argument("boot", metavar="[BOOT_OR_MACHINE]", required=False)
@options.state
@options.at
@options.repo
@options.artifacts
def command(boot: str | None, state: Path, at: str | None, repo: str, artifacts: Path | None) -> int:
    if boot is None:
        found = recorded_boots(state)
        click.echo("".join(_line(name, told) for name, told in found.items()) or "No boot is recorded.\n", nl=False)
        return 0
    kept = recorded(state, boot)
    again = kept.again(read_plan(target_at(repo, at), artifacts) if at is not None else None)
    click.echo(replay_text(again), nl=False)
    click.echo(_summary(again, f"by {at}" if at is not None else "by the plan it had"))
    return 0 if all(each.same for each in again) else 1


def _line(boot: str, told: list[Exchange]) -> str:
    first, last = told[0], told[-1]
    began = datetime.fromtimestamp(first.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    news = plain(f"{last.kind} {last.outcome} {last.reason}")
    return f"{boot}  {last.machine:<20}  {began}  {len(told):3} exchanges, the last: {news}\n"


def _summary(again: list[Replayed], how: str) -> str:
    answered = [each for each in again if each.again is not None or each.why]
    others = [each for each in answered if not each.same]
    if not others:
        return f"All {len(answered)} answers are the same, byte for byte, {how}."
    return f"{len(others)} of {len(answered)} answers are not the same {how}."
