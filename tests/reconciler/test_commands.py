"""The commands on a terminal: each failure a sentence, each success a line, and nothing a terminal would obey."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Interface
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.text import Text

from netboot.certificate import load_tls
from netboot.dhcp_packet import OFFER
from netboot.events import BootOpened
from netboot.fetch import CannotFetch, Fetched
from netboot.host import Link
from netboot.probe import Offer
from netboot.reconcile_document import Reconciliation
from netboot.settings import Settings
from netboot.state_directory import StateDirectory
from reconciler.cli import gitboot
from reconciler.commands import doctor, terminal
from tests.netboot.dhcp_example import packet
from tests.netboot.site import browser, machine, plan, world


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(gitboot, [str(word) for word in words], catch_exceptions=False)


# init, freeze, unfreeze


def opened(state: Path) -> None:
    """A state directory with a past."""

    async def run() -> None:
        async with world(state, plan()):
            pass

    asyncio.run(run())


def test_init_declares_a_fresh_directory_a_new_site_as_often_as_asked(tmp_path: Path) -> None:
    for _ in range(2):
        result = call("init", tmp_path / "state")
        assert (0, True) == (result.exit_code, "is declared a new site" in result.output)
    assert (tmp_path / "state/new-site").exists()


def test_init_leaves_a_site_with_a_past_alone(tmp_path: Path) -> None:
    opened(tmp_path)
    result = call("init", tmp_path)
    assert (0, True) == (result.exit_code, "is a site already; nothing to do" in result.output)
    assert not (tmp_path / "new-site").exists()


def test_init_declares_a_directory_whose_journal_was_never_opened(tmp_path: Path) -> None:
    async def run() -> None:
        directory = StateDirectory(tmp_path)
        boot = BootOpened(at=1.0, boot="b", machine="m", macs=("x",), mac="x", plan="p", via="dhcp")
        await directory.ledger.commit((boot,))
        await directory.close()

    asyncio.run(run())
    assert "is declared a new site" in call("init", tmp_path).output


def test_init_beside_a_running_server_declares_through_its_lock(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, new_site=False):
            assert "is declared a new site" in call("init", tmp_path).output

    asyncio.run(run())


@pytest.mark.parametrize("bare", [True, False])
def test_init_makes_no_site_of_a_repository(tmp_path: Path, bare: bool) -> None:
    (tmp_path / ("objects" if bare else ".git")).mkdir()
    result = call("init", tmp_path)
    assert (2, True) == (result.exit_code, "a state directory is a folder of its own" in result.output)
    assert not (tmp_path / "new-site").exists()


def test_freezing_says_what_is_shown_and_unfreezing_ends_it(tmp_path: Path) -> None:
    result = call("freeze", "--state", tmp_path, "--reason", "moving racks")
    assert re.fullmatch(r"New runs are held: frozen by .* UTC: moving racks\. Runs in progress go on\. .*\n", result.output)
    assert f"`gitboot unfreeze --state {tmp_path}` ends it." in result.output
    assert "New runs may start again.\n" == call("unfreeze", "--state", tmp_path).output
    assert "It was not frozen; nothing to do.\n" == call("unfreeze", "--state", tmp_path).output


@pytest.mark.parametrize("name", ["freeze", "unfreeze", "status", "replay"])
def test_a_state_directory_that_is_not_there_is_a_sentence(tmp_path: Path, name: str) -> None:
    result = call(name, "--state", tmp_path / "nowhere")
    assert (2, True) == (result.exit_code, "There is no state directory" in result.output)


# status


def written(state: Path, *, hostile: str = "", problems: tuple[dict[str, Any], ...] = ()) -> None:
    """The status files of a small site with one boot."""

    async def run() -> None:
        served = plan(machine(1, "look"), machine(2, idle="wait"), trusted_proxies=("10.1.0.77/32",))
        async with world(state, served) as here, browser(here, "10.1.0.77") as client:
            here.git.latest = Reconciliation("/srv/site", head="c1", revision="c1", problems=problems)
            await client.get("/ipxe/52-54-00-12-34-01/boot.ipxe", headers={"X": hostile, "X-Forwarded-For": "10.1.0.1"})
            await client.get("/ipxe/02-00-00-00-00-09/boot.ipxe")
            here.rivals.note("10.1.0.66", packet(OFFER, {}), 1.0)
            for path in ("index.json", "reconcile.json", "served.json", "hardware/node-01.json", "hardware/node-02.json"):
                data = (await client.get(f"/status/{path}")).content
                here.directory.status.put(path, data)

    asyncio.run(run())


def test_status_is_a_line_for_each_machine_that_grep_can_find(tmp_path: Path) -> None:
    written(tmp_path)
    lines = call("status", "--state", tmp_path).output.splitlines()
    assert "commit c1 of /srv/site is served" == lines[0]
    assert "also heard to answer DHCP: 10.1.0.66" == lines[1]
    assert "1 machine that is not in git has asked for something; add the MACs that are yours:" == lines[2]
    assert re.fullmatch(r"  02:00:00:00:00:09  10\.1\.0\.77  boot script, seen \d+s ago", lines[3])
    first, second = lines[-2:]
    assert re.fullmatch(r"node-01 +10\.1\.0\.1 +script +- +\d+s +runs workflow look run 1 .*", first)
    assert re.fullmatch(r"node-02 +10\.1\.0\.2 +- +- +never +waits: git names no work for it; .*", second)
    assert not any("\x1b" in line or line.endswith(" ") for line in lines)


def test_status_of_one_machine_tells_all_of_it(tmp_path: Path) -> None:
    written(tmp_path)
    output = call("status", "--state", tmp_path, "node-01").output
    for word in (
        "52:54:00:12:34:01",
        "addresses  10.1.0.1",
        "runs workflow look",
        "it loads its kernel, or asks for the script again, within",
        "PHASE   BEGAN",
        "run        none",
    ):
        assert word in output


def test_status_of_a_machine_that_is_not_there_guesses(tmp_path: Path) -> None:
    written(tmp_path)
    for name, hint in (("node-1", "did you mean node-01?"), ("x/../../key", "machines there: 2")):
        result = call("status", "--state", tmp_path, name)
        assert (2, True) == (result.exit_code, hint in result.output)


def test_status_says_what_is_wrong_with_the_newest_commit(tmp_path: Path) -> None:
    problems = tuple({"file": "a.yaml", "line": number, "severity": "error", "message": "no"} for number in range(12))
    written(tmp_path, problems=problems)
    output = call("status", "--state", tmp_path).output
    assert "Ready: commit c1 was rejected" in output
    assert "  a.yaml:3: error: no" in output
    assert "  and 2 more problems" in output


def test_status_never_lets_a_machine_speak_to_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e[bold]x[/]\n:smile:"
    written(tmp_path, problems=({"file": evil, "line": 1, "severity": "error", "message": evil},))
    path = tmp_path / "status/hardware/node-01.json"
    document = json.loads(path.read_bytes())
    document["boot"]["phase"] = document["next"] = document["boot"]["reason"] = document["addresses"][0] = evil
    path.write_text(json.dumps(document))
    for words in ((), ("node-01",)):
        output = call("status", "--state", tmp_path, *words).output
        assert "\\x1b]0;owned\\x07\\x9b31m\\u202e[bold]x[/]\\n:smile:" in output
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(output)


@pytest.mark.parametrize("colour", [True, False])
def test_colours_are_for_terminals_and_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch, colour: bool) -> None:
    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            """Nothing is kept back."""

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    table = terminal.columns("A")
    table.add_row(Text("SUCCESS", "green"))
    terminal.show(table)
    assert colour == ("\x1b[32m" in screen.text)


Answer = tuple[int, str, bytes]


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], str]]:
    """A server on loopback that says the same to everything."""
    servers: list[tuple[HTTPServer, Thread]] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answer[0])
                self.send_header("Content-Type", answer[1])
                self.send_header("Content-Length", str(len(answer[2])))
                self.end_headers()
                self.wfile.write(answer[2])

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in http.server
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.shell
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", b"<html>a router</html>"), "not like a gitboot of this version"),
        ((200, "application/json", b"[" * 100_000), "not like a gitboot of this version"),
        ((200, "application/json", b'{"apiVersion": "other/v1"}'), "not like a gitboot of this version"),
        ((404, "text/plain", b"none"), "has no status yet"),
        ((404, "text/html", b"none"), "answers HTTP 404"),
        ((500, "text/plain", b""), "answers HTTP 500"),
    ],
)
def test_who_is_no_gitboot_is_recognised(answering: Callable[[Answer], str], answer: Answer, said: str) -> None:
    result = call("status", "--server", answering(answer))
    assert (1, True) == (result.exit_code, said in result.output)


@pytest.mark.parametrize(
    ("server", "status_", "said"),
    [
        ("http://127.0.0.1:1", 1, "does not answer"),
        ("127.0.0.1:1", 1, "does not answer"),
        ("ftp://x", 2, "correct --server"),
        ("http://x:port", 2, "correct --server"),
        ("http://[::1", 2, "correct --server"),
        ("http://", 1, "does not answer"),
    ],
)
def test_a_server_that_cannot_be_asked_is_a_sentence(server: str, status_: int, said: str) -> None:
    result = call("status", "--server", server)
    assert (status_, True) == (result.exit_code, said in result.output)


# doctor


def test_doctor_has_a_line_for_each_check_and_fails_when_one_does(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    words = ["doctor", "--state", str(tmp_path / "state"), "--artifacts", str(tmp_path / "nowhere")]
    result = CliRunner().invoke(gitboot, words, standalone_mode=False, catch_exceptions=False)
    lines = result.output.splitlines()
    assert 1 == result.return_value
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines[1:])
    for check in (
        "git",
        "BIOS",
        "UEFI x86_64",
        "privileges",
        "UDP port 67",
        "TCP port 80",
        "artefacts",
        "state",
        "clock",
        "network",
    ):
        assert any(f" {check} " in line for line in lines)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ("git version 2.39.5\n", "ok"),
        ("git version 2.34.1 (Apple)\n", "ok"),
        ("git version 3.0\n", "ok"),
        ("git version 2.30.2\n", "fail"),
        ("?", "fail"),
    ],
)
def test_an_old_git_is_told_apart(monkeypatch: pytest.MonkeyPatch, told: str, level: str) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, told))
    assert level == doctor.git().level


def test_a_git_that_is_missing_is_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert ("fail", "install the package `git`") == (doctor.git().level, doctor.git().step)


def test_programs_are_found_or_have_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "undionly.kpxe").touch()
    found = {finding.what: finding for finding in doctor.programs(None, (tmp_path,))}
    assert ("ok", "warn") == (found["BIOS"].level, found["UEFI x86_64"].level)
    assert "package `ipxe`" in found["UEFI x86_64"].step
    assert "fail" == next(doctor.programs(tmp_path / "nowhere")).level


@pytest.mark.parametrize(
    ("bits", "level"), [("000001ffffffffff", "ok"), ("0000000000003400", "ok"), ("0", "warn"), ("0000000000000400", "warn")]
)
def test_capabilities_are_read_bit_by_bit(tmp_path: Path, bits: str, level: str) -> None:
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{bits}\n")
    assert level == doctor.privileges(tmp_path / "status").level


@pytest.mark.shell
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_is_free_or_its_holder_is_named(kind: socket.SocketKind) -> None:
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        number = holder.getsockname()[1]
        finding = doctor.port(kind, protocol, number, "http", "127.0.0.1")
        assert ("fail", True) == (finding.level, f"(process {os.getpid()})" in finding.said)
    assert "ok" == doctor.port(kind, protocol, number, "http", "127.0.0.1").level


def test_an_artefact_folder_is_looked_into(tmp_path: Path) -> None:
    assert "warn" == doctor.artefact_folder(tmp_path).level
    (tmp_path / "vmlinuz").touch()
    assert ("ok", f"1 files in {tmp_path}") == doctor.artefact_folder(tmp_path)[0:3:2]
    assert "fail" == doctor.artefact_folder(tmp_path / "vmlinuz").level


@pytest.mark.parametrize(("free", "levels"), [(10 << 30, ["ok", "ok"]), (500 << 20, ["ok", "warn"]), (1 << 20, ["ok", "fail"])])
def test_a_full_disk_is_seen_coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, levels: list[str]) -> None:
    class Usage:
        pass

    usage = Usage()
    usage.free = free  # type: ignore[attr-defined] # all that is looked at
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert levels == [finding.level for finding in doctor.state_directory(tmp_path)]


def test_doctor_says_what_the_certificates_are_and_when_they_end(tmp_path: Path) -> None:
    (yet,) = doctor.certificates(tmp_path, None, 0)
    assert ("ok", "none yet: the first start makes it") == (yet.level, yet.said)
    pin = load_tls(Settings(tmp_path)).pin
    end = datetime(2049, 12, 31, tzinfo=UTC).timestamp()
    for before, level in ((15, "ok"), (13, "warn"), (-1, "fail")):
        ours, given = doctor.certificates(tmp_path, tmp_path / "tls/rsa.pem", end - before * 86400)
        assert (level, level) == (ours.level, given.level)
        assert f"; until 2049-12-31; SHA-256 {pin}" in ours.said
        assert pin not in given.said
    (tmp_path / "tls/ec.pem").write_text("")
    (broken,) = doctor.certificates(tmp_path, None, 0)
    assert ("fail", True) == (broken.level, "holds no certificate" in broken.said)


def test_a_state_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert ["fail"] == [finding.level for finding in doctor.state_directory(tmp_path / "state")]


def test_a_clock_before_the_installation_fails() -> None:
    assert ("ok", "fail") == (doctor.clock(2e9, 1.9e9).level, doctor.clock(0.0, 1.9e9).level)


PROXY, GIVER, OTHER = Offer("10.1.0.3", "", "a.efi"), Offer("10.1.0.1", "10.1.0.9", ""), Offer("", "10.1.0.8", "b.pxe")


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([], [("ok", "DHCP on eth0", "nobody answers a machine that nobody knows")]),
        (
            [PROXY, GIVER],
            [
                ("ok", "DHCP server 10.1.0.3", "ProxyDHCP, no address, boot file a.efi"),
                ("ok", "DHCP server 10.1.0.1", "offers 10.1.0.9"),
            ],
        ),
        (
            [PROXY, GIVER, OTHER],
            [
                ("ok", "DHCP server 10.1.0.3", "ProxyDHCP, no address, boot file a.efi"),
                ("warn", "DHCP server 10.1.0.1", "offers 10.1.0.9"),
                ("warn", "DHCP server without a name", "offers 10.1.0.8, boot file b.pxe"),
            ],
        ),
    ],
)
def test_two_servers_that_give_addresses_are_one_too_many(offers: list[Offer], expected: list[tuple[str, ...]]) -> None:
    assert expected == [finding[:3] for finding in doctor.servers("eth0", offers)]


def test_doctor_asks_nobody_without_being_told_where() -> None:
    result = call("doctor", "--probe")
    assert (2, True) == (result.exit_code, "--interface" in result.output)


@pytest.mark.parametrize(("names", "level"), [([], "fail"), (["eth0"], "ok"), (["eth0", "eth1"], "warn")])
def test_several_interfaces_need_a_choice(monkeypatch: pytest.MonkeyPatch, names: list[str], level: str) -> None:
    found = [Link(name, "52:54:00:00:00:01", IPv4Interface("192.0.2.7/24"), False) for name in names]
    monkeypatch.setattr(doctor, "links", lambda: found)
    assert level == doctor.interfaces().level


def test_doctor_fetches_what_is_missing_into_the_folder_of_loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, set[str]]] = []

    def pretend(folder: Path, names: set[str]) -> list[Fetched]:
        asked.append((folder, names))
        return [Fetched("ipxe-arm64.efi", "0" * 64, "ipxe", "1.21")]

    monkeypatch.setattr(doctor, "fetch", pretend)
    (tmp_path / "shimx64.efi").touch()
    result = call("doctor", "--fetch", "--loaders", tmp_path)
    assert "ipxe-arm64.efi from ipxe 1.21, sha256 000" in result.output
    assert (tmp_path, False) == (asked[0][0], "shimx64.efi" in asked[0][1])


def test_doctor_says_where_fetched_programs_would_have_to_go_and_why_they_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (2, True) == ((result := call("doctor", "--fetch")).exit_code, "with --loaders where" in result.output)

    def refuse(folder: Path, names: set[str]) -> list[Fetched]:
        raise CannotFetch("apt is not here; do it by hand.")

    monkeypatch.setattr(doctor, "fetch", refuse)
    result = call("doctor", "--fetch", "--loaders", tmp_path)
    assert (1, True) == (result.exit_code, "apt is not here; do it by hand." in result.output)
    (tmp_path / "file").touch()
    result = call("doctor", "--fetch", "--loaders", tmp_path / "file" / "folder")
    assert (1, True) == (result.exit_code, "choose another folder with --loaders" in result.output)
