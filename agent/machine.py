"""The ground that a run's actions stand on: a folder in memory that they share, and the machine's disks by name.

Shell, standard library only. Laws: no action starts before every disk that the work speaks of is known without doubt, and a
disk's name means the same disk until the run is over, whatever a kernel calls it meanwhile.

FOLDER/machine.json  the machine document as the server gave it; there when everything is prepared
       written       whole disks that actions have written to, a path on each line: they are marked when the run has succeeded
/dev/disk/by-gitboot/<name>, <name>-part<n>  links to a disk and to its partitions
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import marking
from agent.disks import BY_NAME, BlockDevice, Disk, NoMatch, disk_from_json, match, mentioned
from agent.supervisor import write_whole
from agent.sysfs import block_devices
from agent.workflow import Workflow, to_json


class Machine:
    """This machine, for one run. `disks` and `partitions` tell what is there now; `say` hears about what is left undone."""

    def __init__(
        self,
        folder: Path,
        document: Mapping[str, Any],
        say: Callable[[str], None],
        links: Path = Path(BY_NAME),
        disks: Callable[[], list[BlockDevice]] = block_devices,
        partitions: Callable[[str], list[marking.Partition]] = marking.partitions,
    ) -> None:
        self._folder = folder
        self._document = document
        self._say = say
        self._links = links
        self._disks = disks
        self._partitions = partitions

    def prepare(self, workflow: Workflow) -> None:
        """Before anything of the run is started, and again by every later agent. Raises NoMatch, OSError."""
        if (self._folder / "machine.json").exists():  # names keep their meaning while the run goes on
            self.refresh()
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / "written").touch()
        self._name_disks(json.dumps([to_json(workflow), self._document.get("storage")]))
        write_whole(self._folder / "machine.json", self._document)

    def refresh(self) -> None:
        """Make the links of partitions true: an action may have made some, and nobody else here watches."""
        try:
            for disk in self._named():
                self._link_partitions(disk.name)
        except OSError as error:
            self._say(f"the links of partitions could not be renewed: {error}")

    def mark(self) -> None:
        """The run has succeeded: say so on every disk that it has written to."""
        try:
            for line in marking.mark_all(self._folder / "written", self._document):
                self._say(line)
        except OSError as error:
            self._say(f"the disks could not be marked as installed: {error}")

    def _name_disks(self, work: str) -> None:
        """Disks that the work does not speak of may be dead, or not there; the others may not."""
        for stale in self._links.iterdir() if self._links.is_dir() else ():
            stale.unlink()
        there = self._disks() if self._named() else []
        for disk in self._named():
            try:
                device = match(disk, there)
            except NoMatch as reason:
                if mentioned(disk.name, work):
                    raise
                self._say(f"{reason}; no action asks for it")
            else:
                self._links.mkdir(parents=True, exist_ok=True)
                (self._links / disk.name).symlink_to(device.path)
                self._link_partitions(disk.name)

    def _named(self) -> list[Disk]:
        return [disk_from_json(disk) for disk in self._document.get("disks") or ()]

    def _link_partitions(self, name: str) -> None:
        disk = self._links / name
        if not disk.is_symlink():
            return  # it was not found, and no action asks for it
        now = {f"{name}-part{each.number}": each.path for each in self._partitions(str(disk.resolve()))}
        others = {each.name for each in self._named()}
        for link in self._links.iterdir():
            ours = re.fullmatch(re.escape(name) + r"-part\d+", link.name) and link.name not in others
            if ours and now.get(link.name) != str(link.readlink()):
                link.unlink()
        for partition, path in now.items():
            if not (self._links / partition).is_symlink():
                (self._links / partition).symlink_to(path)
