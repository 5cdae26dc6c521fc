"""The rate limit of feedback tokens."""

from __future__ import annotations

import time

import pytest

from gateway.auth import quotas as module
from gateway.auth.quotas import MINUTE_NS, SECOND_NS, RateLimiter
from gateway.errors import TooLarge, TooManyRequests
from gateway.models.principal import FeedbackScope, Principal


class Clock:
    """Time as a test wants it to pass."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * MINUTE_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic_ns", clock)
    return clock


def bearer(number: int = 1) -> Principal:
    return Principal("app", frozenset(), None, FeedbackScope(f"trace-{number}", f"request-{number}"))


def refusal(limits: RateLimiter, votes: int = 1) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as refused:
        limits.check_rate(bearer(), votes)
    return refused.value


@pytest.mark.parametrize("most", [1, 7, 30, 9_999])
def test_a_caller_may_give_all_its_feedback_at_once_and_no_more(clock: Clock, most: int) -> None:
    for sizes in ([most], [1] * most):
        limits = RateLimiter(most)
        for votes in sizes:
            limits.check_rate(bearer(), votes)
        assert f"{most:,} entries per minute" in str(refusal(limits))


def test_calls_come_back_one_by_one(clock: Clock) -> None:
    limits = RateLimiter(4)
    limits.check_rate(bearer(), 4)
    assert refusal(limits).retry_after_seconds == 15
    clock.pass_seconds(14.5)
    assert refusal(limits).retry_after_seconds == 1
    clock.pass_seconds(0.5)
    limits.check_rate(bearer(), 1)
    assert refusal(limits, votes=2).retry_after_seconds == 30


def test_who_waits_as_long_as_it_is_told_is_let_in(clock: Clock) -> None:
    limits = RateLimiter(7)
    for _ in range(50):
        clock.pass_seconds(0.3)
        try:
            limits.check_rate(bearer(), 3)
        except TooManyRequests as refused:
            clock.pass_seconds(refused.retry_after_seconds)
            limits.check_rate(bearer(), 3)


def test_what_was_refused_costs_nothing(clock: Clock) -> None:
    limits = RateLimiter(4)
    limits.check_rate(bearer(), 3)
    for _ in range(10):
        refusal(limits, votes=2)
    limits.check_rate(bearer(), 1)


def test_more_feedback_at_once_than_there_ever_is_will_not_do_later_either(clock: Clock) -> None:
    with pytest.raises(TooLarge, match="holds 1,000 entries; a feedback token may give 30 per minute"):
        RateLimiter(30).check_rate(bearer(), 1_000)


def test_callers_do_not_use_up_each_others_feedback(clock: Clock) -> None:
    limits = RateLimiter(1)
    for number in range(10):
        limits.check_rate(bearer(number), 1)


def test_another_limit_takes_effect_at_once(clock: Clock) -> None:
    limits = RateLimiter(2)
    limits.check_rate(bearer(), 2)
    limits.feedback_per_minute = 4
    assert refusal(limits).retry_after_seconds == 15
    limits.feedback_per_minute = 1
    assert refusal(limits).retry_after_seconds == 60


def test_of_too_many_callers_those_are_forgotten_that_were_quiet_longest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CALLERS", 3)
    limits = RateLimiter(2)
    for number in (1, 2, 3, 1, 4):
        limits.check_rate(bearer(number), 1)
    refusal(limits)
    limits.check_rate(bearer(2), 2)
    assert len(limits._refilled_at_ns) == 3
