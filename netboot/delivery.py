"""Delivery: which secrets an agent may have now.

Core. The law: a run is given the secrets of the action that it began last, by the plan that its boot is pinned to, and no
others; an action that has not begun gets none. Whoever asks has shown before this that it speaks for the boot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from agent.workflow import Action
from netboot.errors import Malformed
from netboot.observed import Observed
from netboot.plan import BootPlan
from netboot.reports import ON_FAILURE, ON_TIMEOUT
from netboot.runs import Refused
from netboot.sealed import held_by
from netboot.secrets import Keys, Unreadable, login, open_secret


class SecretsRequest(msgspec.Struct, frozen=True):
    """Body of POST /agent/secrets."""

    boot: str
    run: str
    task: str
    action: str


def decode_secrets(body: bytes) -> SecretsRequest:
    """Raises Malformed, and nothing else, for any bytes."""
    try:
        return msgspec.json.decode(body, type=SecretsRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a SecretsRequest: {error}") from error


@dataclass(frozen=True, slots=True)
class Entitled:
    """Whoever asks may have what this action names."""

    action: Action


def entitled(observed: Observed, asked: SecretsRequest, system: str) -> Entitled | Refused:
    """`system`: the start of the machine's OS that asks. After a reset it has to claim the run before anything is its own."""
    run = observed.runs.get(asked.run)
    if run is None:
        return Refused(404, f"run {asked.run} is not known here")
    if run.boot != asked.boot:
        return Refused(410, f"run {run.id} was taken over by boot {run.boot}", run.sequence)
    if run.system != system:
        return Refused(410, f"run {run.id} belongs to another start of the machine's system", run.sequence)
    if not run.active:
        return Refused(410, f"run {run.id} has ended: {run.state}", run.sequence)
    last = run.attempts[-1] if run.attempts else None
    if last is None or (last.task, last.action) != (asked.task, asked.action):
        return Refused(409, f"{asked.task}/{asked.action} is not what run {run.id} began last", run.sequence)
    return Entitled(run.document.action(asked.task, asked.action.removesuffix(ON_FAILURE).removesuffix(ON_TIMEOUT)))


def opened(plan: BootPlan, action: Action, keys: Keys) -> dict[str, Any]:
    """`{"secrets": [{"env" or "file", "value"}], "login"}`. Raises Unreadable, whose message names the secret."""
    logins = {each.registry: each for each in plan.site.pull_secrets}
    entry = logins.get(action.login)
    values = {
        name: _open(plan, name, keys) for name in {each.name for each in action.secrets} | ({entry.name} if entry else set())
    }
    secrets: list[dict[str, str]] = []
    for each in action.secrets:
        value = _value(values, each.name, each.key)
        secrets.append({"env": each.env, "value": _line(value)} if each.env else {"file": each.file, "value": value})
    return {"secrets": secrets, "login": login(_value(values, entry.name, entry.key), entry.registry) if entry else None}


def _open(plan: BootPlan, name: str, keys: Keys) -> dict[str, str]:
    if name not in plan.secrets:
        raise Unreadable(f"the plan of this boot has no secret {name}")
    try:
        return open_secret(plan.secrets[name], keys)
    except Unreadable as error:
        raise Unreadable(held_by([name], {name: str(error)})) from None


def _value(values: dict[str, dict[str, str]], name: str, key: str) -> str:
    if key not in values[name]:
        raise Unreadable(f"secret {name} has no key {key} in the plan of this boot")
    return values[name][key]


def _line(value: str) -> str:
    """Without the line break at its end, which editors and `echo` put there: as a shell's `$(…)`."""
    return value.removesuffix("\n").removesuffix("\r")
