"""`gitboot why`: a person asks about a machine and is told file, line, commit, author and date, or why nobody knows."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from netboot.events import BootAdvanced, BootOpened
from netboot.observed import Observed
from netboot.plans import PlanStore
from netboot.reconcile_document import Reconciliation, reconcile_document
from netboot.status_documents import DesiredHardware, NextStep, hardware_document, to_bytes
from reconciler.commands.why import command
from reconciler.compile import Compiler
from reconciler.mirror import Mirror
from reconciler.reader import Reader
from reconciler.source import Source
from reconciler.target import snapshot_of_target
from tests.reconciler.gitkit import Work, free_port, git_daemon
from tests.reconciler.inventories import EXAMPLE, MACHINE, SITE, SOUND

MAC = "52:54:00:12:34:01"
INTERFACE = """\
  interfaces:
  - mac: "52:54:00:12:34:01"
    address: 10.1.0.11
    domain: own.example
"""


SCHEMA = json.loads(resources.files("schemas").joinpath("explanation.json").read_text())


def ask(*words: str, repo: Path | str = EXAMPLE) -> Result:
    return CliRunner().invoke(command, [*words, "--repo", str(repo)])


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """The site's domain is Ann's of 2026-05-01, the machine's own Bob's of 2026-06-01."""
    work = Work(tmp_path / "work")
    work.date = "2026-05-01T12:00:00Z"
    for name, text in SOUND.items():
        work.write(name, text.replace("spec:\n  subnets", "spec:\n  domain: lab.example\n  subnets"))
    work.git("add", "-A")
    work.git("commit", "-q", "-m", "Give the lab its domain", "--date", work.date)
    work.write("hardware.yaml", MACHINE.partition("  interfaces")[0] + INTERFACE)
    work.git("add", "-A")
    work.git("commit", "-q", "-m", "A domain of its own", "--author", "Bob <bob@lab.example>", "--date", "2026-06-01T12:00:00Z")
    return work


def plain(text: str) -> str:
    return "\n".join(re.sub(" {2,}", " ", line.strip()) for line in text.splitlines())


@pytest.mark.shell
def test_a_value_is_told_with_its_line_commit_author_and_date_and_with_what_it_beat(work: Work) -> None:
    second, first = work.git("log", "--format=%h", "--abbrev=12").split()
    shown = ask("node-01", "option", "15", repo=work.path)
    assert 0 == shown.exit_code
    assert plain(shown.output) == plain(f"""\
        option 15 (domain-name) {MAC}
        own.example

        set by hardware.yaml:9 domain: own.example
        the interface's domain
        {second} 2026-06-01 Bob <bob@lab.example>: A domain of its own
        beats site.yaml:5 domain: lab.example
        the site's domain
        {first} 2026-05-01 Ann <ann@lab.example>: Give the lab its domain
        """)


@pytest.mark.shell
def test_whatever_is_told_to_programs_has_the_shape_of_its_schema(work: Work) -> None:
    work.write("site.yaml", (work.path / "site.yaml").read_text().replace("10.1.0.1,", "10.1.0.2,"))
    document = json.loads(ask("node-01", "--format", "json", repo=work.path).output)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    told = [origin for each in document["settings"] for origin in (*each["by"], *each["beats"])]
    assert {"Ann <ann@lab.example>", "Bob <bob@lab.example>", None} == {origin.get("author") for origin in told}
    assert {"not committed yet", None} == {origin.get("unknown") for origin in told}


@pytest.mark.shell
def test_a_machine_is_explained_as_it_was_at_a_commit(work: Work) -> None:
    shown = ask("node-01", "domain-name", "--at", "HEAD~1", repo=work.path).output
    assert ["  lab.example", True, False] == [shown.splitlines()[1], "site.yaml:5" in shown, "beats" in shown]


@pytest.mark.shell
def test_a_line_that_is_not_committed_yet_says_so_and_so_does_a_folder_without_git(work: Work, tmp_path: Path) -> None:
    work.write("site.yaml", (work.path / "site.yaml").read_text().replace("10.1.0.1,", "10.1.0.2,"))
    shown = ask("node-01", "option", "3", repo=work.path).output
    assert "not committed yet" in shown
    assert "Ann <ann@lab.example>: Give the lab" in ask("node-01", "option", "15", repo=work.path).output
    for name, text in SOUND.items():
        (tmp_path / "plain").mkdir(exist_ok=True)
        (tmp_path / "plain" / name).write_text(text)
    assert "in no git repository" in ask("node-01", "option", "3", repo=tmp_path / "plain").output
    empty = Work(tmp_path / "empty")
    for name, text in SOUND.items():
        empty.write(name, text)
    assert "not committed yet" in ask("node-01", "option", "3", repo=empty.path).output


def test_without_a_setting_all_of_them_are_listed_below_what_they_belong_to() -> None:
    lines = ask("server-02").output.splitlines()
    assert re.match(r"server-02, as the folder has it", lines[0])
    assert re.match(r"SETTING +VALUE +SET BY +COMMIT +DATE +AUTHOR", lines[1])
    at = lines.index("52:54:00:12:34:12")
    assert re.match(r"  DHCP +reservation +site\.yaml:7 ", lines[at + 1])
    assert re.match(r"  address +10\.1\.0\.22 +hardware/server-02\.yaml:10 ", lines[at + 3])
    at = lines.index("workflow image-server-02 action install/stream-image")
    assert re.match(r"  image +registry\.lab\.example/image2disk:v3 +templates/golden-image\.yaml:12 ", lines[at + 1])
    at = lines.index("workflow image-server-02")
    assert re.match(r"  run +1 +gitboot's default: run 1$", lines[at + 1])
    assert any(re.match(r"  kernel argument console +tty0 ttyS0,115200 +profiles/gitboot-os.yaml:9 ", line) for line in lines)


def test_why_it_netboots_names_the_document_that_asks_for_it() -> None:
    shown = plain(ask("node-03", "is", "it", "netbooting").output)
    assert "next step\nruns workflow burn-in-storage run 1 in profile inspect" in shown
    assert "set by workflows/burn-in.yaml:8 matchLabels: {role: storage}" in shown
    assert "hardware/node-03.yaml:5 labels: {rack: r1, role: storage}" in shown


def test_a_value_that_the_template_was_filled_with_has_both_lines() -> None:
    shown = plain(ask("server-02", "action", "1", "env", "IMG_URL").output)
    assert 'set by templates/golden-image.yaml:17 IMG_URL: "{{ .image }}"' in shown
    assert "workflows/install.yaml:20 image: http://10.1.0.1:8000/debian-12.qcow2" in shown


def test_programs_are_told_the_same() -> None:
    document = json.loads(ask("node-01", "option", "15", "--format", "json").output)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (one,) = document["settings"]
    assert (f"option 15 (domain-name) {MAC}", "lab.example", []) == (one["name"], one["value"], one["beats"])
    (by,) = one["by"]
    assert ("site.yaml", 6, "domain: lab.example") == (by["file"], by["line"], by["text"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("node-01", "optoin", "15"), "node-01 has no setting 'optoin 15'; the nearest are `option 15 (domain-name)`"),
        (("node-01", "action", "9"), "the nearest are `workflow inspect-node-01 action inspect/look-around"),
        (("node-1",), "There is no machine 'node-1' in this inventory; did you mean node-01?"),
        (("node-01", "--state", "/nowhere", "--at", "HEAD"), "leave one of them away"),
        (("node-01", "--state", "/nowhere"), "There is no state directory /nowhere"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(words: tuple[str, ...], said: str) -> None:
    shown = ask(*words)
    assert (2, True) == (shown.exit_code, said in shown.output), shown.output


def test_an_inventory_that_cannot_be_served_has_nothing_to_explain(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("10.1.0.0/16", "10.1.0.0"))
    shown = ask("node-01", repo=tmp_path)
    assert (1, True) == (shown.exit_code, shown.output.startswith("Error: This inventory cannot be served:\nsite.yaml:6:"))


# Against what a server serves


def state_of(work: Work, state: Path, source: str, boots_by: str = "") -> None:
    """The state directory of a server that serves the work's HEAD; `boots_by`: the plan of the boot that is open."""
    head = work.git("rev-parse", "HEAD")
    inventory, _ = Reader().read(snapshot_of_target(f"{work.path}@{head}"))
    dump = Compiler().compile(inventory).dump if inventory else None
    assert dump is not None
    PlanStore(state / "plans").publish(dump)
    observed = Observed()
    if boots_by:
        observed.apply(
            BootOpened(at=1.0, boot="b1", machine="node-01", macs=(MAC,), mac=MAC, plan=boots_by, via="dhcp", client={})
        )
        observed.apply(
            BootAdvanced(at=2.0, boot="b1", phase="kernel", reason="runs workflow look-at-01 run 1", profile="inspect")
        )
    says = DesiredHardware("node-01", (MAC,), next="runs workflow look-at-01 run 2", step=NextStep("run", "look-at-01", 2))
    site = Reconciliation(source, head=head, revision=head, plan=dump.plan.id)
    documents = {
        "reconcile": reconcile_document(site, observed, (), 3.0),
        "hardware/node-01": hardware_document(says, observed),
    }
    for name, document in documents.items():
        path = state / "status" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_bytes(document))


def ask_state(state: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--state", str(state)])


@pytest.mark.shell
@pytest.mark.parametrize("machine", ["node-01", MAC])
def test_what_a_server_serves_and_saw_is_explained_whatever_was_committed_since(
    work: Work, tmp_path: Path, machine: str
) -> None:
    state_of(work, tmp_path / "state", str(work.path), boots_by="f" * 64)
    work.commit(hardware="broken")
    shown = ask_state(tmp_path / "state", machine, "is", "it", "netbooting")
    lines = plain(shown.output).splitlines()
    assert [
        "next step",
        "runs workflow look-at-01 run 2",
        "",
        "set by workflow.yaml:4 spec: {template: look, hardware: node-01}",
    ] == lines[:4]
    at = lines.index("boot in progress")
    by = f"by plan {'f' * 12}, to which it keeps"
    assert f"phase kernel since 1970-01-01T00:00:02.000Z, {by}; runs workflow look-at-01 run 1" == lines[at + 1]
    assert "Bob <bob@lab.example>" in ask_state(tmp_path / "state", machine, "option", "15").output


@pytest.mark.shell
def test_a_try_comes_first_and_a_workflow_that_git_no_longer_names_explains_nothing(work: Work, tmp_path: Path) -> None:
    state_of(work, tmp_path / "state", str(work.path))
    path = tmp_path / "state" / "status" / "hardware" / "node-01.json"
    status = json.loads(path.read_bytes())
    status["trying"] = {"state": "waiting", "revision": "a" * 40, "rehearse": True}
    status["step"]["workflow"] = "gone"
    path.write_text(json.dumps(status))
    shown = plain(ask_state(tmp_path / "state", "node-01", "next", "step").output)
    assert (
        "rehearses commit aaaaaaaaaaaa once, which `--at aaaaaaaaaaaa` explains; then: runs workflow look-at-01 run 2" in shown
    )
    assert "set by - gitboot's default: its disk" in shown


@pytest.mark.shell
def test_the_mirror_of_a_remote_repository_has_no_history_and_a_clone_has(work: Work, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with git_daemon(work.path.parent, free_port()) as address:
        source = f"{address}/work/.git"
        Mirror(state / "git", Source(source), 20).fetch()
    state_of(work, state, source)
    shown = ask_state(state, "node-01", "option", "15").output
    assert "A domain of its own (or before it: older history is not here)" in shown
    assert "Ann <ann@lab.example>: Give the lab its domain" not in shown
    assert (
        "Ann <ann@lab.example>: Give the lab its domain"
        in ask_state(state, "node-01", "option", "15", "--repo", str(work.path)).output
    )


def test_a_server_that_serves_nothing_yet_is_a_sentence(tmp_path: Path) -> None:
    shown = ask_state(tmp_path, "node-01")
    assert (1, True) == (shown.exit_code, f"{tmp_path} serves no commit yet; `gitboot status --state" in shown.output)


@pytest.mark.shell
def test_a_repository_that_the_server_was_told_in_another_folder_is_asked_for(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_of(work, tmp_path / "state", work.path.name)
    monkeypatch.chdir(work.path.parent)
    assert 0 == ask_state(tmp_path / "state", "node-01", "option", "15").exit_code
    monkeypatch.chdir(tmp_path / "state")
    shown = ask_state(tmp_path / "state", "node-01", "option", "15")
    assert (2, True) == (shown.exit_code, "was told in another folder than this one: name it by --repo." in shown.output)
    assert 0 == ask_state(tmp_path / "state", "node-01", "option", "15", "--repo", str(work.path)).exit_code


def test_a_file_of_the_inventory_is_no_inventory() -> None:
    shown = ask("node-01", repo=EXAMPLE / "site.yaml")
    assert (2, True) == (shown.exit_code, "site.yaml is a file: name the folder of the inventory" in shown.output)
