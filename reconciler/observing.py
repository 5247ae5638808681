"""What has run, from a server's status documents: observed state for whoever is not on the server.

Core. The law: only what a document says is taken for true. A run that none speaks of has not begun, as far as is known; so the
documents must be of every workflow that is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from netboot.events import Event, RunEnd, RunEnded, RunStarted
from netboot.observed import Observed, fold

Document = Mapping[str, Any]
_ENDS = get_args(RunEnd)


def observed_from(workflows: Iterable[Document], macs: Mapping[str, tuple[str, ...]]) -> Observed:
    """From documents of kind WorkflowStatus; `macs` by machine, by which a run is known though the machine has a new name.

    Raises KeyError, TypeError or ValueError for what is no such document.
    """
    return fold(event for document in workflows for event in _events(document, macs))


def _events(document: Document, macs: Mapping[str, tuple[str, ...]]) -> Iterable[Event]:
    """Of its last runs, and of its other machines at the run that the server asks for. Of several tries the last counts."""
    if document["kind"] != "WorkflowStatus":
        raise ValueError(f"{document['kind']} is no status of a workflow")
    summed = {"workflow": document["name"], "number": document["run"], "repeat": document["repeat"], "part": 0}
    told = set[tuple[str, int, int]]()
    for said in (*document["runs"], *({**summed, **each, "id": each["run"]} for each in document["machines"] if each["run"])):
        key = (said["machine"], said["number"], said["part"])
        if key not in told and said["repeat"] == "once":
            yield from _run(said, macs.get(said["machine"], ()))
        told.add(key)


def _run(said: Document, macs: tuple[str, ...]) -> Iterable[Event]:
    """It began, and ended if it has. One that is to be tried again is as good as one that has not begun."""
    state = said["state"]
    if state == "PENDING" or (state in ("FAILED", "TIMEOUT") and said.get("try", 1) < said.get("tries", 1)):
        return
    yield RunStarted(
        at=0.0,
        run=said["id"],
        workflow=said["workflow"],
        machine=said["machine"],
        macs=macs,
        number=said["number"],
        boot="",
        system="",
        plan="",
        document={"name": said["workflow"], "tasks": []},
        part=said["part"],
    )
    if state in _ENDS:
        yield RunEnded(at=0.0, run=said["id"], state=state, reason=str(said["reason"]))
