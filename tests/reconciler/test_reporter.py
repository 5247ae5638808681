"""What is said to the forge: everything once, over restarts and through whatever the forge does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netboot import outbox
from netboot.commit_status import CommitStatus
from netboot.log import Log
from reconciler import reporter as module
from reconciler.errors import Unavailable
from reconciler.forges import Answer, Request, forge_of
from reconciler.reporter import SAID, Reporter
from tests.netboot.site import logged
from tests.reconciler.forgestub import TOKEN, Stub, forge

API = "https://git.lab.example"
SERVING = CommitStatus("1f" * 20, "success", "gitboot", "serving")
REJECTED = CommitStatus("2f" * 20, "failure", "gitboot", "rejected: 3 problems")


def by_hand(stub: Stub) -> Callable[[Request], Answer]:
    """As over a socket, without one."""

    def exchange(request: Request) -> Answer:
        headers = {key.lower(): value for key, value in request.headers.items()}
        target = request.url.removeprefix(API)
        status, more, content = stub.answer(request.method, target, headers, json.loads(request.body))
        return Answer(status, {key.lower(): value for key, value in more.items()}, json.dumps(content).encode())

    return exchange


class Site:
    """A state directory, a forge, and a reporter that is started again at will; its steps are taken one at a time."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.stub = Stub("github")
        self.stream = io.StringIO()
        self.log = Log(self.stream)
        self.restart()

    def restart(self, project: str = "lab/site", token: str = TOKEN) -> None:
        settings = forge_of("github", API, project, token)
        self.reporter = Reporter(self.state, settings, self.log, by_hand(self.stub))

    def down(self) -> None:
        def hung(_: Request) -> Answer:
            raise Unavailable("https://git.lab.example does not answer (timed out).")

        self.reporter._exchange = hung

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(status["sha"], status["description"]) for status in self.stub.statuses]

    def lines(self) -> list[dict[str, Any]]:
        return logged(self.log)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_report_is_said_once_however_often_it_is_made_and_over_restarts(site: Site) -> None:
    for _ in range(3):
        for _ in range(3):
            site.reporter.say(SERVING)
            assert 0.0 == site.reporter.step()
        site.restart()
    assert [(SERVING.revision, "serving")] == site.told
    assert [] == outbox.waiting(site.state)


def test_what_was_not_said_before_the_end_is_said_after_the_next_start(site: Site) -> None:
    site.down()
    site.reporter.say(SERVING)
    site.reporter.step()
    site.restart()
    site.reporter.step()
    assert [(SERVING.revision, "serving")] == site.told


def test_a_commit_that_goes_from_rejected_to_served_and_back_is_said_each_time(site: Site) -> None:
    turns = [CommitStatus(SERVING.revision, "failure", "gitboot", "rejected"), SERVING] * 2
    for report in turns:
        site.reporter.say(report)
        site.reporter.step()
    assert [report.description for report in turns] == [description for _, description in site.told]


def test_only_the_last_word_about_a_commit_is_said_when_the_forge_is_back(site: Site) -> None:
    site.down()
    for report in (CommitStatus(SERVING.revision, "failure", "gitboot", "rejected"), REJECTED, SERVING):
        site.reporter.say(report)
        site.reporter.step()
    site.restart()
    site.reporter.step()
    assert [(SERVING.revision, "serving"), (REJECTED.revision, REJECTED.description)] == site.told


def test_a_forge_that_is_down_is_one_line_and_one_sentence_and_is_asked_less_and_less_often(site: Site) -> None:
    site.down()
    site.reporter.say(SERVING)
    pauses = [site.reporter.step() for _ in range(20)]
    assert 0 < pauses[0] < 2
    assert pauses[4] > pauses[0]
    assert max(pauses) <= 720
    assert "does not answer" in site.reporter.trouble
    assert ["forge-unavailable"] == [line["event"] for line in site.lines()]
    site.reporter._exchange = by_hand(site.stub)
    assert (0.0, "") == (site.reporter.step(), site.reporter.trouble)
    assert 1 == len(site.told)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ((401, {}, {"message": "Bad credentials"}), "does not know the token"),
        ((403, {}, {"message": "Resource not accessible"}), "does not let the token do this"),
        ((404, {}, {"message": "Not Found"}), "check --forge-project"),
        ((301, {"Location": "https://elsewhere.example/"}, {}), "has moved"),
    ],
)
def test_what_somebody_must_mend_is_said_once_and_works_without_a_restart(site: Site, trouble: Any, said: str) -> None:
    site.stub.trouble = lambda *_: trouble
    site.reporter.say(SERVING)
    for _ in range(5):
        assert site.reporter.step() > 0
    assert said in site.reporter.trouble
    assert 1 == len(site.lines())
    site.stub.trouble = lambda *_: None
    site.reporter.step()
    assert ("", 1) == (site.reporter.trouble, len(site.told))


def test_the_token_is_in_no_log_no_status_and_no_file(site: Site) -> None:
    site.restart(token="another" + TOKEN)
    site.stub.trouble = lambda *_: (401, {}, {"message": f"another{TOKEN} is not known"})
    site.reporter.say(SERVING)
    site.reporter.step()
    site.log.flush()
    kept = b"".join(path.read_bytes() for path in site.state.rglob("*") if path.is_file())
    assert TOKEN not in f"{site.reporter.trouble} {site.stream.getvalue()} {kept!r}"


def test_a_pause_that_the_forge_asks_for_is_kept(site: Site) -> None:
    site.stub.trouble = lambda *_: (429, {"Retry-After": "300"}, {"message": "slow down"})
    site.reporter.say(SERVING)
    assert 300 <= site.reporter.step() < 400


def test_a_commit_that_the_forge_does_not_have_holds_up_no_other(site: Site) -> None:
    """As one that was forced away before the forge was told."""
    site.stub.is_unknown = lambda sha: sha == SERVING.revision
    for report in (SERVING, REJECTED):
        site.reporter.say(report)
    assert 0.0 == site.reporter.step()
    assert [(REJECTED.revision, REJECTED.description)] == site.told
    assert ["report-refused"] == [line["event"] for line in site.lines()]
    assert [] == outbox.waiting(site.state)


def test_gitlabs_404_for_one_commit_is_told_from_its_404_for_the_project(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.stub = Stub("gitlab", is_unknown=lambda sha: sha == SERVING.revision)
    site.reporter = Reporter(tmp_path, forge_of("gitlab", API, "lab/site", TOKEN), site.log, by_hand(site.stub))
    site.reporter.say(SERVING)
    assert site.reporter.step() > 0, "it may be the project"
    site.reporter.say(REJECTED)
    assert 0.0 == site.reporter.step(), "the project took the other one, so it is the commit"
    assert ([], [(REJECTED.revision, REJECTED.description)]) == (outbox.waiting(tmp_path), site.told)


def test_what_others_of_the_site_left_in_the_outbox_is_said_too(site: Site) -> None:
    for _ in range(2):
        outbox.put(site.state, CommitStatus(SERVING.revision, "pending", "gitboot/rehearsal node-01", "the machine boots"))
        site.reporter.step()
    assert [(SERVING.revision, "the machine boots")] == site.told


def test_another_project_is_told_anew(site: Site) -> None:
    site.reporter.say(SERVING)
    site.reporter.step()
    (site.state / outbox.FOLDER / SAID).write_bytes(
        (site.state / outbox.FOLDER / SAID).read_bytes().replace(b"lab/site", b"x/y")
    )
    site.restart()
    site.reporter.say(SERVING)
    site.reporter.step()
    assert 2 == len(site.told)


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"\xff"])
def test_a_damaged_memory_costs_a_repetition_and_nothing_else(site: Site, damage: bytes) -> None:
    site.reporter.say(SERVING)
    site.reporter.step()
    (site.state / outbox.FOLDER / SAID).write_bytes(damage)
    site.restart()
    site.reporter.say(SERVING)
    assert 0.0 == site.reporter.step()
    assert 2 == len(site.told)


def test_what_is_remembered_is_bounded_and_keeps_the_newest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SAID", 5)
    for number in range(8):
        site.reporter.say(CommitStatus(f"{number:040}", "success", "gitboot", "serving"))
        site.reporter.step()
    site.restart()
    told = len(site.told)
    site.reporter.say(CommitStatus(f"{7:040}", "success", "gitboot", "serving"))
    site.reporter.step()
    assert (told, 5) == (len(site.told), len(site.reporter._said))


def test_a_disk_that_takes_no_report_and_a_defect_of_ours_stop_nobody(site: Site) -> None:
    (site.state / outbox.FOLDER).write_text("a file where a folder is to be")
    site.reporter.say(SERVING)
    site.reporter.step()
    (site.state / outbox.FOLDER).unlink()
    site.reporter.say(SERVING)

    def broken(_: Request) -> Answer:
        raise ZeroDivisionError

    site.reporter._exchange = broken
    assert site.reporter.step() > 0
    assert "a defect; please report it" in site.reporter.trouble


@pytest.mark.shell
def test_a_report_is_at_the_forge_within_moments_and_the_end_waits_for_nobody(tmp_path: Path) -> None:
    with forge("gitea") as stub:
        reporter = Reporter(tmp_path, forge_of("gitea", stub.url, "lab/site", TOKEN), Log(io.StringIO()))
        reporter.start()
        reporter.say(SERVING)
        (status,) = stub.wait_for(1)
        assert ("success", "gitboot", "serving") == (status["state"], status["context"], status["description"])
        reporter.close()
