"""A machine that is not in git, as the document that would put it there.

Core. The law: it is YAML that `gitboot check` accepts beside a Site with a subnet for it, whatever the machine said of itself:
of what it says only its MAC and its architecture get in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARCHITECTURES = {"0": "x86_64", "7": "x86_64", "9": "x86_64", "16": "x86_64", "11": "aarch64", "19": "aarch64"}
"""Option 93 (RFC 4578, IANA's processor architecture types) → as git has it."""


def as_hardware(seen: Mapping[str, Any]) -> str:
    """`seen`: one of `unknown` in the site's status."""
    mac = str(seen["mac"])
    arch = ARCHITECTURES.get(str(seen["client"].get("arch", "")), "x86_64")
    return f"""\
apiVersion: gitboot/v1
kind: Hardware
metadata:
  name: node-{mac.replace(":", "")[-6:]}
spec:
  arch: {arch}
  interfaces:
  - mac: "{mac}"
"""
