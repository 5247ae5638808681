"""What is known of the wire and of this server, and is not journalled.

Core. The law: it is asked for by the documents that show it, and no decision about a machine rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from netboot.chronicle import Said
from netboot.expectations import Expectations
from netboot.inventory_document import Kept
from netboot.noticed import Noticed
from netboot.reconcile_document import Other, Seen
from netboot.records import Contest
from netboot.tries import Judged


@dataclass(frozen=True, slots=True)
class Health:
    """How this server itself is."""

    plan: str = ""
    """Why the newest published plan is not the one that is served; "": it is."""
    journal: str = ""
    """Why nothing can be recorded; "": it can."""
    room: int | None = None
    """Bytes that are left on the disk of the state directory; None: not known."""
    frozen_since: float = 0.0
    """0: it is not frozen."""
    programs: Collection[str] | None = None
    """The boot programs that it has; None: not known."""


@dataclass(frozen=True, slots=True)
class Heard:
    strangers: Callable[[], Iterable[Seen]] = tuple
    rivals: Callable[[], Iterable[Other]] = tuple
    address_of: Callable[[str], str] = lambda mac: ""
    inventory_of: Callable[[str], Kept | None] = lambda name: None
    """What a machine's agent said that it is made of."""
    inventories: Callable[[], Collection[str]] = tuple
    """The names of those machines."""
    contest_of: Callable[[str], Contest | None] = lambda name: None
    """Who came last to a machine while its session lived."""
    asked_since: Callable[[str], float] = lambda name: 0.0
    """Since when a machine is asked for its work, seconds since the epoch; 0: not known."""
    expectations: Expectations = field(default_factory=Expectations)
    """How long things take."""
    said: Callable[[str], Sequence[Said]] = lambda boot: ()
    """What is remembered of a boot."""
    commit_of: Callable[[str], str] = lambda plan: ""
    """The commit that a plan was made of; "": not known."""
    model_of: Callable[[str], str] = lambda name: ""
    """Vendor and product of a machine."""
    tries: Callable[[], Sequence[Judged]] = tuple
    """What is asked for to be tried."""
    noticed: Noticed = field(default_factory=Noticed)
    health: Callable[[], Health] = Health
    has_syslog: Callable[[str], bool] = lambda boot: False
    """Whether a machine said anything by syslog in a boot."""
