"""How long a worker's place stays empty."""

from __future__ import annotations

from gateway.server.pauses import LONG_LIFE_SECONDS, LONGEST_SECONDS, Pauses


def test_the_first_to_die_is_replaced_at_once() -> None:
    assert Pauses().after(0.1) == 0.0


def test_pauses_grow_while_workers_die_young_up_to_a_longest() -> None:
    pauses = Pauses()
    assert [pauses.after(1.0) for _ in range(6)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert [pauses.after(1.0) for _ in range(2000)][-1] == LONGEST_SECONDS


def test_after_a_long_life_all_is_forgotten() -> None:
    pauses = Pauses()
    for _ in range(5):
        pauses.after(1.0)
    assert [pauses.after(LONG_LIFE_SECONDS), pauses.after(1.0)] == [0.0, 0.5]
