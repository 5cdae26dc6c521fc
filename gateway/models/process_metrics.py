"""Counters and gauges of a process as plain values that can be sent and added up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

# Prometheus name, such as `gateway_requests_total`, and labels in order.
MetricSample = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Samples of one metric with different labels."""

    # `counter`, `gauge` or `histogram`.
    kind: str
    description: str
    values: Mapping[MetricSample, float]
    # Whether each process reports the value of all together, so that the greatest holds.
    is_shared: bool = False


# By name.
MetricFamilies = Mapping[str, MetricFamily]


def sum_families(parts: Iterable[MetricFamilies]) -> MetricFamilies:
    """Merge the families of several processes."""
    total: dict[str, MetricFamily] = {}
    for part in parts:
        for name, family in part.items():
            known = total.get(name)
            total[name] = family if known is None else replace(known, values=_merge_values(known, family))
    return total


def without_gauges(families: MetricFamilies) -> MetricFamilies:
    # Counts stay true of a process that has ended.
    return {name: family for name, family in families.items() if family.kind != "gauge"}


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
