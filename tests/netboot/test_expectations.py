"""How long things take is learned from what went well, per model, and a little of it."""

from __future__ import annotations

from dataclasses import replace

from netboot import expectations
from netboot.events import BootAdvanced, BootClosed, BootOpened, Event, RunEnded
from netboot.expectations import ENOUGH, LEAST, LONGEST, MOST_VALUES, Expectations, Expected, patience
from netboot.observed import Observed
from netboot.records import BootStatus
from tests.netboot.story import MAC, Story, begun


def booted(learning: Expectations, observed: Observed, seconds: float, machine: str = "node-01", times: int = 1) -> BootStatus:
    """Machines that spend `seconds` in firmware, and what is known of it then."""
    for _ in range(times):
        boot = f"{machine}-{len(observed.runs)}-{observed.listening}"
        opened = BootOpened(at=0.0, boot=boot, machine=machine, macs=(MAC,), mac=MAC, plan="p", via="dhcp")
        for event in (opened, BootAdvanced(at=seconds, boot=boot, phase="ipxe")):
            observed.apply(event)
            learning.apply(event, observed)
        observed.listening += 1
    found = observed.last_boot_of(machine)
    assert found is not None
    return found


def learned(story: Story) -> Expectations:
    found = Expectations()
    found.learn_all(story.observed)
    return found


def followed(story: Story) -> Expectations:
    found, observed = Expectations(), Observed()
    for event in story.journal:
        observed.apply(event)
        found.apply(event, observed)
    return found


def test_nothing_is_expected_before_anything_was_seen() -> None:
    assert Expectations().of_stage("node-01", "firmware") is None


def test_half_do_not_exceed_the_median_and_nine_of_ten_the_high() -> None:
    here, observed = Expectations(), Observed()
    for seconds in range(1, 11):
        boot = booted(here, observed, float(seconds))
    assert Expected(5.0, 9.0, 10) == here.of_stage(boot.machine, "firmware")


def test_only_what_was_seen_lately_counts() -> None:
    here, observed = Expectations(), Observed()
    booted(here, observed, 1000.0, times=10)
    boot = booted(here, observed, 2.0, times=MOST_VALUES)
    assert Expected(2.0, 2.0, MOST_VALUES) == here.of_stage(boot.machine, "firmware")


def test_a_model_is_judged_by_itself_once_enough_of_it_were_seen_and_by_all_before() -> None:
    models = {"big": "Server", "small": "Board"}
    here, observed = Expectations(lambda name: models.get(name, "")), Observed()
    booted(here, observed, 100.0, "big", ENOUGH)
    few = booted(here, observed, 2.0, "small", ENOUGH - 1)
    assert 2 * ENOUGH - 1 == here.of_stage(few.machine, "firmware").of  # type: ignore[union-attr]
    enough = booted(here, observed, 2.0, "small")
    assert Expected(2.0, 2.0, ENOUGH, own=True) == here.of_stage(enough.machine, "firmware")


def test_the_same_is_learned_from_what_is_observed_at_start_as_from_each_event() -> None:
    story, boot, run = begun()
    story.install(boot, run)
    status, past = story.observed.boots[boot], story.observed.runs[run]
    at_start, one_by_one = learned(story), followed(story)
    for attempt in past.attempts:
        assert Expected(1.0, 1.0, 1) == at_start.of_action(past, attempt) == one_by_one.of_action(past, attempt)
    assert at_start.of_run(past) == one_by_one.of_run(past) == Expected(7.0, 7.0, 1)
    assert at_start.of_stage(status.machine, "firmware") == one_by_one.of_stage(status.machine, "firmware")


def test_a_boot_before_the_last_one_is_learned_from_too() -> None:
    story = Story()
    for seconds in (3.0, 5.0):
        boot = story.boot()
        story.happen(BootAdvanced(at=story.now + seconds, boot=boot, phase="ipxe"))
        story.now += seconds
    assert Expected(3.0, 5.0, 2) == learned(story).of_stage("node-01", "firmware")


def test_what_failed_or_waited_says_nothing_of_how_long_it_takes() -> None:
    story, boot, run = begun()
    story.start(boot, run, "disk", "wipe")
    story.end(boot, run, "disk", "wipe", "FAILED")
    story.happen(RunEnded(at=story.tick(), run=run, state="FAILED", reason="wipe failed"))
    past, found = story.observed.runs[run], learned(story)
    assert (None, None) == (found.of_run(past), found.of_action(past, past.attempts[0]))
    assert found.of_stage("node-01", "agent") is None


def test_ipxe_that_opens_the_boot_was_no_quick_firmware() -> None:
    here = Expectations()
    booted(here, Observed(), 0.0)
    assert here.of_stage("node-01", "firmware") is None


def test_a_kernel_is_expected_by_the_profile_that_it_is_of() -> None:
    here, observed = Expectations(), Observed()
    boot = booted(here, observed, 1.0)
    events: tuple[Event, ...] = (
        BootAdvanced(at=10.0, boot=boot.id, phase="kernel", profile="large"),
        BootAdvanced(at=70.0, boot=boot.id, phase="agent"),
    )
    for event in events:
        observed.apply(event)
        here.apply(event, observed)
    assert Expected(60.0, 60.0, 1) == here.of_stage("node-01", "kernel", "large")
    assert here.of_stage("node-01", "kernel", "small") is None


def test_a_machine_that_is_held_at_its_script_says_nothing_of_how_long_fetching_a_kernel_takes() -> None:
    story = Story()
    boot = story.boot()
    opened = story.now
    story.happen(
        BootAdvanced(at=opened + 1, boot=boot, phase="script", reason="waits: frozen"),
        BootAdvanced(at=opened + 3000, boot=boot, phase="script", reason="runs workflow install", profile="inspect"),
        BootAdvanced(at=opened + 3004, boot=boot, phase="kernel", profile="inspect"),
    )
    for found in (learned(story), followed(story)):
        assert Expected(4.0, 4.0, 1) == found.of_stage("node-01", "script", "inspect")


def test_a_machine_that_was_off_for_days_says_nothing_of_how_long_a_restart_takes() -> None:
    story, seconds = Story(), (100.0, LONGEST, LONGEST + 1.0, 3 * 86400.0)
    boot = story.boot()
    for away in seconds:
        story.happen(
            BootAdvanced(at=story.tick(), boot=boot, phase="agent"),
            BootClosed(at=story.tick(), boot=boot, reason="its work is done"),
        )
        opened = BootOpened(at=story.now + away, boot=boot, machine="node-01", macs=(MAC,), mac=MAC, plan="p", via="dhcp")
        story.happen(opened)
        story.now = opened.at
    for found in (learned(story), followed(story)):
        assert Expected(100.0, LONGEST, 2) == found.of_stage("node-01", "restart")


def test_memory_is_bounded_however_many_things_there_are(monkeypatch: object) -> None:
    here, observed, name = Expectations(lambda name: name), Observed(), "machine-{}".format
    for number in range(expectations.MOST_KEYS + 10):
        boot = booted(here, observed, 1.0, name(number))
    assert len(here._values) == expectations.MOST_KEYS  # the bound itself
    assert here.of_stage(boot.machine, "firmware") is not None


def test_a_deadline_rests_on_enough_and_is_never_hasty() -> None:
    assert 90.0 == patience(None, 90.0) == patience(Expected(1.0, 1.0, ENOUGH - 1), 90.0)
    assert LEAST == patience(Expected(1.0, 2.0, ENOUGH, own=True), 90.0)
    assert 600.0 == patience(Expected(200.0, 300.0, ENOUGH, own=True), 90.0) == patience(Expected(200.0, 300.0, ENOUGH), 90.0)
    assert patience(None, None) is None


def test_what_other_models_take_makes_nothing_overdue_sooner() -> None:
    models = {"big": "Server", "small": "Board"}
    here, observed = Expectations(lambda name: models.get(name, "")), Observed()
    booted(here, observed, 2.0, "small", ENOUGH)
    booted(here, observed, 300.0, "big")
    for machine in ("big", "not yet known"):
        assert 900.0 == patience(here.of_stage(machine, "firmware"), 900.0)
        assert patience(here.of_stage(machine, "firmware"), None) is None
    assert LEAST == patience(here.of_stage("small", "firmware"), 900.0)


def test_an_action_is_expected_by_the_workflow_that_it_is_of() -> None:
    story, boot, run = begun()
    past, found = story.install(boot, run), learned(story)
    wipe = past.attempts[0]
    assert found.of_action(past, wipe) is not None
    assert found.of_action(replace(past, workflow="another"), wipe) is None
    assert found.of_action(past, replace(wipe, task="configure")) is None
