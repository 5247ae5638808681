"""`gitboot secret encrypt` prints what the server opens, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from netboot.sealed import Secret
from netboot.secrets import open_secret, parse_keys
from reconciler.commands.secret import command
from tests.reconciler.inventories import SOUND, read
from tests.secret_documents import IDENTITY, recipient

TO = ["encrypt", "--recipient", recipient()]


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_what_it_prints_is_opened_and_taken_into_an_inventory(tmp_path: Path, way: str) -> None:
    (tmp_path / "value").write_text("correct horse\n")
    arguments = [*TO, str(tmp_path / "value")] if way == "file" else [*TO, "-"]
    result = CliRunner().invoke(command, arguments, input="correct horse\n")
    assert 0 == result.exit_code
    assert {"a": "correct horse\n"} == open_secret(Secret("db", {"a": result.output}), parse_keys(IDENTITY))
    lines = "".join(f"      {line}\n" for line in result.output.splitlines())
    text = f"apiVersion: gitboot/v1\nkind: Secret\nmetadata: {{name: db}}\nspec:\n  data:\n    a: |\n{lines}"
    assert frozenset({"a"}) == read({**SOUND, "secret.yaml": text}).secrets["db"].sealed.keys


@pytest.mark.parametrize(
    ("arguments", "value", "sentence"),
    [
        (["encrypt", "--recipient", "age1nobody"], "correct horse", "is no public key of age"),
        (TO, "abc\n", "A value has from 4 to 65536 characters"),
        (TO, "a" * 70_000, "A value has from 4 to 65536 characters"),
        (TO, b"\xff\xfe\xfd\xfc", "is not UTF-8 text; encode it in base64 first"),
        (["encrypt"], "correct horse", "Missing option '--recipient'"),
    ],
)
def test_what_cannot_be_encrypted_is_said_without_repeating_it(arguments: list[str], value: str | bytes, sentence: str) -> None:
    result = CliRunner().invoke(command, arguments, input=value)
    assert 0 != result.exit_code
    assert sentence in result.output
    assert "correct horse" not in result.output
