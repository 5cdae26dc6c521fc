"""Counters and gauges of a process as plain values that can be sent and added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

# The name of a figure as Prometheus has it, such as `gateway_requests_total`, and its labels in order.
MetricSample = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Figures that mean the same and differ in their labels.

    Args:
        kind: `counter`, `gauge` or `histogram`.
        is_shared: whether each process tells the figure of all together, as far as it knows: the greatest holds.
    """

    kind: str
    description: str
    values: Mapping[MetricSample, float]
    is_shared: bool = False


# The families of one process, or of several, by name.
MetricFamilies = Mapping[str, MetricFamily]


def sum_families(parts: Iterable[MetricFamilies]) -> MetricFamilies:
    """Return the figures of all together: sums, of the times since when something is counted the first, and of what
    is shared the greatest."""
    total: dict[str, MetricFamily] = {}
    for part in parts:
        for name, family in part.items():
            known = total.get(name)
            total[name] = family if known is None else replace(known, values=_merge_values(known, family))
    return total


def without_gauges(figures: MetricFamilies) -> MetricFamilies:
    """Return those figures that stay true of a process when it has ended: what it counted, not how it was."""
    return {name: family for name, family in figures.items() if family.kind != "gauge"}


def _merge_values(one: MetricFamily, other: MetricFamily) -> dict[MetricSample, float]:
    values = dict(one.values)
    for sample, value in other.values.items():
        if sample not in values:
            values[sample] = value
        elif sample[0].endswith("_created"):
            values[sample] = min(values[sample], value)
        elif one.is_shared:
            values[sample] = max(values[sample], value)
        else:
            values[sample] += value
    return values
