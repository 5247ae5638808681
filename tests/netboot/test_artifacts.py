"""Artefacts: what is served under a digest has that digest, whatever is done to the files meanwhile."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from netboot import artifacts, download
from netboot.artifacts import ArtifactStore, MirrorError, by_digest
from netboot.plan import Artifact


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def age(file: Path, seconds: float = 10) -> None:
    """As if it had been written that long ago: what is fresh is hashed each time."""
    os.utime(file, (time.time() - seconds, time.time() - seconds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "art"
    (folder / "os").mkdir(parents=True)
    (folder / "os/vmlinuz").write_bytes(b"kernel")
    (tmp_path / "state").mkdir()
    return folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(folder, tmp_path / "state")


def content(store: ArtifactStore, artifact: Artifact) -> bytes | None:
    file = store.open(artifact)
    if file is None:
        return None
    with file:
        return file.read()


def test_files_of_the_folder_are_found_and_the_others_are_left_out(store: ArtifactStore) -> None:
    expected = {"os/vmlinuz": Artifact("os/vmlinuz", sha256(b"kernel"), 6)}
    assert expected == store.find(["os/vmlinuz", "os/missing", "os"])


@pytest.mark.parametrize(
    "path", ["../secret", "os/../../secret", "/etc/hostname", "link", "circle", "nul\0byte", "x" * 5000, "os/vmlinuz/x", "fifo"]
)
def test_nothing_outside_the_folder_and_nothing_but_files_is_found(store: ArtifactStore, folder: Path, path: str) -> None:
    (folder.parent / "secret").write_text("secret")
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "fifo")
    assert {} == store.find([path])
    assert store.open(Artifact(path, sha256(b"secret"), 6)) is None


def test_a_link_within_the_folder_is_followed(store: ArtifactStore, folder: Path) -> None:
    (folder / "current").symlink_to("os/vmlinuz")
    assert sha256(b"kernel") == store.find(["current"])["current"].sha256


def test_without_a_folder_nothing_is_found(tmp_path: Path) -> None:
    assert {} == ArtifactStore(None, tmp_path).find(["os/vmlinuz"])


@pytest.mark.parametrize("how", ["in place", "by a rename", "keeping its times"])
def test_a_replaced_file_is_another_artefact_and_the_old_one_is_gone(store: ArtifactStore, folder: Path, how: str) -> None:
    file = folder / "os/vmlinuz"
    age(file)
    old = store.find(["os/vmlinuz"])["os/vmlinuz"]
    before = file.stat()
    if how == "by a rename":
        (folder / "new").write_bytes(b"LENREK")
        (folder / "new").rename(file)
    else:
        file.write_bytes(b"LENREK")
    if how == "keeping its times":
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.open(old) is None
    new = store.find(["os/vmlinuz"])["os/vmlinuz"]
    assert (sha256(b"LENREK"), b"LENREK") == (new.sha256, content(store, new))


class Counting(ArtifactStore):
    hashed = 0

    def _hash(self, content):  # type: ignore[no-untyped-def]  # only counts
        self.hashed += 1
        return super()._hash(content)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once: their change time cannot be set back."""
    monkeypatch.setattr(artifacts, "SETTLED_NS", -1)


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once_also_across_restarts_and_by_a_neighbour(folder: Path, tmp_path: Path) -> None:
    neighbour = Counting(folder, tmp_path / "state")  # started before there was anything to remember
    first = Counting(folder, tmp_path / "state")
    found = first.find(["os/vmlinuz"])
    assert found == first.find(["os/vmlinuz"])
    again = Counting(folder, tmp_path / "state")
    assert found == again.find(["os/vmlinuz"]) == neighbour.find(["os/vmlinuz"])
    assert (1, 0, 0) == (first.hashed, again.hashed, neighbour.hashed)


def test_a_file_that_may_still_be_written_to_is_hashed_again(folder: Path, tmp_path: Path) -> None:
    store = Counting(folder, tmp_path / "state")
    (folder / "os/vmlinuz").write_bytes(b"fresh!")
    store.find(["os/vmlinuz"])
    store.find(["os/vmlinuz"])
    assert 2 == store.hashed


@pytest.mark.parametrize("remembered", [b"", b"[]", b'{"x": 1}', b"\xff", b'{"\xff": 1}'])
def test_damaged_memory_only_costs_hashing(folder: Path, tmp_path: Path, remembered: bytes) -> None:
    (tmp_path / "state/artifacts.json").write_bytes(remembered)
    assert sha256(b"kernel") == ArtifactStore(folder, tmp_path / "state").find(["os/vmlinuz"])["os/vmlinuz"].sha256


def test_hashing_stops_when_the_server_does(store: ArtifactStore) -> None:
    store.stop()
    with pytest.raises(MirrorError):
        store.find(["os/vmlinuz"])


def test_artefacts_without_a_digest_have_no_place_among_those_by_digest() -> None:
    verified = Artifact("a", "1" * 64)
    assert {"1" * 64: verified} == by_digest([{"a": verified, "u": Artifact("u", url="http://x/u")}])


class Origin:
    """An HTTP server that behaves as its paths say."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if handler.path == "/missing":
            handler.send_error(404)
            return
        if handler.path == "/ftp":
            handler.send_response(302)
            handler.send_header("Location", "ftp://127.0.0.1:9/vmlinuz")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"ker" if handler.path in ("/slow", "/cut") else b"kernel")
        handler.wfile.flush()
        if handler.path == "/slow":
            self.release.wait(20)


@contextmanager
def origin() -> Iterator[tuple[Origin, str]]:
    here = Origin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in http.server
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here, f"http://127.0.0.1:{server.server_port}"
    finally:
        here.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def parts(store: ArtifactStore) -> list[Path]:
    assert store.mirror is not None
    return list(store.mirror.glob("*.part"))


@pytest.mark.shell
def test_a_url_is_mirrored_once_and_served_from_here(store: ArtifactStore) -> None:
    with origin() as (here, base):
        artifact = store.fetch(f"{base}/vmlinuz", sha256(b"kernel"))
        assert artifact == store.fetch(f"{base}/vmlinuz", sha256(b"kernel"))
    assert ["/vmlinuz"] == here.asked
    assert b"kernel" == content(store, artifact)
    assert [] == parts(store)


@pytest.mark.shell
def test_a_mirrored_file_that_was_damaged_is_not_served_and_is_fetched_anew(store: ArtifactStore) -> None:
    with origin() as (here, base):
        artifact = store.fetch(f"{base}/vmlinuz", sha256(b"kernel"))
        assert store.mirror is not None
        (store.mirror / artifact.sha256).write_bytes(b"LENREK")
        assert store.open(artifact) is None
        store.fetch(f"{base}/vmlinuz", sha256(b"kernel"))
        assert 2 == len(here.asked)
    assert b"kernel" == content(store, artifact)


@pytest.mark.shell
@pytest.mark.parametrize(
    ("path", "digest", "said"),
    [
        ("/vmlinuz", "1" * 64, f"has the sha256 {sha256(b'kernel')}, not the {'1' * 64} that git names"),
        ("/missing", sha256(b"kernel"), "404"),
        ("/cut", sha256(b"kernel"), "3 bytes early"),
        ("/cut", sha256(b"ker"), "3 bytes early"),
    ],
)
def test_other_bytes_than_git_promised_are_not_kept(store: ArtifactStore, path: str, digest: str, said: str) -> None:
    with origin() as (_, base), pytest.raises(MirrorError, match=said):
        store.fetch(f"{base}{path}", digest)
    assert store.mirror is not None
    assert [] == list(store.mirror.iterdir())


@pytest.mark.shell
def test_a_dead_origin_is_the_worlds_fault(store: ArtifactStore) -> None:
    with pytest.raises(MirrorError, match=r"refused.*tried again"):
        store.fetch("http://127.0.0.1:9/x", "1" * 64)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x", "HTTP:/x"])
def test_only_http_is_mirrored(store: ArtifactStore, url: str) -> None:
    with pytest.raises(MirrorError):
        store.fetch(url, "1" * 64)


@pytest.mark.shell
def test_a_slow_origin_is_waited_for_only_so_long(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LOOK", 0.01)
    with origin() as (_, base):
        assert store.mirror is not None
        store.mirror.mkdir()
        for bounds in ({"timeout": 0.1}, {"longest": 0.1}):
            with pytest.raises(MirrorError, match="tried again"):
                download.download(f"{base}/slow", store.mirror / "x", threading.Event(), **bounds)


@pytest.mark.shell
def test_a_redirect_leads_to_nothing_but_http(store: ArtifactStore) -> None:
    with origin() as (_, base), pytest.raises(MirrorError, match="leads to an address that is neither http nor https"):
        store.fetch(f"{base}/ftp", sha256(b"kernel"))


@pytest.mark.shell
def test_a_download_leaves_room_for_the_journal(store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_free", lambda _: download.RESERVE - 1)
    with origin() as (_, base), pytest.raises(MirrorError, match="full but for the 128 MiB that are kept for the journal"):
        store.fetch(f"{base}/kernel", sha256(b"kernel"))
    assert [] == list((tmp_path / "state/artifacts").iterdir())


@pytest.mark.shell
def test_a_download_is_left_behind_when_the_server_stops(store: ArtifactStore) -> None:
    with origin() as (here, base):
        caught: list[BaseException] = []

        def fetch() -> None:
            try:
                store.fetch(f"{base}/slow", sha256(b"kernel"))
            except MirrorError as error:
                caught.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        while not here.asked:
            threading.Event().wait(0.005)
        began = time.monotonic()
        store.stop()
        thread.join()
        assert time.monotonic() - began < 20
        assert 1 == len(caught)


def test_what_no_plan_names_any_more_leaves_the_mirror(store: ArtifactStore) -> None:
    store.forget(())  # before there is a mirror
    assert store.mirror is not None
    store.mirror.mkdir()
    for name in ("1" * 64, "2" * 64, f"{'3' * 64}.abc.part"):
        (store.mirror / name).touch()
    store.forget(["1" * 64])
    assert ["1" * 64] == [file.name for file in store.mirror.iterdir()]


def test_a_folder_is_all_the_files_below_it_and_nothing_outside(store: ArtifactStore, folder: Path) -> None:
    (folder / "rpi4/overlays").mkdir(parents=True)
    for name in ("start4.elf", "overlays/vc4.dtbo"):
        (folder / "rpi4" / name).write_bytes(b"x")
    assert ["rpi4/overlays/vc4.dtbo", "rpi4/start4.elf"] == store.below("rpi4")
    assert [] == store.below("nowhere")
    assert [] == store.below("../state")
    assert [] == ArtifactStore(None, None).below("rpi4")
