"""The status of the site as a whole: where git and the served plan stand, and who else is on the wire.

Core. Law: as for every status document (`netboot.status_documents`), and no password of a repository's address is in it. The
shape is `schemas/status-reconcile.json`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from netboot.conditions import carried, condition
from netboot.observed import Observed
from netboot.run_documents import Document, rfc3339, time_of


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Where git and the served plan stand. Times are seconds since the epoch; None: never."""

    source: str
    branch: str = ""
    path: str = ""
    head: str = ""
    """The newest commit seen, served or not."""
    revision: str = ""
    """The commit that is served."""
    plan: str = ""
    problems: Sequence[Mapping[str, Any]] = ()
    """Those of `head`, as `gitboot check --format json` prints them."""
    reconciling: str = ""
    """What is being done about a new commit right now; empty: nothing."""
    unavailable: str = ""
    """Why git could not be read the last time; empty: it could."""
    hold: str = ""
    """Why no new run may start; empty: they may."""
    held: tuple[Mapping[str, Any], ...] = ()
    """What policy holds, of the newest plan that was made: kind, rule, why, release, machines, count, whole."""
    forge: str = ""
    """Why the forge cannot be told of commits; empty: it can, or there is none."""
    last_attempt: float | None = None
    last_success: float | None = None
    previous: str = ""
    """The head before this one; empty: none is known."""
    history: str = ""
    """How `head` came after `previous`: "continued", "rewritten" (`previous` is none of its ancestors) or "unknown"."""


class _Noticed(Protocol):
    """Something on the wire that git does not name."""

    @property
    def mac(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def first_seen(self) -> float: ...
    @property
    def last_seen(self) -> float: ...
    @property
    def count(self) -> int: ...


class Seen(_Noticed, Protocol):
    """A machine that asked for something and is not in git."""

    @property
    def asked(self) -> str: ...
    @property
    def client(self) -> Mapping[str, str]: ...


class Other(_Noticed, Protocol):
    """Another DHCP server. `mac` is the machine it was last heard to deal with."""

    @property
    def heard(self) -> str: ...


def reconcile_document(
    site: Reconciliation,
    observed: Observed,
    unknown: Iterable[Seen],
    now: float,
    previous: Document | None = None,
    others: Iterable[Other] = (),
) -> Document:
    """`previous`: the document before this one, whose transition times are kept where a condition did not change."""
    fresh = _reconcile_conditions(site, observed, now)
    before = {old["type"]: old for old in (previous or {}).get("conditions", ())}
    return {
        "apiVersion": "gitboot/v1",
        "kind": "ReconcileStatus",
        "source": without_credentials(site.source),
        "branch": site.branch,
        "path": site.path,
        "head": site.head,
        "revision": site.revision,
        "previous": site.previous,
        "history": site.history,
        "plan": site.plan,
        "journal": observed.journal,
        "hold": site.hold,
        "held": [dict(each) for each in site.held],
        "forge": site.forge,
        "lastAttempt": time_of(site.last_attempt),
        "lastSuccess": time_of(site.last_success),
        "problems": [dict(problem) for problem in site.problems],
        "boots": dict(Counter(boot.phase for boot in observed.open_boots())),
        "runs": dict(Counter(run.state for run in observed.runs.values())),
        "unknown": [_unknown(seen) for seen in unknown],
        "otherServers": [_other(server) for server in others],
        "conditions": [carried(each, before.get(each["type"])) for each in fresh],
    }


def without_credentials(url: str) -> str:
    """`https://user:secret@host/x` → `https://host/x`."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*@", r"\1", url)


def _reconcile_conditions(site: Reconciliation, observed: Observed, now: float) -> list[Document]:
    rejected = len(site.problems) and any(problem.get("severity") != "warning" for problem in site.problems)
    current = bool(site.revision) and site.revision == site.head and not rejected
    if rejected:
        reason, message = "Rejected", f"commit {site.head[:12]} was rejected; {_kept(site.revision)}"
    elif site.unavailable:
        reason, message = "Unavailable", site.unavailable
    elif any(each["whole"] for each in site.held):
        reason, message = "Held", f"commit {site.head[:12]} waits to be approved; {_kept(site.revision)}"
    elif current:
        reason, message = "Served", f"commit {site.revision[:12]} is served"
    else:
        reason, message = "Pending", site.reconciling or "no commit was read yet"
    held = site.hold or ("" if observed.journal else "this state directory was not declared a new site (`gitboot init`)")
    return [
        condition("Ready", "True" if current and not site.unavailable else "False", reason, message, now),
        condition("Reconciling", "True" if site.reconciling else "False", reason, site.reconciling or message, now),
        condition("Stalled", "True" if rejected else "False", reason, message, now),
        condition("RunsHeld", "True" if held else "False", "Held" if held else "Free", held or "runs may start", now),
    ]


def _kept(revision: str) -> str:
    return f"commit {revision[:12]} stays served" if revision else "none was accepted so far"


def _unknown(seen: Seen) -> Document:
    return {
        "mac": seen.mac,
        "address": seen.address,
        "firstSeen": rfc3339(seen.first_seen),
        "lastSeen": rfc3339(seen.last_seen),
        "count": seen.count,
        "asked": seen.asked,
        "client": dict(seen.client),
    }


def _other(server: Other) -> Document:
    return {
        "address": server.address,
        "firstSeen": rfc3339(server.first_seen),
        "lastSeen": rfc3339(server.last_seen),
        "count": server.count,
        "mac": server.mac,
        "heard": server.heard,
    }
