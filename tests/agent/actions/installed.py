"""A small installed system on a loop device, whose programs write down how they are called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.agent.actions.devices import MB, Loop, mounted, run

FAKE = '#!/bin/busybox sh\necho "$0 $*" >>/calls\ncat >>/calls 2>/dev/null\n'


def install(loop: Loop, folder: Path, *programs: str, more: Callable[[Path], None] = lambda root: None) -> str:
    """The device. `more` is handed the root."""
    device = loop(32 * MB)
    run("mkfs.ext4", "-q", device)
    with mounted(device, folder / "mnt") as root:
        for name in ("bin", "etc", "boot", "usr/lib/systemd", *(str(Path(program).parent) for program in programs)):
            (root / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
        (root / "bin/cat").symlink_to("busybox")
        for program in programs:
            (root / program).write_text(FAKE)
            (root / program).chmod(0o755)
        more(root)
    return device
