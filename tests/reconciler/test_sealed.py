"""Secret documents: only what is encrypted is taken, and nothing of the rest is repeated."""

from __future__ import annotations

import pytest

from netboot.sealed import DATA
from tests import secret_documents as documents
from tests.reconciler.inventories import SOUND, brief, problems, read

AGE = documents.secret("db", {"password": "correct horse"})
SOPS = documents.sops("db", {"password": "correct horse", "port": 5432})
PASSPHRASE = """\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBzYWx0IDE4Cg==
-----END AGE ENCRYPTED FILE-----
"""


def test_an_age_file_is_kept_as_it_is() -> None:
    secret = read({**SOUND, "secret.yaml": AGE}).secrets["db"].sealed
    assert frozenset({"password"}) == secret.keys
    assert secret.data["password"].startswith("-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert "correct horse" not in repr(secret)


def test_of_a_sops_file_everything_is_kept_that_its_mac_covers() -> None:
    secret = read({**SOUND, "secret.yaml": SOPS}).secrets["db"].sealed
    assert secret.sops is not None
    paths = ["apiVersion:", "kind:", "metadata:name:", f"{DATA}password:", f"{DATA}port:"]
    assert paths == [path for path, _ in secret.sops.leaves]
    assert frozenset({"password", "port"}) == secret.keys


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AGE.replace("password: |", "password: hunter2\n    other: |"), "plain-secret spec.data.password"),
        (SOPS.replace("    port: ENC", "    more: hunter2\n    port: ENC"), "plain-secret spec.data.more"),
        (SOPS.partition("sops:")[0], "bad-secret spec.data.password"),
        (AGE.replace("YWdl", "AAAA"), "bad-secret spec.data.password"),
        (AGE.replace("-----END", "-----FIN"), "bad-secret spec.data.password"),
        (SOPS.replace("lastmodified", "modified"), "bad-secret sops"),
        (SOPS.replace("mac: ENC", "mac: CNE"), "bad-secret sops"),
        (SOPS.replace("  age:", "  pgp:"), "bad-secret sops"),
        (SOPS.replace("  age:\n", "  age: nobody\n  pgp:\n"), "bad-secret sops"),
        (AGE + "---\n" + SOPS.replace("name: db", "name: db2"), "bad-secret sops"),
        (AGE.replace("password:", "pass word:"), "bad-value spec.data.pass word"),
        (AGE.replace("    password: |", "    password: [hunter2]\n    x: |"), "wrong-type spec.data.password"),
        (AGE.partition("  data:")[0] + "  data: {}\n", "bad-value spec.data"),
    ],
)
def test_what_is_not_encrypted_or_damaged_rejects_the_commit(text: str, expected: str) -> None:
    found = problems({**SOUND, "secret.yaml": text})
    assert expected in [f"{problem.code} {problem.path}".rstrip() for problem in found]
    assert all(problem.line for problem in found)
    assert "hunter2" not in "".join(map(str, found))


def test_a_passphrase_is_nothing_that_a_server_can_type() -> None:
    text = (
        AGE.partition("    password")[0] + "    password: |\n" + "".join(f"      {line}\n" for line in PASSPHRASE.splitlines())
    )
    [problem] = problems({**SOUND, "secret.yaml": text})
    assert "it is encrypted with a passphrase, which no server can type" in problem.message


def test_two_secrets_of_one_name_are_a_problem() -> None:
    assert ["duplicate-name metadata.name"] == brief({**SOUND, "a.yaml": AGE, "b.yaml": SOPS})
