"""The documentation is executed: its commands work, its links lead somewhere, and it names every flag, field and metric.

`python -m tests.test_docs` writes the generated part of docs/configuration.md.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from agent import main as agent
from netboot.issue_kinds import CATALOGUE
from netboot.status_documents import EXPECTED
from reconciler.check import passes
from reconciler.cli import COMMANDS, gitboot
from reconciler.commands.reading import read
from tests.documents import PAGES, ROOT, SECONDS, Block, Session, anchors, blocks, links, metrics, name_of, same, sayings
from tests.reconciler.gitkit import free_port
from tests.reconciler.test_cli import LEAVES
from tests.reconciler.test_cli import command as command_of
from tests.reconciler.test_schemas import KINDS
from tests.test_architecture import is_core

DOCS = ROOT / "docs"
CONFIGURATION = DOCS / "configuration.md"
ISSUES = DOCS / "issues.md"
GENERATED = "<!-- from here on written by `python -m tests.test_docs` -->\n"
SCHEMAS = sorted(path for path in (ROOT / "schemas").glob("*.json") if path.stem.title() not in KINDS)
"""Of what we write; tests/reconciler/test_schemas.py holds those of what users write."""
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))


# Links and paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue  # another site
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: {name_of(target)} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_ours_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`((?:agent|netboot|reconciler|schemas|tests|benchmarks|docs)/[\w./-]*)(?:::(\w+))?`", page.read_text())
    for path, test in named:
        assert (ROOT / path).exists(), f"there is no {path}"
        assert not test or is_test(f"`{path}::{test}`"), f"{path} has no test {test}"


NO_ATTACKS = ("who | sees and can do | what is promised", "`spec.dhcp.mode` | it is given to", "missing | until then")
"""The tables of docs/security.md that say what is, and promise nothing of an attack."""


def test_every_row_of_every_attack_names_tests_that_run_or_says_why_there_can_be_none() -> None:
    tables = re.findall(r"^\| (.*) \|\n\|[-|]+\n((?:\|.*\n)+)", (DOCS / "security.md").read_text(), re.MULTILINE)
    attacks = [(head, rows.splitlines()) for head, rows in tables if head not in NO_ATTACKS]
    assert {True} == {head.endswith(" | held by") for head, _ in attacks}
    rows = [row.removesuffix(" |").rpartition(" | ")[2] for _, table in attacks for row in table]
    assert len(rows) > 50
    assert [] == [row for row in rows if not (re.match(r"no test: \w+ \w+", row) or all(map(is_test, row.split(", "))))]


def is_test(cited: str) -> bool:
    """Whether it is a `file::test` that pytest collects."""
    found = re.fullmatch(r"`(tests/(?:\w+/)*test_\w+\.py)::([Tt]est\w+)`", cited)
    if found is None or not (ROOT / found[1]).exists():
        return False
    for node in ast.parse((ROOT / found[1]).read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name == found[2]:
                return name.startswith("test_")
            case ast.Assign(targets=[ast.Name(id=name)]) if name == found[2]:  # a state machine's
                return name.startswith("Test")
    return False


def test_a_citation_is_of_a_test_and_of_nothing_else() -> None:
    assert is_test("`tests/test_docs.py::test_a_citation_is_of_a_test_and_of_nothing_else`")
    assert is_test("`tests/netboot/test_sessions.py::TestCalls`")
    here = "tests/test_docs.py"
    for cited in (here, f"{here}::is_test", f"{here}::test_nothing", "tests/documents.py::test"):
        assert not is_test(f"`{cited}`")


def test_every_page_can_be_found_from_the_index() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    assert set() == {*DOCS.glob("*.md"), *DECISIONS} - linked - {DOCS / "index.md"}


# Commands ------------------------------------------------------------------------------------------------------------------


def split_command(words: list[str]) -> tuple[str, list[str]]:
    """Name of the command, and its arguments."""
    length = 2 if " ".join(words[:2]) in LEAVES else 1
    return " ".join(words[:length]), words[length:]


def shell_lines() -> Iterator[tuple[str, str]]:
    """(page, command) of every `sh` and `console` block, continued lines joined."""
    for page in PAGES:
        for block in blocks(page):
            text = block.text.replace("\\\n", " ")
            if re.search(r"^\$ ", text, re.MULTILINE):
                text = "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
            if block.language in ("sh", "console"):
                yield from ((name_of(page), line) for line in text.splitlines() if line.strip())


def words_after(line: str, name: str) -> Iterator[list[str]]:
    """The arguments of each `name …` in a line of shell, up to the next operator."""
    lexer = shlex.shlex(line.replace(f'"$(command -v {name})"', name), posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    lexer.whitespace_split = True
    words = [*lexer, ";"]
    for at, word in enumerate(words):
        before = words[at - 1] if at else ";"
        if word == name and (before in (";", "|", "||", "&&", "sudo", "do") or "=" in before):
            end = next(i for i in range(at, len(words)) if set(words[i]) <= set(";|&<>()"))
            stop = end - 1 if words[end].startswith(">") and words[end - 1].isdigit() else end
            yield words[at + 1 : stop]


LINES = [(page, line, words) for page, line in shell_lines() for words in words_after(line, "gitboot")]


@pytest.mark.parametrize(("page", "line", "words"), LINES, ids=[f"{page}: {line}" for page, line, _ in LINES])
def test_every_gitboot_command_line_is_one(page: str, line: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed as the command itself would, but for files, which are on the reader's machine."""
    monkeypatch.setattr(click.Path, "convert", lambda _, value, *__: Path(value))
    configured = words[:1] == ["--config"]
    name, arguments = split_command(words[2:] if configured else words)
    if name == "agent":
        parser_of_agent().parse_args(arguments)
    elif configured or "…" in arguments:  # what is required may be in the file, or was left out
        assert set() == unknown_flags(name, arguments)
    else:
        command_of(name).make_context(name, arguments)


def unknown_flags(name: str, words: Iterable[str]) -> set[str]:
    known = {flag for each in command_of(name).params for flag in each.opts} | {"--help"}
    return {word for word in words if word.startswith("-")} - known


INLINE = {words for page in PAGES for words in re.findall(r"`gitboot ([a-z][^`]*)`", page.read_text())}


@pytest.mark.parametrize("words", sorted(INLINE))
def test_what_is_said_of_a_command_within_a_sentence_is_true(words: str) -> None:
    """There may be words missing, but none that the command does not know."""
    name, rest = split_command(words.split())
    assert name in {*LEAVES, *COMMANDS}
    if name != "agent":
        assert set() == unknown_flags(name, rest)


def test_there_are_command_lines_to_hold() -> None:
    assert {"serve", "check", "render", "init", "detect", "doctor", "freeze"} <= {words[0] for _, _, words in LINES}


def test_every_make_target_that_is_named_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {words[0] for _, line in shell_lines() for words in words_after(line, "make") if words}
    named |= {target for page in PAGES for target in re.findall(r"`make ([a-z]+)", page.read_text())}
    assert {"demo", "test", "check"} <= named <= targets


# Sessions ------------------------------------------------------------------------------------------------------------------


@pytest.mark.shell
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.mark == "run" for block in blocks(page))], ids=name_of)
def test_what_a_page_does_is_what_happens(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "example-inventory", tmp_path / "example-inventory")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=reader", "-c", "user.email=reader@lab.example"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "As it came"]):
        subprocess.run([*git, *words], check=True)
    assert [] == Session(page, tmp_path, free_port()).run()
    assert set() == {path.name for path in (tmp_path / "state").glob("*")} - documented_state()


def documented_state() -> set[str]:
    (tree,) = (block.text for block in blocks(DOCS / "design.md") if block.mark == "state")
    return set(re.findall(r"^  ([\w.-]+)", tree, re.MULTILINE))


@pytest.mark.shell
def test_the_readme_shows_what_the_demo_shows() -> None:
    """Its steps, whatever the times, ports and ids; not the table, which needs a terminal."""
    demo = subprocess.run([sys.executable, "-m", "reconciler", "demo", "--once"], capture_output=True, text=True, timeout=90)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    (picture,) = (block.text for block in blocks(ROOT / "README.md") if block.mark == "demo")
    printed = {unnumbered(line) for line in demo.stdout.splitlines()}
    assert {unnumbered(line) for line in picture.splitlines() if " s " in line} <= printed


def unnumbered(line: str) -> str:
    """Without what differs from one time to the next: an id is seven hex digits."""
    return " ".join(re.sub(r"\b[0-9a-f]{7}\b|\d+", "0", line).split())


def test_an_output_with_gaps_is_compared_all_the_same() -> None:
    assert same("a … c\n…\nz\n", "a b c\nmany\nlines\nz\n")
    assert same("a\n…\n", "a\n")
    assert not same("a … c\n", "a b d\n")
    assert not same("a\nz\n", "a\nb\nz\n")


# Inventories ---------------------------------------------------------------------------------------------------------------


def is_inventory(block: Block) -> bool:
    return block.language == "yaml" and re.match(r"apiVersion: gitboot/|version: ", block.text) is not None


WITH_YAML = [page for page in PAGES if any(map(is_inventory, blocks(page))) and page.name != "inventory.md"]
"""tests/reconciler/test_schemas.py holds docs/inventory.md."""


@pytest.mark.parametrize("page", WITH_YAML, ids=name_of)
def test_the_documents_of_a_page_are_a_sound_inventory(page: Path, tmp_path: Path) -> None:
    """By themselves when there is a Site among them, else added to the example's."""
    found = [block.text for block in blocks(page) if is_inventory(block)]
    if not any("kind: Site" in text for text in found):
        shutil.copytree(ROOT / "example-inventory", tmp_path, dirs_exist_ok=True)
    for index, text in enumerate(found):
        (tmp_path / f"block-{index}.yaml").write_text(text)
    _, problems = read(str(tmp_path), None)
    assert () == problems


def test_the_example_inventory_can_be_served_without_a_warning() -> None:
    plan, problems = read(str(ROOT / "example-inventory"), None)
    assert plan is not None
    assert passes(problems)
    assert () == problems


def test_a_machine_added_to_the_example_as_its_readme_says_has_work_at_once(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "example-inventory", tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "hardware" / "node-02.yaml").read_text()
    for old, new in (("node-02", "node-04"), ("34:02", "34:04"), ("1.0.12", "1.0.14"), ("role: compute", "role: storage")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "hardware" / "node-04.yaml").write_text(text)
    plan, problems = read(str(tmp_path), None)
    assert (True, ()) == (plan is not None, problems)
    assert plan is not None
    assert ["burn-in-storage"] == [work.workflow for work in plan.machines["node-04"].work]


# What must be documented ---------------------------------------------------------------------------------------------------


def parser_of_agent() -> argparse.ArgumentParser:
    return agent._parser()


def flags_of(command: click.Command) -> Iterator[tuple[str, str, str]]:
    """Flag, default, meaning."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            flag = option.opts[-1] + ("" if option.is_flag else f" {option.metavar or _kind(option.type)}")
            shown = option.show_default and not option.is_flag
            default = "required" if option.required else f"`{option.default}`" if shown else ""
            yield flag, default, option.help or ""


def _kind(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(kind.choices)
    return "N" if kind.name.startswith(("integer", "float")) else "TEXT"


def flags_of_agent() -> Iterator[tuple[str, str, str]]:
    """The same of the agent, which knows nothing of click."""
    for action in parser_of_agent()._actions:
        if action.dest != "help":
            flag = f"{action.option_strings[-1]} {action.metavar or '|'.join(map(str, action.choices or ()))}"
            default = f"`{action.default}`" if action.default is not None else ""
            yield flag, default, (action.help or "").replace("default: %(default)s", "")


def configuration() -> str:
    """Every command with its arguments and flags, as the commands themselves say it."""
    parts = [_table("gitboot", gitboot.help or "", [], flags_of(gitboot))]
    for name in LEAVES:
        if name == "agent":
            parts.append(_table("gitboot agent", COMMANDS[name], [], flags_of_agent()))
        else:
            command = command_of(name)
            named = [each for each in command.params if isinstance(each, click.Argument)]
            arguments = [each.make_metavar(click.Context(command)) for each in named]
            parts.append(_table(f"gitboot {name}", command.help or "", arguments, flags_of(command)))
    return "\n".join(parts)


def _table(title: str, about: str, arguments: list[str], flags: Iterable[tuple[str, str, str]]) -> str:
    lines = [f"## {title}", "", about, ""]
    if arguments:
        lines += [f"Arguments: {' '.join(f'`{argument}`' for argument in arguments)}", ""]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in flags]
    if rows:
        lines += ["| flag | default | meaning |", "|---|---|---|"]
        lines += [*(f"| `{flag}` | {default} | {meaning} |" for flag, default, meaning in rows), ""]
    return "\n".join(lines)


def test_every_flag_is_documented_as_the_command_says_it() -> None:
    written = CONFIGURATION.read_text().partition(GENERATED)[2]
    assert f"\n{configuration()}" == written, "run `python -m tests.test_docs`"


def test_the_configuration_file_of_the_docs_is_taken(tmp_path: Path) -> None:
    (text,) = (block.text for block in blocks(CONFIGURATION) if block.language == "toml")
    file = tmp_path / "gitboot.toml"
    file.write_text(text)
    result = CliRunner().invoke(gitboot, ["--config", str(file), "serve", "--help"])
    assert result.exit_code == 0, result.output
    assert "8080" in result.output


def test_every_environment_variable_that_is_named_is_one() -> None:
    """Of a flag, of those that an action gets, or of the tests."""
    flags = {f"GITBOOT_{name}_{each.name}".replace(" ", "_").upper() for name in LEAVES for each in command_of(name).params}
    given = set(re.findall(r"GITBOOT_[A-Z]+", (ROOT / "agent/container.py").read_text()))
    named = {name for page in PAGES for name in re.findall(r"GITBOOT_[A-Z_]*[A-Z]", page.read_text())}
    assert named <= flags | given | {
        "GITBOOT_CONFIG",
        "GITBOOT_TOKEN",
        "GITBOOT_FORGE_TOKEN",
        "GITBOOT_MUTATIONS",
        "GITBOOT_KILLS",
        "GITBOOT_COMPLETE",
    }
    assert given <= named


@pytest.mark.parametrize("name", LEAVES)
def test_every_flag_says_what_it_is_for(name: str) -> None:
    assert [] == [flag for flag, _, meaning in flags_of(command_of(name)) if not meaning]


def test_every_metric_is_documented_with_its_own_words() -> None:
    found = dict(metrics())
    rows = dict(re.findall(r"^\| `(gitboot_\w+)` \| (.+?) \|$", (DOCS / "stuck.md").read_text(), re.MULTILINE))
    assert found.keys() == rows.keys()
    assert {} == {name: about for name, about in found.items() if about not in rows[name]}


def test_what_the_status_and_the_log_are_said_to_say_is_what_they_say() -> None:
    rows = [row for row in (DOCS / "stuck.md").read_text().splitlines() if row.startswith("|")]
    spans = {span for row in rows for span in re.findall(r"`([^`]+)`", row)}
    quoted = {span for span in spans if " " in span and not re.match(r"gitboot |time\(|gitboot_", span)}
    said = sayings()
    assert [] == [quote for quote in quoted if not all(part in said for part in re.split(r" ?… ?", quote))]
    assert len(quoted) > 8


def test_every_phase_of_a_boot_is_explained_with_the_words_of_the_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", (DOCS / "stuck.md").read_text(), re.MULTILINE)
    assert dict(EXPECTED) == {phase: expected for phase, expected in rows if phase in EXPECTED}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_every_field_of_what_we_write_has_a_description(schema: Path) -> None:
    assert [] == sorted(undescribed(json.loads(schema.read_text()), schema.stem))


def undescribed(schema: Any, at: str) -> Iterator[str]:
    """Paths of the properties without a description, at any depth."""
    if isinstance(schema, list):
        for index, each in enumerate(schema):
            yield from undescribed(each, f"{at}[{index}]")
    if not isinstance(schema, dict):
        return
    for name, field in schema.get("properties", {}).items():
        if not field.get("description") and "$ref" not in field and "const" not in field:
            yield f"{at}.{name}"
    for name, each in schema.items():
        yield from undescribed(each, f"{at}.{name}")


def test_every_condition_is_named_where_one_looks_for_it() -> None:
    modules = "".join(
        (ROOT / f"netboot/{name}.py").read_text() for name in ("status_documents", "reconcile_document", "conditions")
    )
    conditions = set(re.findall(r'\bcondition\("(\w+)"', modules))
    assert conditions <= set(re.findall(r"`(\w+)`", (DOCS / "stuck.md").read_text()))
    assert conditions


# The form of things --------------------------------------------------------------------------------------------------------


def test_the_map_of_modules_is_true() -> None:
    rows = re.findall(r"^\| `([\w/]+\.py)` \| (core|shell) \|", (DOCS / "design.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    actual = [(path, "core" if is_core(ast.parse((ROOT / path).read_text())) else "shell") for path, _ in rows]
    assert actual == rows


def test_decisions_have_a_number_each_and_a_title() -> None:
    """Numbers are given before the notes are written, so that one may be missing for a while."""
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert len(set(numbers)) == len(numbers) > 15
    for number, page in zip(numbers, DECISIONS, strict=True):
        assert re.match(rf"# {number}\. \S.*\n", page.read_text()), f"{page.name} does not begin with '# {number}. '"


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert text.startswith("# Changelog\n")
    assert titles[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title) for title in titles[1:])
    assert len(titles) == 1 or titles[1].startswith(f"[{version}]")
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def issues() -> str:
    """The catalogue as a person reads it."""
    lines = []
    for name, kind in CATALOGUE.items():
        causes = "\n".join(f"- {cause}" for cause in kind.causes)
        lines.append(f"## {name}\n\n**{kind.title}.** {kind.means}\n\n{causes}\n\n**What to do:** {kind.remedy}\n")
    return "\n".join(lines)


def test_every_issue_is_explained_as_the_catalogue_says_it() -> None:
    assert f"\n{issues()}" == ISSUES.read_text().partition(GENERATED)[2], "run `python -m tests.test_docs`"


if __name__ == "__main__":
    head = ISSUES.read_text().partition(GENERATED)[0]
    ISSUES.write_text(f"{head}{GENERATED}\n{issues()}")
    kept = CONFIGURATION.read_text().partition(GENERATED)[0]
    CONFIGURATION.write_text(f"{kept}{GENERATED}\n{configuration()}")
