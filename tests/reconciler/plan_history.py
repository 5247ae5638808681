"""A history of one small site, a commit for each kind of change, and the plan of each commit as it is told.

`python -m tests.reconciler.plan_history` writes the goldens anew; tests/reconciler/test_plan_history.py holds the code to them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from netboot.events import RunEnd, RunEnded, RunStarted
from netboot.observed import Observed
from netboot.plan import Artifact, BootPlan
from reconciler.annotations import Annotation, as_github
from reconciler.changes import Consequence, Difference
from reconciler.compile import Compiler
from reconciler.diff import compare
from reconciler.git import open_repository
from reconciler.images import Held
from reconciler.inventory import Inventory
from reconciler.plan_annotations import Written, of_difference, written_lines
from reconciler.plan_text import Compared, as_markdown, as_text
from reconciler.reader import Reader
from reconciler.snapshot import Snapshot
from reconciler.source import Source
from tests.reconciler.gitkit import Work

GOLDENS = Path(__file__).parents[1] / "goldens" / "plans"
ARCHIVE = Artifact("actions.tar", "ac" * 32, 1000)
FILES = {
    name: Artifact(name, f"{at:02x}" * 32, at) for at, name in enumerate(("os/vmlinuz", "os/initrd.img", "job/vmlinuz"), 1)
}
HELD = Held(
    ARCHIVE, tuple(f"{name}:v3" for name in ("disk-wipe", "image2disk", "kexec", "reboot", "shell", "slurp", "writefile"))
)

SITE = """\
apiVersion: gitboot/v1
kind: Site
metadata: {name: lab}
spec:
  domain: lab.example
  unknown: wait
  images: {archives: [actions.tar]}
  subnets:
  - {name: rack1, cidr: 10.1.0.0/16, gateway: 10.1.0.1, range: [10.1.200.1, 10.1.200.250]}
  - {name: rack2, cidr: 10.2.0.0/16, gateway: 10.2.0.1}
"""
PROFILES = """\
apiVersion: gitboot/v1
kind: Profile
metadata: {name: install}
spec: {kernel: os/vmlinuz, initrd: [os/initrd.img], cmdline: console=ttyS0 quiet}
---
apiVersion: gitboot/v1
kind: Profile
metadata: {name: job}
spec: {kernel: job/vmlinuz, cmdline: console=ttyS0}
"""
SERVER = """\
apiVersion: gitboot/v1
kind: Hardware
metadata: {name: server-1, labels: {rack: r1}}
spec:
  profile: install
  interfaces: [{mac: "52:54:00:00:01:01", address: 10.1.0.11, hostname: server-1}]
  disks: [{name: root, serial: S3Z9}]
"""
WORKER = """\
apiVersion: gitboot/v1
kind: Hardware
metadata: {name: worker-NN, labels: {rack: r2}}
spec:
  profile: job
  idle: profile:job
  interfaces: [{mac: "52:54:00:00:02:NN", address: 10.1.1.NN, hostname: worker-NN}]
"""
TEMPLATES = """\
apiVersion: gitboot/v1
kind: Template
metadata: {name: image}
spec:
  tasks:
  - name: os
    worker: "{{ .device_1 }}"
    actions:
    - {name: wipe, image: "disk-wipe:v3", timeout: 60}
    - name: stream
      image: image2disk:v3
      timeout: 600
      environment: {IMG_URL: "{{ .image }}", IMG_SHA256: "", DEST_DISK: "{{ .disks.root }}"}
---
apiVersion: gitboot/v1
kind: Template
metadata: {name: backup}
spec:
  tasks:
  - name: read
    actions:
    - name: read
      image: "slurp:v3"
      timeout: 60
      environment: {SOURCE_DISK: /dev/sda, DEST_URL: "http://10.1.0.1/", IMG_NAME: a}
"""
INSTALL = """\
apiVersion: gitboot/v1
kind: Workflow
metadata: {name: install}
spec: {template: image, hardware: server-1, hardwareMap: {image: "http://10.1.0.1/debian.img"}, run: 1}
"""
BACKUP = """\
apiVersion: gitboot/v1
kind: Workflow
metadata: {name: later-backup}
spec: {template: backup, hardware: server-1, run: 1}
"""
JOB = """\
apiVersion: gitboot/v1
kind: Workflow
metadata: {name: sheep}
spec: {template: backup, hardware: {matchLabels: {job: sheep}}, run: 1}
"""
FIRST = {"site": SITE, "profiles": PROFILES, "server": SERVER, "templates": TEMPLATES, "install": INSTALL}


def workers(text: str = WORKER) -> dict[str, str]:
    return {f"worker-{at}": text.replace("NN", str(at)) for at in range(10, 22)}


def ran(number: int, state: RunEnd | None, workflow: str = "install") -> Observed:
    """What was observed when a run has begun, and how it has ended if it has."""
    observed = Observed(journal="here")
    macs = ("52:54:00:00:01:01",)
    started = RunStarted(at=1.0, run="a", workflow=workflow, machine="server-1", macs=macs, number=number, boot="", system="",
                         plan="", document={"name": workflow, "tasks": []})  # fmt: skip
    observed.apply(started)
    if state:
        observed.apply(RunEnded(at=2.0, run="a", state=state, reason="as it was"))
    return observed


class Edit(NamedTuple):
    """In a file, by its stem: `old` becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Commit:
    """One change: files that are put in place (None: removed), and then edits of files as they are."""

    name: str
    classes: tuple[Consequence, ...]
    """Of its groups of machines, the gravest first."""
    edits: tuple[Edit, ...] = ()
    files: Mapping[str, str | None] = field(default_factory=dict)
    observed: Observed | None = None


HISTORY = (
    Commit("a comment", (), (Edit("server", "apiVersion", "# the first one\napiVersion"),)),
    Commit("an address", ("next boot",), (Edit("server", "10.1.0.11", "10.1.0.12"),)),
    Commit("a host name", ("next boot",), (Edit("server", "hostname: server-1", "hostname: web"),)),
    Commit("a label", ("none",), (Edit("server", "rack: r1", "rack: r7"),)),
    Commit("a disk", ("none",), (Edit("server", "S3Z9", "S4A0"),), observed=ran(1, "SUCCESS")),
    Commit("a kernel argument of an installer", ("next boot",), (Edit("profiles", "quiet", "quiet nosmt"),)),
    Commit("the order of kernel arguments", ("next boot",), (Edit("profiles", "quiet nosmt", "nosmt quiet"),)),
    Commit(
        "an installer that is done with", ("none",), (Edit("profiles", "nosmt quiet", "quiet"),), observed=ran(1, "SUCCESS")
    ),
    Commit("a dozen machines", ("next boot",), files=workers()),
    Commit(
        "a kernel argument of what runs",
        ("needs a reboot",),
        (Edit("profiles", "cmdline: console=ttyS0}", "cmdline: console=ttyS1}"),),
    ),
    Commit("machines that move", ("next boot",), files=workers(WORKER.replace("10.1.1.", "10.2.1."))),
    Commit("what a machine does without work", ("needs a reboot",), (Edit("worker-10", "idle: profile:job", "idle: wait"),)),
    Commit("a machine that waits", ("next boot",), (Edit("worker-10", "idle: wait", "idle: disk"),)),
    Commit("a run again", ("destructive",), (Edit("install", "run: 1", "run: 2"),), observed=ran(1, "SUCCESS")),
    Commit("a template, nothing known", ("destructive",), (Edit("templates", "timeout: 600", "timeout: 900"),)),
    Commit(
        "a template, the run over", ("none",), (Edit("templates", "timeout: 900", "timeout: 700"),), observed=ran(2, "SUCCESS")
    ),
    Commit(
        "a template, the run to come",
        ("destructive",),
        (Edit("templates", "timeout: 700", "timeout: 600"),),
        observed=ran(1, "SUCCESS"),
    ),
    Commit("work that only reads", ("runs a workflow",), files={"backup": BACKUP}, observed=ran(2, "SUCCESS")),
    Commit("a failed run out of the way", ("destructive",), (Edit("install", "run: 2", "run: 3"),), observed=ran(2, "FAILED")),
    Commit(
        "an end to a run", ("runs a workflow",), (Edit("install", "run: 3", "run: 3, cancel: true"),), observed=ran(3, None)
    ),
    Commit("a workflow gone", ("runs a workflow",), files={"install": None}),
    Commit(
        "a label that selects", ("runs a workflow",), (Edit("worker-11", "rack: r2", "rack: r2, job: sheep"),), {"job": JOB}
    ),
    Commit("at every boot", ("runs a workflow",), (Edit("job", "run: 1", "run: 1, repeat: everyBoot"),)),
    Commit("an image that nobody knows", ("destructive",), (Edit("templates", '"slurp:v3"', '"registry.example/tools:v1"'),)),
    Commit("another card", ("next boot",), (Edit("server", "01:01", "01:99"),)),
    Commit(
        "a machine by another name",
        ("next boot",),
        (Edit("backup", "hardware: server-1", "hardware: server-9"), Edit("server", "{name: server-1", "{name: server-9")),
    ),
    Commit("a machine gone", ("next boot",), files={"worker-21": None}),
    Commit(
        "its loader and its way to the disk",
        ("next boot",),
        (Edit("server", "spec:", "spec:\n  loader: grub\n  handover: exit"),),
    ),
    Commit(
        "user-data",
        ("next boot",),
        (Edit("server", "spec:", "spec:\n  userData: |\n    #cloud-config\n    timezone: UTC\n    password: hunter2"),),
    ),
    Commit(
        "a line of user-data", ("next boot",), (Edit("server", "hunter2", "hunter3"), Edit("server", "UTC", "Europe/Berlin"))
    ),
    Commit("a VLAN without DHCP", ("next boot",), (Edit("server", "hostname: web", "hostname: web, vlan: 7, dhcp: false"),)),
    Commit("the domain", ("next boot",), (Edit("site", "lab.example", "dc.example"),)),
    Commit("a proxy", ("next boot",), (Edit("site", "  unknown: wait", "  unknown: wait\n  dhcp: {mode: proxy}"),)),
    Commit("strangers", (), (Edit("site", "unknown: wait", "unknown: ignore"),)),
)


@dataclass(frozen=True)
class Told:
    """One commit, compared with the one before it."""

    commit: Commit
    number: int
    before: BootPlan
    after: BootPlan
    difference: Difference
    inventory: Inventory
    """Of the second."""
    written: Written

    @property
    def annotations(self) -> list[Annotation]:
        return of_difference(self.difference, self.after, self.inventory, self.written)

    @property
    def compared(self) -> Compared:
        return Compared(f"commit {self.number - 1}", f"commit {self.number}: {self.commit.name}")

    def texts(self) -> dict[str, str]:
        """File of a golden → what it holds."""
        name = f"{self.number:02}-{self.commit.name.replace(' ', '-').replace(',', '')}"
        return {
            f"{name}.txt": as_text(self.difference, self.compared),
            f"{name}.md": as_markdown(self.difference, self.compared),
            f"{name}.github": as_github(self.annotations),
        }


def commits(work: Work) -> Iterator[str]:
    """Makes them all; their ids."""
    files = dict[str, str](FIRST)
    yield work.commit(**files)
    for commit in HISTORY:
        for stem, text in commit.files.items():
            if text is None:
                (work.path / f"{stem}.yaml").unlink()
            files[stem] = text or ""
        for edit in commit.edits:
            assert edit.old in files[edit.file], (commit.name, edit)
            files[edit.file] = files[edit.file].replace(edit.old, edit.new)
        yield work.commit(**{stem: text for stem, text in files.items() if text})


def told(folder: Path) -> list[Told]:
    """The whole history, read from a real repository in `folder` as the command reads two commits."""
    work = Work(folder / "work")
    revisions = list(commits(work))
    repository = open_repository(Source(str(work.path), "main"), folder / "mirror")
    reader, compiler, plans, inventories = Reader(), Compiler(), list[BootPlan](), list[Inventory]()
    snapshots = list[Snapshot]()
    for revision in revisions:
        snapshots.append(repository.snapshot(revision))
        inventory, problems = reader.read(snapshots[-1])
        assert inventory is not None, problems
        compiled = compiler.compile(inventory, {**FILES, ARCHIVE.path: ARCHIVE}, {ARCHIVE.path: HELD})
        assert compiled.dump is not None, compiled.problems
        plans.append(compiled.dump.plan)
        inventories.append(inventory)
    repository.close()
    written = map(written_lines, snapshots, snapshots[1:])
    steps = zip(HISTORY, plans, plans[1:], inventories[1:], written, strict=False)
    return [
        Told(commit, at, before, after, compare(before, after, commit.observed), inventory, lines)
        for at, (commit, before, after, inventory, lines) in enumerate(steps, 1)
    ]


def main() -> None:
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for old in GOLDENS.iterdir():
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        for each in told(Path(scratch)):
            for name, text in each.texts().items():
                (GOLDENS / name).write_text(text)


if __name__ == "__main__":
    main()
