"""RequestMetrics: counters and histograms of requests, as plain values for the process that serves them."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from gateway.models.exchange import Exchange, was_proxied
from gateway.models.process_metrics import MetricFamilies, MetricFamily, MetricSample
from gateway.models.request import NANOUSD_PER_USD, Facts

# Histogram bounds in seconds.
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BOUNDS = (*(str(float(bound)) for bound in DURATION_BUCKETS), "+Inf")

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Counter:
    name: str
    description: str
    values: dict[Labels, float] = field(default_factory=lambda: defaultdict(float))

    def family(self) -> MetricFamily:
        samples: dict[MetricSample, float] = {
            (f"{self.name}_total", labels): value for labels, value in self.values.items()
        }
        return MetricFamily("counter", self.description, samples)


@dataclass(slots=True)
class _Histogram:
    name: str
    description: str
    buckets: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=lambda: defaultdict(float))

    def observe(self, labels: Labels, seconds: float) -> None:
        counts = self.buckets.get(labels)
        if counts is None:
            counts = self.buckets[labels] = [0] * len(_BOUNDS)
        counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self.sums[labels] += seconds

    def family(self) -> MetricFamily:
        samples: dict[MetricSample, float] = {}
        for labels, counts in self.buckets.items():
            total = 0
            for bound, count in zip(_BOUNDS, counts, strict=True):
                total += count
                samples[f"{self.name}_bucket", tuple(sorted((*labels, ("le", bound))))] = total
            samples[f"{self.name}_count", labels] = total
            samples[f"{self.name}_sum", labels] = self.sums[labels]
        return MetricFamily("histogram", self.description, samples)


class RequestMetrics:
    """Counters and histograms of proxied requests."""

    def __init__(self) -> None:
        self._requests = _Counter("gateway_requests", "Proxied requests that ended.")
        self._duration = _Histogram("gateway_request_seconds", "From a request's start to its end.")
        self._first_byte = _Histogram(
            "gateway_first_byte_seconds", "From a request's start to the head of its response."
        )
        self._tokens = _Counter("gateway_tokens", "Tokens as providers counted them.")
        self._cost = _Counter("gateway_cost_usd", "Cost of requests.")
        self._unpriced = _Counter(
            "gateway_unpriced_requests", "Requests with usage whose model has no price."
        )

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Count one exchange."""
        # Logs of requests made elsewhere may name any provider, which would make endless label values.
        if not was_proxied(exchange.path):
            return
        # Labels are sorted by their names.
        call = (("endpoint", exchange.endpoint), ("provider", exchange.provider))
        outcome, status = ("outcome", exchange.outcome.value), ("status", str(exchange.status or 0))
        self._requests.values[call[0], outcome, call[1], status] += 1
        self._duration.observe(call, (exchange.ended_at_us - exchange.started_at_us) / 1e6)
        if exchange.first_byte_at_us is not None:
            self._first_byte.observe(call, (exchange.first_byte_at_us - exchange.started_at_us) / 1e6)
        for kind, count in (
            ("prompt", facts.usage.prompt_tokens),
            ("completion", facts.usage.completion_tokens),
            ("cached", facts.usage.cached_tokens),
        ):
            if count:
                self._tokens.values[call[0], ("kind", kind), call[1]] += count
        if facts.cost is not None:
            self._cost.values[call] += facts.cost.nanousd / NANOUSD_PER_USD
        elif facts.usage.prompt_tokens is not None:
            self._unpriced.values[call] += 1

    def collect(self) -> MetricFamilies:
        """Return what was counted."""
        metrics = (
            self._requests, self._duration, self._first_byte, self._tokens, self._cost, self._unpriced,
        )  # fmt: skip
        return {metric.name: metric.family() for metric in metrics}
