"""How long a worker's place stays empty."""

from __future__ import annotations

from gateway.server.supervisor import MAX_PAUSE_SECONDS, STABLE_UPTIME_SECONDS, RestartBackoff


def test_the_first_to_die_is_replaced_at_once() -> None:
    assert RestartBackoff().next_pause(0.1) == 0.0


def test_pauses_grow_while_workers_die_young_up_to_a_longest() -> None:
    backoff = RestartBackoff()
    assert [backoff.next_pause(1.0) for _ in range(6)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert [backoff.next_pause(1.0) for _ in range(2000)][-1] == MAX_PAUSE_SECONDS


def test_after_a_long_life_all_is_forgotten() -> None:
    backoff = RestartBackoff()
    for _ in range(5):
        backoff.next_pause(1.0)
    assert [backoff.next_pause(STABLE_UPTIME_SECONDS), backoff.next_pause(1.0)] == [0.0, 0.5]
