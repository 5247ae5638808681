"""Build the images of the standard actions from Debian's packages and the sources beside this file.

Shell, standard library only. Law: no registry and no base image; one file system for all images, which differ in their
program alone. One layer: an engine starts a copy of itself to unpack each, which takes an emulated machine a second.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import agent
from agent import actions
from agent.actions.base import Action
from agent.actions.builder.archive import Image, begun, layer, write
from agent.actions.builder.rootfs import compile_python, finish, python_library
from agent.os.debian import CannotBuild, unpack

__all__ = ["ARCHITECTURES", "CannotBuild", "build", "standard_actions"]

ARCHITECTURES = {
    "amd64": ("grub-pc-bin", "grub-efi-amd64-bin"),
    "arm64": ("grub-efi-arm64-bin",),
}
"""As Debian and OCI call them → GRUB for their firmware."""
PLACE = "usr/lib/gitboot"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"/{PLACE}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
}


def standard_actions() -> list[tuple[str, Action]]:
    """(module, action) of every module beside this package that has an `ACTION`, by name of the action."""
    modules = (f"agent.actions.{found.name}" for found in pkgutil.iter_modules(actions.__path__) if not found.ispkg)
    found = ((module, getattr(importlib.import_module(module), "ACTION", None)) for module in modules)
    return sorted(((module, action) for module, action in found if action), key=lambda each: str(each[1].name))


def build(out: Path, arch: str, sources: str, tags: Sequence[str], prefix: str) -> list[str]:
    """Write the archive `out`, and return the references in it: `<prefix><action>:<tag>`.

    `sources` says where Debian is (text of a `*.sources` file). Raises CannotBuild or OSError; then there is no new `out`.
    """
    images = [
        Image([f"{prefix}{action.name}:{tag}" for tag in tags], ["/usr/bin/python3", "-S", "-m", module], action.replaced)
        for module, action in standard_actions()
    ]
    with begun(out), tempfile.TemporaryDirectory(prefix="gitboot-actions-") as folder:
        scratch = Path(folder)
        root = scratch / "root"
        unpack([*actions.PACKAGES, *ARCHITECTURES[arch]], arch, root, sources)
        finish(root)
        library = python_library(root)
        compile_python(root, library, alone=True)
        _copy_programs(root / PLACE / "agent")
        compile_python(root / PLACE, library)
        write(out, images, [layer(root, scratch / "layer.tar.gz")], ENVIRONMENT, arch)
    return [name for image in images for name in image.names]


def _copy_programs(to: Path) -> None:
    """The agent's modules beside the actions are theirs to use; what builds and what runs an operating system is not."""
    source = Path(str(agent.__file__)).parent
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", "builder", "os"))
