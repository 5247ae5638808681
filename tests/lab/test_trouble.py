"""What goes wrong with work, and what people read of it: each trouble on a machine of its own, all of them at the same time.

Every machine boots the real in-memory OS; its work is one container with busybox.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.disk import empty_disk
from tests.lab.network import Network
from tests.lab.operating_system import Built, profile, small_image
from tests.lab.qemu import VM
from tests.lab.site import Gitboot, hardware, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

REGISTRY = "10.77.0.1:5000"
MEMORY = 384
PATIENCE = 240
"""Seconds within which machines do what takes each of them twenty when it is alone."""

ONCE = """
busybox dd if=/dev/vda bs=4 count=1 2>/dev/null | busybox grep -q MARK && exit
printf MARK >/dev/vda; sync; echo BEGUN >/dev/console; sleep 600
"""
KILL_THE_AGENT = """
test $GITBOOT_ATTEMPT = 2 || exit 7
for each in /proc/[0-9]*; do
  words=$(cat $each/cmdline 2>/dev/null | busybox tr '\\0' ' ')
  case $words in python3*agent*) kill -9 ${each#/proc/} && echo KILLED ;; esac
done
sleep 20; echo SURVIVED
"""
HUNGRY = "echo SORRY; exec busybox tail /dev/zero"
"""Takes memory without end."""
WORK: dict[str, dict[str, Any]] = {
    "fails": {"command": ["sh", "-c", "echo there is no such mirror; exit 3"], "on-failure": ["sh", "-c", HUNGRY]},
    "slow": {"command": ["sleep", "600"], "timeout": 3, "on-timeout": ["echo", "TOO-SLOW"]},
    "again": {"command": ["sh", "-c", KILL_THE_AGENT], "retries": 1, "pid": "host"},
    "missing": {"image": f"{REGISTRY}/nothing:v1"},
    "restart": {"command": ["sh", "-c", "echo BEGUN >/dev/console; sleep 20; echo WORKED"]},
    "reset": {"command": ["sh", "-c", ONCE]},
    "twice": {"command": ["sh", "-c", "echo MARK >/dev/disk/by-gitboot/root"]},
}
"""Machine → its one action, but for its name."""
AFTER: dict[str, dict[str, Any]] = {
    "slow": {"onFailure": "reboot"},
    "missing": {"retry": 1},
    "twice": {"onFailure": "poweroff"},
}
"""Machine → what its Workflow says of failures; the others stay for a look."""
ENDS = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
DISKS = {"twice": "  disks: [{name: root, size: 1Gi}]\n"}


def inventory(site: Gitboot) -> dict[str, str]:
    images = f"  images: {{archives: [tool.tar], insecureRegistries: ['{REGISTRY}']}}\n"
    files = {"site.yaml": site.site() + images, "profile.yaml": profile()}
    for number, (name, work) in enumerate(WORK.items(), 1):
        action = {"name": "work", "image": "tool:v1", "timeout": 120, **work}
        tasks = [{"name": "work", "actions": [action]}]
        files[f"{name}.yaml"] = hardware(name, mac(number), f"10.77.0.{10 + number}", DISKS.get(name, ""))
        files[f"{name}-template.yaml"] = document("Template", name, {"tasks": tasks})
        files[f"{name}-work.yaml"] = document(
            "Workflow", name, {"template": name, "hardware": name, "resets": 1, **AFTER.get(name, {})}
        )
    return files


def document(kind: str, name: str, spec: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps({"apiVersion": "gitboot/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def mac(number: int) -> str:
    return f"52:54:00:77:00:{number:02x}"


def registry(network: Network, folder: Path) -> None:
    """One that holds nothing."""
    folder.mkdir()
    storage = f"storage: {{filesystem: {{rootdirectory: {folder}}}}}"
    (folder / "config.yml").write_text(f"version: 0.1\n{storage}\nhttp: {{addr: '{REGISTRY}'}}\n")
    network.spawn(["docker-registry", "serve", folder / "config.yml"]).wait_for("listening on")


def test_every_trouble_ends_as_it_should_and_says_what_it_was(network: Network, tmp_path: Path, built_os: Built) -> None:
    site = Gitboot(network, tmp_path / "site")
    built_os.into(site.artifacts)
    small_image(site.artifacts / "tool.tar", "tool:v1")
    registry(network, tmp_path / "registry")
    site.commit(inventory(site))
    server = site.start("--new-site")
    with ExitStack() as stack:
        vms = {}
        for number, name in enumerate(WORK, 1):
            disk = empty_disk(tmp_path / f"{name}.qcow2")
            spare = empty_disk(tmp_path / "spare.qcow2") if name == "twice" else None
            vms[name] = stack.enter_context(VM(network, name, mac(number), memory=MEMORY, disk=disk, spare=spare))

        vms["reset"].wait_for("BEGUN", within=PATIENCE)
        vms["reset"].reset()
        vms["restart"].wait_for("BEGUN", within=PATIENCE)
        server.kill()
        site.start()
        wait_until(lambda: all(ended(site, name) for name in WORK), "every run has ended", PATIENCE)
        vms["again"].wait_for("gitboot: the agent ended; starting it again")
        vms["slow"].wait_for("gitboot: workflow slow run 1 ended TIMEOUT", within=PATIENCE)
        vms["twice"].wait_until_off(PATIENCE)
        for name in ("fails", "missing"):
            vms[name].wait_for(r"nothing to do: .* \(ask again in", within=PATIENCE)

    # How far others are on the way to their disks is chance, and whether the 3 s of `slow` are enough for what follows them.
    for name in ("fails", "missing", "twice"):
        site.holds_outcome(f"trouble-{name}", name)
    issues = {(each["machine"], each["kind"]): each["message"] for each in site.status("issues.json")["issues"]}
    assert {("fails", "run-failed"), ("slow", "run-failed"), ("missing", "run-failed"), ("twice", "disk-not-matched")} == {
        each for each in issues if each[1] in ("run-failed", "disk-not-matched")
    }
    assert "is several devices here: /dev/vda" in issues["twice", "disk-not-matched"]
    ends = {name: run(site, name)["state"] for name in WORK}
    assert {
        "fails": "FAILED", "slow": "TIMEOUT", "again": "SUCCESS", "missing": "FAILED",
        "restart": "SUCCESS", "reset": "SUCCESS", "twice": "FAILED",
    } == ends  # fmt: skip
    failed = last(site, "fails")
    assert (3, "exit code 3: there is no such mirror") == (failed["exitCode"], failed["reason"])
    assert "there is no such mirror\n" == log(site, "fails")
    assert "SORRY\n" == log(site, "fails", 1)
    assert "out of memory: the kernel killed it" == attempts(site, "fails", 1)[-1]["reason"]
    assert "TOO-SLOW\n" == log(site, "slow", 1)
    assert [7, 0] == [each["exitCode"] for each in attempts(site, "again")]
    assert "KILLED\nSURVIVED\n" == log(site, "again")
    assert "nothing:v1" in last(site, "missing")["reason"]
    assert [(2, "FAILED"), (1, "FAILED")] == [(each["try"], each["state"]) for each in runs(site, "missing")]
    assert 1 == len(attempts(site, "restart"))
    assert log(site, "restart").endswith("WORKED\n")
    assert ["INTERRUPTED", "SUCCESS"] == [each["state"] for each in attempts(site, "reset")]
    assert "/dev/vda" in run(site, "twice")["reason"]
    assert "/dev/vdb" in run(site, "twice")["reason"]


def ended(site: Gitboot, name: str) -> bool:
    """With every try that it has."""
    tries = 1 + AFTER.get(name, {}).get("retry", 0)
    return [each["state"] in ENDS for each in runs(site, name)] == [True] * tries


def runs(site: Gitboot, name: str) -> Any:
    return site.status(f"workflows/{name}.json")["runs"]


def run(site: Gitboot, name: str) -> Any:
    """Its last try."""
    return runs(site, name)[0]


def attempts(site: Gitboot, name: str, action: int = 0) -> Any:
    return run(site, name)["tasks"][0]["actions"][action]["attempts"]


def last(site: Gitboot, name: str) -> Any:
    return attempts(site, name)[-1]


def log(site: Gitboot, name: str, action: int = 0) -> str:
    """Of the last attempt, without our own lines about its image."""
    lines = site.get(attempts(site, name, action)[-1]["log"]).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("gitboot: "))
