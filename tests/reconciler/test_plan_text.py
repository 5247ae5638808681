"""The difference as people read it: every machine once, and nothing of git's that a terminal or a forge would obey."""

from __future__ import annotations

import re

from reconciler.changes import Change, Difference, Moved, Setting
from reconciler.diff import MASKED_AWAY, changed
from reconciler.grouping import grouped
from reconciler.plan_text import MOST_GROUPS, Compared, as_markdown, as_text

COMPARED = Compared("main", "HEAD")


def change(name: str, *settings: Setting, reasons: tuple[str, ...] = ()) -> Change:
    return Change(name, name, "changed", "next boot", reasons, settings)


def difference(*changes: Change) -> Difference:
    return Difference("0" * 64, "1" * 64, (), changes, False)


def addressed(number: int) -> Change:
    mac, name = f"52:54:00:00:00:{number:02x}", f"node-{number:02}"
    old, new = f"10.1.0.{number}", f"10.2.0.{number}"
    settings = (
        Setting(f"address {mac}", old, new),
        Setting(f"DNS {name}.lab A", old, new),
        Setting(f"DNS {old} PTR", name, None),
    )
    return Change(name, name, "changed", "next boot", (), settings, moved=(Moved(mac, old, new),))


def test_alike_machines_are_one_group_whatever_they_are_called_and_wherever_they_are() -> None:
    (group,) = grouped([addressed(number) for number in range(10, 60)])
    assert 50 == len(group.changes)
    assert Setting("address", "<old address>", "<address>") == group.settings[0]
    text = as_text(difference(*(addressed(number) for number in range(10, 60))), COMPARED)
    assert "50 machines: node-10, node-11, node-12 … node-59" in text
    assert "~ node-10  10.1.0.10 → 10.2.0.10" in text


def test_a_machine_of_its_own_keeps_its_own_words() -> None:
    text = as_text(difference(addressed(10)), COMPARED)
    assert "~ address  10.1.0.10 → 10.2.0.10" in text
    assert "<" not in text


def test_every_change_is_in_one_group() -> None:
    changes = [
        addressed(10),
        addressed(11),
        change("a", Setting("idle", "disk", "wait")),
        change("b", Setting("idle", "disk", "x")),
    ]
    assert sorted(each.machine for each in changes) == sorted(
        each.machine for group in grouped(changes) for each in group.changes
    )


def test_no_more_groups_are_told_than_anybody_reads() -> None:
    changes = [change(f"node-{number}", Setting("idle", "disk", f"profile:p{number}")) for number in range(MOST_GROUPS + 3)]
    for text in (as_text(difference(*changes), COMPARED), as_markdown(difference(*changes), COMPARED)):
        assert "… and 3 more machines" in text


def test_nothing_of_git_s_moves_a_cursor_or_ends_a_line() -> None:
    nasty = change("a", Setting("workflow a action b/c\x1b[2J env X", "\x1b]0;x\x07", "y\rz"), reasons=("\x1b[31mred",))
    for text in (as_text(difference(nasty), COMPARED), as_markdown(difference(nasty), COMPARED)):
        assert set() == set(re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", text))


def test_nothing_of_git_s_is_markup_in_a_comment_or_calls_anybody() -> None:
    nasty = change("a", Setting("disk a", "```\n# big", "@team <img src=x>"), reasons=("@team **bold** <b> [x](http://y)",))
    text = as_markdown(difference(nasty), Compared("`a`", "b"))
    outside = re.sub(r"(?ms)^(`{3,})diff\n.*?^\1$", "", text)
    assert "@team" not in outside
    assert "<b> " not in outside
    assert "[x](" not in outside
    assert text.count("````diff") == 1


def test_what_differs_behind_a_mask_is_said_to_differ() -> None:
    (setting,) = changed({"env URL": "http://a:b@x/"}, {"env URL": "http://a:c@x/"})
    assert Setting("env URL", "http://a:***@x/", f"http://a:***@x/{MASKED_AWAY}") == setting
