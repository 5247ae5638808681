"""A pull request is rehearsed on a machine with an installed disk: the report is right, and the disk is as it was.

Everything is real but the installation, which is told by what it leaves: a marker on the disk, and a run in the journal.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import marker
from agent.marker import Marker
from agent.workflow import Action, Task, Workflow, to_json
from netboot.events import JournalOpened, RunEnded, RunStarted
from netboot.state_directory import StateDirectory
from tests.lab.disk import Disk, installed_disk
from tests.lab.network import Network
from tests.lab.operating_system import REPOSITORY, Built, profile, small_image
from tests.lab.qemu import VM
from tests.lab.site import Gitboot, hardware, wait_until, workflow

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MAC = "52:54:00:77:00:01"
INSTALLED = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
WEB = """
import http.server
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        there = {"/v2/": b"{}", "/there.img": b"image"}.get(self.path)
        body = there or b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
        self.send_response(200 if there else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET": self.wfile.write(body)
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(("10.77.0.1", 8000), Web).serve_forever()
"""
"""A mirror with one file, and a registry with no image."""
TEMPLATE = """
version: "0.1"
name: install
tasks:
- name: install
  worker: "{{{{.device_1}}}}"
  actions:
  - name: write-image
    image: {image}
    timeout: 60
    environment: {{IMG_URL: "http://10.77.0.1:8000/{file}", DEST_DISK: /dev/disk/by-gitboot/root}}
  - name: then-data
    image: tool:v1
    timeout: 60
    command: [sh, -c, "echo {data}"]
"""
ROOT = "{name: root, serial: node}"


def inventory(site: Gitboot) -> dict[str, str]:
    return {
        "site.yaml": site.site() + "  images: {archives: [tool.tar], insecureRegistries: ['10.77.0.1:8000']}\n",
        "profile.yaml": profile(),
        "template.yaml": TEMPLATE.format(image="tool:v1", file="there.img", data="nothing"),
        "node.yaml": hardware("node-01", MAC, "10.77.0.11", f"  disks: [{ROOT}]\n"),
        "work.yaml": workflow("install-node-01", "node-01"),
    }


def pull_request(site: Gitboot, name: str, files: dict[str, str]) -> str:
    """A branch beside what is served."""
    site.git("checkout", "--quiet", "-b", name, "main")
    commit = site.commit(files)
    site.git("checkout", "--quiet", "main")
    return commit


def good(site: Gitboot) -> str:
    return pull_request(site, "good", {"work.yaml": workflow("install-node-01", "node-01", run=2)})


def bad(site: Gitboot) -> str:
    """An image and a file that are not there, a disk that is none and one that is two."""
    disks = f"  disks: [{ROOT}, {{name: gone, serial: nobody-has}}, {{name: either, size: {DISK_SIZE}}}]\n"
    used = "/dev/disk/by-gitboot/gone /dev/disk/by-gitboot/either"
    return pull_request(
        site,
        "bad",
        {
            "work.yaml": workflow("install-node-01", "node-01", run=2),
            "node.yaml": hardware("node-01", MAC, "10.77.0.11", disks),
            "template.yaml": TEMPLATE.format(image="10.77.0.1:8000/gone:v1", file="gone.img", data=used),
        },
    )


DISK_SIZE = 4 << 20


def written(path: Path, run: Marker | None) -> Disk:
    """A disk that boots, with the marker of a run on it."""
    disk = installed_disk(path)
    content = bytearray(path.read_bytes().ljust(DISK_SIZE, b"\0"))
    if run:
        content[marker.OFFSET : marker.OFFSET + marker.SIZE] = marker.encode(run)
    path.write_bytes(content)
    return disk


def remembered(state: Path) -> None:
    """A site that has installed this machine once."""
    document = to_json(Workflow("install", (Task("install", MAC, (Action("write-image", "tool:v1"),)),)))

    async def run() -> None:
        directory = StateDirectory(state)
        started = RunStarted(
            at=INSTALLED - 60, run="r1", workflow="install-node-01", machine="node-01", macs=(MAC,), number=1, boot="b1",
            system="s1", plan="p1", document=document,
        )  # fmt: skip
        ended = RunEnded(at=INSTALLED, run="r1", state="SUCCESS", reason="", sequence=1)
        await directory.ledger.commit((JournalOpened(at=1.0, journal="j1"), started, ended))
        await directory.close()

    asyncio.run(run())


def rehearse(site: Gitboot, ref: str) -> None:
    argv = [sys.executable, "-m", "reconciler", "try", ref, "--on", "node-01", "--rehearse", "--state", str(site.state)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=REPOSITORY, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


def came_of_it(site: Gitboot, commit: str) -> dict[str, Any]:
    """The rehearsal of this commit, once it is over."""

    def found() -> dict[str, Any]:
        each: dict[str, Any] = site.status("tries.json")["tries"][0]
        return each

    wait_until(lambda: (found()["revision"], found()["state"]) == (commit, "over"), f"the rehearsal of {commit} is over")
    return found()


def digests(*disks: Disk) -> list[str]:
    return [hashlib.sha256(disk.path.read_bytes()).hexdigest() for disk in disks]


def test_a_rehearsal_says_what_would_be_and_what_would_not_and_writes_nothing(
    network: Network, tmp_path: Path, built_os: Built
) -> None:
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    small_image(site.artifacts / "tool.tar", "tool:v1")
    site.commit(inventory(site))
    fit, unfit = good(site), bad(site)
    remembered(site.state)
    site.start()
    network.spawn([sys.executable, "-c", WEB])
    root = written(tmp_path / "root", Marker("lab", "install-node-01", "node-01", 1))
    spare = written(tmp_path / "spare", None)
    before = digests(root, spare)

    rehearse(site, "good")
    with VM(network, "node", MAC, memory=512, disk=root, spare=spare) as vm:
        vm.wait_for("rehearsal of workflow install, run 2: nothing of it is started", within=120)
        vm.wait_for("then: reboot", within=60)
        vm.wait_for("MARK-DISK", within=60)
        report = came_of_it(site, fit)
        rehearse(site, "bad")
        vm.power_cycle()
        vm.wait_for("rehearsal of workflow install, run 2", within=120)
        vm.wait_for("then: reboot", within=90)
        vm.wait_for("MARK-DISK", within=60)
        trouble = came_of_it(site, unfit)
    assert before == digests(root, spare)

    assert ("success", []) == (report["result"], [each for each in report["findings"] if each["state"] == "failed"])
    disk = "would overwrite /dev/vda, serial node, 0.0 GB, 1 partition, by write-image, last installed 2026-05-01 by run 1 of"
    assert report["said"].startswith(disk)
    subjects = {each["subject"] for each in report["findings"]}
    assert {"root", "tool:v1", "http://10.77.0.1:8000/there.img", "memory"} == subjects

    failed = {each["subject"]: each["said"] for each in trouble["findings"] if each["state"] == "failed"}
    assert "failure" == trouble["result"]
    assert {"gone", "either", "10.77.0.1:8000/gone:v1", "http://10.77.0.1:8000/gone.img"} == failed.keys()
    assert "is not in this machine; there is /dev/vda" in failed["gone"]
    assert "is several devices here: /dev/vda" in failed["either"]
    assert "answers HTTP 404" == failed["http://10.77.0.1:8000/gone.img"]
    assert "cannot be pulled" in failed["10.77.0.1:8000/gone:v1"]
    assert [1] == [run["number"] for run in site.status("workflows/install-node-01.json")["runs"]]
