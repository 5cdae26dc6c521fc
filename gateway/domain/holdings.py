"""What a store holds, as it is carried to another one and compared with it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gateway.domain.exchange import Exchange
from gateway.domain.request import RequestRecord


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A row of the log as it is, and the exchange that it was made of, as far as that was kept.

    Args:
        other_response_ids: those that its answer showed beside the one in the row.
    """

    record: RequestRecord
    exchange: Exchange
    other_response_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holdings:
    """Counts and sums over all that there is. Those of two stores that have nothing in common add up.

    Args:
        body_bytes: as they went over the wire, whether or not they were kept.
        versions: of entries of feedback, the latest ones included.
        weight: sum of the weights of the latest versions.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    body_bytes: int = 0
    feedback: int = 0
    versions: int = 0
    weight: float = 0.0

    def __add__(self, other: Holdings) -> Holdings:
        return Holdings(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def differs_from(self, other: Holdings) -> list[str]:
        """Return the names of the figures in which two differ. Weights are sums of fractions, so the last of their
        digits do not count."""
        return [
            f.name
            for f in fields(self)
            if abs(getattr(self, f.name) - getattr(other, f.name)) > (1e-6 if f.name == "weight" else 0)
        ]
