"""The difference as people read it: on a terminal, and in the comment of a pull request.

Core. The law: the gravest comes first, what is alike is told once, and what only follows from a change that is told is counted
and not told; the JSON has everything. Nothing that git says can end a line, move a cursor, or call for a person's attention.
"""

from __future__ import annotations

import difflib
import html
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from reconciler.changes import GRAVITY, MEANING, Consequence, Difference, HeldBack, Setting
from reconciler.grouping import Group, grouped

MOST_ROWS = 24
"""Settings of one group; of a text of many lines, the lines that differ."""
MOST_GROUPS = 50
MOST_NAMES = 4
WIDEST = 46
"""Columns of a setting's name before its value stands apart."""
COLUMNS = 100
"""Of reasons."""
LONGEST = 160
"""Characters of one value."""

_FOLLOWS = (
    (r"option (58|59) ", r"option 51 "),
    (r"option 12 ", r"host name"),
    (r"option 119 ", r"option 15 "),
    (r"DNS ", r"host name|address|option 15 |site domain"),
    (r"metadata /latest/meta-data/hostname", r"host name|option 15 |site domain"),
    (r"metadata /latest/meta-data/tags/", r"label "),
    (r"boot file ", r"loader|architecture"),
    (r"(profile \S+) kernel command line", r"{0} kernel argument "),
    (r"(workflow \S+(?: part \d+)?) task ", r"{0} actions|interfaces|host name|metadata /latest/meta-data/instance-id"),
    (r"artifact ", r"profile \S+ (kernel|initrd)"),
)
"""What need not be told where the other is."""
_ANY_PORT = re.compile(r" ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}|<mac[ 0-9]*>)$")


@dataclass(frozen=True, slots=True)
class Compared:
    """What was compared, as a person named it, and the commits."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Row:
    """`before` and `after` as in a setting; `lines`: what differs of a long text, in place of both."""

    name: str
    before: str | None
    after: str | None
    lines: tuple[str, ...] = ()
    settings: int = 1
    """How many it tells of."""


def as_text(difference: Difference, compared: Compared, style: Callable[[str, str], str] = lambda text, kind: text) -> str:
    """`style(text, kind)` colours it, `kind` being a consequence, `+`, `-` or `~`."""
    if not difference:
        return f"{_heading(compared)}\n\nNo change: both compile to the same plan, {difference.after[:12]}.\n"
    lines = [_heading(compared), ""]
    if difference.held:
        lines += [f"{style('HELD BY POLICY', 'blocked')}: until it is approved", ""]
        lines += [
            line
            for each in difference.held
            for line in (*_wrapped(held_line(each)), *_wrapped(f"to release it: {each.release}"))
        ]
        lines.append("")
    found = grouped(difference.machines)
    for consequence, groups in groupby(found[:MOST_GROUPS], key=lambda group: group.consequence):
        lines += [f"{style(consequence.upper(), consequence)}: {MEANING[consequence]}", ""]
        for group in groups:
            lines += [f"  {style(title(group), 'title')}", *(line for reason in group.reasons for line in _wrapped(reason))]
            lines += [f"    {line}" for line in _rendered(*rows(group), style)]
            lines.append("")
    lines += [each for each in (_rest(found), "") if len(found) > MOST_GROUPS]
    if site := site_rows(difference):
        lines += [
            f"{style('SITE', 'none')}: what is no machine's alone",
            "",
            *(f"    {line}" for line in _rendered(site, 0, style)),
            "",
        ]
    return "\n".join([*lines, f"{summary(difference)}"]) + "\n"


def as_markdown(difference: Difference, compared: Compared) -> str:
    """For a comment: the sum as its first line, details of the gravest open."""
    head = f"{_heading(compared, '`')}\n\n"
    if not difference:
        return f"### Nothing changes\n\n{head}Both compile to the same plan, `{difference.after[:12]}`.\n"
    parts = [f"### {summary(difference)}\n", head.rstrip("\n") + "\n"]
    if difference.held:
        parts.append("**Held by policy**, until it is approved:\n")
        parts.append("".join(f"- {_markdown(held_line(each))}. {_markdown(each.release)}\n" for each in difference.held))
    found = grouped(difference.machines)
    for group in found[:MOST_GROUPS]:
        block = "\n".join(_diffed(*rows(group)))
        grave = GRAVITY.index(group.consequence) >= GRAVITY.index("runs a workflow")
        parts.append(
            f"<details{' open' if grave else ''}>\n<summary><b>{group.consequence}</b>: {_markdown(title(group))}</summary>\n\n"
            + "".join(f"- {_markdown(reason)}\n" for reason in group.reasons)
            + (f"\n{_fenced(block)}\n" if block else "")
            + "\n</details>\n"
        )
    if len(found) > MOST_GROUPS:
        parts.append(f"{_rest(found)}\n")
    if site := site_rows(difference):
        block = "\n".join(_diffed(site, 0))
        parts.append(
            f"<details>\n<summary><b>site</b>: what is no machine's alone</summary>\n\n{_fenced(block)}\n\n</details>\n"
        )
    return "\n".join(parts)


def _rest(groups: Sequence[Group]) -> str:
    number = sum(len(group.changes) for group in groups[MOST_GROUPS:])
    return f"… and {number} more machine{'s' if number > 1 else ''}, each in another way (--format json has all)"


def held_line(held: HeldBack) -> str:
    what = "the whole commit waits: " if held.whole else ""
    names = ", ".join(held.machines[:MOST_NAMES]) + (" …" if len(held.machines) > MOST_NAMES else "")
    return f"{what}policy allows {held.rule}, and {held.why}" + (f" ({names})" if names else "")


def _wrapped(reason: str) -> list[str]:
    return textwrap.wrap(clean(reason), COLUMNS, initial_indent="    ", subsequent_indent="      ", break_long_words=False)


def _heading(compared: Compared, quote: str = "") -> str:
    return f"{quote}{clean(compared.before)}{quote} → {quote}{clean(compared.after)}{quote}"


def summary(difference: Difference) -> str:
    """The whole in one line."""
    if not difference.machines:
        return "No machine is touched; something of the site changes."
    counted = Counter(change.consequence for change in difference.machines)
    kinds = Counter(change.kind for change in difference.machines)
    number = len(difference.machines)
    classes = ", ".join(_counted(each, counted[each]) for each in reversed(GRAVITY) if counted[each])
    moved = sum(bool(change.moved) for change in difference.machines)
    rest = [f"{kinds[kind]} {kind}" for kind in ("added", "removed", "renamed") if kinds[kind]] + (
        [f"{moved} moved"] if moved else []
    )
    return f"{number} machine{'s' if number > 1 else ''}: {classes}" + (f" ({', '.join(rest)})." if rest else ".")


def _counted(consequence: Consequence, number: int) -> str:
    s = "s" if number == 1 else ""
    said = {"none": "unaffected", "next boot": "at the next boot", "needs a reboot": f"need{s} a reboot"}
    return f"{number} {said.get(consequence) or consequence.replace('runs', f'run{s}')}"


def title(group: Group) -> str:
    """Who, and what became of them where they did not only change."""
    first = group.changes[0]
    became = {"added": ", new", "removed": ", removed", "renamed": "", "changed": ""}[group.kind]
    if len(group.changes) == 1:
        return (f"{first.was}, now {first.machine}" if group.kind == "renamed" else first.machine) + became
    names = [change.machine for change in group.changes]
    shown = ", ".join(names) if len(names) <= MOST_NAMES else f"{', '.join(names[: MOST_NAMES - 1])} … {names[-1]}"
    profiles = {change.profile for change in group.changes}
    alike = f" of profile {first.profile}" if len(profiles) == 1 and first.profile else ""
    return f"{len(names)} machines{alike}{became}: {shown}"


# Rows --------------------------------------------------------------------------------------------------------------------


def rows(group: Group) -> tuple[list[Row], int]:
    """What is told of a group's settings, and how many are not."""
    settings = list(_summed(group.settings))
    found = [*_merged(_without_twins([each for each in settings if not _follows(each, settings)]))]
    untold = group.untold + len(settings) - sum(row.settings for row in found[:MOST_ROWS])
    return [*found[:MOST_ROWS], *_journeys(group)], untold


def _journeys(group: Group) -> Iterator[Row]:
    """The first of many machines that move, each with its own addresses."""
    moves = [(change.machine, move) for change in group.changes for move in change.moved]
    if len(group.changes) > 1:
        yield from (Row(machine, move.before, move.after or None, settings=0) for machine, move in moves[:MOST_NAMES])


def site_rows(difference: Difference) -> list[Row]:
    """But for profiles that some machine is told of, and for files and secrets."""
    told = {_ANY_PORT.sub("", each.name) for change in difference.machines for each in change.settings}
    settings = [each for each in _summed(difference.site) if re.sub(r"^subnet \S+ (?=option )", "", each.name) not in told]
    return list(_merged([each for each in settings if not _follows(each, difference.site)]))


_FIRST = ("", " run", " kernel", " chain", " script")
"""One of these is always given."""
_WHOLE = re.compile(r"workflow \S+(?: part \d+)?(?= )|profile \S+")


def _summed(settings: Sequence[Setting]) -> Iterator[Setting]:
    """A workflow or a profile that is new, or gone, is one setting."""
    parts: dict[str, list[Setting]] = {}
    for each in settings:
        if found := _WHOLE.match(each.name):
            parts.setdefault(found[0], []).append(each)
    told = {name: _as_one(name, each) for name, each in parts.items()}
    for each in settings:
        found = _WHOLE.match(each.name)
        one = told.get(found[0]) if found else None
        if found is None or one is None:
            yield each
        elif each is parts[found[0]][0]:
            yield one


def _as_one(name: str, parts: Sequence[Setting]) -> Setting | None:
    """None for one that is there before and after."""
    if not any(each.name.removeprefix(name) in _FIRST for each in parts):
        return None
    for side, other in ((_before, _after), (_after, _before)):
        if all(side(each) is None for each in parts):
            said = {each.name.removeprefix(f"{name} "): str(other(each)) for each in parts}
            brief = [said[key] for key in ("kernel", "chain", "script", "kernel command line") if key in said]
            text = f"run {said['run']}: {said['actions']}" if "run" in said else ", ".join(brief)
            return Setting(name, None, text) if side is _before else Setting(name, text, None)
    return None


def _follows(setting: Setting, told: Iterable[Setting]) -> bool:
    for follower, cause in _FOLLOWS:
        if match := re.match(follower, setting.name):
            pattern = re.compile(cause.format(*map(re.escape, match.groups())))
            if any(pattern.match(each.name) for each in told if each is not setting):
                return True
    return False


def _without_twins(settings: Sequence[Setting]) -> list[Setting]:
    """Without what is gone from one port and is the same at another: that a card is another one is told by `interfaces`."""
    if not any(each.name == "interfaces" for each in settings):
        return list(settings)
    gone, new = (
        {(_ANY_PORT.sub("", each.name), side(each)) for each in settings if side(each) is not None and other(each) is None}
        for side, other in ((_before, _after), (_after, _before))
    )
    return [each for each in settings if (_ANY_PORT.sub("", each.name), each.before or each.after) not in gone & new]


def _before(setting: Setting) -> str | None:
    return setting.before


def _after(setting: Setting) -> str | None:
    return setting.after


def _merged(settings: Iterable[Setting]) -> Iterator[Row]:
    """One row for all that change from one and the same value to one and the same."""
    found: dict[tuple[str | None, str | None, str], list[str]] = {}
    for each in settings:
        says_little = len(each.before or "") + len(each.after or "") < 6  # as a number does by itself
        found.setdefault((each.before, each.after, each.name if says_little else ""), []).append(each.name)
    for (before, after, _), names in found.items():
        if "\n" in f"{before}{after}":
            yield Row(", ".join(names), before, after, tuple(_differing(before or "", after or "")), len(names))
        else:
            old, new = (None if text is None else shortened(text) for text in (before, after))
            yield Row(", ".join(names), old, new, settings=len(names))


def _differing(before: str, after: str) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    told = [line for line in lines if not line.startswith(("---", "+++"))]
    yield from (f"{line[:1]} {clean(line[1:])}"[:LONGEST] for line in told[:MOST_ROWS] if not line.startswith("@@"))
    if len(told) > MOST_ROWS:
        yield f"  … and {len(told) - MOST_ROWS} more lines"


def shortened(text: str) -> str:
    """One line, with digests cut to what tells them apart."""
    line = clean(re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def clean(text: str) -> str:
    """Printable, on one line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _rendered(rows: Sequence[Row], untold: int, style: Callable[[str, str], str]) -> list[str]:
    width = min(max((len(row.name) for row in rows if not row.lines), default=0), WIDEST)
    lines = []
    for row in rows:
        name = clean(row.name)
        sign = "+" if row.before is None else "-" if row.after is None else "~"
        if row.lines:
            lines += [f"{style(sign, sign)} {name}", *(f"    {style(line, line[:1])}" for line in row.lines)]
            continue
        value = row.after if row.before is None else row.before if row.after is None else f"{row.before} → {row.after}"
        lines.append(f"{style(sign, sign)} {name.ljust(width)}  {value}")
    return [*lines, *([f"  … and {_more(untold)}"] if untold > 0 else [])]


def _diffed(rows: Sequence[Row], untold: int) -> Iterator[str]:
    """As a forge colours a diff."""
    for row in rows:
        name = clean(row.name)
        if row.lines:
            yield from (f"! {name}", *row.lines)
        else:
            yield from (f"{sign} {name}: {text}" for sign, text in (("-", row.before), ("+", row.after)) if text is not None)
    if untold > 0:
        yield f"# and {_more(untold)}"


def _more(number: int) -> str:
    return f"{number} more setting{'s' if number > 1 else ''} (--format json has all)"


def _fenced(block: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block)), default=0))
    return f"{fence}diff\n{block}\n{fence}"


def _markdown(text: str) -> str:
    """Text that is neither markup nor calls anybody."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(clean(text), quote=False)).replace("@", "&#64;")
