"""Which Debian package installed a file of this host, and in which version.

Shell. dpkg is asked, once for all files; a host without it, or a file of nobody's, has no answer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

PATIENCE = 10
"""Seconds; it takes a tenth."""


def packages_of(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Path → package and version, for those that are some package's."""
    found = _dpkg("--search", *paths)
    owners = {path: owner for owner, _, path in (line.partition(": ") for line in found) if "," not in owner}
    shown = _dpkg("--show", "--showformat", "${binary:Package} ${Version}\n", *set(owners.values()))
    versions = dict(line.split(" ", 1) for line in shown)
    return {path: (owner.partition(":")[0], versions[owner]) for path, owner in owners.items() if owner in versions}


def _dpkg(action: str, *words: str) -> list[str]:
    """Lines of what it finds: it fails when it does not find all."""
    if not words:
        return []
    argv = ["dpkg-query", action, *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
