"""Requests that belong together, seen as one: those of a trace, or those of a session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.aggregate import UsageSums, VerdictSums


class GroupedBy(StrEnum):
    """The field of requests that groups are made by. Requests without a value are in no group."""

    TRACE = "trace_id"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group stands in a walk through the log, from its end to its beginning.

    Args:
        top: `seq` of the row at which the walk began; what was stored later is not met in it.
        seq: the row at which the walk met the group.
    """

    top: int
    seq: int


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """A group with the figures of all its requests. Times are microseconds since the epoch.

    Args:
        name: the value that its requests have in common.
        models: those that answered, or were asked for where none did, in the order of the alphabet.
        users: the end users, in the order of the alphabet.
    """

    name: str
    place: Place
    started_at_us: int
    ended_at_us: int
    traces: int
    models: tuple[str, ...]
    users: tuple[str, ...]
    usage: UsageSums
    verdicts: VerdictSums
