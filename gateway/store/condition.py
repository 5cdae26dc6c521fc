"""What can be said of a store as a whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in a copy of a store: requests, feedback entries, and its size."""

    requests: int
    feedback: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Examined:
    """What was seen of a store that is sound.

    Args:
        lacking: how many migrations it lacks.
        newest_at_us: when the latest request started, in microseconds since the epoch.
        key_roles: the roles of each live key.
    """

    lacking: int
    newest_at_us: int | None
    key_roles: tuple[frozenset[str], ...]
