"""Figures: what some requests took and what was said of them, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.aggregate import Cell, Latencies, UsageSums, VerdictSums


@dataclass(frozen=True, slots=True)
class Figures:
    """One part of an answer, with all that is known of it."""

    cell: Cell
    usage: UsageSums
    verdicts: VerdictSums = field(default_factory=VerdictSums)
    latencies: Latencies = field(default_factory=dict)
