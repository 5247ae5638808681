"""`gitboot plan`: what a change would do, to which machine, before it is merged."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from netboot.observed import Observed, fold
from netboot.plan import BootPlan
from reconciler.annotations import FORMS, Annotation
from reconciler.changes import Difference
from reconciler.commands import options
from reconciler.commands.comparing import Side, range_of, sides
from reconciler.commands.signing import floor_of
from reconciler.commands.terminal import working
from reconciler.diff import compare
from reconciler.foreseeing import foreseen
from reconciler.observing import observed_from
from reconciler.plan_annotations import of_difference, written_lines
from reconciler.plan_document import as_json
from reconciler.plan_text import Compared, as_markdown, as_text
from reconciler.sentence import Sentence
from reconciler.target import prefix_of

NOTHING, FAILED, CHANGES, REFUSED = 0, 1, 2, 3
"""Exit status, as terraform's -detailed-exitcode; and what policy holds."""
COLOURS = {"destructive": "red", "blocked": "red", "runs a workflow": "yellow", "needs a reboot": "yellow"}
SIGNS = {"+": "green", "-": "red", "~": "yellow"}


class _Command(click.Command):
    """Whatever goes wrong, it exits with 1: 2 says that there are changes."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _failing():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _failing():
            return super().invoke(ctx)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        setattr(error, "exit_code", FAILED)  # noqa: B010 - click declares it for the class, and reads it from the instance
        raise


@click.command(
    "plan",
    cls=_Command,
    help="Say what a change would do to which machine. Exits with 0 when it does nothing, 2 when it does something, 3 when"
    " policy holds it until it is approved, 1 when it cannot be told.",
)
@click.argument("commits", metavar="BASE[..HEAD]")
@click.option("--repo", default=".", show_default=True, metavar="REPO", help="Repository, or a folder of its work tree.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", *FORMS]),
    default="text",
    show_default=True,
    help="For a terminal, a pull request's comment, programs, or who shows it beside the lines.",
)
@click.option("--server", metavar="URL", help="A server that knows what has run: a run that has ended does not begin again.")
@click.option("--state", type=options.FOLDER, metavar="DIR", help="Its state directory, in place of --server.")
@options.token_file
@options.artifacts
@options.trust_floor
def command(
    commits: str,
    repo: str,
    form: str,
    server: str | None,
    state: Path | None,
    token_file: Path | None,
    artifacts: Path | None,
    trust_floor: Path | None,
) -> int:
    gc.disable()  # a command that ends soon has nothing to collect, and looking for it is a fifth of its time
    observed = _observed(state)
    with working("compiling both sides, and comparing them"):
        before, after = sides(repo, range_of(commits), artifacts)
        assert after.plan is not None  # noqa: S101 - `sides` would have raised
        difference = compare(before.plan, after.plan, observed)
    if server and difference:
        observed = _told(server, options.token_from(token_file), difference, before.plan, after.plan)
        difference = compare(before.plan, after.plan, observed)
    difference = foreseen(difference, before.plan, after.plan, floor_of(trust_floor), observed, artifacts is not None)
    if form in FORMS:
        click.echo(FORMS[form](_annotations(difference, before, after, prefix_of(repo))), nl=False)
    else:
        click.echo(_shown(difference, before, after, form), nl=False)
    return REFUSED if difference.held else CHANGES if difference else NOTHING


def _annotations(difference: Difference, before: Side, after: Side, prefix: str) -> list[Annotation]:
    assert after.plan is not None  # noqa: S101 - `sides` would have raised
    assert after.inventory is not None  # noqa: S101 - as the plan
    written = written_lines(before.snapshot, after.snapshot)
    return of_difference(difference, after.plan, after.inventory, written, prefix)


def _shown(difference: Difference, before: Side, after: Side, form: str) -> str:
    compared = Compared(before.called, after.called)
    if form == "json":
        return as_json(difference, before.revision, after.revision)
    if form == "markdown":
        return as_markdown(difference, compared)
    return as_text(difference, compared, _coloured if sys.stdout.isatty() else lambda text, kind: text)


def _coloured(text: str, kind: str) -> str:
    return click.style(text, fg=SIGNS.get(kind) or COLOURS.get(kind), bold=kind not in SIGNS)


def _observed(state: Path | None) -> Observed | None:
    from netboot.journal import events_of
    from netboot.store import Corrupt

    if state is None:
        return None
    if not (state / "journal").is_dir():
        raise Sentence(f"{state} is no state directory with a journal; correct --state.")
    try:
        return fold(events_of(state / "journal"))
    except (OSError, Corrupt) as error:
        raise Sentence(f"The journal of {state} cannot be read: {error}") from None


def _told(url: str, token: str, difference: Difference, before: BootPlan | None, after: BootPlan) -> Observed:
    """By the server, of every workflow that a changed machine has or had."""
    from reconciler.commands.documents import over_http

    plans = [plan for plan in (before, after) if plan]
    names = {name for change in difference.machines for name in (change.machine, change.was)}
    machines = [plan.machines[name] for plan in plans for name in names if name in plan.machines]
    workflows = sorted({work.workflow for machine in machines for work in machine.work})
    with over_http(url, token) as read:
        if read("reconcile.json") is None:
            raise Sentence(f"{url} has no status yet; is a gitboot serving there?")
        documents = [found for name in workflows if (found := read(f"workflows/{name}.json")) is not None]
    try:
        return observed_from(documents, {machine.name: machine.macs for machine in machines})
    except (KeyError, TypeError, ValueError) as error:
        raise Sentence(f"{url} answers, but not like a gitboot of this version ({error!r}).") from None
