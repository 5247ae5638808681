"""Policy: for every limit just under and just over, and who may approve; plans alone, no git."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from agent.workflow import Action, Archive, Task, Workflow, to_json
from netboot.events import RunEnd, RunEnded
from netboot.holds import Hold, Holds, Kept
from netboot.plan import BootPlan, Machine, Metadata
from netboot.policy import DAYS, KINDS, NO_POLICY, Approver, Kind, Limit, Policy, Rolling, Window
from netboot.trust import Signer, Trust
from netboot.work import Work
from reconciler.policy import UNPROTECT, Verdict, approvers, how_to_release, in_force, judge, loosened, released, said
from reconciler.trust import NO_FLOOR, Floor
from tests.netboot.plan_example import SITE, machine, plan, port
from tests.netboot.story import Story

ANN, BOB, EVE = (Signer(name, ssh=f"ssh-ed25519 {name}") for name in ("ann", "bob", "eve"))
SHIPPED = Archive("/artifacts/actions.tar", "a" * 64, 1)
TEN = Policy((Limit("destructive", machines=2),))


def work(image: str = "image2disk", run: int = 1, workflow: str = "install", **more: Any) -> Work:
    document = to_json(Workflow(workflow, (Task("task", "any", (Action("act", image, archive=SHIPPED),)),)))
    return Work(workflow, run, document, "inspect", **more)


def node(number: int, *works: Work, rack: str = "", subnet: str = "rack1", address: str = "", **more: Any) -> Machine:
    at = port(f"52:54:00:00:00:{number:02x}", address or f"10.1.0.{number}", subnet=subnet)
    return machine(f"node-{number:02}", at, work=works, labels={"rack": rack} if rack else {}, **more)


def fleet(count: int, *works: Work, first: int = 1, **more: Any) -> list[Machine]:
    return [node(number, *works, **more) for number in range(first, first + count)]


def served(*machines: Machine, policy: Policy = NO_POLICY, signers: Iterable[Signer] = (ANN,), **more: Any) -> BootPlan:
    site = msgspec.structs.replace(SITE, policy=policy, trust=Trust(signers=tuple(signers)))
    return plan(*machines, site=site, **more)


def verdict(before: BootPlan, after: BootPlan, holds: Holds | None = None, floor: Floor = NO_FLOOR) -> Verdict:
    return judge(before, after, holds or Holds(before.id), floor)


def held(judged: Verdict) -> dict[str, set[str]]:
    """Kind → machines."""
    found: dict[str, set[str]] = {}
    for hold in judged.holds.held:
        found.setdefault(hold.kind, set()).update(hold.runs)
    return found


def waiting(judged: Verdict) -> list[tuple[str, int]]:
    return [(breach.kind, len(breach.machines)) for breach in judged.waits]


# Limits -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "over"), [(2, False), (3, True)])
def test_so_many_machines_may_be_made_destructive(count: int, over: bool) -> None:
    limits = Policy((Limit("destructive", machines=2),))
    before, rest = served(*fleet(9), policy=limits), fleet(9 - count, first=count + 1)
    judged = verdict(before, served(*fleet(count, work()), *rest, policy=limits))
    assert ({"destructive": {f"node-{n:02}" for n in range(1, count + 1)}} if over else {}) == held(judged)
    assert () == judged.waits
    assert over == ("destructive" in judged.lacks)


@pytest.mark.parametrize(("count", "over"), [(2, False), (3, True)])
@pytest.mark.parametrize("limit", [Limit("remove", machines=2), Limit("remove", share=25)])
def test_so_many_machines_may_be_removed_or_the_commit_waits(limit: Limit, count: int, over: bool) -> None:
    rules = Policy((limit,))
    judged = verdict(served(*fleet(8), policy=rules), served(*fleet(8 - count), policy=rules))
    assert ([("remove", count)] if over else []) == waiting(judged)


@pytest.mark.parametrize(("count", "over"), [(2, False), (3, True)])
@pytest.mark.parametrize("limit", [Limit("move", machines=2), Limit("move", share=25)])
def test_so_many_machines_may_be_moved_or_the_commit_waits(limit: Limit, count: int, over: bool) -> None:
    rules = Policy((limit,))
    moved = [node(number, address=f"10.1.1.{number}") for number in range(1, count + 1)]
    judged = verdict(served(*fleet(8), policy=rules), served(*moved, *fleet(8 - count, first=count + 1), policy=rules))
    assert ([("move", count)] if over else []) == waiting(judged)


def with_port(each: Machine, **more: Any) -> Machine:
    return msgspec.structs.replace(each, interfaces=(msgspec.structs.replace(each.interfaces[0], **more),))


@pytest.mark.parametrize(("count", "over"), [(2, False), (3, True)])
@pytest.mark.parametrize("name", ["", "new-"], ids=["same name", "another name"])
def test_a_machine_with_none_of_its_macs_left_counts_as_removed(name: str, count: int, over: bool) -> None:
    rules = Policy((Limit("remove", machines=2), Limit("move", machines=0)))
    strange = [with_port(each, mac=f"52:54:00:ff:00:{at:02x}") for at, each in enumerate(fleet(count))]
    strange = [msgspec.structs.replace(each, name=name + each.name) for each in strange]
    judged = verdict(served(*fleet(8), policy=rules), served(*strange, *fleet(8 - count, first=count + 1), policy=rules))
    assert ([("remove", count)] if over else []) == waiting(judged)


def test_machines_that_trade_their_names_are_strangers_and_one_that_keeps_a_port_is_none() -> None:
    rules = Policy((Limit("remove", machines=0),))
    one, two = fleet(2)
    traded = served(msgspec.structs.replace(one, name=two.name), msgspec.structs.replace(two, name=one.name), policy=rules)
    assert [("remove", 2)] == waiting(verdict(served(one, two, policy=rules), traded))
    second = port("52:54:00:ff:00:01", "10.1.9.1")
    both = msgspec.structs.replace(one, interfaces=(*one.interfaces, second))
    left = msgspec.structs.replace(one, name="new", interfaces=(second,))
    assert [] == waiting(verdict(served(both, policy=rules), served(left, policy=rules)))


def test_an_address_that_is_taken_away_or_leaves_with_its_port_counts_as_moved() -> None:
    rules = Policy((Limit("move", machines=0),))
    second = port("52:54:00:ff:00:01", "10.1.9.1")
    both = msgspec.structs.replace(node(1), interfaces=(*node(1).interfaces, second))
    before = served(both, policy=rules)
    assert [("move", 1)] == waiting(verdict(before, served(node(1), policy=rules))), "gone with its port"
    bare = msgspec.structs.replace(both, interfaces=(*node(1).interfaces, msgspec.structs.replace(second, address="")))
    assert [("move", 1)] == waiting(verdict(before, served(bare, policy=rules))), "taken away"
    assert [] == waiting(verdict(served(bare, policy=rules), before)), "one that is new moves nothing"
    other = msgspec.structs.replace(second, mac="52:54:00:ff:00:02")
    replaced = msgspec.structs.replace(both, interfaces=(*node(1).interfaces, other))
    assert [] == waiting(verdict(before, served(replaced, policy=rules))), "the machine still has it"


@pytest.mark.parametrize(("count", "over"), [(1, False), (2, True)])
@pytest.mark.parametrize("limit", [{"machines": 1}, {"share": 25}])
@pytest.mark.parametrize("per", ["label:rack", "subnet"])
def test_machines_of_no_group_are_one(per: str, limit: Any, count: int, over: bool) -> None:
    """So it does not help to take the labels away a commit before."""
    rules = Policy((Limit("destructive", per=per, **limit),))
    there = fleet(4, subnet="")
    before = served(*there, *fleet(4, first=5, rack="r1"), policy=rules)
    begun = served(*fleet(count, work(), subnet=""), *there[count:], *fleet(4, first=5, rack="r1"), policy=rules)
    judged = verdict(before, begun)
    assert over == bool(held(judged))
    assert all(("without the label rack" in hold.why) or ("of no subnet" in hold.why) for hold in judged.holds.held)


@pytest.mark.parametrize(("count", "over"), [(1, False), (2, True)])
@pytest.mark.parametrize(("per", "group"), [("label:rack", {"rack": "r1"}), ("subnet", {"subnet": "rack2"})])
@pytest.mark.parametrize("limit", [{"machines": 1}, {"share": 25}])
def test_each_group_is_counted_by_itself(limit: Any, per: str, group: Any, count: int, over: bool) -> None:
    rules = Policy((Limit("destructive", per=per, **limit),))
    there = fleet(4, **group)
    other = fleet(4, first=5, rack="r2") if "rack" in group else fleet(4, first=5)
    begun = [*fleet(count, work(), **group), *there[count:], node(5, work(), **_like(other[0])), *other[1:]]
    judged = verdict(served(*there, *other, policy=rules), served(*begun, policy=rules))
    assert ({"destructive": {f"node-{n:02}" for n in range(1, count + 1)}} if over else {}) == held(judged)


def _like(other: Machine) -> dict[str, str]:
    return {"rack": other.labels.get("rack", ""), "subnet": other.interfaces[0].subnet}


def test_a_commit_cannot_dilute_its_share_nor_leave_its_group() -> None:
    rules = Policy((Limit("destructive", share=50, per="label:rack"),))
    before = served(*fleet(4, rack="r1"), policy=rules)
    crowd = fleet(40, first=50, rack="r1")
    assert held(verdict(before, served(*fleet(3, work(), rack="r1"), node(4, rack="r1"), *crowd, policy=rules)))
    assert held(verdict(before, served(*fleet(3, work(), rack="r2"), node(4, rack="r1"), policy=rules)))


def test_new_machines_count_by_number_and_not_in_a_share() -> None:
    new = fleet(3, work(), first=20)
    for limit, over in ((Limit("destructive", share=10), False), (Limit("destructive", machines=2), True)):
        rules = Policy((limit,))
        assert over == bool(held(verdict(served(*fleet(9), policy=rules), served(*fleet(9), *new, policy=rules))))


def test_what_writes_to_no_disk_is_not_limited() -> None:
    none = Policy((Limit("destructive", machines=0),))
    assert {} == held(verdict(served(*fleet(9), policy=none), served(*fleet(9, work("reboot")), policy=none)))
    assert held(verdict(served(*fleet(9), policy=none), served(*fleet(9, work("anything")), policy=none)))


def test_of_one_commit_only_what_is_too_much_is_held() -> None:
    rules = Policy((Limit("destructive", machines=1),))
    works = (work(workflow="look", image="slurp"), work())
    (hold,) = verdict(served(*fleet(2), policy=rules), served(*fleet(2, *works), policy=rules)).holds.held
    assert {"node-01": (("install", 1),), "node-02": (("install", 1),)} == hold.runs
    assert "destructive runs on at most 1 machine per site" == hold.rule
    assert "this commit has 2 machines start destructive runs" == hold.why


def test_the_floor_s_limits_count_beside_those_of_git() -> None:
    floor = Floor(policy=Policy((Limit("remove", machines=0),)))
    assert [("remove", 1)] == waiting(verdict(served(*fleet(2)), served(*fleet(1)), floor=floor))
    first = judge(None, served(*fleet(3, work())), None, Floor(policy=TEN))
    assert {"destructive": {"node-01", "node-02", "node-03"}} == held(first), "the first commit of all too"


@pytest.mark.parametrize("state", ["SUCCESS", "FAILED"])
def test_a_run_that_is_known_to_have_ended_is_not_held(state: RunEnd) -> None:
    none = Policy((Limit("destructive", machines=0),))
    before = served(node(1, work("reboot")), node(2, work("reboot")), policy=none)
    after = served(node(1, work()), node(2, work()), policy=none)
    story = Story().new_site()
    asked = before.machines["node-01"].work[0]
    claimed = story.claimed(story.boot(macs=("52:54:00:00:00:01",)), asked=asked)
    story.happen(RunEnded(at=story.tick(), run=claimed["id"], state=state, reason="it did"))
    judged = judge(before, after, Holds(before.id), NO_FLOOR, story.observed)
    assert {"destructive": {"node-02"}} == held(judged)
    (carried,) = judge(after, served(*after.machines.values(), policy=none, cmdline="q"), judged.holds, NO_FLOOR).holds.held
    assert ["node-02"] == list(carried.runs)


@pytest.mark.parametrize(("retry", "left"), [(0, False), (1, True)])
def test_a_run_in_progress_that_may_be_tried_again_is_judged_when_its_steps_change(retry: int, left: bool) -> None:
    none = Policy((Limit("destructive", machines=0),))
    before = served(node(1, work("reboot", retry=retry)), policy=none)
    story = Story().new_site()
    story.claimed(story.boot(macs=("52:54:00:00:00:01",)), asked=before.machines["node-01"].work[0])

    def judged(*works: Work) -> Verdict:
        return judge(before, served(node(1, *works), policy=none), Holds(before.id), NO_FLOOR, story.observed)

    assert ({"destructive": {"node-01"}} if left else {}) == held(judged(work(retry=retry)))
    assert {} == held(judged(work("reboot", retry=retry), work("slurp", workflow="look"))), "its steps are the same"
    assert {} == held(judged(work(retry=retry, cancel=True))), "what is cancelled is not tried again"


# By whose rules -----------------------------------------------------------------------------------------------------------

OWN_GOALS: dict[str, Any] = {
    "raises its own limit": {"policy": Policy((Limit("destructive", machines=9),))},
    "drops its own limit": {"policy": NO_POLICY},
    "adds its own signer": {"policy": TEN, "signers": (ANN, EVE)},
    "makes its signer an approver": {"policy": Policy(TEN.limits, approvers=(Approver("eve"),)), "signers": (ANN, EVE)},
    "gives its key another's name": {"policy": TEN, "signers": (Signer("ann", ssh=EVE.ssh),)},
}


@pytest.mark.parametrize("what", OWN_GOALS)
def test_a_commit_that_loosens_the_rules_together_with_the_deed_is_held(what: str) -> None:
    before = served(*fleet(3), policy=TEN)
    after = served(*fleet(3, work()), **OWN_GOALS[what])
    judged = verdict(before, after)
    assert {"destructive": {"node-01", "node-02", "node-03"}} == held(judged)
    assert {"destructive", "loosen"} == judged.lacks
    rules = in_force(before, Holds(before.id))
    assert EVE.ssh not in {signer.ssh for kind in KINDS for signer in approvers(rules, NO_FLOOR, kind, after.site)}


@pytest.mark.parametrize("what", OWN_GOALS)
def test_nor_does_it_help_to_loosen_first_and_do_the_deed_in_the_next_commit(what: str) -> None:
    before = served(*fleet(3), policy=TEN)
    loose = served(*fleet(3), **OWN_GOALS[what])
    first = verdict(before, loose)
    assert {"loosen"} == first.lacks
    deed = served(*fleet(3, work()), **OWN_GOALS[what])
    second = verdict(loose, deed, first.holds)
    assert {"destructive": {"node-01", "node-02", "node-03"}} == held(second)
    rules = in_force(loose, first.holds)
    assert EVE.ssh not in {signer.ssh for kind in KINDS for signer in approvers(rules, NO_FLOOR, kind, deed.site)}


def test_a_stricter_policy_counts_from_the_next_commit_on_without_anybody_s_word() -> None:
    before, strict = served(*fleet(3)), served(*fleet(3), policy=TEN)
    first = verdict(before, strict)
    assert frozenset() == first.lacks
    assert first.holds.kept is None
    assert held(verdict(strict, served(*fleet(3, work()), policy=TEN), first.holds))


def test_a_limit_that_came_beside_an_unapproved_loosening_counts_as_well() -> None:
    before = served(*fleet(4), policy=Policy((Limit("destructive", machines=3),)))
    other = Policy((Limit("remove", machines=0),))
    first = verdict(before, mixed := served(*fleet(4), policy=other))
    assert {"loosen"} == first.lacks
    assert [("remove", 1)] == waiting(verdict(mixed, served(*fleet(3), policy=other), first.holds))
    assert {"destructive": 4} == {
        kind: len(names) for kind, names in held(verdict(mixed, served(*fleet(4, work()), policy=other), first.holds)).items()
    }


def test_what_is_held_stays_held_under_every_later_plan_until_it_is_asked_for_no_more() -> None:
    before = served(*fleet(3), policy=TEN)
    first = verdict(before, deed := served(*fleet(3, work()), policy=TEN))
    quiet = verdict(deed, same := served(*fleet(3, work()), policy=TEN, cmdline="quiet"), first.holds)
    assert held(first) == held(quiet)
    harmless = verdict(same, served(*fleet(3, work("reboot")), policy=TEN), quiet.holds)
    assert held(first) == held(harmless), "whatever it has become"
    assert {} == held(verdict(same, served(*fleet(3), policy=TEN), quiet.holds))
    renamed = [msgspec.structs.replace(each, name=f"new-{each.name}") for each in fleet(3, work())]
    assert {"destructive": {f"new-node-{n:02}" for n in (1, 2, 3)}} == held(
        verdict(same, served(*renamed, policy=TEN), quiet.holds)
    )


# Protected machines ---------------------------------------------------------------------------------------------------------


def test_a_protected_machine_runs_nothing_destructive_and_nobody_can_approve_it() -> None:
    before = served(node(1, protect=True), node(2))
    after = served(node(1, work(), work("slurp", workflow="look"), protect=True), node(2, work()))
    judged = verdict(before, after)
    (hold,) = judged.holds.held
    assert ("protect", {"node-01": (("install", 1),)}) == (hold.kind, hold.runs)
    assert UNPROTECT == hold.release
    assert judged.holds.held == released(judged, frozenset(KINDS), after.site, NO_FLOOR).holds.held


def test_protection_that_comes_later_holds_what_has_not_begun() -> None:
    before = served(node(1, work()))
    assert {"protect": {"node-01"}} == held(verdict(before, served(node(1, work(), protect=True))))


def rename(each: Machine) -> Machine:
    return msgspec.structs.replace(each, name="other", protect=False)


@pytest.mark.parametrize(
    "after",
    [node(1, work()), rename(node(1, work())), msgspec.structs.replace(node(9, work()), name="node-01")],
    ids=["in place", "with another name", "with another network card"],
)
@pytest.mark.parametrize("steps", ["at once", "in two commits"])
def test_a_commit_that_removes_protect_together_with_the_deed_is_held(after: Machine, steps: str) -> None:
    before = served(node(1, protect=True), node(2))
    holds = Holds(before.id)
    if steps == "in two commits":
        bare = served(msgspec.structs.replace(after, work=()), node(2))
        first = verdict(before, bare)
        assert {"protect"} == first.lacks
        before, holds = bare, first.holds
    judged = verdict(before, deed := served(after, node(2)), holds)
    assert {"protect": {after.name}} == held(judged)
    assert (after.name,) == judged.exposed
    free = released(judged, frozenset({"protect"}), deed.site, NO_FLOOR)
    assert {} == held(free)
    assert not free.lacks


def test_a_protected_machine_that_git_forgets_is_still_protected_when_it_comes_back() -> None:
    before = served(node(1, protect=True), node(2))
    gone = verdict(before, without := served(node(2)))
    assert frozenset() == gone.lacks, "there is nothing to approve while it is gone"
    assert {"protect": {"node-01"}} == held(verdict(without, served(node(1, work()), node(2)), gone.holds))


KNOWN = node(1, work("reboot"), protect=True, idle="profile:spare", metadata=Metadata(user_data="#cloud-config"))
BOOTS: dict[str, tuple[Machine, str, dict[str, Any]]] = {
    "another idle profile": (msgspec.structs.replace(KNOWN, idle="profile:diskless"), "idle", {}),
    "another kernel argument": (KNOWN, "profile spare", {"cmdline": "init=/bin/sh"}),
    "another loader": (msgspec.structs.replace(KNOWN, loader="own.efi"), "loader", {}),
    "other user data": (msgspec.structs.replace(KNOWN, metadata=Metadata(user_data="runcmd: [wipefs]")), "user data", {}),
    "other vendor data": (KNOWN, "vendor data", {"vendor_data": "runcmd: [wipefs]"}),
    "another instance id": (
        msgspec.structs.replace(KNOWN, metadata=Metadata("again", user_data="#cloud-config")),
        "instance id",
        {},
    ),
    "a profile of its own for a run": (
        msgspec.structs.replace(KNOWN, work=(msgspec.structs.replace(work("reboot"), profile="diskless"),)),
        "profile diskless",
        {},
    ),
    "another name, and other user data": (
        msgspec.structs.replace(KNOWN, name="other", metadata=Metadata(user_data="runcmd: [wipefs]")),
        "user data",
        {},
    ),
}


def booting(each: Machine, cmdline: str = "", vendor_data: str = "") -> BootPlan:
    site = msgspec.structs.replace(SITE, trust=Trust(signers=(ANN,)), vendor_data=vendor_data)
    return plan(each, node(2), site=site, cmdline=cmdline)


@pytest.mark.parametrize("steps", ["protected", "protected no more"])
@pytest.mark.parametrize("what", BOOTS)
def test_a_protected_machine_boots_nothing_else_before_somebody_approves_it(what: str, steps: str) -> None:
    each, said_of_it, more = BOOTS[what]
    before, protect = booting(KNOWN), steps == "protected"
    judged = verdict(before, after := booting(msgspec.structs.replace(each, protect=protect), **more))
    (breach,) = judged.waits
    assert ("protect", (each.name,)) == (breach.kind, breach.machines)
    assert f"({each.name}: {said_of_it})" in breach.why
    assert () == released(judged, frozenset({"protect"}), after.site, NO_FLOOR).waits
    bare = booting(msgspec.structs.replace(KNOWN, protect=False))
    assert verdict(bare, after, verdict(before, bare).holds).waits, "nor in two commits"
    assert () == verdict(bare, after).waits, "of one that never was protected nobody asks"


def test_what_no_protected_machine_boots_may_be_another() -> None:
    before = served(node(1, work(), protect=True, idle="profile:diskless"), node(2, idle="profile:spare"))
    assert () == verdict(before, served(node(1, protect=True), node(2, idle="profile:spare"), cmdline="q")).waits
    held_back = msgspec.structs.replace(work("reboot"), cancel=True)
    for prepared in (work(), held_back):
        first = served(node(1, prepared, protect=True))
        assert () == verdict(served(node(1, protect=True)), first).waits
        assert verdict(first, served(node(1, work("reboot"), protect=True))).waits, "what never started is not known"


def test_a_protected_machine_that_comes_back_boots_nothing_that_nobody_approved() -> None:
    before = served(node(1, protect=True, idle="profile:spare"), node(2))
    gone = verdict(before, without := served(node(2)))
    (breach,) = verdict(without, served(node(1, protect=True, idle="profile:spare"), node(2)), gone.holds).waits
    assert ("protect", ("node-01",)) == (breach.kind, breach.machines)


def test_a_signer_that_is_added_beside_a_protected_machine_approves_nothing() -> None:
    before = served(node(1, protect=True))
    judged = verdict(before, served(node(1, protect=True), signers=(ANN, EVE)))
    assert {"loosen"} == judged.lacks


# Approval -----------------------------------------------------------------------------------------------------------------


def test_what_is_approved_is_released_kind_by_kind() -> None:
    before = served(*fleet(3), policy=TEN)
    judged = verdict(before, after := served(*fleet(3, work())))
    half = released(judged, frozenset({"destructive"}), after.site, NO_FLOOR)
    assert {} == held(half)
    assert {"loosen"} == half.lacks
    assert half.holds.kept == Kept(TEN, Trust(signers=(ANN,)), loosened=half.holds.kept.loosened if half.holds.kept else ())
    whole = released(half, frozenset({"loosen"}), after.site, NO_FLOOR)
    assert Holds(after.id) == whole.holds


def test_a_plan_that_waits_is_served_once_it_is_approved() -> None:
    rules = Policy((Limit("remove", machines=0), Limit("move", machines=0)))
    judged = verdict(served(*fleet(2), policy=rules), after := served(node(1, address="10.1.1.1"), policy=rules))
    assert [("remove", 1), ("move", 1)] == waiting(judged)
    assert [("move", 1)] == waiting(released(judged, frozenset({"remove"}), after.site, NO_FLOOR))
    assert [] == waiting(released(judged, frozenset({"remove", "move"}), after.site, NO_FLOOR))


def test_a_looser_window_or_rolling_counts_with_the_stricter_until_it_is_approved() -> None:
    strict = Policy(windows=(Window(("sat",), 0, 60),), rolling=Rolling(1, 1))
    judged = verdict(served(policy=strict), after := served())
    assert (strict,) == judged.holds.policies
    assert () == released(judged, frozenset({"loosen"}), after.site, NO_FLOOR).holds.policies
    floor = Floor(policy=TEN)
    assert (TEN,) == released(judge(served(), after, None, floor), frozenset(KINDS), after.site, floor).holds.policies


EVERYBODY: dict[str, tuple[Policy, Floor, dict[Kind, str]]] = {
    "every signer": (NO_POLICY, NO_FLOOR, {"destructive": "ann bob", "loosen": "ann bob"}),
    "named approvers": (
        Policy(approvers=(Approver("ann"), Approver("bob", ("destructive",)))),
        NO_FLOOR,
        {"destructive": "ann bob", "loosen": "ann"},
    ),
    "the floor's signers too": (
        NO_POLICY,
        Floor(Trust(signers=(EVE,))),
        {"destructive": "ann bob eve", "loosen": "ann bob eve"},
    ),
    "only the floor's approvers": (
        NO_POLICY,
        Floor(Trust(signers=(EVE,)), policy=Policy(approvers=(Approver("eve", ("loosen",)),))),
        {"destructive": "", "loosen": "eve"},
    ),
}


@pytest.mark.parametrize("what", EVERYBODY)
def test_who_may_approve_what(what: str) -> None:
    policy, floor, expected = EVERYBODY[what]
    site = served(policy=policy, signers=(ANN, BOB)).site
    rules = Kept(policy, Trust(signers=(ANN, BOB)))
    for kind, names in expected.items():
        assert names.split() == sorted(signer.name for signer in approvers(rules, floor, kind, site))


def test_a_signer_whom_the_commit_removes_approves_it_no_more() -> None:
    rules = Kept(NO_POLICY, Trust(signers=(ANN, BOB)))
    assert (BOB,) == approvers(rules, NO_FLOOR, "loosen", served(signers=(BOB,)).site)


def test_where_nobody_may_approve_it_is_said_what_to_do() -> None:
    assert "nobody is listed who may approve it (loosen): name a signer in the server's floor" in how_to_release(
        "p", "loosen", ()
    )
    assert "signed by ann or bob, with the trailer `Gitboot-Approve: p`" in how_to_release("p", "loosen", (ANN, BOB, ANN))


# Looser or stricter ---------------------------------------------------------------------------------------------------------

WEEKEND = Policy(windows=(Window(("sat", "sun"), 0, 0),))
LOOSER: dict[str, tuple[Policy, Policy]] = {
    "allows more than destructive runs on at most 2 machines": (TEN, Policy((Limit("destructive", machines=3),))),
    "allows more than to remove at most 5%": (Policy((Limit("remove", share=5),)), Policy((Limit("remove", share=6),))),
    "allows more than to move at most 1 machine per subnet": (
        Policy((Limit("move", machines=1, per="subnet"),)),
        Policy((Limit("move", machines=1),)),
    ),
    "widens the maintenance windows": (WEEKEND, Policy(windows=(Window(DAYS, 0, 0),))),
    "raises rolling.atOnce, which is 2": (Policy(rolling=Rolling(2)), Policy(rolling=Rolling(3))),
    "drops rolling.stopAfter, which is 1": (Policy(rolling=Rolling(0, 1)), NO_POLICY),
    "lets ann approve loosen": (
        Policy(approvers=(Approver("ann", ("move",)),)),
        Policy(approvers=(Approver("ann", ("loosen",)),)),
    ),
}


@pytest.mark.parametrize("what", LOOSER)
def test_what_is_looser_is_named_and_the_other_way_round_it_is_not(what: str) -> None:
    before, after = LOOSER[what]
    trust = Trust(signers=(ANN,))
    assert any(each.startswith(what) for each in loosened(before, trust, after, trust))
    assert not any(each.startswith(what) for each in loosened(after, trust, before, trust))
    assert () == loosened(before, trust, before, trust)


# What cannot be known -------------------------------------------------------------------------------------------------------


def test_where_the_plan_served_before_cannot_be_read_everything_is_held() -> None:
    after = served(*fleet(2))
    judged = judge(None, after, Holds("gone", policies=(TEN,)), NO_FLOOR)
    assert "cannot be read" in judged.holds.everything
    assert frozenset(KINDS) == judged.lacks
    assert "" == judge(None, after, Holds("gone"), NO_FLOOR).holds.everything, "there was no policy"
    assert "" == judge(None, after, None, NO_FLOOR).holds.everything, "there was no plan"


def test_holds_that_are_unknown_stay_so_until_somebody_may_approve_everything() -> None:
    before = served(*fleet(2), policy=TEN)
    judged = verdict(before, after := served(*fleet(1), policy=TEN), Holds(before.id, everything="lost"))
    assert "lost" == judged.holds.everything
    assert "lost" == released(judged, frozenset({"destructive"}), after.site, NO_FLOOR).holds.everything
    assert "" == released(judged, frozenset(KINDS), after.site, NO_FLOOR).holds.everything


def test_the_same_plan_is_not_judged_again() -> None:
    before = served(*fleet(2), policy=TEN)
    holds = Holds(before.id, held=(Hold("destructive", "rule", "why", "how", {"node-01": (("install", 1),)}),), policies=(TEN,))
    assert Verdict(holds) == verdict(before, before, holds)


def test_all_of_it_is_said_the_gravest_first() -> None:
    rules = Policy((Limit("remove", machines=0), Limit("destructive", machines=0)))
    before = served(node(1, protect=True), node(2), node(3), policy=rules)
    judged = verdict(before, served(node(1), node(2, work())))
    found = said(judged, dict.fromkeys(KINDS, "sign"))
    assert [("remove", True), ("destructive", False), ("loosen", False), ("protect", False)] == [
        (each.kind, each.whole) for each in found
    ]
    assert ("node-03",) == found[0].machines
