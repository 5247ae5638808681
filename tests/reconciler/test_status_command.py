"""What `gitboot status` says of a site; of machines and terminals, test_commands.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconciler.test_commands import call, written


@pytest.mark.parametrize(
    ("file", "line", "said"), [("", 0, "  error: no"), ("loop", 0, "  loop: error: no"), ("a.yaml", 3, "  a.yaml:3: error: no")]
)
def test_status_names_no_place_that_a_problem_has_not(tmp_path: Path, file: str, line: int, said: str) -> None:
    written(tmp_path, problems=({"file": file, "line": line, "severity": "error", "message": "no"},))
    assert said in call("status", "--state", tmp_path).output.splitlines()


def test_status_before_the_first_commit_names_none(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "status/reconcile.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"revision": ""}))
    assert "no commit of /srv/site was accepted so far" == call("status", "--state", tmp_path).output.splitlines()[0]
