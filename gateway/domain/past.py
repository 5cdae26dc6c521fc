"""A request that another gateway has logged, as far as it tells."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.exchange import Exchange
from gateway.domain.feedback import Feedback
from gateway.domain.request import Facts


@dataclass(frozen=True, slots=True)
class PastRequest:
    """What came over the wire, what was stated of it, and the verdicts on it.

    Args:
        facts: what its log states. What is missing here may still be read from the bodies.
        feedback: entries that were given elsewhere, each with an id that stays the same.
    """

    exchange: Exchange
    facts: Facts
    feedback: tuple[Feedback, ...] = ()
