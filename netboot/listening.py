"""Opening a port: what the kernel objects to becomes a sentence with a next step.

Shell. Law: `CannotListen` is all that leaves here.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from netboot.settings import Settings


class CannotListen(Exception):
    """A port or interface cannot be had; the message is a sentence with a next step."""


@contextlib.contextmanager
def listening(settings: Settings, protocol: str, port: int, flag: str) -> Iterator[None]:
    """Around what opens `port`, which `flag` names. Raises CannotListen."""
    try:
        yield
    except PermissionError:
        raise CannotListen(
            f"{protocol} port {port} needs root or the capability CAP_NET_BIND_SERVICE; "
            f"run as root or choose a port above 1023 with {flag}."
        ) from None
    except OSError as error:
        what = f"{protocol} port {port} cannot be opened ({error.strerror})"
        match error.errno:
            case errno.ENODEV:
                step = f"there is no interface {settings.interface!r}; `ip link` lists them, correct --interface"
            case errno.EADDRNOTAVAIL:
                step = f"this host has no address {settings.listen}; `ip address` lists them, correct --listen"
            case errno.EADDRINUSE:
                step = f"stop the program that holds it (`ss -lnp` names it), or choose another port with {flag}"
            case _:
                step = f"correct --listen {settings.listen} or --interface"
        raise CannotListen(f"{what}: {step}.") from None
