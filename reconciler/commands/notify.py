"""`gitboot notify`: say something to everybody whom a file of `--notify` names, so that one knows that it arrives."""

from __future__ import annotations

import time
from pathlib import Path

import click

from netboot.notice_sending import Undelivered, deliver
from netboot.notice_targets import BadNotify
from netboot.notice_text import notice_of
from netboot.notices import Happening
from netboot.notifier import read_notify
from reconciler.sentence import Sentence


@click.command("notify", help="Send a message to everybody in FILE, and say who took it. Exit status 1 when somebody did not.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--target", metavar="NAME", help="Only to this one.")
def command(file: Path, target: str | None) -> int:
    try:
        notify = read_notify(file)
    except BadNotify as error:
        raise Sentence(str(error), 2) from None
    targets = [each for each in notify.target if target in (None, each.name)] if notify else []
    if not targets:
        raise Sentence(f"{file} names no target {target!r}; correct --target.", 2)
    now = time.time()
    said = Happening("ended", "SUCCESS", now, subject="a test of notifications", message="nothing has happened")
    notice, failed = notice_of([said], "test", now, dashboard=notify.dashboard if notify else ""), 0
    for each in targets:
        try:
            deliver(each, notice)
            click.echo(f"{each.name}: taken")
        except Undelivered as error:
            failed += 1
            click.echo(f"{each.name}: {error}")
    return 1 if failed else 0
