"""The floor: what the server's own configuration says of trust and policy, whatever git says.

Core. The law: it has the shape of a site's `spec.trust`, with `since` and `policy` beside it, and every problem of it is said
at once.
"""

from __future__ import annotations

from reconciler.formats.document import check_names
from reconciler.places import Mark, Source
from reconciler.policy_setting import check_policy, policy_of
from reconciler.problems import Rejected
from reconciler.shape import Complaints, check
from reconciler.signers import check_trust, trust_of
from reconciler.trust import Floor
from reconciler.yaml import read


def read_floor(file: str, data: bytes) -> Floor:
    """Raises Rejected."""
    reading = read(data)
    document = reading.documents[0] if len(reading.documents) == 1 else None
    complaints = Complaints(Source(file, document.root if document else Mark(1, 1, (1, 1))))
    for fault in reading.faults:
        complaints.fault(fault)
    if document is None:
        complaints.at((), "wrong-type", "A trust floor is one document, a map with `commits`, `signers`, `since` and `policy`.")
    else:
        check("trust-floor", document.value, complaints, complaints.source.written)
    value = document.value if document else None
    if complaints.errors or not isinstance(value, dict):
        raise Rejected(complaints.found)
    trust = trust_of(value)
    check_names([signer.name for signer in trust.signers], ("signers",), "signer", complaints)
    check_trust(trust, (), complaints, alone=False)
    policy = policy_of(said if isinstance(said := value.get("policy"), dict) else {})
    check_policy(policy, trust, ("policy",), complaints, alone=False)
    if complaints.errors:
        raise Rejected(complaints.found)
    return Floor(trust, str(value.get("since", "")), policy)
