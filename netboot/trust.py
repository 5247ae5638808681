"""Trust: whose signatures make a commit one that is served; a part of the plan.

Core. The law: the commit that is judged never says by what. This is of the plan that was served before it, or of the server's
own floor; the servers do not read it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Commits = Literal["off", "warn", "destructive", "required"]
"""Which commits must be signed, the strictest last."""


class Signer(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key whose signatures count: `ssh` or `gpg`."""

    name: str
    ssh: str = ""
    """Type and base64, as in the file of a public key."""
    gpg: str = ""
    """An armoured block."""
    valid_after: int = 0
    """Seconds since the epoch, as `valid_before`; 0: no such bound."""
    valid_before: int = 0


class Trust(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    commits: Commits = "off"
    signers: tuple[Signer, ...] = ()


OFF = Trust()
"""The default is this very object: a field is left out of a plan's bytes when it is."""
