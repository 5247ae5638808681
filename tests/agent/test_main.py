"""The entry point: where settings come from, what the exit status and the last line say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import main as entry
from agent.main import Settings, Unusable, main, read_settings
from agent.workflow import Action, Task, Workflow
from tests.agent.fakes import FakeServer
from tests.agent.http_server import BOOT, SESSION, TOKEN, FaultyServer

PIN = "0123456789abcdef" * 4
KERNEL = "console=ttyS0 gitboot.server=http://10.1.0.1 gitboot.boot=b7 gitboot.token=aa=bb quiet gitboot.odd\n"


def options(server: FaultyServer, state: Path, **changes: str) -> list[str]:
    values = {
        "server": server.url,
        "boot": BOOT,
        "token": TOKEN,
        "state": str(state),
        "links": str(state / "by-gitboot"),
        **changes,
    }
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def test_settings_come_from_the_kernel_command_line() -> None:
    expected = Settings("http://10.1.0.1", "b7", "aa=bb", "s1", Path("/run/gitboot-agent"), "process", files="http://10.1.0.1")
    assert expected == read_settings([], KERNEL, "s1")


def test_options_win_over_the_kernel_command_line() -> None:
    settings = read_settings(["--server", "http://boot.example:8080", "--state", "/x"], KERNEL, "s1")
    assert ("http://boot.example:8080", "b7", Path("/x")) == (settings.server, settings.boot, settings.state)


def test_by_tls_the_server_is_the_one_that_is_pinned_and_files_may_come_in_clear() -> None:
    kernel = f"{KERNEL} gitboot.server=https://10.1.0.1:443 gitboot.pin={PIN},{PIN[::-1]} gitboot.http=http://10.1.0.1"
    settings = read_settings([], kernel, "s1")
    assert ("https://10.1.0.1:443", frozenset({PIN, PIN[::-1]}), "http://10.1.0.1") == (
        settings.server,
        settings.pins,
        settings.files,
    )
    alone = read_settings(["--server", "https://10.1.0.1", "--pin", PIN.upper()], KERNEL, "s1")
    assert (frozenset({PIN}), "https://10.1.0.1") == (alone.pins, alone.files)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--server", "https://10.1.0.1"], "https://10.1.0.1 needs --pin .*: the server's log has it"),
        (["--pin", PIN], "http://10.1.0.1 is none; take the server's HTTPS port, or leave --pin out"),
        (["--server", "https://10.1.0.1", "--pin", f"{PIN},abc"], "--pin: 'abc' is no SHA-256"),
        (["--server", "https://10.1.0.1", "--pin", PIN, "--http", "10.1.0.1"], "is not a URL"),
    ],
)
def test_a_server_is_neither_trusted_unnamed_nor_spoken_to_in_clear_when_it_is_named(options: list[str], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        read_settings(options, KERNEL, "s1")


def test_what_is_missing_is_named_in_both_spellings() -> None:
    with pytest.raises(Unusable, match=r"--boot, --token; .*\(gitboot\.boot, gitboot\.token\)"):
        read_settings(["--server", "http://10.1.0.1"], "", "s1")


@pytest.mark.parametrize("url", ["10.1.0.1", "ftp://10.1.0.1", "http://", "http://[::1", "http://x:99999"])
def test_an_address_that_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(Unusable, match="is not a URL"):
        read_settings(["--server", url], KERNEL, "s1")


def test_a_token_is_not_shown_with_the_settings() -> None:
    assert "aa=bb" not in repr(read_settings([], KERNEL, "s1"))


@pytest.mark.shell
@pytest.mark.parametrize("then", ["reboot", "wait"])
def test_the_last_line_tells_init_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], then: str) -> None:
    fake = FakeServer(Workflow("w", (Task("t", "m", (Action("a", "img", ("true",)),)),)), then=then)
    with FaultyServer(fake) as server:
        assert main(options(server, tmp_path)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "workflow w, run r1"
    assert said[-2:] == ["nothing to do: the work is done", f"then: {then}"]


@pytest.mark.shell
def test_disks_get_their_names_where_the_settings_say(tmp_path: Path) -> None:
    """On a host that is nobody's alone: a simulated machine must not name, or forget, the disks of the host."""
    stale = tmp_path / "by-gitboot" / "root"
    stale.parent.mkdir()
    stale.symlink_to("/dev/null")
    with FaultyServer(FakeServer(Workflow("w", ()))) as server:
        assert main(options(server, tmp_path)) == 0
    assert not stale.is_symlink()


@pytest.mark.shell
def test_who_stays_asks_again_and_says_once_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeServer(Workflow("w", ()), then="wait")
    claims = 0

    def after(path: str, number: int) -> None:
        nonlocal claims
        claims += path == "/agent/claim"
        if claims == 5:
            fake.then = "reboot"

    with FaultyServer(fake) as server:
        server.after = after
        waited: list[float] = []
        settings = read_settings([*options(server, tmp_path), "--stay"], "", "s1")
        assert entry.work(settings, print, waited.append) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["nothing to do: the work is done", "then: reboot"]
    assert len(waited) >= 3
    assert len([line for line in said if line.startswith("nothing")]) == 1


@pytest.mark.shell
def test_the_console_is_sent_to_the_server(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_text("gitboot: kernel 6.1 runs\n")
    fake = FakeServer(Workflow("w", ()))
    with FaultyServer(fake) as server:
        assert main([*options(server, tmp_path), "--console", str(console)]) == 0
    assert fake.logs["", "console", 1] == b"gitboot: kernel 6.1 runs\n"


@pytest.mark.shell
def test_the_token_and_the_sessions_key_are_in_no_log_that_the_server_gets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, console, kernel = tmp_path / "state", tmp_path / "console.log", tmp_path / "cmdline"
    kernel.write_text(f"quiet gitboot.token={TOKEN} and its key: ")
    console.write_text(f"Command line: quiet gitboot.token={TOKEN}\n")
    betray = f"cat {kernel} {state}/session; test -s {state}/session && echo; tail -n 1 {kernel}; exit 7"
    fake = FakeServer(Workflow("w", (Task("t", "m", (Action("a", "img", ("sh", "-c", betray)),)),)))
    with FaultyServer(fake) as server:
        assert main([*options(server, state), "--console", str(console)]) == 0
    log, reason = fake.logs["t", "a", 1], next(event["reason"] for event in fake.accepted if "reason" in event)
    hidden = b"gitboot.token=" + b"*" * len(TOKEN)
    assert log.startswith(b"quiet " + hidden + b" and its key: {")
    assert b"*" * 64 in log
    assert b"Command line: quiet " + hidden + b"\n" == fake.logs["", "console", 1]
    assert hidden.decode() in reason
    told = f"{fake.logs} {fake.accepted} {capsys.readouterr().out}"
    assert [] == [secret for secret in (TOKEN, SESSION.key) if secret in told]


@pytest.mark.shell
def test_a_name_that_the_console_cannot_show_does_not_stop_the_run(tmp_path: Path) -> None:
    fake = FakeServer(Workflow("\ud800", (Task("tä", "m", (Action("a", "img", ("true",)),)),)))
    with FaultyServer(fake) as server:
        command = [sys.executable, "-m", "agent", *options(server, tmp_path)]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        ended = subprocess.run(command, capture_output=True, env=environment, timeout=60)
    assert ended.returncode == 0
    assert b"action 1 of 1: t\\xe4/a SUCCESS" in ended.stdout


@pytest.mark.shell
def test_a_wrong_token_ends_with_a_sentence_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(FakeServer(Workflow("w", ()))) as server:
        assert main(options(server, tmp_path, token="wrong")) == 1
    assert capsys.readouterr().out == "the agent cannot go on: this token is not for this boot (HTTP 401)\n"


@pytest.mark.shell
@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_run_that_was_taken_away_is_claimed_anew_and_nothing_is_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    answers = iter(["409" if number == refused else "" for number in range(1, 4)])
    append = Action("a", "img", ("sh", "-c", f"echo x >> {tmp_path}/ran"))
    fake = FakeServer(Workflow("w", (Task("t", "m", (append,)),)))
    with FaultyServer(fake, lambda path, n: next(answers, "") if path == "/agent/report" else "") as server:
        assert main(options(server, tmp_path / "state")) == 0
    assert "the run is no longer ours: told to" in capsys.readouterr().out
    assert fake.ends() == [("a", 1, "SUCCESS")]
    assert (tmp_path / "ran").read_text() == "x\n"


@pytest.mark.shell
def test_two_agents_do_not_share_a_state_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with entry._only_agent(tmp_path), FaultyServer(FakeServer(Workflow("w", ()))) as server:
        assert main(options(server, tmp_path)) == 1
        assert server.requests == []
    assert "another agent works in" in capsys.readouterr().out
