"""What one request may look like, and how many may come from one address."""

from __future__ import annotations

from netboot.request_limits import AT_ONCE, LARGEST_HEAD, LONGEST_TARGET, MOST_HEADERS, PER_SECOND, RequestLimits, TooMuch


def status(limits: RequestLimits, peer: str = "a", target: int = 1, headers: int = 1, now: float = 0) -> int:
    verdict = limits.judge(peer, target, [(b"x", b"y")] * headers, now)
    return verdict.status if isinstance(verdict, TooMuch) else 200


def test_a_thousand_machines_behind_one_router_boot_at_once() -> None:
    """Twenty requests each in one instant, and a heartbeat and a chunk of log every five seconds ever after."""
    limits = RequestLimits()
    assert {200} == {status(limits, now=100) for _ in range(20_000)}
    assert {200} == {status(limits, now=100 + second) for second in range(1, 60) for _ in range(400)}


def test_one_peer_that_never_ends_is_held_and_the_others_are_not() -> None:
    limits = RequestLimits()
    answers = [status(limits, now=100) for _ in range(AT_ONCE + 100)]
    assert [200] * AT_ONCE + [429] * 100 == answers
    assert 200 == status(limits, "b", now=100)
    assert PER_SECOND - 1 <= [status(limits, now=101) for _ in range(1000)].count(200) <= PER_SECOND + 1


def test_who_waits_as_told_is_answered() -> None:
    limits = RequestLimits(at_once=1, per_second=0.5)
    limits.judge("a", 1, [], 100)
    verdict = limits.judge("a", 1, [], 100)
    assert isinstance(verdict, TooMuch)
    assert 200 == status(limits, now=100 + verdict.retry)


def test_the_unix_socket_has_no_rate() -> None:
    limits = RequestLimits(at_once=1, per_second=0.001)
    assert {200} == {status(limits, "") for _ in range(10)}


def test_the_head_has_bounds() -> None:
    limits = RequestLimits()
    assert [200, 414] == [status(limits, target=each) for each in (LONGEST_TARGET, LONGEST_TARGET + 1)]
    assert [200, 431] == [status(limits, headers=each) for each in (MOST_HEADERS, MOST_HEADERS + 1)]
    large = [limits.judge("a", 1000, [(b"x" * 10, b"y" * (LARGEST_HEAD - 1010 + more))], 0) for more in (0, 1)]
    assert [None, 431] == [each and each.status for each in large]
