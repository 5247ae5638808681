"""Every issue of the catalogue is brought about on a running site, is seen wherever people look, and goes when it is cured.

A scene does what goes wrong, yields whose issue it is and what is said of it, and then does what cures it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from html import unescape
from ipaddress import IPv4Address
from pathlib import Path

import pyrage
import pytest

from agent.disks import BlockDevice, Disk, NoMatch, match
from netboot.dhcp_packet import BOOTREPLY, DECLINE, OFFER, REQUEST
from netboot.issue_kinds import CATALOGUE, Name
from netboot.issues import GIT_PATIENCE, GONE, NOTICE_PATIENCE, STILL
from netboot.observed import SOON
from netboot.story import OVERDUE, PATIENCE
from tests.live_site import LiveSite, Node
from tests.netboot.receivers import http_receiver
from tests.reconciler.forgestub import Stub, forge
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import gitboot
from tests.secret_documents import IDENTITY, secret

pytestmark = [pytest.mark.shell]

RIVAL = "10.1.0.66"
STRANGER = "52:54:00:aa:aa:aa"
SITE = "(site)"
Told = Iterator[tuple[str, str]]
Scene = Callable[[LiveSite, Node], Told]
SCENES: dict[str, Scene] = {}
NEEDS_A_DISK = ("journal-failed", "state-full")
"""Of its own, which takes root to make."""


def provokes(name: Name) -> Callable[[Scene], Scene]:
    def keep(scene: Scene) -> Scene:
        assert name not in SCENES
        SCENES[name] = scene
        return scene

    return keep


def address(text: str) -> bytes:
    return IPv4Address(text).packed


# Machines that come no further


@provokes("no-sign-of-life")
def _(site: LiveSite, node: Node) -> Told:
    site.later(1801)
    yield "node-01", "workflow look-at-01 run 1 is due, and it has never been seen"
    assert node.discovers()


@provokes("no-address")
def _(site: LiveSite, node: Node) -> Told:
    node.says_unanswered(giaddr=address("10.9.0.1"))
    yield "node-01", "it asks for an address and is given none: "
    assert node.discovers()


@provokes("offer-not-taken")
def _(site: LiveSite, node: Node) -> Told:
    offer = node.discovers()
    assert offer
    node.says_unanswered(options={53: bytes([REQUEST]), 50: address("10.1.77.7"), 54: address(RIVAL)})
    yield "node-01", f"it took the offer of another DHCP server, {RIVAL}"
    assert node.requests(offer)


@provokes("boot-program-missing")
def _(site: LiveSite, node: Node) -> Told:
    site.commit(hardware=SOUND["hardware.yaml"].replace("profile:", "loader: ours.kpxe\n  profile:"))
    node.gets_address()
    yield "node-01", "its firmware is told to fetch ours.kpxe, and the server has no such file"
    (site.loaders / "ours.kpxe").write_bytes(b"a program")
    site.restart()


@provokes("boot-file-not-fetched")
def _(site: LiveSite, node: Node) -> Told:
    node.gets_address()
    site.later(PATIENCE["firmware"] + 1)
    yield "node-01", "it was given an address, and no boot program asked for more"
    node.gets_address("ipxe")


@provokes("script-not-fetched")
def _(site: LiveSite, node: Node) -> Told:
    node.gets_address("ipxe")
    site.later(PATIENCE["ipxe"] + 1)
    yield "node-01", "has not fetched its script"
    node.script()


@provokes("kernel-not-fetched")
def _(site: LiveSite, node: Node) -> Told:
    script = node.boots()
    site.later(PATIENCE["script"] + 1)
    yield "node-01", "it was handed a script to boot profile inspect, and has fetched no kernel"
    loads_kernel(site, node, script)


@provokes("no-agent")
def _(site: LiveSite, node: Node) -> Told:
    loads_kernel(site, node, node.boots())
    site.later(PATIENCE["kernel"] + 1)
    yield "node-01", "it fetched the kernel of profile inspect, and no agent asked for work"
    node.claims()


def loads_kernel(site: LiveSite, node: Node, script: str) -> None:
    path = next(word for word in script.split() if "/artifacts/" in word).partition("/artifacts/")[2]
    assert 200 == node.fetches(f"/artifacts/{path}").status_code


# Machines at work


@provokes("agent-lost")
def _(site: LiveSite, node: Node) -> Told:
    node.begins()
    site.later(91)
    yield "node-01", "nothing was heard of the agent of workflow look-at-01 run 1 since "
    node.says("heartbeat")


@provokes("action-overdue")
def _(site: LiveSite, node: Node) -> Told:
    node.begins()
    site.later(60 + OVERDUE + 1)
    node.says("heartbeat")
    yield "node-01", "workflow look-at-01 run 1: look/look has 60 s and still runs"
    node.ends("SUCCESS")


@provokes("clock-skew")
def _(site: LiveSite, node: Node) -> Told:
    node.begins()
    now = site.server.world.now()
    node.says("heartbeat", clock=now - 86400)
    yield "node-01", "its clock is 86400 s behind the server's"
    node.says("heartbeat", clock=now)


@provokes("contested")
def _(site: LiveSite, node: Node) -> Told:
    node.begins()
    other = Node(site)
    other.boot = node.boot
    assert 423 == other.opens("os-2").status_code
    yield "node-01", "wants to speak for it while its agent is at work"
    site.later(STILL + 1)
    node.says("heartbeat")


# Work that has ended


@provokes("run-failed")
def _(site: LiveSite, node: Node) -> Told:
    node.begins()
    node.ends("FAILED", "exit code 3: there is no such mirror")
    yield "node-01", "workflow look-at-01 run 1 ended FAILED: exit code 3: there is no such mirror"
    again(site)


@provokes("disk-not-matched")
def _(site: LiveSite, node: Node) -> Told:
    disks = '  disks: [{name: root, serial: "S1"}]\n'
    site.commit(hardware=SOUND["hardware.yaml"] + disks)
    node.boots()
    asked = node.claims()["machine"]["disks"][0]
    with pytest.raises(NoMatch) as reason:
        match(Disk(asked["name"], serial=asked["serial"]), [BlockDevice("/dev/sda", "S2", size=10**12)])
    node.ends("FAILED", f"nothing was started: {reason.value}")
    yield "node-01", "disk root (serial S1) is not in this machine; there is /dev/sda"
    again(site)


def again(site: LiveSite) -> None:
    """What git says after it was mended."""
    site.commit(workflow=SOUND["workflow.yaml"].replace("hardware: node-01", "hardware: node-01, run: 2"))


def has_succeeded(node: Node) -> None:
    node.begins()
    node.ends("SUCCESS")
    assert "reboot" == node.says("claim", system="os-1")["then"]


@provokes("back-after-success")
def _(site: LiveSite, node: Node) -> Told:
    has_succeeded(node)
    for _ in range(2):
        node.boots()
    yield "node-01", "ended SUCCESS, and it came back soon after it was handed over to its disk"
    site.later(SOON + 1)


@provokes("boot-loop")
def _(site: LiveSite, node: Node) -> Told:
    has_succeeded(node)
    for _ in range(4):
        node.boots()
    yield "node-01", "it came back 3 times in a row soon after it was handed over to its disk"
    site.later(SOON + 1)


@provokes("address-conflict")
def _(site: LiveSite, node: Node) -> Told:
    node.says_unanswered("system", options={53: bytes([DECLINE]), 50: address("10.1.0.11"), 54: address("127.0.0.1")})
    yield "node-01", "it found 10.1.0.11 in use by another host"
    node.gets_address()
    site.later(STILL + 1)


# The site


@provokes("commit-rejected")
def _(site: LiveSite, node: Node) -> Told:
    site.work.commit(workflow=SOUND["workflow.yaml"].replace("node-01", "node-99"))
    yield SITE, "workflow.yaml:4: "
    site.commit(workflow=SOUND["workflow.yaml"])


@provokes("git-unreachable")
def _(site: LiveSite, node: Node) -> Told:
    with without_git(site):
        site.later(GIT_PATIENCE + 1)
        yield SITE, str(site.work.path)


@contextmanager
def without_git(site: LiveSite) -> Iterator[None]:
    git = site.work.path / ".git"
    git.rename(git.with_name("away"))
    site.look()
    yield
    git.with_name("away").rename(git)
    site.look()


@provokes("plan-held")
def _(site: LiveSite, node: Node) -> Told:
    done = SOUND["workflow.yaml"].replace("hardware: node-01", "hardware: node-01, cancel: true")
    policy = "  policy: {limits: [{change: destructive, machines: 0}]}\n"
    site.commit(site=SOUND["site.yaml"] + policy, workflow=done)
    site.commit(workflow=SOUND["workflow.yaml"])
    yield SITE, "1 machine: policy allows destructive runs on at most 0 machines per site"
    site.commit(workflow=done)


@provokes("plan-not-loaded")
def _(site: LiveSite, node: Node) -> Told:
    with without_git(site):
        for shard in (site.state / "plans/shards").iterdir():
            shard.write_bytes(b"damaged")
        site.restart()
        yield SITE, "cannot be loaded; the reconciler writes it again"


@provokes("runs-held")
def _(site: LiveSite, node: Node) -> Told:
    freezes(site, "freeze", "--reason", "the cooling fails")
    yield SITE, "the cooling fails"
    freezes(site, "unfreeze")


def freezes(site: LiveSite, *words: str) -> None:
    assert 0 == gitboot(*words, "--state", site.state).returncode


@provokes("secret-unreadable")
def _(site: LiveSite, node: Node) -> Told:
    site.commit(secret=secret("database", {"password": "correct horse"}, str(pyrage.x25519.Identity.generate().to_public())))
    yield SITE, "secret database: "
    site.commit(secret=secret("database", {"password": "correct horse"}))


@provokes("other-dhcp-server")
def _(site: LiveSite, node: Node) -> Told:
    node.says_unanswered(op=BOOTREPLY, options={53: bytes([OFFER]), 54: address(RIVAL)})
    yield SITE, f"{RIVAL} answers DHCP here as well"
    site.later(GONE + 1)


@provokes("unknown-machine")
def _(site: LiveSite, node: Node) -> Told:
    Node(site, STRANGER).says_unanswered()
    yield SITE, f"{STRANGER} asked for something and is not in git"
    site.commit(hardware=SOUND["hardware.yaml"].replace("52:54:00:12:34:01", STRANGER))


@provokes("forge-unreachable")
def _(site: LiveSite, node: Node) -> Told:
    site.hub.trouble = lambda method, path: (401, {}, {"message": "401 Unauthorized"})
    site.commit(profile=SOUND["profile.yaml"] + "# other\n")
    yield SITE, "401"
    site.hub.trouble = lambda method, path: None


@provokes("notices-undelivered")
def _(site: LiveSite, node: Node) -> Told:
    with http_receiver((503,)) as chat:
        file = site.folder / "notify.toml"
        file.write_text(f'[[target]]\nname = "chat"\nkind = "slack"\ngather = 0\nurl = "{chat.url}"\n')
        site.restart(notify=file)
        Node(site, STRANGER).says_unanswered()
        assert chat.came.acquire(timeout=30)
        site.until(lambda: site.server.world.noticed.undelivered, "it is known that the chat takes nothing")
        site.later(NOTICE_PATIENCE + 1)
        yield SITE, "chat: http://127.0.0.1:"
        chat.answers[:] = [204]
        site.until(lambda: not site.server.world.noticed.undelivered, "the chat is told")


@provokes("journal-failed")
def _(site: LiveSite, node: Node) -> Told:
    with filled(site.state):
        site.until(lambda: not is_recorded(node), "the journal is as full as its disk")
        yield SITE, "No space left on device"
    site.until(lambda: is_recorded(node), "what can be recorded is answered again")


def is_recorded(node: Node) -> bool:
    """Another boot."""
    return node.discovers(within=0.5) is not None and node.fetches(node.path).status_code == 200


@provokes("state-full")
def _(site: LiveSite, node: Node) -> Told:
    with filled(site.state, leave=100 << 20):
        yield SITE, " MiB are left on the disk of the state directory"


@contextmanager
def filled(folder: Path, leave: int = 0) -> Iterator[None]:
    """All of its disk but so many bytes."""
    stuffing, disk = folder / "stuffing", os.statvfs(folder)
    with stuffing.open("wb", buffering=0) as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - max(leave, 1 << 20))
        file.seek(0, os.SEEK_END)
        while not leave:
            file.write(bytes(4096))
    yield
    stuffing.unlink()


@pytest.fixture
def hub() -> Iterator[Stub]:
    with forge("gitea") as stub:
        yield stub


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Stub, request: pytest.FixtureRequest) -> Iterator[LiveSite]:
    monkeypatch.setattr("reconciler.reporter.IDLE", 0.05)
    for pause in ("LOOK_SECONDS", "FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(f"netboot.notifier.{pause}", 0.1)
    (tmp_path / "key").write_text(IDENTITY)
    with ExitStack() as stack:
        if request.node.get_closest_marker("lab"):
            stack.enter_context(mounted(tmp_path / "state"))
        yield stack.enter_context(LiveSite(tmp_path, monkeypatch, hub, age_identity=(tmp_path / "key",)))


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1G", "gitboot-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def shown(site: LiveSite, name: Name, machine: str) -> dict[str, str]:
    """Place → what it says of the issue; "" where it says nothing."""
    issues = site.get("/status/issues.json").json()["issues"]
    whose = None if machine == SITE else machine
    found = {"issues.json": [each["message"] for each in issues if (each["kind"], each["machine"]) == (name, whose)]}
    pages = {"/": "li"} if machine == SITE else {f"/machines/{machine}": "section"}
    for page, tag in pages.items():
        parts = re.findall(rf"<{tag}.*?</{tag}>", site.page(page), re.DOTALL)
        found[page] = [unescape(part) for part in parts if CATALOGUE[name].title in unescape(part)]
    for words in [("issues",), ("status",), *([("status", machine)] if whose else [])]:
        lines = site.cli(*words).output.splitlines()
        found[" ".join(words)] = [line for line in lines if line.split()[:2] == [machine, name]]
    return {place: "".join(said) for place, said in found.items()}


def test_a_machine_that_hangs_is_an_issue_beyond_the_end_of_its_boot_until_it_comes(site: LiveSite) -> None:
    node = Node(site)
    loads_kernel(site, node, node.boots())
    site.later(PATIENCE["kernel"] + 1)
    site.until(lambda: shown(site, "no-agent", "node-01")["issues.json"], "it comes no further")
    site.later(1801)
    site.until(lambda: shown(site, "no-sign-of-life", "node-01")["issues.json"], "its boot is over, and its trouble is not")
    said = "workflow look-at-01 run 1 is due, and it was not heard of for 1800 seconds in phase kernel"
    assert [] == [(place, text) for place, text in shown(site, "no-sign-of-life", "node-01").items() if said not in text]
    assert not any(shown(site, "no-agent", "node-01").values())
    node.begins()
    site.until(lambda: not site.get("/status/issues.json").json()["issues"], "it is at work")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.lab if each in NEEDS_A_DISK else ()) for each in CATALOGUE]
)
def test_it_appears_with_its_reason_wherever_people_look_and_goes_when_it_is_cured(site: LiveSite, name: Name) -> None:
    scene = SCENES[name](site, Node(site))
    machine, said = next(scene)
    site.until(lambda: shown(site, name, machine)["issues.json"], f"{name} is there")
    assert [] == [(place, text) for place, text in shown(site, name, machine).items() if said not in text]
    if machine != SITE:
        assert f'<span class="state issue">{name}</span>' in site.page("/")
    assert 1 == site.cli("issues").return_value
    assert next(scene, None) is None
    site.until(lambda: not any(shown(site, name, machine).values()), f"{name} is gone")
    if machine != SITE:
        assert f'<span class="state issue">{name}</span>' not in site.page("/")
