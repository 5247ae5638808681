"""Git as it is out there: every protocol with its credentials, and servers that hang, die, lie and rewrite."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netboot.log import Log
from netboot.reconciliation import read_reconciliation
from reconciler.errors import Unavailable
from reconciler.mirror import Mirror
from reconciler.reconcile import Delayed, Outcome, Published
from reconciler.service import ReconcileSettings, Service
from reconciler.source import Source
from tests.reconciler.gitkit import Work, http_server, is_gone, processes_that_mention, wait_until
from tests.reconciler.gitservers import BEHAVIOURS, authority, connect_proxy, needs_sshd, sshd
from tests.reconciler.process import FREE, Gitboot, gitboot, sound_site
from tests.reconciler.test_reconcile import SECOND_MACHINE

pytestmark = pytest.mark.shell
USER, TOKEN = "annabel", "s3cr-t0ken"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return sound_site(tmp_path, "served/site")


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a proxy, an authority and a .netrc."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("GIT_SSL_CAINFO", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def fetched(tmp_path: Path, url: str) -> str:
    with closing(Mirror(tmp_path / "mirror/git", Source(url), 20)) as mirror:
        commit = mirror.fetch()
        assert mirror.snapshot(commit).contents
        return commit


def service(tmp_path: Path, url: str) -> Service:
    settings = ReconcileSettings(Source(url, "main"), tmp_path / "state", tmp_path / "art", timeout=20)
    return Service(settings, Log(io.StringIO()))


def look(here: Service, how: str) -> Outcome:
    """A look whose git has a second, where the server will not come to an end."""
    here._repository._git.timeout = 1 if any(word in how for word in ("hangs", "nothing", "for_ever")) else 20
    try:
        return here._look()
    finally:
        here._repository._git.timeout = 20


# Ways in -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["in the address", "in .netrc"])
def test_a_token_reaches_the_https_server_and_no_command_line_and_no_disk(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    context, certificate = authority(tmp_path / "ca")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
    seen: list[int] = []

    def answer(_path: str, _question: bytes, answer: bytes) -> Iterable[bytes]:
        seen.extend(processes_that_mention(TOKEN))
        yield answer

    with http_server(tmp_path / "served", USER, TOKEN, context, answer) as base:
        if where == "in the address":
            url = base.replace("://", f"://{USER}:{TOKEN}@")
        else:
            url = base
            (tmp_path / "home/.netrc").write_text(f"machine 127.0.0.1 login {USER} password {TOKEN}\n")
            (tmp_path / "home/.netrc").chmod(0o600)
        log = Log(io.StringIO())
        settings = ReconcileSettings(Source(f"{url}/site/.git", "main"), tmp_path / "state", tmp_path / "art")
        with closing(Service(settings, log)) as here:
            assert isinstance(here._look(), Published)
    log.flush()
    assert [] == seen
    written = {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert [] == [path for path, data in written.items() if TOKEN.encode() in data or USER.encode() in data]
    assert isinstance(log._stream, io.StringIO)
    assert TOKEN not in log._stream.getvalue()


def test_a_certificate_is_believed_when_its_authority_is_named_and_not_before(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = authority(tmp_path / "ca")
    with http_server(tmp_path / "served", tls=context) as base:
        with pytest.raises(Unavailable, match="GIT_SSL_CAINFO"):
            fetched(tmp_path, f"{base}/site/.git")
        monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
        assert work.git("rev-parse", "HEAD") == fetched(tmp_path, f"{base}/site/.git")


def test_https_goes_through_the_proxy_that_the_environment_names(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = authority(tmp_path / "ca")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
    with http_server(tmp_path / "served", USER, TOKEN, context) as base:
        url = base.replace("://", f"://{USER}:{TOKEN}@") + "/site/.git"
        with connect_proxy() as (proxy, asked):
            monkeypatch.setenv("https_proxy", proxy)
            assert work.git("rev-parse", "HEAD") == fetched(tmp_path, url)
            assert {f"CONNECT {base.removeprefix('https://')} HTTP/1.1"} == set(asked)
            assert TOKEN not in str(asked)
        with pytest.raises(Unavailable, match="check that the git server is running"):
            fetched(tmp_path, url)


@needs_sshd
def test_ssh_takes_the_key_and_the_known_hosts_of_git_ssh_command(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path / "ssh") as server:
        monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
        assert work.git("rev-parse", "HEAD") == fetched(tmp_path, f"{server.address}{work.path}")
        wrong = server.known_hosts.read_text().replace("127.0.0.1", "127.0.0.2")
        server.known_hosts.write_text(wrong)
        with pytest.raises(Unavailable, match=r"Host key verification failed.*known_hosts"):
            fetched(tmp_path, f"{server.address}{work.path}")


@needs_sshd
def test_a_server_with_another_host_key_and_one_that_does_not_know_ours_are_told_apart(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path / "one") as one, sshd(tmp_path / "two") as two:
        monkeypatch.setenv("GIT_SSH_COMMAND", one.command)
        one.known_hosts.write_text(two.known_hosts.read_text().replace(str(two.port), str(one.port)))
        with pytest.raises(Unavailable, match="Host key verification failed"):
            fetched(tmp_path, f"{one.address}{work.path}")
        monkeypatch.setenv("GIT_SSH_COMMAND", one.command.replace("one/deploy", "two/deploy").replace("one/known", "two/known"))
        (tmp_path / "two/authorized").write_text("")
        with pytest.raises(Unavailable, match=r"Permission denied.*deploy key"):
            fetched(tmp_path, f"{two.address}{work.path}")


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in http.server
        """Say nothing."""


def test_a_plain_web_server_that_knows_nothing_of_git_is_enough(work: Work, tmp_path: Path) -> None:
    """It cannot leave history out, so everything is fetched."""
    work.git("clone", "-q", "--bare", str(work.path), str(tmp_path / "plain"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        mirror = Mirror(tmp_path / "mirror/git", Source(f"http://127.0.0.1:{server.server_port}/plain", "main"), 20)
        try:
            heads = []
            for change in ("none", "one", "rewritten"):
                if change != "none":
                    work.commit(more=change) if change == "one" else work.git("commit", "-q", "--amend", "-m", change)
                    work.git("push", "-q", "--force", str(tmp_path / "plain"), "main")
                work.git(f"--git-dir={tmp_path}/plain", "update-server-info")
                heads.append(mirror.fetch())
                assert work.git("rev-parse", "HEAD") == heads[-1]
            assert (True, False) == (mirror.follows(heads[1], heads[0]), mirror.follows(heads[2], heads[1]))
        finally:
            mirror.close()
            server.shutdown()
            thread.join()


# Servers that go wrong -----------------------------------------------------------------------------------------------------


class Liar:
    """Answers honestly, until `how` is another of its methods."""

    def __init__(self) -> None:
        self.how = "honest"
        self.over = threading.Event()

    def __call__(self, path: str, question: bytes, answer: bytes) -> Iterable[bytes]:
        yield from getattr(self, self.how)(question, answer)

    def honest(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        yield answer

    def hangs_mid_pack(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        if b"command=fetch" not in question:
            yield answer
        else:
            yield answer[: answer.index(b"PACK") + 30]
            self.over.wait(30)

    def says_nothing(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        self.over.wait(30)
        yield b""

    def dies_mid_pack(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        yield answer[: answer.index(b"PACK") + 30] if b"command=fetch" in question else answer

    def sends_a_garbage_pack(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        if b"command=fetch" in question:
            at = answer.index(b"PACK") + 16
            answer = answer[:at] + bytes(255 - byte for byte in answer[at : at + 40]) + answer[at + 40 :]
        yield answer

    def speaks_something_else(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        yield b"<html><body>Please log in to the hotel's network</body></html>"

    def names_what_it_does_not_have(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        if b"command=ls-refs" in question:
            answer = b"".join(line[:4] + b"f" * 40 + line[44:] if b" " in line else line for line in answer.splitlines(True))
        yield answer

    def lists_refs_for_ever(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        if b"command=ls-refs" not in question:
            yield answer
        number = 0
        while not self.over.is_set():
            names = [b"%s refs/heads/main-%08d\n" % (b"a" * 40, number + each) for each in range(1000)]
            number += 1000
            yield b"".join(b"%04x%s" % (len(name) + 4, name) for name in names)

    def sends_a_pack_for_ever(self, question: bytes, answer: bytes) -> Iterator[bytes]:
        if b"command=fetch" not in question:
            yield answer
            return
        yield answer[: answer.index(b"PACK") - 5]
        # one blob of 2^60 bytes, stored without compression
        start = b"PACK\0\0\0\2\0\0\0\1" + b"\xbf" + b"\xff" * 7 + b"\x7f" + b"\x78\x01"
        block = b"\0\xff\xff\0\0" + bytes(65535)
        yield b"%04x\1" % (len(start) + 5) + start
        for _ in range(4000):  # some 250 MB
            if self.over.is_set():
                return
            yield b"".join(b"%04x\1" % (len(part) + 5) + part for part in (block[:40000], block[40000:]))
        self.over.wait(30)


@pytest.mark.parametrize("how", [name for name in vars(Liar) if name[0] != "_" and name != "honest"])
def test_a_server_that_goes_wrong_changes_nothing_and_the_next_try_works(work: Work, tmp_path: Path, how: str) -> None:
    liar = Liar()
    with http_server(tmp_path / "served", answer=liar) as base, closing(service(tmp_path, f"{base}/site/.git")) as here:
        good = here._look()
        assert isinstance(good, Published)
        before = here._word
        work.commit(more=SECOND_MACHINE)
        liar.how = how
        outcome = look(here, how)
        assert isinstance(outcome, Delayed), outcome
        assert (outcome.reason.endswith("."), outcome.defect, "\n" in outcome.reason) == (True, "", False), outcome
        print(f"{how}: {outcome.reason}")
        assert good.plan == here._plans.current_id()
        said = read_reconciliation(tmp_path / "state")
        assert said is not None
        assert (before.revision, before.last_success, outcome.reason) == (said.revision, said.last_success, said.unavailable)
        assert is_gone(base.removeprefix("http://"))
        assert [] == list((tmp_path / "state").glob("git.*-*"))
        liar.how = "honest"
        healed = here._look()
        liar.over.set()
        assert isinstance(healed, Published), healed
        assert healed.plan != good.plan


@needs_sshd
@pytest.mark.parametrize("how", [name for name in BEHAVIOURS if name != "honest"])
def test_an_ssh_server_that_goes_wrong_changes_nothing_and_the_next_try_works(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with sshd(tmp_path / "ssh") as server:
        monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
        with closing(service(tmp_path, f"{server.address}{work.path}")) as here:
            good = here._look()
            assert isinstance(good, Published), good
            work.commit(more=SECOND_MACHINE)
            server.behave(how)
            outcome = look(here, how)
            print(f"{how}: {outcome}")
            assert isinstance(outcome, Delayed), outcome
            assert (good.plan, "") == (here._plans.current_id(), outcome.defect)
            assert is_gone(f"{server.port}")
            server.behave("honest")
            assert isinstance(here._look(), Published)


@needs_sshd
def test_a_killed_ssh_server_is_found_again_when_it_is_back(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path / "ssh") as server:
        monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
        with closing(service(tmp_path, f"{server.address}{work.path}")) as here:
            assert isinstance(here._look(), Published)
            server.kill()
            dead = here._look()
            assert isinstance(dead, Delayed)
            assert "check that the git server is running" in dead.reason
            work.commit(more=SECOND_MACHINE)
            with sshd(tmp_path / "ssh", server.port):
                back = here._look()
            assert isinstance(back, Published)
            assert back.changed


# History -------------------------------------------------------------------------------------------------------------------


def test_a_force_push_is_followed_and_said_and_a_push_of_many_commits_is_none(work: Work, tmp_path: Path) -> None:
    with http_server(tmp_path / "served") as base, closing(service(tmp_path, f"{base}/site/.git")) as here:
        here._look()
        told = []
        for change in ("one commit", "many", "amended", "taken back", "merged"):
            before = work.git("rev-parse", "HEAD")
            if change == "one commit":
                work.commit(more=SECOND_MACHINE)
            elif change == "many":
                for number in range(5):
                    work.write("README", str(number))
                    work.commit()
            elif change == "amended":
                work.git("commit", "-q", "--amend", "-m", "as if nothing had been")
            elif change == "taken back":
                work.git("reset", "-q", "--hard", "HEAD~3")
            else:
                work.git("checkout", "-q", "-b", "side", "HEAD~1")
                work.commit(side="")
                work.git("checkout", "-q", "main")
                work.git("merge", "-q", "--no-ff", "-m", "merged", "side")
            outcome = here._look()
            assert isinstance(outcome, Published), outcome
            assert (work.git("rev-parse", "HEAD"), before) == (here._word.head, here._word.previous)
            told.append((change, here._word.history))
        assert [
            ("one commit", "continued"),
            ("many", "continued"),
            ("amended", "rewritten"),
            ("taken back", "rewritten"),
            ("merged", "continued"),
        ] == told


def test_a_running_server_shows_what_became_of_its_git(work: Work, tmp_path: Path) -> None:
    with ExitStack() as git:
        base = git.enter_context(http_server(tmp_path / "served"))
        words = ("--repo", f"{base}/site/.git", "--branch", "main", "--poll", "1", "--artifacts", tmp_path / "art")
        with Gitboot("serve", *words, "--state", tmp_path / "state", *FREE) as server:
            server.wait_for("plan-served")
            before = work.git("rev-parse", "HEAD")
            work.git("commit", "-q", "--amend", "-m", "as if nothing had been")
            line = server.wait_for("history-rewritten")
            assert (before, work.git("rev-parse", "HEAD")) == (line["previous"], line["revision"])
            assert wait_until(lambda: site_status(server)["history"] == "rewritten")
            said = gitboot("status", "--server", f"http://127.0.0.1:{server.port}").stdout
            assert f"history was rewritten: commit {before[:12]} is no ancestor of {line['revision'][:12]}" in said
            git.close()
            assert wait_until(lambda: ready(server)["reason"] == "Unavailable")
            assert "check that the git server is running" in ready(server)["message"]
            site = site_status(server)
            assert (line["revision"], True) == (site["revision"], site["lastSuccess"] is not None)
            metrics = server.get("/metrics").decode()
            (at,) = re.findall(r"^gitboot_reconcile_last_success_seconds (\S+)$", metrics, re.MULTILINE)
            assert 0 < time.time() - float(at) < 60
            assert 0 == server.stop(10)


def ready(server: Gitboot) -> dict[str, Any]:
    return next(each for each in site_status(server)["conditions"] if each["type"] == "Ready")


def site_status(server: Gitboot) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(server.get("/status/reconcile.json"))
    return document


def test_a_mirror_that_was_lost_cannot_say_what_came_before_and_says_that(work: Work, tmp_path: Path) -> None:
    with http_server(tmp_path / "served") as base, closing(Mirror(tmp_path / "git", Source(f"{base}/site/.git"), 20)) as mirror:
        head = mirror.fetch()
        assert (None, True) == (mirror.follows(head, "f" * 40), mirror.follows(work.commit() and mirror.fetch(), head))


def test_a_branch_that_was_set_back_by_years_is_rewritten(work: Work, tmp_path: Path) -> None:
    """No commit between the two is young enough to be asked for."""
    dated = (b"commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 0\n\n" % at for at in (1_500_000_000, 1_600_000_000))
    work.git("fast-import", "--quiet", "--force", feed=b"deleteall\n".join([*dated, b""]))
    with http_server(tmp_path / "served") as base, closing(Mirror(tmp_path / "git", Source(f"{base}/site/.git"), 20)) as mirror:
        young = mirror.fetch()
        work.git("update-ref", "refs/heads/main", "main~1")
        assert False is mirror.follows(mirror.fetch(), young)


def test_a_mirror_is_as_large_as_its_commit_and_not_as_its_history(work: Work, tmp_path: Path) -> None:
    """50,000 files, 1,000 commits; the figures are printed."""
    work.git("fast-import", "--quiet", "--done", "--force", feed=b"".join(large_history(50_000, 1_000)))
    with http_server(tmp_path / "served") as base:
        mirror = Mirror(tmp_path / "git", Source(f"{base}/site/.git", "large"), 60)
        clock = [time.perf_counter()]
        head = mirror.fetch()
        clock.append(time.perf_counter())
        assert [head] == work.git(f"--git-dir={tmp_path}/git", "rev-list", head).split()
        assert 50_000 == len(mirror.snapshot(head).entries)
        clock.append(time.perf_counter())
        work.git("fast-import", "--quiet", "--done", feed=b"".join(one_more(3)))
        clock.append(time.perf_counter())
        later = mirror.fetch()
        clock.append(time.perf_counter())
        assert mirror.follows(later, head)
        clock.append(time.perf_counter())
        mirror.close()
    size = sum(path.stat().st_size for path in (tmp_path / "git").rglob("*") if path.is_file())
    first, read, _, push, history = (after - before for before, after in pairwise(clock))
    print(f"fetch {first:.2f} s, read {read:.2f} s; one push: fetch {push:.2f} s, history {history:.2f} s; {size >> 20} MiB")


def large_history(files: int, commits: int) -> Iterator[bytes]:
    for number in range(commits):
        yield b"commit refs/heads/large\ncommitter A <a@b> %d +0000\ndata 0\n\n" % (1_600_000_000 + number * 600)
        for file in range(files) if number == 0 else range(number * 7 % files, number * 7 % files + 3):
            data = b"name: node-%d\nchange: %d\n" % (file, number)
            yield b"M 644 inline %d/%d.yaml\ndata %d\n%s\n" % (file // 250, file, len(data), data)
    yield b"done\n"


def one_more(commits: int) -> Iterator[bytes]:
    for number in range(commits):
        yield b"commit refs/heads/large\ncommitter A <a@b> %d +0000\ndata 0\n\n" % (1_700_000_000 + number)
        yield b"from refs/heads/large^0\n" if number == 0 else b""
        yield b"M 644 inline 0/0.yaml\ndata 1\n%d\n" % number
    yield b"done\n"
