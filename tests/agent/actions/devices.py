"""Disks of tests: files behind loop devices, never anything else, and the job of an action on them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.actions.base import Job
from agent.actions.settings import Settings

MB = 1 << 20

needs_loop_devices = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
Loop = Callable[[int], str]


def run(*words: str | Path, given: str = "") -> str:
    """A tool that must succeed; its output."""
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@contextmanager
def loop_device(file: Path, size: int = 0) -> Iterator[str]:
    """`/dev/loopN` on `file`, which is made `size` bytes long if it is given."""
    if size:
        with file.open("ab") as disk:
            disk.truncate(size)
    path = run("losetup", "--find", "--show", "--partscan", file).strip()
    try:
        yield path
    finally:
        run("losetup", "--detach", path)


@contextmanager
def mounted(device: str, point: Path, *options: str) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    run("mount", *options, device, point)
    try:
        yield point
    finally:
        run("umount", point)


def machine(number: int = 1, workflow: str = "install", **others: Any) -> dict[str, Any]:
    """A machine document."""
    run = {"id": "r1", "workflow": workflow, "number": number}
    return {"site": "home", "name": "node-01", "arch": "x86_64", "run": run, **others}


def environment(folder: Path, document: dict[str, Any], **settings: str) -> dict[str, str]:
    """What the agent gives an action, with the machine document in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "machine.json").write_text(json.dumps(document))
    return {"GITBOOT_MACHINE": str(folder / "machine.json"), **settings}


def a_job(folder: Path, document: dict[str, Any], **settings: str) -> Job:
    folder.mkdir(exist_ok=True)
    return Job("action", Settings(settings), document, folder)


def written(folder: Path) -> list[str]:
    return (folder / "written").read_text().splitlines()
