"""After the ports are bound nothing is root's, and everything goes on."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from netboot import privileges
from netboot.certificate import fingerprint, read_certificate
from netboot.dhcp_packet import ACK, DISCOVER, REQUEST, decode, encode
from netboot.privileges import CannotBecome, find_user
from tests.netboot.dhcp_example import packet
from tests.netboot.test_certificate import give
from tests.reconciler.gitkit import Work, wait_until
from tests.reconciler.inventories import SOUND
from tests.reconciler.process import DEADLINE, Gitboot, by_tls, gitboot
from tests.reconciler.test_reconcile import SECOND_MACHINE

pytestmark = [pytest.mark.shell, pytest.mark.skipif(os.geteuid() != 0, reason="takes root to give privileges away")]
NOBODY = pwd.getpwnam("nobody")
NET_ADMIN = 1 << 12


@pytest.fixture(autouse=True)
def _python_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this Python lies in root's own home, nobody can use it, and the host's own takes its place."""
    try:
        check = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups", "--inh-caps=-all"]
        readable = subprocess.run([*check, "cat", os.__file__, __file__], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        readable = False
    if not readable:
        monkeypatch.setattr(sys, "executable", f"/usr/bin/python3.{sys.version_info.minor}")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), sysconfig.get_path("purelib")]))
        if not Path(sys.executable).exists():
            pytest.skip("no Python that nobody can read")


@pytest.fixture
def folder() -> Iterator[Path]:
    """As `tmp_path`, but others may pass through it."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def site(folder: Path) -> Work:
    work = Work(folder / "site")
    for path, content in SOUND.items():
        work.write(path, content.replace("name: home}\nspec:", "name: home}\nspec:\n  unknown: wait"))
    work.commit()
    (folder / "art/inspect").mkdir(parents=True)
    (folder / "art/inspect/vmlinuz").write_bytes(b"kernel")
    return work


def serve(site: Work, *more: str) -> Gitboot:
    root = site.path.parent
    ports = (
        "--listen",
        "0.0.0.0",
        "--dhcp-port",
        "0",
        "--tftp-port",
        "0",
        "--http-port",
        "0",
        "--https-port",
        "0",
        "--reply-to-source",
    )
    words = ("--repo", site.path, "--state", root / "state", "--artifacts", root / "art", "--poll", "1", "--new-site")
    return Gitboot("serve", *words, *ports, *more)


def threads(process: int) -> list[dict[str, str]]:
    """What the kernel says of each, the first one first."""
    said = []
    for path in sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda path: int(path.name)):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            said.append((path / "status").read_text())
    return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in said]


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in [folder, *folder.rglob("*")]}


def leased(server: Gitboot) -> str:
    """An address for a machine that git does not know, acknowledged and then renewed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", server.wait_for("listening")["dhcp"]))

        def ask(message: int, address: bytes = b"", renewed: str = "0.0.0.0") -> bytes:
            place = {118: socket.inet_aton("10.1.0.0")}
            client.send(encode(packet(message, place | ({50: address} if address else {}), ciaddr=renewed)))
            reply = decode(client.recv(4096))
            assert message == DISCOVER or ACK == reply.message
            return reply.yiaddr

        address = ask(REQUEST, ask(DISCOVER))
        assert address == ask(REQUEST, renewed=socket.inet_ntoa(address))
        return socket.inet_ntoa(address)


def watched_git(folder: Path) -> Path:
    """A git in `bin/` that leaves a line about whose it is, and where."""
    wrapper, witness = folder / "bin/git", folder / "witness"
    wrapper.parent.mkdir()
    seen = f"echo $(id -u) $(grep CapPrm /proc/self/status) $* >>{witness}"
    wrapper.write_text(f'#!/bin/sh\n{seen}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    witness.touch()
    witness.chmod(0o666)
    return witness


def check(witness: Path) -> None:
    """Every git was nobody's and had no capability, but for gitpython's `git version` while it is imported."""
    ours = [line for line in witness.read_text().splitlines() if not line.endswith(" version")]
    assert {f"{NOBODY.pw_uid} CapPrm: 0000000000000000"} == {" ".join(line.split()[:3]) for line in ours}


def test_the_servers_are_an_ordinary_users_once_they_listen_and_everything_goes_on(
    site: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = watched_git(folder)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        started = serve(site, "--user", "nobody")
    with started as server:
        first = server.wait_for("plan-served")["plan"]
        process = server.process.pid
        for told in threads(process):
            assert {str(NOBODY.pw_uid)} == set(told["Uid"].split())
            assert {str(NOBODY.pw_gid)} == set(told["Gid"].split())
            assert set(told["Groups"].split()) <= {str(NOBODY.pw_gid)}
            assert all(int(told[kind], 16) in (0, NET_ADMIN) for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
        assert "1" == threads(process)[0]["NoNewPrivs"]
        address = leased(server)
        site.write("two.yaml", SECOND_MACHINE)
        site.commit()
        assert wait_until(lambda: first not in server.get("/readyz").decode())
        assert 0 == server.stop()
    assert {NOBODY.pw_uid} == owners(folder / "state")
    check(witness)
    with serve(site, "--user", "nobody") as server:
        assert address == leased(server)
        assert 0 == server.stop()


def test_a_service_managers_capabilities_open_the_ports_and_go_no_further(
    site: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/deploy/gitboot.service has it: an ordinary user from the start, with ambient capabilities."""
    witness = watched_git(folder)
    (folder / "state").mkdir()
    os.chown(folder / "state", NOBODY.pw_uid, NOBODY.pw_gid)
    capabilities = "+net_bind_service,+net_admin"
    manager = folder / "bin/python"
    manager.write_text(
        f"#!/bin/sh\nexec setpriv --reuid={NOBODY.pw_uid} --regid={NOBODY.pw_gid} --clear-groups --no-new-privs"
        f" --inh-caps=-all,{capabilities} --ambient-caps=-all,{capabilities} --bounding-set=-all,{capabilities}"
        f' {sys.executable} "$@"\n'
    )
    manager.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        patched.setattr(sys, "executable", str(manager))
        started = serve(site, "--http-port", str(low_port()))
    with started as server:
        server.wait_for("plan-served")
        assert server.port < 1024
        assert leased(server)
        assert 0 == server.stop()
    check(witness)


def low_port() -> int:
    """One that takes a privilege to bind, and is free."""
    for port in range(1023, 600, -1):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("0.0.0.0", port))
            return port
    raise AssertionError("every port below 1024 is taken")


def test_a_key_that_root_alone_may_read_is_read_before_and_what_was_made_is_the_users(site: Work, folder: Path) -> None:
    certificate, key = give(folder)
    for file in (certificate, key):
        file.chmod(0o600)
    with serve(site, "--user", "nobody", "--certificate", str(certificate), "--private-key", str(key)) as server:
        server.wait_for("plan-served")
        with closing(by_tls(server.secure_port)) as connection:
            connection.connect()
            shown = sha256(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()
        assert fingerprint(read_certificate(certificate)) == shown
        assert {NOBODY.pw_uid} == owners(folder / "state")
        assert {0} == owners(certificate) | owners(key)
        assert 0 == server.stop()
        assert [] == server.said


def test_what_root_did_meanwhile_is_given_back(site: Work, folder: Path) -> None:
    with serve(site) as server:
        server.wait_for("plan-served")
        assert 0 == server.stop()
    assert {0} == owners(folder / "state")
    with serve(site, "--user", "nobody") as server:
        server.wait_for("plan-served")
        leased(server)
        assert 0 == server.stop()
    assert {NOBODY.pw_uid} == owners(folder / "state")


def test_nothing_outside_the_state_directory_is_given_away(folder: Path) -> None:
    outside, state = folder / "outside", folder / "state"
    (outside / "inner").mkdir(parents=True)
    (outside / "secret").touch()
    (outside / "other").touch()
    (state / "deep").mkdir(parents=True)
    (state / "link").symlink_to(outside)
    (state / "deep/file").symlink_to(outside / "secret")
    (state / "deep/second-name").hardlink_to(outside / "other")
    privileges._give(state, NOBODY.pw_uid, NOBODY.pw_gid)
    assert {0} == owners(outside)
    assert NOBODY.pw_uid == (state / "deep").stat().st_uid == (state / "link").lstat().st_uid


@pytest.mark.parametrize(
    ("name", "said"),
    [("nobody-here", "There is no user 'nobody-here' on this host; make it with"), ("root", "--user root is root itself")],
)
def test_a_user_that_cannot_be_become_is_a_sentence(site: Work, name: str, said: str) -> None:
    root = site.path.parent
    done = gitboot(
        "netboot",
        "--state",
        root / "state",
        "--dhcp-port",
        "-1",
        "--tftp-port",
        "-1",
        "--http-port",
        "0",
        "--https-port",
        "0",
        "--user",
        name,
    )
    assert (1, True) == (done.returncode, said in done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_only_root_becomes_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(CannotBecome, match="Only root can become nobody; start gitboot as root, or as nobody"):
        find_user("nobody")
    monkeypatch.setattr("os.geteuid", lambda: NOBODY.pw_uid)
    assert NOBODY == find_user("nobody")


def test_a_state_directory_that_the_user_cannot_come_to_is_a_sentence(site: Work, folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    words = ("--dhcp-port", "-1", "--tftp-port", "-1", "--http-port", "0", "--https-port", "0", "--user", "nobody")
    done = gitboot("netboot", "--state", closed / "state", *words)
    assert 1 == done.returncode
    assert "nobody cannot use" in done.stderr
    assert "let that user pass through the folders above it" in done.stderr
