"""What there is of one person, to be counted or taken out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Belongings:
    """What was kept of one person, by what it is found again.

    Args:
        request_seqs: the rows of their requests.
        feedback_ids: entries that they wrote, or that count for one of those requests.
        receipts: scope and key of the calls that made one of these requests or entries.
    """

    request_seqs: tuple[int, ...] = ()
    feedback_ids: tuple[str, ...] = ()
    receipts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Expired:
    """How many requests and entries of feedback were deleted because they were too old."""

    requests: int = 0
    feedback: int = 0

    def __add__(self, other: Expired) -> Expired:
        return Expired(self.requests + other.requests, self.feedback + other.feedback)

    def __bool__(self) -> bool:
        return self != Expired()
