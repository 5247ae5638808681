"""Whose fault an error is: the part of that tree which every codec of `netboot` shares.

Core. The law: a codec raises `Malformed` and nothing else, for any bytes.
"""

from __future__ import annotations


class Malformed(Exception):
    """The peer sent what its protocol does not allow: the peer's fault, so it is counted and dropped, and we carry on.

    `reason` is a sentence for a person; it may quote the peer, so quote it escaped (`!r`).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
