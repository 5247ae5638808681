"""The command: quick, uniform, and strict about what it is told."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from reconciler.cli import COMMANDS, gitboot

RUNNING = ("serve", "reconcile", "netboot")
HEAVY = {
    "starlette",
    "uvicorn",
    "git",
    "jsonschema",
    "httpx",
    "asyncio",
    "prometheus_client",
    "yaml",
    "msgspec",
    "rich",
    "docker",
}


def command(name: str) -> click.Command:
    """Of `freeze`, and of `actions build`."""
    first, *parts = name.split()
    found: click.Command = importlib.import_module(f"reconciler.commands.{first}").command
    for part in parts:
        assert isinstance(found, click.Group)
        found = found.commands[part]
    return found


def leaves() -> Iterator[str]:
    """All commands there are; those of a group instead of the group."""
    for name in COMMANDS:
        found = command(name)
        yield from [f"{name} {part}" for part in found.commands] if isinstance(found, click.Group) else [name]


LEAVES = list(leaves())


def call(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(gitboot, words, env=environment, catch_exceptions=False)


def options(name: str) -> list[click.Option]:
    return [each for each in command(name).params if isinstance(each, click.Option) and each.name != "help"]


def test_importing_the_command_imports_nothing_that_takes_time() -> None:
    program = "import json, sys, reconciler.cli; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert set() == HEAVY & set(json.loads(told))


@pytest.mark.shell
def test_help_is_there_at_once() -> None:
    """The budget of 200 ms is for an idle machine, so processor time is what is held to it."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "reconciler", "--help"], capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"gitboot --help: {spent * 1000:.0f} ms of processor time")
    assert spent < 1


def test_the_list_of_commands_says_what_each_does() -> None:
    text = call("--help").output
    for name in COMMANDS:
        assert f"  {name} " in text


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_is_there_and_explains_itself(name: str) -> None:
    assert command(name).name == name.split()[-1]
    if name == "agent":
        assert {"ignore_unknown_options": True}.items() <= command(name).context_settings.items()
        return
    result = call(*name.split(), "--help")
    assert 0 == result.exit_code
    for option in options(name):
        if not option.hidden:
            assert option.opts[0] in result.output
            assert option.help or isinstance(option.type, click.Choice)


def value_of(option: click.Option, folder: Path) -> tuple[Any, Any]:
    """A value that is not the default: as text or TOML, and as the command gets it."""
    if option.is_flag:
        return True, True
    if option.type.name == "network":
        return ["10.1.0.5/32", "10.2.0.0/24"], ("10.1.0.5/32", "10.2.0.0/24")
    if option.multiple:
        kind = Path if isinstance(option.type, click.Path) else str
        return ["one", "two"], (kind("one"), kind("two"))
    match option.type:
        case click.IntRange():
            return 4711, 4711
        case click.FloatRange():
            return 7.5, 7.5
        case click.Path(dir_okay=False):
            (folder / "file").write_text("commits: warn\n")
            return str(folder / "file"), folder / "file"
        case click.Path():
            return str(folder), folder
        case click.Choice():
            return list(option.type.choices)[-1], list(option.type.choices)[-1]
        case _:
            return "something", "something"


def _as_text(given: Any, meant: Any) -> str:
    """Lists are separated as click has it: paths as in PATH."""
    paths = isinstance(meant, tuple) and isinstance(meant[0], Path)
    return (os.pathsep if paths else " ").join(given) if isinstance(given, list) else str(given)


@pytest.mark.parametrize("way", ["environment", "configuration"])
@pytest.mark.parametrize("name", [name for name in LEAVES if name != "agent"])
def test_every_flag_is_also_a_setting(name: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: dict[str, Any] = {}
    monkeypatch.setattr(command(name), "callback", lambda **given: got.update(given))
    values = {str(option.name): value_of(option, tmp_path) for option in options(name)}
    needed = [each for each in command(name).params if isinstance(each, click.Argument) and each.required]
    arguments = [each.type.choices[0] if isinstance(each.type, click.Choice) else "x" for each in needed]
    if way == "environment":
        environment = {f"GITBOOT_{name}_{key}".replace(" ", "_").upper(): _as_text(*given) for key, given in values.items()}
        result = call(*name.split(), *arguments, **environment)
    else:
        config = tmp_path / "gitboot.toml"
        lines = [f"{key.replace('_', '-')} = {json.dumps(given)}" for key, (given, _) in values.items()]
        config.write_text("\n".join([f"[{name.replace(' ', '.')}]", *lines]))
        result = call("--config", str(config), *name.split(), *arguments)
    assert 0 == result.exit_code, result.output
    assert {key: expected for key, (_, expected) in values.items()} == {key: got[key] for key in values}


@pytest.mark.parametrize("name", RUNNING)
def test_every_flag_of_a_running_command_reaches_its_settings(name: str, tmp_path: Path) -> None:
    from netboot.settings import Settings
    from reconciler.commands.running import netboot_settings, reconcile_settings
    from reconciler.forges import forge_of

    given = {str(option.name): value_of(option, tmp_path)[1] for option in options(name)}
    if name != "netboot":
        (tmp_path / "token").write_text("a-token\n")
        given |= {"forge_url": "https://git", "forge_project": "lab/site", "forge_token_file": tmp_path / "token"}
    made: set[Any] = set()
    if name != "reconcile":
        settings = netboot_settings(given)
        made |= {getattr(settings, field) for field in Settings.__dataclass_fields__}
    if name != "netboot":
        followed = reconcile_settings(given)
        made |= {
            followed.state,
            followed.poll,
            followed.artifacts,
            followed.source.url,
            followed.source.ref,
            followed.source.path,
        }
        kind, url, project, _ = (given.pop(flag) for flag in ("forge", "forge_url", "forge_project", "forge_token_file"))
        assert forge_of(kind, url, project, "a-token") == followed.forge
        assert given.pop("trust_floor").read_text() == f"commits: {followed.floor.trust.commits}\n"
    assert set(given.values()) <= made


def test_a_flag_beats_the_environment_which_beats_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[str] = []
    monkeypatch.setattr(command("freeze"), "callback", lambda state, reason: got.append(reason))
    config = tmp_path / "gitboot.toml"
    config.write_text('[freeze]\nstate = "x"\nreason = "config"\n')
    before = ("--config", str(config), "freeze")
    call(*before)
    call(*before, GITBOOT_FREEZE_REASON="environment")
    call(*before, "--reason", "flag", GITBOOT_FREEZE_REASON="environment")
    call("freeze", GITBOOT_CONFIG=str(config))
    assert ["config", "environment", "flag", "config"] == got


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[serve]\nhttp-prot = 80\n", "[serve] has no setting 'http-prot'; `gitboot serve --help` lists them"),
        (b"[server]\nhttp-port = 80\n", "no such command; `gitboot --help` lists them"),
        (b"http-port = 80\n", "'http-port' stands outside of a command's table"),
        (b"[serve\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[freeze]\nstate = []\n", "[freeze] state is one text"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    config = tmp_path / "gitboot.toml"
    config.write_bytes(content)
    result = CliRunner().invoke(
        gitboot, ["--config", str(config), "freeze", *([] if b"state" in content else ["--state", "x"])]
    )
    assert said in result.output
    assert result.exit_code != 0
    assert "Traceback" not in result.output


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = call("--config", str(tmp_path / "nowhere"), "freeze", "--state", "x")
    assert (2, True) == (result.exit_code, "cannot be read (No such file or directory); correct --config" in result.output)


@pytest.mark.parametrize(("word", "hint"), [("srve", "Did you mean 'serve'?"), ("xyz", "`gitboot --help` lists the commands")])
def test_a_misspelt_command_is_helped(word: str, hint: str) -> None:
    result = call(word)
    assert (2, True) == (result.exit_code, hint in result.output)


@pytest.mark.shell
def test_a_reader_that_leaves_early_ends_it_quietly() -> None:
    shell = f"{sys.executable} -m reconciler --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "" == done.stderr
    assert done.returncode in (0, 1)
