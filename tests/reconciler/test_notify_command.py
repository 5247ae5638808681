"""`gitboot notify`, and what a server says of a file that it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import gitboot
from tests.netboot.receivers import http_receiver
from tests.reconciler.test_commands import call

pytestmark = pytest.mark.shell


def targets(folder: Path, **urls: str) -> Path:
    file = folder / "notify.toml"
    file.write_text("".join(f'[[target]]\nname = "{name}"\nkind = "slack"\nurl = "{url}"\n' for name, url in urls.items()))
    return file


def notify(*words: str) -> Result:
    return CliRunner().invoke(gitboot, ["notify", *words], standalone_mode=False)


def test_everybody_is_told_and_who_did_not_take_it_is_named(tmp_path: Path) -> None:
    with http_receiver() as chat, http_receiver((503,)) as down:
        result = notify(str(targets(tmp_path, chat=chat.url, down=down.url)))
        lines = result.output.splitlines()
        assert (1, "chat: taken") == (result.return_value, lines[0])
        assert lines[1].startswith("down: ")
        assert lines[1].endswith(" answers 503")
        assert 0 == notify(str(tmp_path / "notify.toml"), "--target", "chat").return_value
    assert [1, 2] == [len(down.bodies), len(chat.bodies)]
    assert {"text": "gitboot test: a test of notifications ended SUCCESS: nothing has happened"} == json.loads(chat.bodies[0])


def test_what_cannot_be_used_is_a_sentence_with_a_next_step(tmp_path: Path) -> None:
    file = targets(tmp_path, chat="https://chat.example/x")
    for words, expected in (
        (("notify", str(tmp_path / "none")), "correct the path"),
        (("notify", str(file), "--target", "pager"), "names no target 'pager'; correct --target."),
        (("netboot", "--state", str(tmp_path / "state"), "--notify", str(tmp_path / "none")), "correct the path"),
    ):
        result = call(*words)
        assert 0 != result.exit_code
        assert expected in result.output
