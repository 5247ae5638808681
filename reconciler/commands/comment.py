"""`gitboot comment`: one comment on a pull request, changed in place as the pull request changes."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TextIO

import click

from reconciler.backoff import next_delay
from reconciler.commands import forging
from reconciler.comments import Done, Unspoken, publish
from reconciler.errors import Unavailable
from reconciler.forges import Answer, BadForge, Forge, Later, Never, Request, Trouble, verdict
from reconciler.sentence import Sentence
from reconciler.web import exchange

TRIES = 4
"""When the forge cannot be reached or asks for a pause: somebody waits for the job."""
LONGEST_PAUSE = 60.0


@click.command("comment", help="Put a text on a pull request, as one comment that is changed in place.")
@click.argument("text", type=click.File(encoding="utf-8", errors="replace"), default="-", metavar="[FILE]")
@click.option("--number", type=click.IntRange(1), required=True, metavar="N", help="Of the pull or merge request.")
@click.option("--name", default="plan", show_default=True, metavar="NAME", help="Which comment, where there are several.")
@forging.options
def command(text: TextIO, number: int, name: str, **given: Any) -> None:
    forge = forging.forge_from(given)
    if forge is None:
        raise Sentence("Say with --forge which forge it is: github, gitlab or gitea.", 2)
    try:
        done = _published(forge, number, name, text.read())
    except BadForge as error:
        raise Sentence(str(error), 2) from None
    click.echo(f"The comment on {forge.project} {number} was {done}.")


def _published(forge: Forge, number: int, name: str, text: str) -> Done:
    """From the start again when an answer was lost: what it was about may be done. Raises Sentence and BadForge."""
    for failures in range(1, TRIES + 1):
        try:
            return _converse(publish(forge, number, name, text))
        except Unavailable as error:
            trouble: Trouble = Later(str(error))
        except Unspoken as refused:
            strange = Never(f"{forge.api} does not answer like a {forge.kind}: correct --forge or --forge-url.")
            trouble = verdict(forge, refused.answer, time.time()) or strange
        if not isinstance(trouble, Later) or trouble.after > LONGEST_PAUSE or failures == TRIES:
            break
        time.sleep(max(trouble.after, next_delay(failures, LONGEST_PAUSE, 0.5)))
    raise Sentence(trouble.reason)


def _converse(conversation: Generator[Request, Answer, Done]) -> Done:
    try:
        request = next(conversation)
        while True:
            request = conversation.send(exchange(request))
    except StopIteration as end:
        done: Done = end.value
        return done
