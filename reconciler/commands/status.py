"""`gitboot status`: what the machines are doing, from a server or from the files of a state directory."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from netboot.served_document import SERVED_PATH
from reconciler.commands import options
from reconciler.commands.terminal import columns, printable, show
from reconciler.sentence import Sentence

Document = dict[str, Any]
Read = Callable[[str], Document | None]
"""A path below /status/ → its document, or None when there is none."""

TIMEOUT = 10
LONGEST = 64 << 20
MOST_SHOWN = 10
AS_IT_GOES = ("Ready", "Reconciling", "Booting")
"""Conditions that a machine's phase and run tell of; any other that is true calls for somebody."""
WANTED = "Here it is read from --token-file or GITBOOT_TOKEN; on the server itself, --state needs none."
COLOURS = {
    "SUCCESS": "green",
    "RUNNING": "cyan",
    "FAILED": "red",
    "TIMEOUT": "red",
    "INTERRUPTED": "red",
    "CANCELLED": "yellow",
}


@click.command("status", help="Show what the machines are doing, or all that is known of one.")
@click.argument("machine", required=False)
@click.option("--server", metavar="URL", default="http://127.0.0.1", show_default=True, help="A running gitboot.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Read its files instead.")
@options.token_file
def command(machine: str | None, server: str, state: Path | None, token_file: Path | None) -> None:
    with _files(state) if state else _http(server, options.token_from(token_file)) as read:
        site = read("reconcile.json")
        if site is None:
            raise Sentence(f"{state or server} has no status yet; is a gitboot serving there?")
        names = _machines(read)
        if machine is None:
            shown = [document for name in names if (document := read(f"hardware/{name}.json")) is not None]
            tables = [_table(shown, time.time()), *_conditions(shown)] if shown else []
            show(_site(site, time.time()) + _served(read(SERVED_PATH)), *tables)
        else:
            document = read(f"hardware/{machine}.json") if machine in names else None
            if document is None:
                close = get_close_matches(machine, names, n=1)
                hint = f"did you mean {close[0]}?" if close else f"machines there: {len(names)}; `gitboot status` lists them."
                raise Sentence(printable(f"There is no machine {machine!r}; {hint}"), 2)
            details = _details(document, time.time()), _conditions([document]), _inventory(document["inventory"], read)
            show(*chain(*details))


def _machines(read: Read) -> list[str]:
    index = read("index.json") or {}
    paths = [str(path).removeprefix("/status/") for path in index.get("documents", [])]
    return sorted(path[len("hardware/") : -len(".json")] for path in paths if path.startswith("hardware/"))


@contextmanager
def _files(state: Path) -> Iterator[Read]:
    """Raises Sentence when the directory cannot be read."""

    def read(path: str) -> Document | None:
        try:
            return _document((state / "status" / path).read_bytes(), str(state))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Sentence(f"{error.filename} cannot be read ({error.strerror}); check its owner.") from None

    if not state.is_dir():
        raise Sentence(f"There is no state directory {state}; correct --state.", 2)
    yield read


@contextmanager
def _http(server: str, token: str) -> Iterator[Read]:
    """One connection for all documents. Raises Sentence when nobody, or not gitboot, answers."""
    try:
        url = urlsplit(server if "://" in server else f"http://{server}")
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[url.scheme]
        connection = kind(url.hostname or "", url.port, timeout=TIMEOUT)
    except (ValueError, KeyError, http.client.HTTPException):
        raise Sentence(
            f"{server!r} is not an address such as http://10.1.0.1 or http://10.1.0.1:8080; correct --server.", 2
        ) from None

    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def read(path: str) -> Document | None:
        try:
            connection.request("GET", f"{url.path.rstrip('/')}/status/{path}", headers=headers)
            answer = connection.getresponse()
            data = answer.read(LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Sentence(
                f"{server} does not answer ({error}); name the server with --server, or read a state directory with --state."
            ) from None
        if answer.status == 404 and answer.getheader("content-type", "").startswith("text/plain"):
            return None
        if answer.status in (401, 429):
            raise Sentence(printable(f"{server} says: {data[:1000].decode(errors='replace').strip()} {WANTED}"))
        if answer.status != 200:
            raise Sentence(f"{server} answers HTTP {answer.status} for /status/{path}; is it a gitboot?")
        return _document(data, server)

    try:
        yield read
    finally:
        connection.close()


def _document(data: bytes, whose: str) -> Document:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("apiVersion") != "gitboot/v1":
        raise Sentence(f"{whose} answers, but not like a gitboot of this version.")
    return document


def _site(site: Document, now: float) -> str:
    commit, source = site["revision"][:12], site["source"] or "no repository"
    lines = [f"commit {commit} of {source} is served" if commit else f"no commit of {source} was accepted so far"]
    lines += [
        f"{condition['type']}: {condition['message']}"
        for condition in site["conditions"]
        if (condition["type"], condition["status"]) in (("Ready", "False"), ("RunsHeld", "True"))
    ]
    if site["history"] == "rewritten":
        lines.append(f"history was rewritten: commit {site['previous'][:12]} is no ancestor of {site['head'][:12]}")
    if site["forge"]:
        lines.append(f"the forge is not told: {site['forge']}")
    problems = site["problems"]
    lines += [f"  {_place(each)}{each.get('severity')}: {each.get('message')}" for each in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        lines.append(f"  and {len(problems) - MOST_SHOWN} more problems")
    if site["otherServers"]:
        lines.append(f"also heard to answer DHCP: {', '.join(each['address'] for each in site['otherServers'])}")
    return "\n".join(map(printable, [*lines, *_strangers(site["unknown"], now)])) + "\n"


def _served(served: Document | None) -> str:
    """What boots machines, by the packages it is from."""
    if served is None:
        return ""
    programs = served["programs"]
    packages = sorted({f"{each['package']} {each['version']}" for each in programs if each["package"]})
    strange = sum(not each["package"] for each in programs)
    origins = ", ".join([*packages, *([f"{strange} of no package"] if strange else [])])
    said = f"boot programs: {len(programs)}{f' ({origins})' if origins else ''}; artefacts: {len(served['artifacts'])}"
    return printable(f"{said}; digests in /status/{SERVED_PATH}") + "\n"


def _place(problem: Document) -> str:
    """`file:line: `, and less of it for a problem of a file, or of the commit, as a whole."""
    file, line = problem.get("file"), problem.get("line")
    return f"{file}:{line}: " if file and line else f"{file}: " if file else ""


def _strangers(unknown: list[Document], now: float) -> Iterator[str]:
    """Whoever adds a machine wants to know its MAC."""
    if unknown:
        who = "1 machine that is not in git has" if len(unknown) == 1 else f"{len(unknown)} machines that are not in git have"
        yield f"{who} asked for something; add the MACs that are yours:"
    for each in unknown[:MOST_SHOWN]:
        yield f"  {each['mac']}  {each['address'] or 'no address'}  {each['asked']}, seen {_age(each['lastSeen'], now)} ago"
    if len(unknown) > MOST_SHOWN:
        yield f"  and {len(unknown) - MOST_SHOWN} more in /status/reconcile.json"


def _addresses(machine: Document) -> Iterator[str]:
    """What git says, what was lent, where it was seen: each once."""
    return iter(dict.fromkeys([*machine["addresses"], *machine["leases"].values(), *machine["seenAt"].values()]))


def _table(machines: list[Document], now: float) -> Table:
    table = columns("MACHINE", "ADDRESS", "PHASE", "RUN", "SEEN", "NEXT")
    for each in machines:
        boot, run = each["boot"], each["run"]
        address = next(_addresses(each), "-")
        phase = boot["phase"] if boot and boot["closed"] is None else "-"
        state = run["state"] if run else "-"
        doing = f"{run['workflow']} {state}" if run else "-"
        table.add_row(
            *map(_text, (each["name"], address, phase)),
            Text(printable(doing), COLOURS.get(state, "")),
            _text(_age(each["lastSeen"], now)),
            _text(each["next"]),
        )
    return table


def _details(machine: Document, now: float) -> list[Table | str]:
    boot, run = machine["boot"], machine["run"]
    facts = columns("", "")
    facts.show_header = False
    for name, value in (
        ("machine", machine["name"]),
        ("MACs", ", ".join(machine["macs"])),
        ("addresses", ", ".join(_addresses(machine))),
        ("seen", _age(machine["lastSeen"], now)),
        ("boot", f"{boot['phase']}{'' if boot['closed'] is None else ', closed'}: {boot['reason']}" if boot else "never"),
        ("waits for", f"{boot['expected']}, until {boot['deadline']}" if boot and boot["expected"] else "nothing"),
        ("next", machine["next"]),
        ("run", _run(run) if run else "none"),
        ("hardware", _hardware(machine["inventory"], now)),
    ):
        facts.add_row(_text(name), _text(value))
    return [facts, *([_actions(run)] if run else [])]


def _conditions(machines: list[Document]) -> Iterator[Table]:
    """What is wrong with machines, if anything is."""
    wrong = [
        (machine["name"], each["type"], each["reason"], each["lastTransitionTime"] or "-", each["message"])
        for machine in machines
        for each in machine["conditions"]
        if each["status"] == "True" and each["type"] not in AS_IT_GOES
    ]
    if wrong:
        table = columns("MACHINE", "CONDITION", "REASON", "SINCE", "MESSAGE")
        for row in wrong:
            table.add_row(*map(_text, row))
        yield table


def _run(run: Document) -> str:
    tries = f", try {run['try']} of {run['tries']}" if run["tries"] > 1 else ""
    return f"{run['workflow']} run {run['number']}{tries}: {run['state']} {run['reason']}"


def _hardware(known: Document | None, now: float) -> str:
    return f"{known['summary']}; seen {_age(known['reported'], now)} ago" if known else "not known: no agent has told of it"


def _inventory(known: Document | None, read: Read) -> Iterator[Table]:
    """What one needs to name a disk or to find a cable."""
    found = read(known["document"].removeprefix("/status/")) if known else None
    hardware = found["hardware"] if found else {"disks": (), "interfaces": ()}
    if hardware["disks"]:
        table = columns("DISK", "SIZE", "SERIAL", "WWN", "MODEL")
        for each in hardware["disks"]:
            table.add_row(*map(_text, (each[key] or "-" for key in ("path", "size", "serial", "wwn", "model"))))
        yield table
    if hardware["interfaces"]:
        table = columns("INTERFACE", "MAC", "DRIVER", "LINK", "NEIGHBOUR")
        for each in hardware["interfaces"]:
            table.add_row(*map(_text, (each["name"], each["mac"], each["driver"], _link(each), _neighbour(each["neighbour"]))))
        yield table


def _link(interface: Document) -> str:
    """`None` is an interface that nobody brought up."""
    link, speed = interface["link"], interface["speed"]
    return "-" if link is None else "no" if not link else f"{speed} Mb/s" if speed else "yes"


def _neighbour(heard: Document | None) -> str:
    if heard is None:
        return "-"
    vlan = f", VLAN {heard['vlan']}" if heard["vlan"] else ""
    return f"{heard['port']} of {heard['name'] or heard['chassis']}{vlan}"


def _actions(run: Document) -> Table:
    table = columns("TASK", "ACTION", "STATE", "TRIES", "SECONDS", "REASON", "LOG")
    for task in run["tasks"]:
        for action in task["actions"]:
            last = action["attempts"][-1] if action["attempts"] else {}
            table.add_row(
                *map(_text, (task["name"], action["name"])),
                Text(printable(action["state"]), COLOURS.get(action["state"], "")),
                *map(
                    _text,
                    (len(action["attempts"]) or "-", last.get("seconds") or "-", last.get("reason", ""), last.get("log", "")),
                ),
            )
    return table


def _text(value: object) -> Text:
    return Text(printable(value))


def _age(at: str | None, now: float) -> str:
    """`2026-01-31T12:00:00.123Z` → `12s`, `3m`, `5h`, `2d`; `never`."""
    if at is None:
        return "never"
    seconds = max(0, int(now - datetime.fromisoformat(at).timestamp()))
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
