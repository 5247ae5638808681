"""Policy as people write it: a site's `spec.policy`, or the floor's.

Core. The law: what is taken means one thing; a share, a group or a time of day that could be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netboot.policy import DAYS, KINDS, NO_POLICY, Approver, Limit, Policy, Rolling, Window
from netboot.trust import Trust

if TYPE_CHECKING:
    from reconciler.places import Path
    from reconciler.shape import Complaints


def share(text: str) -> int:
    """`25%` as 25."""
    found = re.fullmatch(r"(\d{1,3})%", text)
    if found is None or int(found[1]) > 100:
        raise ValueError("it takes a whole number up to 100 with a percent sign behind it")
    return int(found[1])


def group(text: str) -> str:
    """`site`, `subnet` or `label:<key>`."""
    if text not in ("site", "subnet") and not re.fullmatch(r"label:\S+", text):
        raise ValueError("it takes site, subnet, or label: and the label's key")
    return text


def time_of_day(text: str) -> int:
    """`22:00` as minutes after midnight; `24:00` is the end of the day."""
    found = re.fullmatch(r"(\d\d):([0-5]\d)", text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minutes <= 24 * 60:
        raise ValueError("it takes hours and minutes of two digits each, up to 24:00, in UTC")
    return minutes


def policy_of(spec: Mapping[str, Any]) -> Policy:
    """Of a setting whose shape is right."""
    rolling = spec.get("rolling", {})
    policy = Policy(
        tuple(map(_limit, spec.get("limits", ()))),
        tuple(
            Window(tuple(each.get("days", DAYS)), time_of_day(each["from"]), time_of_day(each["to"]))
            for each in spec.get("windows", ())
        ),
        Rolling(rolling.get("atOnce", 0), rolling.get("stopAfter", 0)),
        tuple(Approver(each["signer"], tuple(each.get("may", KINDS))) for each in spec.get("approvers", ())),
    )
    return NO_POLICY if policy == NO_POLICY else policy


def _limit(spec: Mapping[str, Any]) -> Limit:
    return Limit(
        spec["change"],
        machines=int(spec["machines"]) if "machines" in spec else None,
        share=share(spec["share"]) if "share" in spec else None,
        per=spec.get("per", "site"),
    )


def check_policy(policy: Policy, trust: Trust, path: Path, complaints: Complaints, alone: bool = True) -> None:
    """What a setting shows by itself: whether somebody could release what it holds. `alone`: no other setting adds signers."""
    names = {signer.name for signer in trust.signers}
    for index, approver in enumerate(policy.approvers):
        if approver.signer not in names:
            message = f"There is no signer {approver.signer!r}: list the key in `trust.signers`, or correct the name."
            complaints.at((*path, "approvers", index, "signer"), "unknown-signer", message)
    if alone and policy.limits and not names:
        message = (
            "Nobody is listed who could approve what these limits hold: list signers in `trust`, "
            "or in the floor of the server (--trust-floor)."
        )
        complaints.at((*path, "limits"), "no-approver", message, "warning")
