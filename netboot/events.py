"""Control events: what happened, once, in the words of the journal.

Core. Law: an event is a fact, never a wish and never a decision to be made again; it carries everything its fold needs, so that
the journal alone rebuilds the observed state. Times are the server's clock (`at`, seconds since the epoch): the clocks of fresh
hardware are wrong by years. `schemas/journal-event.json` is the reference for readers outside Python.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from netboot.errors import Malformed

Phase = Literal["firmware", "ipxe", "script", "kernel", "agent", "disk"]
PHASES: tuple[Phase, ...] = ("firmware", "ipxe", "script", "kernel", "agent", "disk")
"""In the order in which a boot passes through them."""

RunEnd = Literal["SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]
RunState = Literal["RUNNING", "SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]
ActionEnd = Literal["SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"]
ActionState = Literal["RUNNING", "SUCCESS", "FAILED", "TIMEOUT", "INTERRUPTED"]
Repeat = Literal["once", "everyBoot"]
OnFailure = Literal["rescue", "reboot", "poweroff"]
Via = Literal["dhcp", "script"]
Kind = Literal["disk", "image", "url", "memory", "work"]
"""Of what a rehearsal looks at."""
Verdict = Literal["ok", "note", "failed"]
Text = Annotated[str, msgspec.Meta(max_length=1000)]


def _tag(name: str) -> str:
    """`ActionStarted` → `action-started`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=_tag, omit_defaults=True):
    at: float


class JournalOpened(_Event, frozen=True, kw_only=True):
    """Somebody declared this a new site. Without this event no run starts: a lost disk must not reinstall a fleet."""

    journal: str


class Trying(msgspec.Struct, frozen=True, omit_defaults=True):
    """A commit that one machine tries for one boot."""

    id: str
    revision: str
    """Id of the commit."""
    ref: str = ""
    """As it was asked for."""
    by: str = ""
    rehearse: bool = False
    """Nothing of its work is started: the agent looks whether it could be, and says what it would do."""


class Installed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the marker of a disk says of itself (`agent.marker`)."""

    site: Text
    workflow: Text
    machine: Text
    run: int
    part: int = 0


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a rehearsal looked at."""

    kind: Kind
    subject: Text
    """What was looked at; a URL is without its password and query."""
    state: Verdict
    said: Text
    workflow: Text = ""
    installed: Installed | None = None


class BootOpened(_Event, frozen=True, kw_only=True):
    """A machine began to boot and is pinned to `plan` until the boot closes. `mac` is the interface that asked."""

    boot: str
    machine: str
    macs: tuple[str, ...]
    mac: str
    plan: str
    via: Via
    client: dict[str, str] = {}
    trying: Trying | None = None
    """None: it boots what is served to everybody."""


class BootAdvanced(_Event, frozen=True, kw_only=True):
    boot: str
    phase: Phase
    reason: str = ""
    client: dict[str, str] = {}
    """Further facts about the firmware; added to those known."""
    profile: str = ""
    """Name of the profile that the machine was handed, if it was."""


class BootClosed(_Event, frozen=True, kw_only=True):
    boot: str
    reason: str


class Rehearsed(_Event, frozen=True, kw_only=True):
    """What the agent of a rehearsal found."""

    boot: str
    findings: tuple[Finding, ...]


class SessionOpened(_Event, frozen=True, kw_only=True):
    """From now on this session, and no other, speaks for the boot's machine. `system`: the start of the OS it runs in."""

    session: str
    boot: str
    system: str


class SessionEnded(_Event, frozen=True, kw_only=True):
    """Another one takes its place: it was dead, or its boot over."""

    session: str
    boot: str
    reason: str


class RunStarted(_Event, frozen=True, kw_only=True):
    """`document` is `agent.workflow.to_json(Workflow)`, `machine_document` what `netboot.machine_document` made: the run keeps
    to both whatever later plans say, and to `on_failure` and `retry`. `after`: the failed run that this one is another try of.
    `part`: which of a workflow's parts it is, where tasks are for several machines.
    """

    run: str
    workflow: str
    machine: str
    macs: tuple[str, ...]
    number: int
    boot: str
    system: str
    plan: str
    document: dict[str, Any]
    resets: int = 0
    repeat: Repeat = "once"
    machine_document: dict[str, Any] = {}
    on_failure: OnFailure = "rescue"
    retry: int = 0
    after: str = ""
    part: int = 0


class RunTakenOver(_Event, frozen=True, kw_only=True):
    """The machine was reset between tasks: the run goes on in another boot or another start of its OS."""

    run: str
    boot: str
    system: str


class ActionStarted(_Event, frozen=True, kw_only=True):
    run: str
    sequence: int
    task: str
    action: str
    attempt: int


class ActionEnded(_Event, frozen=True, kw_only=True):
    run: str
    sequence: int
    task: str
    action: str
    attempt: int
    state: ActionEnd
    exit_code: int | None = None
    reason: str = ""


class TaskInterrupted(_Event, frozen=True, kw_only=True):
    """The machine was reset while `task` was in flight; `boot` is the boot that brought the news."""

    run: str
    task: str
    reason: str
    boot: str


class TaskRestarted(_Event, frozen=True, kw_only=True):
    """`task` begins again with its first action, for the `reset`-th time (1 is the first restart)."""

    run: str
    task: str
    boot: str
    system: str
    reset: int


class RunEnded(_Event, frozen=True, kw_only=True):
    """`sequence` is the agent's report that ended the run; 0: the server ended it."""

    run: str
    state: RunEnd
    reason: str
    sequence: int = 0


class LeaseBound(_Event, frozen=True, kw_only=True):
    mac: str
    address: str


class LeaseReleased(_Event, frozen=True, kw_only=True):
    mac: str
    address: str


class AddressDeclined(_Event, frozen=True, kw_only=True):
    """A client found `address` in use by somebody else (DHCPDECLINE, RFC 2131 section 4.3.3)."""

    mac: str
    address: str


BootEvent: TypeAlias = BootOpened | BootAdvanced | BootClosed | Rehearsed
SessionEvent: TypeAlias = SessionOpened | SessionEnded
RunEvent: TypeAlias = RunStarted | RunTakenOver | ActionStarted | ActionEnded | TaskInterrupted | TaskRestarted | RunEnded
LeaseEvent: TypeAlias = LeaseBound | LeaseReleased | AddressDeclined
Event: TypeAlias = JournalOpened | BootEvent | SessionEvent | RunEvent | LeaseEvent

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One line of JSON without its newline; `decode` is the inverse."""
    return _encoder.encode(event)


def decode(payload: bytes | msgspec.Raw) -> Event:
    """Raises Malformed, and nothing else, for any bytes."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
