"""What an action calls is kept in the image of the actions: no machine is the first to hear that a program is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import agent.actions
from agent.actions import APPLETS, PROGRAMS
from agent.actions.inflate import MAGIC
from agent.actions.layout import mkfs, steps

FOLDER = Path(agent.actions.__file__).parent
CALLS = {"tool", "run", "Popen", "which", "_by_process"}
"""Functions whose first argument is a program, or a command of which it is the first word."""
TOLD_ELSEWHERE = {
    ("base", "command"): "the words that `tool` is given",
    ("inflate", "command"): "the words that `_by_process` is given",
    ("disk_partition", "command"): "what layout plans",
    ("unpack", "packer"): "what the archive is compressed with, or cat",
    ("unpack", "tar"): "tar, by its loader and its path",
    ("unpack", "loader"): "the loader of this image's own libraries",
}
"""(Module, expression) of the programs that are no literal."""
STORAGE = {
    "raid": [{"name": "md0", "level": 1, "devices": ["/dev/a1", "/dev/b1"]}],
    "luks": [{"name": "secret", "device": "/dev/md0", "key": {"file": "/key"}}],
    "volume_groups": [
        {"name": "vg0", "physical_volumes": ["/dev/mapper/secret"], "logical_volumes": [{"name": "root", "size": 1}]}
    ],
}
FORMATS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "swap")


def heads(words: ast.expr) -> Iterator[ast.expr]:
    """The expressions that may be the first word."""
    match words:
        case ast.Starred(value=value):
            yield from heads(value)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*heads(body), *heads(orelse))
        case ast.Tuple(elts=[first, *_]) | ast.List(elts=[first, *_]):
            yield from heads(first)
        case _:
            yield words


def called() -> Iterator[tuple[str, ast.expr]]:
    """(Module, first word) of every call of a program outside of the installed system."""
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                function = node.func
                name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
                owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
                if name in CALLS and owner in ("", "subprocess", "shutil"):
                    yield from ((path.stem, head) for head in heads(node.args[0]))


def is_literal(head: ast.expr) -> bool:
    return isinstance(head, ast.Constant) and isinstance(head.value, str)


def test_every_program_that_an_action_calls_is_kept() -> None:
    literal = {(module, ast.literal_eval(head)) for module, head in called() if is_literal(head)}
    assert {("kexec", "kexec"), ("stacks", "dmsetup"), ("unpack", "tar"), ("inflate", "zstd"), ("system", "chroot")} <= literal
    assert set() == {(module, name) for module, name in literal if name not in PROGRAMS}


def test_a_program_that_is_no_literal_is_accounted_for() -> None:
    dynamic = {(module, ast.unparse(head)) for module, head in called() if not is_literal(head)}
    assert set(TOLD_ELSEWHERE) == dynamic


def test_every_program_that_a_layout_needs_is_kept() -> None:
    commands = [command for step in steps(STORAGE) for command in step.commands]
    assert ["mdadm", "cryptsetup", "cryptsetup", "pvcreate", "vgcreate", "lvcreate"] == [command[0] for command in commands]
    commands += [mkfs(each, "/dev/a1", []) for each in FORMATS]
    assert set() == {command[0] for command in commands} - set(PROGRAMS)


def test_every_program_that_unpacks_an_archive_is_kept() -> None:
    assert set() == {*MAGIC, "cat"} - set(PROGRAMS)


def test_what_busybox_stands_for_takes_no_program_away() -> None:
    assert set() == set(APPLETS) & set(PROGRAMS)
    assert "busybox" in PROGRAMS
