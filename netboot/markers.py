"""What an operator told this state directory by hand: files that a person can see with `ls` and that need no running server.

Shell. `frozen` stops new runs until it is removed; `new-site` asks the server to declare this a new site, once. Both work while
git, the server, or both are down.
"""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

FROZEN = "frozen"
NEW_SITE = "new-site"
LOOK_NOW = "look-now"
"""Not a person's but a forge's: it changes whenever somebody is known to have pushed."""


def freeze(state: Path, reason: str) -> str:
    """Returns the sentence that status and scripts show. Raises OSError when the state directory cannot be written."""
    sentence = f"frozen by {who()} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if reason:
        sentence += f": {' '.join(reason.split())}"
    partial = state / f"{FROZEN}.new"
    partial.write_text(sentence + "\n")
    partial.replace(state / FROZEN)
    return sentence


def unfreeze(state: Path) -> bool:
    """Whether it was frozen."""
    try:
        (state / FROZEN).unlink()
    except FileNotFoundError:
        return False
    return True


def frozen(state: Path) -> str:
    """Why no new runs start, or "". A marker that cannot be read still freezes."""
    try:
        return (state / FROZEN).read_text(errors="replace").strip() or "frozen"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"frozen (the marker cannot be read: {error.strerror})"


def frozen_since(state: Path) -> float:
    """Seconds since the epoch; 0: it is not frozen, or nobody can tell."""
    try:
        return (state / FROZEN).stat().st_mtime
    except OSError:
        return 0.0


def declare_new_site(state: Path) -> None:
    """Ask the server to open the site at its next look. Raises OSError."""
    state.mkdir(parents=True, exist_ok=True)
    (state / NEW_SITE).touch()


def new_site_declared(state: Path) -> bool:
    """Whether that was asked and not yet done."""
    return (state / NEW_SITE).exists()


def clear_new_site(state: Path) -> None:
    """It is done: the site's opening is in the journal. Raises OSError."""
    (state / NEW_SITE).unlink(missing_ok=True)


def look_now(state: Path) -> None:
    """Whoever watches the marker looks at the repository. Raises OSError."""
    (state / LOOK_NOW).write_text(f"{datetime.now(UTC).isoformat()}\n")


def who() -> str:
    """Who is at this terminal."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
