"""An image comes from where git says, is what git says, and where it cannot be had a sentence says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent import images
from agent.client import Unavailable as NoServer
from agent.engine import Refused, Unavailable
from agent.images import HELD_BACK, PAUSES, Images, NotHad, Wrong, verified
from agent.workflow import Action, Archive, Workflow
from tests.agent.fake_engine import FakeEngine
from tests.agent.fakes import FakeServer
from tests.agent.http_server import FaultyServer

PULLED = Action("a", "reg.example/img:1")
TAR = bytes(3 * HELD_BACK)
ARCHIVE = Archive("/artifacts/actions.tar", sha256(TAR).hexdigest(), len(TAR))
LOADED = Action("a", "disk-wipe:v3", archive=ARCHIVE)


@pytest.fixture
def engine() -> FakeEngine:
    made = FakeEngine()
    made.registry["reg.example/img:1"] = {"Id": "sha256:1", "RepoDigests": ["reg.example/img@sha256:d1"]}
    made.archives[TAR] = ["disk-wipe:v3", "image2disk:v3"]
    return made


class Site:
    """`slept` has the pauses; `said` what the action's log gets."""

    def __init__(self, engine: FakeEngine, state: Path) -> None:
        self.slept: list[float] = []
        self.said: list[str] = []
        self.images = Images(engine, "http://10.1.0.1", state, self.slept.append)

    def get(self, action: Action) -> str:
        return self.images.get(action, self.said.append)


@pytest.fixture
def site(engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(images, "_chunks", lambda server, pins, archive: chunks(TAR))
    return Site(engine, tmp_path / "images")


def chunks(whole: bytes) -> Iterator[bytes]:
    return (whole[start : start + 70_000] for start in range(0, len(whole), 70_000))


def failing(times: int, error: Exception) -> Callable[[str, str], None]:
    left = [error] * times

    def trouble(verb: str, name: str) -> None:
        if verb in ("pull", "load") and left:
            raise left.pop()

    return trouble


def test_an_image_is_pulled_and_the_log_says_so(site: Site) -> None:
    assert "sha256:1" == site.get(PULLED)
    assert ["pulling reg.example/img:1", "reg.example/img:1 is here after 0 s"] == site.said


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the engine restarts"),
        Refused(500, "Get http://reg: connect: connection refused"),
        Refused(500, "toomanyrequests: slow down"),
        Refused(503, "unavailable"),
    ],
)
def test_what_may_pass_is_tried_five_times(engine: FakeEngine, site: Site, error: Exception) -> None:
    engine.trouble = failing(4, error)
    assert "sha256:1" == site.get(PULLED)
    assert list(PAUSES) == site.slept
    assert f"reg.example/img:1 cannot be pulled: {error}; trying again in 2 s" == site.said[1]
    engine.trouble = failing(5, error)
    with pytest.raises(NotHad, match="cannot be pulled: "):
        site.get(PULLED)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Refused(404, "manifest unknown"), ""),
        (Refused(400, "invalid reference format"), ""),
        (Refused(500, "unauthorized: authentication required"), "look at the login"),
        (Refused(500, "Get https://reg/v2/: no basic auth credentials"), "give the site `images.pullSecrets`"),
        (Refused(404, "pull access denied for img"), "images.pullSecrets"),
        (Refused(500, "http: server gave HTTP response to HTTPS client"), "images.insecureRegistries"),
        (Refused(500, "write /layer: no space left on device"), "images live in memory"),
    ],
)
def test_what_will_not_pass_is_told_at_once(engine: FakeEngine, site: Site, error: Exception, advice: str) -> None:
    engine.trouble = failing(1, error)
    with pytest.raises(NotHad) as told:
        site.get(PULLED)
    assert [] == site.slept
    assert f"cannot be pulled: {error}" in str(told.value)
    assert advice in str(told.value)


def test_an_error_in_the_midst_of_a_pull_is_an_error(engine: FakeEngine, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: str, login: object) -> Iterator[Mapping[str, Any]]:
        yield {"status": "Pulling fs layer"}
        yield {"error": "unauthorized: authentication required"}

    monkeypatch.setattr(engine, "pull", broken)
    with pytest.raises(NotHad, match="unauthorized"):
        site.get(PULLED)


def test_a_login_opens_the_registry(engine: FakeEngine, site: Site) -> None:
    login = {"username": "me", "password": "correct horse"}
    engine.registry[PULLED.image], engine.logins[PULLED.image] = {"Id": "1"}, login
    with pytest.raises(NotHad, match="no basic auth credentials; give the site"):
        site.get(PULLED)
    assert "1" == site.images.get(PULLED, site.said.append, login)


@pytest.mark.parametrize("name", ["reg.example:5000/img@sha256:d1", "reg.example:5000/img:1@sha256:d1"])
def test_an_image_named_by_digest_is_that_or_none(engine: FakeEngine, site: Site, name: str) -> None:
    engine.registry[name] = {"Id": "right", "RepoDigests": ["reg.example:5000/img@sha256:d1"]}
    assert "right" == site.get(Action("a", name))
    engine.registry[name] = {"Id": "wrong", "RepoDigests": ["reg.example:5000/img@sha256:d2"]}
    with pytest.raises(NotHad, match="has another digest"):
        site.get(Action("a", name))


def test_an_archive_is_loaded_once_for_all_its_images_and_all_agents(engine: FakeEngine, site: Site, tmp_path: Path) -> None:
    assert "id of disk-wipe:v3" == site.get(LOADED)
    assert "id of image2disk:v3" == site.get(Action("b", "image2disk:v3", archive=ARCHIVE))
    assert "id of disk-wipe:v3" == Site(engine, tmp_path / "images").get(LOADED)
    assert ["load"] == engine.journal


def test_an_image_that_another_archive_took_the_name_of_is_still_that_of_its_own(engine: FakeEngine, site: Site) -> None:
    site.get(LOADED)
    engine.images["theirs"] = engine.images["disk-wipe:v3"]
    engine.images["disk-wipe:v3"] = {"Id": "another"}
    assert "id of disk-wipe:v3" == site.get(LOADED)


def test_an_image_that_podman_names_after_its_own_host_is_found(engine: FakeEngine, site: Site) -> None:
    engine.archives[TAR] = ["localhost/disk-wipe:v3"]
    assert "id of localhost/disk-wipe:v3" == site.get(LOADED)


def test_an_archive_is_loaded_again_when_the_engine_forgot_it(engine: FakeEngine, site: Site) -> None:
    site.get(LOADED)
    engine.images.clear()
    assert "id of disk-wipe:v3" == site.get(LOADED)
    assert ["load", "load"] == engine.journal


def test_an_image_that_its_archive_does_not_hold_is_told_with_what_it_holds(site: Site) -> None:
    with pytest.raises(NotHad, match="does not hold the image nope:1; it holds disk-wipe:v3, image2disk:v3"):
        site.get(Action("a", "nope:1", archive=ARCHIVE))


def test_of_a_wrong_archive_the_engine_never_gets_the_end(
    engine: FakeEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_chunks", lambda server, pins, archive: chunks(TAR[:-1] + b"x"))
    with pytest.raises(NotHad, match=f"and git named {ARCHIVE.sha256}"):
        site.get(LOADED)
    assert {} == engine.images
    assert [] == site.slept


def test_an_archive_that_ends_early_is_asked_for_again(engine: FakeEngine, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([TAR[:1000], TAR[:-1], TAR])
    monkeypatch.setattr(images, "_chunks", lambda server, pins, archive: chunks(next(answers)))
    assert "id of disk-wipe:v3" == site.get(LOADED)
    assert [2.0, 4.0] == site.slept


@pytest.mark.parametrize("size", [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, 5 * HELD_BACK + 3])
def test_what_is_right_comes_out_whole_and_what_is_wrong_without_its_end(size: int) -> None:
    whole = bytes(size)
    right = Archive("/x", sha256(whole).hexdigest(), size)
    assert whole == b"".join(verified(chunks(whole), right))
    given: list[bytes] = []
    with pytest.raises(Wrong):
        given.extend(verified(chunks(whole), Archive("/x", "0" * 64, size)))
    assert len(b"".join(given)) <= max(0, size - HELD_BACK)
    with pytest.raises(NoServer):
        list(verified(chunks(whole), Archive("/x", right.sha256, size + 1)))


@pytest.mark.shell
def test_an_archive_comes_over_http_and_what_is_not_there_is_told_at_once(engine: FakeEngine, tmp_path: Path) -> None:
    with FaultyServer(FakeServer(Workflow("w", ()))) as server:
        site = Site(engine, tmp_path / "images")
        site.images = Images(engine, server.url, tmp_path / "images", site.slept.append)
        with pytest.raises(NotHad, match="cannot be loaded: the server answers HTTP 404"):
            site.get(LOADED)
        server.files = {ARCHIVE.url: TAR}
        assert "id of disk-wipe:v3" == site.get(LOADED)
    assert [] == site.slept
    engine.images.clear()
    with pytest.raises(NotHad, match="the server does not answer"):
        site.get(LOADED)
    assert list(PAUSES) == site.slept
