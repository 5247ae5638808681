"""What is asked to be tried is held to what is served: sound, nobody else's, and signed where that counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netboot.artifacts import ArtifactStore
from netboot.commit_status import CommitStatus
from netboot.holds import Hold, Holds
from netboot.observed import Observed
from netboot.policy import Limit, Policy
from netboot.tries import Asked, Judged
from netboot.try_files import ask, asked_for, read_judged, take_back
from netboot.try_status import status_of, try_document
from reconciler.trier import Trier
from reconciler.trust import Floor
from tests.reconciler.gitkit import free_port, git_daemon
from tests.reconciler.inventories import SOUND
from tests.reconciler.signkit import Key, Signed, site_with, ssh_key

pytestmark = pytest.mark.shell
MACHINE = SOUND["hardware.yaml"]
SECOND = MACHINE.replace("node-01", "node-02").replace("34:01", "34:02").replace("10.1.0.11", "10.1.0.12")
AGAIN = SOUND["workflow.yaml"].replace("node-01}", "node-01, run: 2}")
PROFILE = SOUND["profile.yaml"]
THIRD = {"third": SECOND.replace("node-02", "node-03")}
SWAPPED = {"hardware": MACHINE.replace("10.1.0.11", "10.1.0.12"), "second": SECOND.replace("10.1.0.12", "10.1.0.13")}
HELD = Hold("destructive", "at most 1", "it is 2", "approve it", {"node-01": (("look-at-01", 1),)})


class Site(Signed):
    """With what tries commits in it."""

    trier: Trier

    def restart(self, floor=None) -> None:  # type: ignore[no-untyped-def] # as the class above has it
        super().restart(floor)
        state = self.root / "state"
        assert self.repository is not None
        artifacts = ArtifactStore(self.root / "art", state)
        self.trier = Trier(self.repository, state, self.plans, artifacts, self.reconciler._guard)

    def pull(self, key: Key | None = None, branch: str = "pr", /, **files: str) -> str:
        """A commit on a branch of its own; what is followed stays where it is."""
        self.work.git("checkout", "-q", "-B", branch, "main")
        commit = self.commit(key, **files)
        self.work.git("checkout", "-q", "main")
        return commit

    def tried(self, ref: str = "pr", machine: str = "node-01", rehearse: bool = False, name: str = "t1") -> Judged:
        ask(self.root / "state", Asked(name, machine, ref, rehearse, "ann", 1.0))
        self.trier.step()
        return self.said()

    def said(self) -> Judged:
        (judged,) = read_judged(self.root / "state")
        return judged


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return ssh_key(tmp_path_factory.mktemp("keys"), "ann")


@pytest.fixture(params=["in place", "mirror"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    if request.param == "in place":
        yield site
    else:
        with git_daemon(tmp_path / "served", free_port()) as base:
            site.url = f"{base}/work"
            site.restart()
            yield site
    site.close()


def test_a_commit_becomes_a_stored_plan_and_what_is_served_stays(site: Site) -> None:
    site.begin("off")
    current = site.plans.current_id()
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    judged = site.tried()
    assert (commit, "", ()) == (judged.revision, judged.refused, tuple(judged.problems))
    assert site.plans.load(judged.plan).machines["node-01"].interfaces[0].address == "10.1.0.19"
    assert current == site.plans.current_id()
    site.plans.prune(site.trier.plans)
    assert "" == site.plans.damage(judged.plan)


@pytest.mark.parametrize("ref", ["commit", "tag", "pull/17/head"])
def test_a_commit_is_named_as_git_names_it(site: Site, ref: str) -> None:
    site.begin("off")
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    site.tag(None, "tag", commit)
    site.work.git("update-ref", "refs/pull/17/head", commit)
    assert commit == site.tried(commit if ref == "commit" else ref).revision


def test_every_problem_of_the_commit_is_told(site: Site) -> None:
    site.begin("off")
    site.pull(hardware=MACHINE.replace("mac:", "mack:").replace("profile:", "profle:"))
    judged = site.tried()
    assert "" == judged.plan
    assert {"unknown-field"} == {each["code"] for each in judged.problems if each["code"] == "unknown-field"}
    assert len(judged.problems) >= 2


@pytest.mark.parametrize(
    ("ref", "machine", "files", "said"),
    [
        ("nope", "node-01", {}, "'nope'"),
        ("pr", "node-09", {}, "has no machine node-09"),
        ("pr", "node-03", THIRD | {"second": ""}, "gives node-03 the 52:54:00:12:34:02 that node-02 has"),
        ("pr", "node-01", SWAPPED, "gives node-01 the 10.1.0.12 that node-02 has"),
    ],
)  # fmt: skip
def test_what_cannot_be_beside_what_is_served_is_refused(
    site: Site, ref: str, machine: str, files: dict[str, str], said: str
) -> None:
    site.work.write("second.yaml", SECOND)
    site.begin("off")
    site.pull(None, **files)
    judged = site.tried(ref, machine)
    assert "" == judged.plan
    assert said in judged.refused


def test_where_every_commit_must_be_signed_so_must_one_that_is_tried(site: Site, ann: Key) -> None:
    site.begin("required", ann)
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    assert ["untrusted-commit"] == [each["code"] for each in site.tried(rehearse=True).problems]
    site.tag(ann, "fit-for-a-try", "pr")
    assert site.tried(name="t2").plan
    site.pull(ann, "other", hardware=MACHINE.replace("10.1.0.11", "10.1.0.18"))
    assert site.tried("other", name="t3").plan
    assert site.tried("main", name="t4").plan, "it is trusted already"


def test_where_what_is_destructive_must_be_signed_a_rehearsal_need_not(site: Site, ann: Key) -> None:
    site.begin("destructive", ann)
    site.pull(workflow=AGAIN)
    judged = site.tried()
    assert ["untrusted-commit"] == [each["code"] for each in judged.problems]
    assert "has node-01 do run 2 of the workflow look-at-01" in judged.problems[0]["message"]
    assert site.tried(name="t2", rehearse=True).plan


def test_a_rehearsal_in_another_system_is_held_to_what_a_canary_is(site: Site, ann: Key) -> None:
    site.begin("destructive", ann)
    site.pull(profile=PROFILE.replace("vmlinuz}", "vmlinuz, cmdline: init=/bin/wipe}"))
    (problem,) = site.tried(rehearse=True).problems
    assert "boots node-01 in profile inspect, which is not as it is served" in problem["message"]


OTHER_SYSTEMS = [
    ({"profile": PROFILE.replace("vmlinuz}", "vmlinuz, cmdline: init=/bin/wipe}")}, "boots node-01 in profile inspect"),
    ({"hardware": MACHINE.rstrip() + "\n  userData: hello\n"}, "gives node-01 another user data"),
    ({"hardware": MACHINE.rstrip() + "\n  vendorData: hello\n"}, "gives node-01 another vendor data"),
    ({"hardware": MACHINE.rstrip() + "\n  loader: ipxe\n"}, "gives node-01 another loader"),
]


@pytest.mark.parametrize("rule", ["off", "warn"])
@pytest.mark.parametrize(("files", "said"), OTHER_SYSTEMS)
def test_a_rehearsal_in_another_system_is_signed_whatever_the_rule_is(
    site: Site, ann: Key, rule: Any, files: dict[str, str], said: str
) -> None:
    site.begin(rule, ann)
    site.pull(None, **files)
    (problem,) = site.tried(rehearse=True).problems
    assert said in problem["message"]
    site.tag(ann, "looked-at", "pr")
    assert site.tried(name="t2", rehearse=True).plan


def test_what_was_tried_and_is_over_is_not_asked_for_any_more(site: Site) -> None:
    site.begin("off")
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    site.tried()
    status = site.root / "state/status/tries.json"
    status.parent.mkdir()
    status.write_text(json.dumps({"tries": [{"id": "t1", "state": "running"}]}))
    site.trier.step()
    assert "t1" == site.said().asked.id
    status.write_text(json.dumps({"tries": [{"id": "t1", "state": "over"}]}))
    site.trier.step()
    assert ([], []) == (asked_for(site.root / "state"), read_judged(site.root / "state"))
    assert set() == site.trier.plans


def test_what_is_taken_back_is_not_tried(site: Site) -> None:
    site.begin("off")
    site.tried("main")
    assert take_back(site.root / "state", "node-01")
    site.trier.step()
    assert [] == read_judged(site.root / "state")
    assert not take_back(site.root / "state", "node-01")


def test_what_was_allowed_is_judged_again_by_every_new_plan_and_keeps_to_its_commit(site: Site, ann: Key) -> None:
    site.begin("off")
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.12"))
    assert site.tried().plan
    site.restart()
    site.trier.step()
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.14"))
    site.trier.step()
    assert commit == site.said().revision, "a branch that moves on is another commit"
    site.commit(None, second=SECOND)
    site.served()
    site.trier.step()
    assert "gives node-01 the 10.1.0.12 that node-02 has" in site.said().refused


def test_a_git_that_is_away_is_asked_again(site: Site) -> None:
    site.begin("off")
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    site.work.path.rename(site.root / "away")
    site.restart()
    first = site.tried()
    assert (True, "") == (bool(first.unavailable), first.plan)
    (site.root / "away").rename(site.work.path)
    site.restart()
    site.trier.step()
    assert site.said().plan


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\0b"])
def test_what_can_be_no_machine_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        ask(tmp_path, Asked("t", name, "main", False, "ann", 1.0))


def protected(text: str) -> str:
    return text.replace("  profile: inspect\n", "  profile: inspect\n  protect: true\n", 1)


def test_a_protected_machine_is_rehearsed_and_not_tried(site: Site) -> None:
    site.work.write("hardware.yaml", protected(MACHINE))
    for path, content in SOUND.items():
        if path != "hardware.yaml":
            site.work.write(path, content)
    site.commit(None)
    site.served()
    site.pull(workflow=AGAIN, hardware=MACHINE)
    refused = site.tried()
    assert ("", True) == (refused.plan, "node-01 is protected, and the try has node-01 do run 2" in refused.refused)
    assert site.tried(name="t2", rehearse=True).plan
    site.pull(None, "other", hardware=protected(MACHINE).replace("10.1.0.11", "10.1.0.19"))
    assert site.tried("other", name="t3").plan, "it starts nothing"


def test_what_is_held_of_what_is_served_is_held_of_what_is_tried(site: Site) -> None:
    site.begin("off")
    current = site.plans.current_id()
    assert current
    site.plans.write_holds(Holds(current, held=(HELD,)))
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    assert (HELD,) == site.plans.holds(site.tried().plan).held
    assert (HELD,) == site.plans.holds(site.tried("main", name="t2").plan).held, "and what is served keeps its own"


def test_what_comes_to_be_held_is_held_of_what_was_tried_before(site: Site) -> None:
    site.begin("off")
    current = site.plans.current_id()
    assert current
    site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    tried = site.tried().plan
    assert () == site.plans.holds(tried).held
    site.plans.write_holds(Holds(current, held=(HELD,)))
    site.trier.step()
    assert (HELD,) == site.plans.holds(tried).held, "while it waits for its boot"
    site.plans.write_holds(Holds(current))
    assert tried == site.tried(name="t2").plan
    assert () == site.plans.holds(tried).held, "asked for again after the release"


def test_no_other_run_number_takes_a_machine_round_what_is_held_of_it(site: Site) -> None:
    site.begin("off")
    current = site.plans.current_id()
    assert current
    site.plans.write_holds(Holds(current, held=(HELD,)))
    site.pull(workflow=AGAIN)
    assert "runs of node-01 are held (it is 2), and the try has node-01 do run 2" in site.tried().refused
    site.pull(workflow=SOUND["workflow.yaml"].replace("name: look-at-01", "name: another"))
    assert "runs of node-01 are held" in site.tried(name="t2").refused
    assert site.tried(name="t3", rehearse=True).plan, "it starts none"
    site.plans.write_holds(Holds(current, everything="they are missing"))
    assert "every run is held (they are missing)" in site.tried(name="t4").refused


def test_the_forge_is_told_what_becomes_of_it(site: Site) -> None:
    site.begin("off")
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    entry = try_document("node-01", site.tried(rehearse=True), Observed())
    assert entry
    expected = CommitStatus(commit, "pending", "gitboot/rehearsal node-01", entry["said"])
    assert expected == status_of(entry)
    refused = try_document("node-01", site.tried(machine="node-01", ref="nope", name="t2"), Observed())
    assert refused
    assert status_of(refused) is None, "there is no commit to say it of"


def six(site: Site, rules: str, *signers: Key) -> None:
    """Six machines, served without work by these rules, and on `pr` each with a run that may write."""
    for path, content in SOUND.items():
        if path != "workflow.yaml":
            site.work.write(path, content)
    for number in range(2, 7):
        site.work.write(f"m{number}.yaml", numbered(number))
    site.commit(None, site=site_with("off", *signers).rstrip() + f"\n  policy:\n{rules}")
    site.served()
    runs = [SOUND["workflow.yaml"].replace("-01", f"-0{number}") for number in range(1, 7)]
    site.pull(None, **{f"w{number}": text for number, text in enumerate(runs, 1)})


def numbered(number: int) -> str:
    return MACHINE.replace("node-01", f"node-0{number}").replace("34:01", f"34:0{number}").replace("0.11", f"0.1{number}")


def allowed(site: Site) -> dict[str, str]:
    """Machine → why it may not try, ""."""
    return {each.asked.machine: each.refused for each in read_judged(site.root / "state")}


def asks(site: Site, number: int, name: str = "", rehearse: bool = False) -> None:
    ask(site.root / "state", Asked(name or f"t{number}", f"node-0{number}", "pr", rehearse, "ann", 1.0))


@pytest.mark.parametrize("limit", ["machines: 2", "share: 34%"])
def test_what_is_tried_at_a_time_is_within_the_limits_together(site: Site, limit: str) -> None:
    six(site, f"    limits:\n    - {{change: destructive, {limit}}}\n")
    for number in range(1, 7):
        asks(site, number)
    site.trier.step()
    may = [name for name, why in allowed(site).items() if not why]
    assert ["node-01", "node-02"] == may
    assert "with what is tried elsewhere it would be more, and the try has node-03 do run 1" in allowed(site)["node-03"]
    asks(site, 3, "again", rehearse=True)
    site.restart()
    site.trier.step()
    assert ["node-01", "node-02", "node-03"] == [name for name, why in allowed(site).items() if not why], "one rehearses"
    take_back(site.root / "state", "node-01")
    asks(site, 4, "other")
    site.trier.step()
    assert "" == allowed(site)["node-04"]


def test_a_try_that_runs_counts_until_it_is_over_whatever_is_asked_meanwhile(site: Site) -> None:
    six(site, "    limits:\n    - {change: destructive, machines: 1}\n")
    asks(site, 1)
    site.trier.step()
    status = site.root / "state/status/tries.json"
    status.parent.mkdir()
    status.write_text(json.dumps({"tries": [{"id": "t1", "state": "running"}]}))
    take_back(site.root / "state", "node-01")
    asks(site, 2)
    site.trier.step()
    assert allowed(site)["node-02"]
    status.write_text(json.dumps({"tries": [{"id": "t1", "state": "over"}]}))
    asks(site, 2, "again")
    site.trier.step()
    assert "" == allowed(site)["node-02"]


def test_the_floor_s_limits_count_for_tries_too(site: Site) -> None:
    six(site, "    rolling: {atOnce: 5}\n")
    site.restart(Floor(policy=Policy((Limit("destructive", machines=0),))))
    asks(site, 1)
    site.trier.step()
    assert "destructive runs on at most 0 machines per site" in allowed(site)["node-01"]


@pytest.mark.parametrize(("may", "said"), [("[destructive]", ""), ("[remove]", "nobody who may approve what is destructive")])
def test_a_tag_asks_for_what_is_destructive_only_by_who_may_approve_that(site: Site, ann: Key, may: str, said: str) -> None:
    six(site, f"    approvers:\n    - {{signer: ann, may: {may}}}\n", ann)
    site.tag(ann, "try/node-01/canary", "pr")
    site.tag(ann, "try/node-02/rehearse", "pr")
    site.trier.step()
    assert "" == allowed(site)["node-02"]
    assert (bool(said), True) == (bool(allowed(site)["node-01"]), said in allowed(site)["node-01"])


# Asked for by a signed tag


def asked(site: Site) -> list[tuple[str, bool, str]]:
    site.trier.step()
    return [(each.machine, each.rehearse, each.commit) for each in asked_for(site.root / "state")]


@pytest.mark.parametrize(("name", "rehearse"), [("try/node-01/canary", False), ("try/node-01/rehearse-17", True)])
def test_a_signed_tag_asks_for_its_commit_once(site: Site, ann: Key, name: str, rehearse: bool) -> None:
    site.begin("destructive", ann)
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    site.tag(ann, name, "pr")
    assert [("node-01", rehearse, commit)] == asked(site)
    assert (commit, True) == (site.said().revision, bool(site.said().plan))
    assert f"the signed tag {name}" == site.said().asked.by
    take_back(site.root / "state", "node-01")
    assert [] == asked(site)
    site.restart()
    assert [] == asked(site)


def test_what_a_tag_does_not_say_itself_it_does_not_ask_for(site: Site, ann: Key, tmp_path: Path) -> None:
    """Not signed, signed by another, made for something else and pushed under another name, or long ago."""
    site.begin("destructive", ann)
    site.tag(None, "try/node-01/unsigned")
    (tmp_path / "others").mkdir()
    site.tag(ssh_key(tmp_path / "others", "eve"), "try/node-01/eves")
    site.tag(ann, "v1")
    site.work.git("update-ref", "refs/tags/try/node-01/replayed", site.work.git("rev-parse", "refs/tags/v1"))
    site.work.git("update-ref", "refs/tags/try/node-01/light", "HEAD")
    site.work.date = "2026-01-01T00:00:00Z"
    site.tag(ann, "try/node-01/old")
    site.work.date = ""
    assert [] == asked(site)


def test_where_nobody_is_listed_no_tag_asks_for_anything(site: Site, ann: Key) -> None:
    site.begin("off")
    site.tag(ann, "try/node-01/canary")
    assert [] == asked(site)


def test_a_tag_that_moves_meanwhile_does_not_change_what_is_tried(site: Site, ann: Key) -> None:
    site.begin("destructive", ann)
    commit = site.pull(hardware=MACHINE.replace("10.1.0.11", "10.1.0.19"))
    site.tag(ann, "try/node-01/x", "pr")
    assert [("node-01", False, commit)] == asked(site)
    site.work.git("tag", "-f", "try/node-01/x", "main")
    site.trier.step()
    assert commit == site.said().revision
