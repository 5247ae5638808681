"""Container images made by hand, for tests: a docker-archive of busybox, and nothing else of anybody's."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

COMMANDS = ("sh", "echo", "cat", "sleep", "env", "ls", "kill", "seq", "dd", "true", "false", "mount", "ps", "readlink", "head")
Config = Mapping[str, Any]


def docker_archive(path: Path, images: Mapping[str, Config]) -> Path:
    """Write an archive as `docker save` does: reference → the image's `config`, all with one busybox as their only layer."""
    layer = busybox_layer()
    files = {"layer.tar": layer}
    manifest = []
    for reference, config in images.items():
        text = json.dumps(_image(config, layer)).encode()
        name = f"{sha256(text).hexdigest()}.json"
        files[name] = text
        manifest.append({"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content)
    return path


def busybox_layer() -> bytes:
    binary = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in ("bin", "dev", "proc", "sys", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(entry)
        _add(layer, "bin/busybox", binary)
        for command in COMMANDS:
            entry = tarfile.TarInfo(f"bin/{command}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(entry)
    return buffer.getvalue()


def _image(config: Config, layer: bytes) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], **config},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "a test"}],
    }


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))
