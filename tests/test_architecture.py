"""The architecture, held by tests: imports point one way, cores are pure, budgets are kept."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "netboot", "reconciler")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.read_text().strip())
IMPURE = {
    "asyncio", "concurrent", "fcntl", "getpass", "glob", "http", "io", "logging", "multiprocessing", "os", "random",
    "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib.request", "watchfiles", "uvicorn", "starlette", "git", "requests", "httpx", "click", "rich",
}  # fmt: skip
MAY_IMPORT = {
    "agent": set(),
    "netboot": {"agent.session", "agent.workflow", "schemas"},
    "reconciler": {"agent.workflow", "netboot", "schemas"},
}
PROGRAMS = {
    "reconciler.commands.agent": {"agent.main"},
    "reconciler.commands.actions": {"agent.actions.builder"},
    "reconciler.commands.os": {"agent.os"},
}
"""Commands that start or build what runs on a machine."""
SDK = {"docker", "urllib3"}
LINES, FUNCTION_LINES, MEDIAN_LINES = 400, 40, 10


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_command(path: Path) -> bool:
    return "commands" in path.parts or path.name in ("cli.py", "__main__.py")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring: explaining is free."""
    doc = ast.get_docstring(function, clean=False)
    return (function.end_lineno or 0) - function.lineno + 1 - (doc.count("\n") + 1 if doc else 0)


def law(tree: ast.Module) -> str:
    return ast.get_docstring(tree) or ""


def is_core(tree: ast.Module) -> bool:
    """A module says on which side it stands: a paragraph of its docstring begins with `Core` or `Shell`."""
    return any(line.startswith("Core") for line in law(tree).splitlines())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_opens_with_its_law(path: Path) -> None:
    """Entry points of one command and data-only packages may be one sentence; everything else says core or shell."""
    text = law(ast.parse(path.read_text()))
    assert text, f"{name_of(path)} has no docstring"
    if "commands" not in path.parts and path.name != "__main__.py":
        sides = [line for line in text.splitlines() if line.startswith(("Core", "Shell"))]
        assert sides, f"{name_of(path)} does not say whether it is core or shell"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[package] | {package}
    allowed |= PROGRAMS.get(name_of(path), set())
    for imported in imports(ast.parse(path.read_text())):
        top = imported.split(".")[0]
        if top in (*PACKAGES, "schemas", "tests", "benchmarks"):
            assert any(imported == name or imported.startswith(f"{name}.") for name in allowed) or imported in {
                name.rsplit(".", 1)[0] for name in allowed
            }, f"{name_of(path)} must not import {imported}"


@pytest.mark.parametrize("path", [path for path in MODULES if not is_command(path)], ids=name_of)
def test_nothing_imports_the_command(path: Path) -> None:
    found = [
        name for name in imports(ast.parse(path.read_text())) if name.startswith(("reconciler.cli", "reconciler.commands"))
    ]
    assert [] == found


CORES = [path for path in MODULES if is_core(ast.parse(path.read_text()))]


@pytest.mark.parametrize("path", CORES, ids=name_of)
def test_a_core_does_no_io(path: Path) -> None:
    tree = ast.parse(path.read_text())
    impure = {name for name in imports(tree) if {name, name.split(".")[0]} & IMPURE}
    assert set() == impure
    touched = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set() == touched & {"read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "iterdir", "mkdir"}
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert set() == calls & {"open", "print", "input", "exec", "eval"}


@pytest.mark.parametrize("path", CORES, ids=name_of)
def test_a_core_imports_cores_only(path: Path) -> None:
    cores = {name_of(core) for core in CORES}
    ours = {name for name in imports(ast.parse(path.read_text())) if name.split(".")[0] in PACKAGES}
    modules = {name for name in ours if (ROOT / (name.replace(".", "/") + ".py")).exists()}
    assert set() == modules - cores


def test_there_are_cores_to_hold() -> None:
    """The tests above would pass if nothing were called a core."""
    names = {name_of(path) for path in CORES}
    agent = ["agent.workflow", "agent.run"]
    netboot = [f"netboot.{name}" for name in ("plan", "boot", "dhcp", "tftp", "ipxe", "runs", "observed")]
    reconciler = [f"reconciler.{name}" for name in ("yaml", "inventory", "compile", "problems")]
    for core in (*agent, *netboot, *reconciler):
        assert core in names


def test_the_agent_needs_nothing_but_python_and_for_containers_the_sdk() -> None:
    """It runs alone in an in-memory OS. One module speaks to a container engine, and imports the SDK when it does so."""
    import sys

    engine = ast.parse((ROOT / "agent" / "engine.py").read_text())
    at_once = {alias.name for node in engine.body if isinstance(node, ast.Import) for alias in node.names}
    assert set() == at_once & SDK, "agent.engine is to import the SDK when it is asked for an engine, and not before"
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "agent":
            foreign = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))} - set(sys.stdlib_module_names)
            allowed = {"agent", *SDK} if name_of(path) == "agent.engine" else {"agent"}
            assert foreign <= allowed, f"{name_of(path)} imports {foreign}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_keep_their_budget(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LINES
    for function in functions(ast.parse(text)):
        assert length(function) <= FUNCTION_LINES, f"{name_of(path)}.{function.name} has {length(function)} lines"


def test_the_median_function_is_short() -> None:
    assert median(length(function) for path in MODULES for function in functions(ast.parse(path.read_text()))) < MEDIAN_LINES


def test_only_entry_points_read_the_environment() -> None:
    """Rule 8: argv, environment and kernel command line become frozen settings, once."""
    allowed = {
        "agent.main",
        "agent.actions.base",  # starts the program that an action is
        "agent.supervisor",  # is a program of its own
        "agent.runtime",  # hands PATH and HOME on to an action's process
        "netboot.markers",  # who froze the site
        "reconciler.gitprocess",  # hands proxies and agents on to git
    }
    for path in MODULES:
        if is_command(path) or name_of(path) in allowed:
            continue
        text = path.read_text()
        for word in ("os.environ", "os.getenv", "sys.argv", "/proc/cmdline"):
            assert word not in text, f"{name_of(path)} reads {word}"
