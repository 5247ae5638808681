"""`gitboot bisect`: the commit that changed what a recorded boot is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import click

from netboot.plan import BootPlan
from netboot.replay import Replayed, told
from reconciler.bisection import first_other
from reconciler.commands import options
from reconciler.commands.comparing import Revisions
from reconciler.commands.reading import target_at
from reconciler.commands.recorded import Recorded, recorded
from reconciler.commits import read_commit
from reconciler.errors import BadSource, Unavailable
from reconciler.problems import Rejected
from reconciler.repository import Repository
from reconciler.sentence import Sentence
from reconciler.target import open_target
from reconciler.transcript import difference

_MOST_BYTES = 1 << 20
"""Of a commit's own text."""


@click.command("bisect", help="Find the commit that changed what a recorded boot is answered.")
@click.option("--good", metavar="REV", required=True, help="An earlier commit, whose answers are right.")
@click.option("--bad", metavar="REV", required=True, help="A later commit, whose answers are not.")
@click.option("--boot", metavar="BOOT_OR_MACHINE", required=True, help="A recorded boot, as `gitboot replay` lists them.")
@options.state
@options.repo
@options.artifacts
def command(good: str, bad: str, boot: str, state: Path, repo: str, artifacts: Path | None) -> int:
    kept = recorded(state, boot)
    try:
        with open_target(target_at(repo, bad)) as repository:
            row = _Row(repository, _commits(repository, good), kept, artifacts)
            if row.told(0) == row.told(len(row.commits) - 1):
                click.echo(f"Nothing to find: {good} and {bad} answer this boot alike, to the last byte.")
                return 1
            click.echo(row.report(first_other(len(row.commits), lambda index: row.told(index) != row.told(0))), nl=False)
            return 0
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error), 2) from None


def _commits(repository: Repository, good: str) -> list[str]:
    """From the good one to the bad one, oldest first, as they were served: a merge stands for its branch."""
    head = repository.fetch()
    repository.deepen()
    first = repository.resolve(good)
    if not repository.is_in_history(first, head):
        raise Sentence(f"{good} is not in the history of the bad commit; --good is the earlier one.", 2)
    return [first, *repository.first_parents(head, first)]


class _Row:
    """What each commit answers. One that cannot be served answers as the one before it, for that one went on serving."""

    def __init__(self, repository: Repository, commits: list[str], kept: Recorded, artifacts: Path | None) -> None:
        self.commits = commits
        self._repository = repository
        self._kept = kept
        self._revisions = Revisions(artifacts, None)
        self._looked: dict[int, list[Replayed]] = {}
        self._plan = cache(self._compile)

    def told(self, index: int) -> list[tuple[object, ...]]:
        return [told(each.again) for each in self._answers(index) if each.again is not None]

    def _answers(self, index: int) -> list[Replayed]:
        if index not in self._looked:
            plan = self._plan(index)
            self._looked[index] = self._kept.again(plan) if plan is not None else self._answers(index - 1)
        return self._looked[index]

    def _compile(self, index: int) -> BootPlan | None:
        try:
            _, plan, _ = self._revisions.read(self._repository.snapshot(self.commits[index], self._revisions.known))
        except Rejected:
            plan = None
        if plan is None and index == 0:
            raise Sentence(f"The good commit {self.commits[0][:12]} cannot be served: name one that can, with --good.", 2)
        return plan

    def report(self, index: int) -> str:
        name = self.commits[index]
        commit = read_commit(name, self._repository.objects([name], "commit", _MOST_BYTES)[name])
        when = datetime.fromtimestamp(commit.authored, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        merge = " (a merge: the change came with its branch)" if len(commit.parents) > 1 else ""
        lines = [
            f"{name} changed it{merge}; {len(self._looked)} of {len(self.commits)} commits were looked at.",
            f"  {commit.author}, {when}",
            f"  {commit.subject}",
        ]
        for before, after in zip(self._answers(index - 1), self._answers(index), strict=True):
            if before.again and after.again and told(before.again) != told(after.again):
                asked = f"{before.again.kind.upper()} {before.again.said}"
                lines += ["", f"{asked}  {before.again.mac}", difference(before.again, after.again)]
        return "\n".join([*lines, ""])
