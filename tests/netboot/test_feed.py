"""The feed: whoever says what it heard last is told the rest, once, or that some of it is gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netboot.feed import Feed, News


def test_a_listener_is_told_what_came_since_and_nothing_twice() -> None:
    feed = Feed("e")
    assert feed.since(0) is None
    feed.add(["a", "b", "a"])
    assert News(("a", "b"), 3) == feed.since(0)
    assert News(("a",), 3) == feed.since(2)
    assert feed.since(3) is None


def test_what_is_gone_is_said_to_be() -> None:
    feed = Feed("e", most=2)
    feed.add(["a", "b", "c"])
    assert News((), 3, gap=True) == feed.since(0)
    assert News(("b", "c"), 3) == feed.since(1)
    assert News((), 3, gap=True) == feed.since(-1)
    assert News((), 3, gap=True) == feed.since(99), "another server's number"


def test_who_waits_is_woken_by_the_next_change_and_by_no_other() -> None:
    feed, woken = Feed("e"), []
    for name in ("one", "two", "gone"):
        feed.wait(name, lambda name=name: woken.append(name))  # type: ignore[misc]  # mypy cannot infer such a lambda's type
    feed.leave("gone")
    feed.leave("gone")
    feed.add([])
    assert [] == woken
    feed.add(["a", "b"])
    feed.add(["c"])
    assert ["one", "two"] == woken


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=30), st.data())
def test_however_often_somebody_listens_no_change_is_lost_or_doubled(changes: list[list[str]], data: st.DataObject) -> None:
    """Within the ring: each look tells exactly the names of the changes since the look before."""
    feed, last, due = Feed("e", most=1000), 0, list[str]()
    for change in changes:
        feed.add(change)
        due += change
        if data.draw(st.booleans()):
            news = feed.since(last)
            assert list(dict.fromkeys(due)) == list(news.paths if news else ())
            assert not (news and news.gap)
            last, due = feed.last, []
