"""`gitboot status`: what the machines are doing, from a server or from the files of a state directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from netboot.fleet import AWAY
from netboot.issue_document import ISSUES_PATH
from netboot.served_document import SERVED_PATH
from reconciler.commands import choosing, completion, options, telling
from reconciler.commands.choosing import Chosen, chosen
from reconciler.commands.documents import Document, Read, reading
from reconciler.commands.issues import issue_table
from reconciler.commands.terminal import COLOURS, age, columns, printable, serialized, show
from reconciler.sentence import Sentence

MOST_SHOWN = 10
WATCH_SECONDS = 2
FORMATS = ("table", "wide", "json", "yaml")
AS_IT_GOES = ("Ready", "Reconciling", "Booting")
"""Conditions that a machine's phase and run tell of; any other that is true calls for somebody."""


@click.command(
    "status",
    help="Show what the machines are doing, or all that is known of one. MACHINES is a name or a list: 'node-[01-16]'.",
)
@click.argument("machines", required=False, shell_complete=completion.machines)
@options.server
@options.state_instead
@choosing.labels_option
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json", "yaml"]), default="table", show_default=True, help="As what."
)
@click.option("--watch", is_flag=True, help="Show it again every other second, until Ctrl-C.")
@options.token_file
def command(
    machines: str | None,
    server: str,
    state: Path | None,
    labels: tuple[str, ...],
    output: str,
    watch: bool,
    token_file: Path | None,
) -> None:
    asked = chosen(machines, labels)
    while True:
        with reading(server, state, token_file) as read:
            site = read("reconcile.json")
            if site is None:
                raise Sentence(f"{state or server} has no status yet; is a gitboot serving there?")
            rows = choosing.rows(read, asked) if output == "table" else None
            documents = list(choosing.documents(read, asked)) if rows is None else rows
            if watch:
                click.clear()
            _print(read, site, documents, asked, output)
        if not watch:
            return
        time.sleep(WATCH_SECONDS)


def _print(read: Read, site: Document, documents: list[Document], asked: Chosen, output: str) -> None:
    now = time.time()
    if output in ("json", "yaml"):
        click.echo(serialized({"site": site, "machines": documents}, output), nl=False)
    elif len(documents) == 1 and asked.machines == documents[0]["name"]:
        (document,) = documents
        told = telling.events(document, read, everything=output == "wide")
        show(*_details(document, now), *told, *_wrong(read, [document], now), *_inventory(document["inventory"], read))
    else:
        nobody = ["No machine has these labels."] if asked.labels else []
        tables = [_table(documents, now, output == "wide")] if documents else nobody
        show(_site(site, now) + _served(read(SERVED_PATH)), *tables, *_wrong(read, documents, now, site=True))


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
    lines += [_held(each) for each in site["held"]]
    problems = site["problems"]
    lines += [f"  {_place(each)}{each.get('severity')}: {each.get('message')}" for each in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        lines.append(f"  and {len(problems) - MOST_SHOWN} more problems")
    if site["otherServers"]:
        lines.append(f"also heard to answer DHCP: {', '.join(each['address'] for each in site['otherServers'])}")
    return "\n".join(map(printable, [*lines, *_strangers(site["unknown"], now)])) + "\n"


def _held(each: Document) -> str:
    """What policy holds, and how it is released."""
    names = ", ".join(each["machines"][:MOST_SHOWN]) + (" …" if each["count"] > MOST_SHOWN else "")
    what = "the whole commit waits" if each["whole"] else "held"
    return f"{what}: policy allows {each['rule']}, and {each['why']}{f' ({names})' if names else ''}; {each['release']}"


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
        yield f"  {each['mac']}  {each['address'] or 'no address'}  {each['asked']}, seen {age(each['lastSeen'], now)} ago"
    if len(unknown) > MOST_SHOWN:
        yield f"  and {len(unknown) - MOST_SHOWN} more in /status/reconcile.json"


def _addresses(machine: Document) -> Iterator[str]:
    """What git says, what was lent, where it was seen: each once."""
    return iter(dict.fromkeys([*machine["addresses"], *machine["leases"].values(), *machine["seenAt"].values()]))


def _table(machines: list[Document], now: float, wide: bool = False) -> Table:
    table = columns("MACHINE", *(("MACS", "LABELS", "PLAN") if wide else ()), "ADDRESS", "PHASE", "RUN", "SEEN", "NEXT")
    for each in machines:
        address, phase, workflow, state = _short(each) if "boot" in each else _row(each)
        table.add_row(
            _text(each["name"]),
            *(map(_text, _wide(each)) if wide else ()),
            *map(_text, (address or "-", phase)),
            Text(printable(f"{workflow} {state}" if workflow else "-"), COLOURS.get(state, "")),
            _text(age(each["lastSeen"], now)),
            _text(each["next"].partition("; to release it: ")[0]),  # which is said once, above
        )
    return table


def _short(machine: Document) -> tuple[str, str, str, str]:
    """Address, phase, and the workflow and state of its run, each "" or - where there is none; of its own document."""
    boot, run = machine["boot"], machine["run"]
    phase = boot["phase"] if boot and boot["closed"] is None else "-"
    return next(_addresses(machine), ""), phase, *((run["workflow"], run["state"]) if run else ("", ""))


def _row(machine: Document) -> tuple[str, str, str, str]:
    """The same, of its row in the document of all."""
    phase = "-" if machine["phase"] == AWAY else machine["phase"]
    return machine["address"] or "", phase, machine["workflow"] or "", machine["state"] or ""


def _wide(machine: Document) -> Iterator[str]:
    yield ",".join(machine["macs"])
    yield ",".join(f"{key}={value}" for key, value in machine["labels"].items()) or "-"
    yield (machine["boot"] or machine)["plan"][:12]


def _details(machine: Document, now: float) -> list[Table | str]:
    run = machine["run"]
    facts = columns("", "")
    facts.show_header = False
    for name, value in (
        ("machine", machine["name"]),
        ("MACs", ", ".join(machine["macs"])),
        ("addresses", ", ".join(_addresses(machine))),
        ("seen", age(machine["lastSeen"], now)),
        *telling.facts(machine, now),
        ("next", machine["next"]),
        ("run", _run(run) if run else "none"),
        ("hardware", _hardware(machine["inventory"], now)),
    ):
        facts.add_row(_text(name), _text(value))
    return [facts, *telling.phases(machine, now), *([_actions(machine, run)] if run else [])]


def _wrong(read: Read, machines: list[Document], now: float, site: bool = False) -> list[Table | str]:
    """The issues of these machines, and with `site` of the site. The files of a state directory hold none, for most come true
    by nothing happening: from there it is what is true of the machines themselves."""
    told = read(ISSUES_PATH)
    if told is None:
        return list(_conditions(machines))
    names = {each["name"] for each in machines} | ({None} if site else set())
    found = [each for each in told["issues"] if each["machine"] in names]
    more = f"{len(found) - MOST_SHOWN} more: `gitboot issues`. " if len(found) > MOST_SHOWN else ""
    return [issue_table(found[:MOST_SHOWN], now), f"{more}`gitboot issues NAME` says what to do about it.\n"] if found else []


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
    return f"{known['summary']}; seen {age(known['reported'], now)} ago" if known else "not known: no agent has told of it"


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


def _actions(machine: Document, run: Document) -> Table:
    table = columns("TASK", "ACTION", "STATE", "TRIES", "SECONDS", "USUALLY", "REASON", "LOG")
    for task in run["tasks"]:
        for action in task["actions"]:
            last = action["attempts"][-1] if action["attempts"] else {}
            table.add_row(
                *map(_text, (task["name"], action["name"])),
                Text(printable(action["state"]), COLOURS.get(action["state"], "")),
                *map(_text, (len(action["attempts"]) or "-", last.get("seconds") or "-")),
                *map(
                    _text, (telling.usually(machine, task["name"], action["name"]), last.get("reason", ""), last.get("log", ""))
                ),
            )
    return table


def _text(value: object) -> Text:
    return Text(printable(value))
