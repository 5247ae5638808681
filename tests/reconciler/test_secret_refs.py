"""References to secrets lead somewhere, or reject the commit at the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from netboot.secrets import Keys, parse_keys
from reconciler.commands.check import command as check
from reconciler.commands.render import command as render
from reconciler.compile import Compiled, Compiler
from reconciler.secret_refs import unopened
from tests import secret_documents as documents
from tests.netboot.test_delivery import OTHER
from tests.reconciler.inventories import RICH, SITE, SOUND, TEMPLATE, WORKFLOW, brief, read

SECRET = documents.secret("db", {"password": "correct horse", "login": "me:pass word"})
NEEDS = "timeout: 60, secrets: [{secretRef: {name: db, key: password}, env: PGPASSWORD}]"
FILES = {**SOUND, "secret.yaml": SECRET, "template.yaml": TEMPLATE.replace("timeout: 60", NEEDS)}


def compiled(files: dict[str, str]) -> Compiled:
    return Compiler().compile(read(files))


def errors(files: dict[str, str]) -> list[str]:
    return [f"{each.path}: {each.message}" for each in compiled(files).problems if each.severity == "error"]


def test_the_agent_is_told_which_secret_and_the_plan_has_ciphertext_only() -> None:
    dump = compiled(FILES).dump
    assert dump is not None
    [work] = dump.plan.machines["node-01"].work
    [action] = work.document["tasks"][0]["actions"]
    assert [{"name": "db", "key": "password", "env": "PGPASSWORD", "file": ""}] == action["secrets"]
    assert b"BEGIN AGE ENCRYPTED FILE" in dump.manifest
    assert b"correct horse" not in dump.manifest + b"".join(dump.shards.values())


def test_whoever_may_push_may_name_every_secret_in_an_action_of_their_own() -> None:
    """No rule says which template may have which secret."""
    template = FILES["template.yaml"].replace("name: look}\nspec", "name: mine}\nspec").replace('"look:v1"', '"mine:v1"')
    workflow = WORKFLOW.replace("look-at-01", "mine").replace("template: look", "template: mine")
    dump = compiled({**FILES, "mine.yaml": template, "my-work.yaml": workflow}).dump
    assert dump is not None
    tasks = {work.workflow: work.document["tasks"] for work in dump.plan.machines["node-01"].work}
    [action] = tasks["mine"][0]["actions"]
    assert ("mine:v1", "db", "password") == (action["image"], action["secrets"][0]["name"], action["secrets"][0]["key"])


def test_work_without_secrets_is_what_it_was_before_there_were_any() -> None:
    dump = compiled(dict(SOUND)).dump
    assert dump is not None
    assert b"secret" not in dump.manifest + b"".join(dump.shards.values())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: db,", "name: dbs,", "There is no Secret named 'dbs': did you mean 'db'?"),
        ("key: password", "key: passwort", "The Secret 'db' has no key 'passwort': did you mean 'password'?"),
        ("key: password", "key: x", "The Secret 'db' has no key 'x': it has login, password."),
    ],
)
def test_what_is_not_there_is_named_where_it_is_asked_for(old: str, new: str, expected: str) -> None:
    template = FILES["template.yaml"].replace(old, new)
    assert [f"spec.tasks[0].actions[0].secrets[0].secretRef: {expected}"] == errors({**FILES, "template.yaml": template})


def test_a_name_may_come_from_the_workflow() -> None:
    template = FILES["template.yaml"].replace("name: db,", 'name: "{{ .which }}",')
    workflow = WORKFLOW.replace("hardware: node-01", "hardware: node-01, hardwareMap: {which: db}")
    assert [] == errors({**FILES, "template.yaml": template, "workflow.yaml": workflow})
    assert 1 == len(
        errors({**FILES, "template.yaml": template, "workflow.yaml": workflow.replace("which: db", "which: other")})
    )


def test_a_template_is_judged_again_when_only_the_secret_changed() -> None:
    compiler = Compiler()
    compiler.compile(read(FILES))
    changed = read({**FILES, "secret.yaml": documents.secret("db", {"login": "me:pass word"})})
    assert ["unknown-reference"] == [each.code for each in compiler.compile(changed).problems if each.severity == "error"]


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ("{secretRef: {name: db, key: password}}", "missing-field"),
        ("{secretRef: {name: db, key: password}, env: A, file: /a}", "conflicting-fields"),
        ("{secretRef: {name: db}, env: A}", "missing-field"),
        ("{secretRef: {name: db, key: password}, env: GITBOOT_RUN}", "bad-value"),
        ("{secretRef: {name: db, key: password}, env: A=B}", "bad-value"),
        ("{secretRef: {name: db, key: password}, file: run/secret}", "bad-value"),
        ("{secretRef: {name: db, key: password}, file: /run/../secret}", "bad-value"),
        ("{secretRef: {name: db, key: password}, file: '/run:/secret'}", "bad-value"),
        ("{secretRef: {name: db, key: password}, env: A, value: plain}", "unknown-field"),
    ],
)
def test_a_reference_that_cannot_be_is_a_problem(secrets: str, expected: str) -> None:
    template = TEMPLATE.replace("timeout: 60", f"timeout: 60, secrets: [{secrets}]")
    assert [expected] == [each.partition(" ")[0] for each in brief({**FILES, "template.yaml": template})]


def test_one_place_takes_one_secret() -> None:
    ref = "{secretRef: {name: db, key: password}, env: A}"
    twice = TEMPLATE.replace("timeout: 60", f"timeout: 60, secrets: [{ref}, {ref}]")
    taken = TEMPLATE.replace("timeout: 60", f"timeout: 60, environment: {{A: b}}, secrets: [{ref}]")
    for template in (twice, taken):
        [error] = errors({**FILES, "template.yaml": template})
        assert "A is set already in this action" in error


# Registries ------------------------------------------------------------------------------------------------------------

LOGIN = "images: {pullSecrets: [{registry: 'r:5000', secretRef: {name: db, key: login}}]}\n  subnets:"


def site(old: str = "", new: str = "") -> dict[str, str]:
    text = SITE.replace("subnets:", LOGIN).replace(old, new)
    return {**FILES, "site.yaml": text, "template.yaml": TEMPLATE.replace("look:v1", "r:5000/look:v1")}


def test_an_image_of_a_registry_with_a_login_says_so_and_no_other() -> None:
    dump = compiled(site()).dump
    assert dump is not None
    [work] = dump.plan.machines["node-01"].work
    assert "r:5000" == work.document["tasks"][0]["actions"][0]["login"]
    other = compiled(site() | {"template.yaml": TEMPLATE}).dump
    assert other is not None
    assert "login" not in other.plan.machines["node-01"].work[0].document["tasks"][0]["actions"][0]


def test_a_pull_secret_that_is_not_there_rejects_the_commit() -> None:
    assert ["spec.images.pullSecrets[0].secretRef: There is no Secret named 'none': add one, or correct the name."] == errors(
        site("name: db", "name: none")
    )


def test_a_login_for_a_registry_without_tls_rejects_the_commit() -> None:
    result = compiled(site("images: {", "images: {insecureRegistries: ['r:5000'], "))
    assert [("readable-login", "error")] == [(each.code, each.severity) for each in result.problems]
    assert result.dump is None


def test_a_site_may_take_images_by_digest_only() -> None:
    digest = "r:5000/look@sha256:" + "a" * 64
    strict = site("images: {", "images: {requireDigest: true, ")
    [error] = errors(strict)
    assert error.startswith(
        "spec.tasks[0].actions[0].image: The image 'r:5000/look:v1' comes from a registry and has no digest"
    )
    assert [] == errors(strict | {"template.yaml": TEMPLATE.replace("look:v1", digest)})


# With keys -------------------------------------------------------------------------------------------------------------


def test_what_the_server_could_not_read_is_named_with_its_place() -> None:
    inventory = read(RICH)
    keys = parse_keys(documents.IDENTITY)
    assert () == unopened(inventory, keys)
    problems = unopened(inventory, Keys())
    assert ["secrets/database.yaml", "secrets/registry.yaml"] == [each.file for each in problems]
    assert all(each.line and each.severity == "warning" for each in problems)


@pytest.mark.parametrize("what", ["ipxe", "workflow", "dhcp"])
def test_render_shows_references_and_no_ciphertext(tmp_path: Path, what: str) -> None:
    for path, text in FILES.items():
        (tmp_path / path).write_text(text)
    result = CliRunner().invoke(render, [str(tmp_path), "node-01", "--what", what])
    assert 0 == result.exit_code, result.output
    assert ("PGPASSWORD" in result.output) == (what == "workflow")
    assert "BEGIN AGE" not in result.output


def test_check_names_what_a_key_does_not_open_and_passes(tmp_path: Path) -> None:
    for path, text in FILES.items():
        (tmp_path / path).write_text(text)
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text(documents.IDENTITY)
    other.write_text(OTHER)
    results = [CliRunner().invoke(check, [str(tmp_path), "--age-identity", str(each)]) for each in (key, other)]
    assert [0, 0] == [result.exit_code for result in results]
    assert "locked-secret" not in results[0].output
    assert "secret.yaml:7:5: warning: spec.data: Secret 'db' cannot be read: none of the server's keys" in results[1].output
