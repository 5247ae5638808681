"""`gitboot completion`: what a shell reads to complete gitboot's commands, options and machines."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")
PATIENCE = 1.0
"""Seconds: whoever pressed Tab waits."""


@click.command(
    "completion", help='Print what makes SHELL complete gitboot\'s words: eval "$(gitboot completion bash)" in ~/.bashrc.'
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has all of SHELLS
    script = kind(ctx.find_root().command, {}, "gitboot", "_GITBOOT_COMPLETE").source()
    click.echo(script)


def machines(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names that the server or state directory of this very command line knows; none where that cannot be asked."""
    return _known(ctx, incomplete, ("hardware/",))


def machines_and_workflows(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _known(ctx, incomplete, ("hardware/", "workflows/"))


def _known(ctx: click.Context, incomplete: str, folders: tuple[str, ...]) -> list[CompletionItem]:
    from reconciler.commands.documents import reading
    from reconciler.sentence import Sentence

    asked = ctx.params
    try:
        with reading(asked["server"], asked.get("state"), asked.get("token_file"), PATIENCE) as read:
            index = read("index.json") or {}
    except Sentence:
        return []
    paths = [str(path).removeprefix("/status/").removesuffix(".json") for path in index.get("documents", [])]
    names = {path.removeprefix(folder) for path in paths for folder in folders if path.startswith(folder)}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete) and name.isprintable()]
