"""The simulated machine against the server's own words, without sockets."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.main import read_settings
from netboot.dhcp import BootFile, Reply, Server, classify, decode, respond
from netboot.dhcp import Lease as Reservation
from netboot.dhcp_options import encode, pack
from netboot.ipxe import Capability, boot_script, disk_script, find_script, wait_script
from netboot.ipxe import Console as Head
from netboot.plan import Artifact, Profile
from reconciler.boot_script import Disk, Kernel, Unreadable, Wait, read_script
from reconciler.demo.edit import propose
from reconciler.demo.log_lines import last_words, readable
from reconciler.demo.machine import agent_command
from reconciler.demo.rows import Note, Row, has_new_work, row_of
from reconciler.demo.screen import Plain, Terminal
from reconciler.firmware import BIOS, UEFI, Firmware, acknowledged, discover, offered, request

MACHINE = Firmware("52:54:00:12:34:01", UEFI, bytes(range(16)))
XID = b"\1\2\3\4"
HERE = Server(bytes((127, 0, 0, 1)))
LEASE = Reservation(
    bytes((10, 1, 0, 11)),
    pack(dict([encode("host-name", "node-01"), encode("dhcp-lease-time", 60)])),
    bytes((10, 1, 0, 0)),
    bytes((255, 255, 0, 0)),
)
HEAD = Head("http://127.0.0.1:8080", "node-01", MACHINE.mac, "abc")


def answer(datagram: bytes) -> bytes:
    packet = decode(datagram)
    outcome = respond(packet, classify(packet), LEASE, BootFile("snponly.efi", HERE.address), HERE)
    assert isinstance(outcome, Reply)
    return outcome.data


def test_a_rom_an_ipxe_and_a_system_are_taken_for_what_they_are() -> None:
    asked = {stage: classify(decode(discover(MACHINE, stage, XID))) for stage in ("pxe", "ipxe", "system")}
    assert {"pxe": "pxe", "ipxe": "ipxe", "system": "other"} == {stage: client.kind for stage, client in asked.items()}
    assert (UEFI, True, MACHINE.uuid) == (asked["pxe"].arch, asked["pxe"].uefi, asked["pxe"].guid)
    assert BIOS == classify(decode(discover(Firmware(MACHINE.mac, BIOS, bytes(16)), "pxe", XID))).arch


def test_firmware_takes_its_lease_from_an_offer_and_asks_for_just_that() -> None:
    offer = offered(answer(discover(MACHINE, "pxe", XID)), XID)
    assert offer is not None
    assert (LEASE.address, HERE.address, "snponly.efi", "node-01") == (offer.address, offer.server, offer.file, offer.host_name)
    asked = request(MACHINE, "pxe", XID, offer)
    assert (LEASE.address, HERE.address) == (decode(asked).options[50], decode(asked).options[54])
    assert offer == acknowledged(answer(asked), XID)


def test_an_answer_to_somebody_else_is_not_heard() -> None:
    reply = answer(discover(MACHINE, "pxe", XID))
    assert None is offered(reply, b"\4\3\2\1")
    assert None is acknowledged(reply, XID)
    assert None is offered(discover(MACHINE, "pxe", XID), XID)
    assert None is offered(b"not DHCP", XID)


def test_a_script_with_work_gives_kernel_initrds_and_the_agents_words() -> None:
    profile = Profile("inspect", kernel="k/vmlinuz", initrd=("i/one", "i/two"), cmdline="console=ttyS0")
    artifacts = {path: Artifact(path, sha256="ab" * 32) for path in ("k/vmlinuz", "i/one", "i/two")}
    script = read_script(boot_script(HEAD, profile, artifacts, Capability("boot-1", "f" * 64), "runs workflow w run 1"))
    base = f"http://127.0.0.1:8080/artifacts/sha256/{'ab' * 32}"
    assert isinstance(script.end, Kernel)
    assert (f"{base}/vmlinuz", (f"{base}/one", f"{base}/two")) == (script.end.url, script.end.initrds)
    assert {"server": "http://127.0.0.1:8080", "boot": "boot-1", "token": "f" * 64} == script.end.words
    assert "runs workflow w run 1" == script.why


def test_a_simulated_machines_agent_keeps_to_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    command = agent_command({"server": "http://127.0.0.1:80", "boot": "b", "token": "t", "more": "words"}, folder)
    settings = read_settings(command[command.index("agent") + 1 :], "", "s1")
    assert ("http://127.0.0.1:80", "b", "t") == (settings.server, settings.boot, settings.token)
    assert (folder, folder / "by-gitboot") == (settings.state, settings.links)


@pytest.mark.parametrize("handover", ["auto", "exit", "sanboot", "no-boot-file"])
def test_every_way_to_the_disk_is_understood(handover: Any) -> None:
    script = read_script(disk_script(HEAD, handover, "workflow w run 1 ended SUCCESS"))
    assert (Disk(), "workflow w run 1 ended SUCCESS") == (script.end, script.why)


def test_a_script_that_waits_says_how_long() -> None:
    assert Wait(7) == read_script(wait_script(HEAD, "held", seconds=7)).end


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin"),
        ("<html>", "does not begin"),
        ("#!ipxe\necho hello", "without booting"),
        ("#!ipxe\nboot", "no command 'boot'"),
        ("#!ipxe\nkernel --name vmlinuz", "no URL"),
        (find_script("http://10.1.0.1"), "no command 'chain'"),
    ],
)
def test_what_is_not_understood_is_never_taken_for_a_boot(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_script(text)


FILES = {
    "hardware.yaml": "kind: Hardware\nspec:\n  interfaces:\n  - {mac: x, hostname: node-01}\n  - {hostname: node-011}\n",
    "one.yaml": "kind: Workflow\nmetadata: {name: inspect}\nspec:\n  run: 1\n",
    "other.yaml": "kind: Workflow\nmetadata: {name: inspect-more}\nspec:\n  run: 1\n",
}


def test_the_edit_renames_one_machine_and_raises_the_run_of_its_workflow() -> None:
    edit = propose(FILES, "node-01", "inspect", 1)
    assert edit is not None
    assert {"hardware.yaml", "one.yaml"} == edit.files.keys()
    assert "hostname: node-01-renamed}" in edit.files["hardware.yaml"]
    assert "hostname: node-011}" in edit.files["hardware.yaml"]
    assert "run: 2" in edit.files["one.yaml"]
    assert ("node-01-renamed", "inspect run 2") == (edit.host_name, edit.work)


def test_a_workflow_that_does_not_say_its_run_is_left_alone() -> None:
    edit = propose({"hardware.yaml": FILES["hardware.yaml"]}, "node-01", "inspect", 1)
    assert edit is not None
    assert ({"hardware.yaml"}, "") == (set(edit.files), edit.work)


@pytest.mark.parametrize("host_name", ["", "node-02"])
def test_no_edit_is_proposed_for_a_name_that_is_not_there(host_name: str) -> None:
    assert None is propose(FILES, host_name, "inspect", 1)


def test_no_edit_is_proposed_for_a_name_written_twice() -> None:
    assert None is propose(FILES | {"more.yaml": "hostname: node-01\n"}, "node-01")


def status(**more: Any) -> dict[str, Any]:
    return {"name": "n", "step": {"action": "disk"}, "run": None, "boot": None, "plan": "new"} | more


RUN = {
    "workflow": "w", "number": 1, "state": "RUNNING", "reason": "", "ended": None,
    "tasks": [{"actions": [{"name": "a", "attempts": [{}]}, {"name": "b", "attempts": [{}]}, {"name": "c", "attempts": []}]}],
}  # fmt: skip
DUE = {"action": "run", "workflow": "w", "run": 2}


def test_a_row_shows_the_action_that_began_last() -> None:
    assert Row("n", "agent", "w run 1", "b", "RUNNING") == row_of("agent", "", status(run=RUN))
    assert Row("n", "off") == row_of("off", "", status())


def test_a_row_shows_due_work_before_a_run_that_ended_but_not_before_one_that_runs() -> None:
    assert Row("n", "DHCP", "w run 2", state="PENDING") == row_of("DHCP", "", status(step=DUE, run=RUN | {"ended": "now"}))
    assert "w run 1" == row_of("agent", "", status(step=DUE, run=RUN)).workflow


def test_a_machine_is_switched_on_for_work_of_a_plan_it_has_not_booted_with() -> None:
    assert has_new_work(status(step=DUE, boot={"plan": "old"}))
    assert has_new_work(status(step=DUE))
    assert not has_new_work(status(step=DUE, boot={"plan": "new"}))
    assert not has_new_work(status(boot={"plan": "old"}))


def test_the_servers_log_is_shown_for_people() -> None:
    line = '{"time":"2026-01-02T10:02:59.004+00:00","level":"warning","event":"rejected","problems":2,"reason":""}'
    assert "10:02:59.004 WARNING rejected problems=2" == readable(line)
    assert ["Error: no", "7", "[]"] == [readable(line) for line in ("Error: no", "7", "[]")]


def test_the_servers_last_words_are_its_sentence_if_it_has_one() -> None:
    assert "no port" == last_words(["10:02 new-site", "Error: no port", "warning: by the way"])
    assert ["b", "it said nothing"] == [last_words(lines) for lines in (["a", "b", ""], [])]


def drawn(width: int) -> str:
    """What a terminal of 24 lines shows, after someone tried to speak to it directly."""
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=width, height=24)
    screen = Terminal(console)
    screen.show([Row("node-01", "disk", "burn-in-storage run 1", "report", "SUCCESS")] * 3 + [Row("m", "off")] * 40)
    screen.note(Note("node-01", "agent", "\x1b]0;owned\a" + "long " * 40))
    screen.explain((("Look", "http://127.0.0.1:40000/status/index.json"),))
    console.print(screen.render())
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits_and_does_not_obey_what_machines_say(width: int) -> None:
    text = drawn(width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert len(text.splitlines()) < 24
    assert "\x1b" not in text
    assert "and 32 more" in text
    assert "burn-in-storage run 1" in text


def test_plain_lines_have_no_control_characters() -> None:
    stream = StringIO()
    plain = Plain(stream)
    plain.step("begins")
    plain.note(Note("node-01", "agent", "\x1b[31mred\n"))
    lines = stream.getvalue().splitlines()
    assert [" s  begins", " s    node-01  agent    ?[31mred?"] == [line[line.index(" s  ") :] for line in lines]
