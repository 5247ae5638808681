"""age identities in files: read at start, once, from where only the server's owner can.

Shell. A key in the state directory would be handed to `--user`, and lie in every backup of what it opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from netboot.secrets import Keys, parse_keys


class BadKey(Exception):
    """A key cannot be used; the message is a sentence with a next step."""


def read_keys(paths: Iterable[Path], state: Path | None = None) -> Keys:
    """Raises BadKey."""
    keys = Keys()
    for path in paths:
        if state is not None and path.resolve().is_relative_to(state.resolve()):
            raise BadKey(f"--age-identity {path} lies in the state directory; keep the key elsewhere, mode 600.")
        try:
            keys += parse_keys(path.read_text(errors="replace"))
        except OSError as error:
            raise BadKey(f"--age-identity {path} cannot be read ({error.strerror}); correct the path, or its owner.") from None
        except ValueError as error:
            raise BadKey(f"--age-identity {path}: {error}.") from None
    return keys
