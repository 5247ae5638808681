"""The difference as a document for programs: all of it, one entry for each machine.

Core. The law: nothing is summed up or left out here, and what is secret stays masked. The shape is `schemas/difference.json`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from reconciler.changes import GRAVITY, Difference


def as_document(difference: Difference, before: str, after: str) -> dict[str, Any]:
    """`before` and `after`: the commits' ids; "" for files that are no commit, or for nothing at all."""
    counted = Counter(change.consequence for change in difference.machines)
    return {
        "apiVersion": "gitboot/v1",
        "kind": "Difference",
        "before": {"revision": before, "plan": difference.before},
        "after": {"revision": after, "plan": difference.after},
        "changed": bool(difference),
        "observed": difference.observed,
        "consequences": {each: counted[each] for each in GRAVITY},
        "held": [msgspec.to_builtins(each) for each in difference.held],
        "site": [msgspec.to_builtins(each) for each in difference.site],
        "machines": [msgspec.to_builtins(each) for each in difference.machines],
    }


def as_json(difference: Difference, before: str, after: str) -> str:
    """Ends with a line break."""
    return msgspec.json.format(msgspec.json.encode(as_document(difference, before, after)), indent=2).decode() + "\n"
