"""What can be said of a store as a whole."""

from __future__ import annotations

from dataclasses import dataclass

WAITING_US = 3_600_000_000
"""How long feedback may wait before it is worth a look."""
MAX_AWAITED = 4
MIN_MISREAD = 5


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in a copy of a store: requests, feedback entries, and its size."""

    requests: int
    feedback: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FeedbackCondition:
    """What may be wrong with feedback.

    Args:
        waiting: how many entries have waited for more than `WAITING_US` for what they are about.
        awaited: what the latest of them wait for, up to `MAX_AWAITED` ids.
        misread: keys, None for callers without one, that gave so many grades of 0 and 1 which have the scores of
            grades, and no other grades.
    """

    waiting: int = 0
    awaited: tuple[str, ...] = ()
    misread: tuple[tuple[str | None, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What was seen of a store that is sound.

    Args:
        lacking: how many migrations it lacks.
        newest_at_us: when the latest request started, in microseconds since the epoch.
        key_roles: the roles of each live key.
        feedback: what may be wrong with feedback.
    """

    lacking: int
    newest_at_us: int | None
    key_roles: tuple[frozenset[str], ...]
    feedback: FeedbackCondition = FeedbackCondition()
