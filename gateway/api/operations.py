"""`/healthz`, `/readyz`, `/metrics`, `/openapi.json`: liveness, readiness, metrics, the document of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import BaseModel

from gateway.errors import Forbidden, GatewayError
from gateway.models.feedback import Feedback
from gateway.models.principal import Principal, Role
from gateway.models.process_metrics import MetricFamilies, MetricFamily, sum_families
from gateway.web.endpoint import Api, Endpoint, Tag, endpoints_of
from gateway.web.openapi import OpenApi

# Histogram bounds in seconds.
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Description and reader by name; names in `_total` are counters.
Gauges = Mapping[str, tuple[str, Callable[[], float]]]


@dataclass(frozen=True, slots=True)
class LabelledGauge:
    """A gauge with labels, or a counter if its name ends in `_total`.

    Args:
        read: returns label values, in the order of `labels`, with the number.
        is_shared: whether each process reports the total of all processes.
    """

    description: str
    labels: tuple[str, ...]
    read: Callable[[], Iterable[tuple[tuple[str, ...], float]]]
    is_shared: bool = False


LabelledGauges = Mapping[str, LabelledGauge]

# Label with the name of an API key.
KEY_LABEL = "key"

# Returns the metrics of the other worker processes.
OtherProcesses = Callable[[], Awaitable[Sequence[MetricFamilies]]]


async def no_other_processes() -> Sequence[MetricFamilies]:
    """Return no metrics, for a process that is the only one."""
    return ()


class Metrics:
    """The Prometheus metrics of this process, and of all processes as text.

    Args:
        inherited: metrics of the processes that this one replaces; counters continue from there.
    """

    def __init__(self, inherited: MetricFamilies, others: OtherProcesses) -> None:
        self._inherited = inherited
        self._others = others
        self._shared: frozenset[str] = frozenset()
        self._registry = CollectorRegistry()
        self._feedback = Counter(
            "gateway_feedback_entries",
            "Feedback entries that were given, and whether their request was logged by then.",
            ("dialect", "joined"),
            registry=self._registry,
        )
        self._lag = Histogram(
            "gateway_event_loop_lag_seconds",
            "Delay of the event loop, measured four times a second.",
            registry=self._registry,
            buckets=LAG_BUCKETS,
        )

    def observe_lag(self, seconds: float) -> None:
        """Count a delay of the event loop, in seconds."""
        self._lag.observe(seconds)

    def watch(self, gauges: Gauges, labelled: LabelledGauges = MappingProxyType({})) -> None:
        """Add gauges, which are read for each scrape."""
        self._shared = frozenset(name for name, reading in labelled.items() if reading.is_shared)
        self._registry.register(_GaugeCollector(gauges, labelled))

    def observe_feedback(self, versions: Sequence[Feedback]) -> None:
        """Count the new entries among stored versions of feedback."""
        for entry in versions:
            if entry.version == 1:
                joined = "false" if entry.joined_at_us is None else "true"
                self._feedback.labels(entry.dialect, joined).inc()

    def collect(self) -> MetricFamilies:
        """Return the metrics of this process."""
        own = {
            family.name: MetricFamily(
                family.type,
                family.documentation,
                {(one.name, tuple(sorted(one.labels.items()))): one.value for one in family.samples},
                family.name in self._shared,
            )
            for family in self._registry.collect()
        }
        return sum_families([self._inherited, own])

    async def to_text(self) -> bytes:
        """Return the metrics of all processes in the text format of Prometheus."""
        return generate_latest(_FamilyCollector(sum_families([self.collect(), *await self._others()])))


class _FamilyCollector(Collector):
    def __init__(self, families: MetricFamilies) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.description, family.kind)
            for (sample, labels), value in family.values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


class _GaugeCollector(Collector):
    def __init__(self, gauges: Gauges, labelled: LabelledGauges) -> None:
        self._gauges = gauges
        self._labelled = labelled

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        for name, (description, read) in self._gauges.items():
            if name.endswith("_total"):
                yield CounterMetricFamily(name.removesuffix("_total"), description, read())
            else:
                yield GaugeMetricFamily(name, description, read())
        for name, reading in self._labelled.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name.removesuffix("_total"), reading.description, labels=reading.labels)
            for labels, value in reading.read():
                family.add_metric(labels, value)
            yield family

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        return self.collect()


class Liveness(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    reason: str | None = None


# Returns why the store takes no writes now; None if it takes them.
ReadinessCheck = Callable[[], Awaitable[str | None]]


OPERATIONS = Tag(
    "Operations", "Health, readiness, metrics for Prometheus, and this description for programs."
)


def operations_api(check: ReadinessCheck, metrics: Metrics, openapi: OpenApi) -> Api:
    """Return the API of `/healthz`, `/readyz`, `/metrics` and `/openapi.json`."""
    return Api(
        name="operations",
        tag=OPERATIONS,
        prefixes=("/healthz", "/readyz", "/metrics", "/openapi.json"),
        render_error=_render_error,
        endpoints=endpoints_of(_OperationsEndpoints(check, metrics, openapi)),
    )


class _OperationsEndpoints:
    def __init__(self, check: ReadinessCheck, metrics: Metrics, openapi: OpenApi) -> None:
        self._check = check
        self._metrics = metrics
        self._openapi = openapi

    @Endpoint("GET", "/healthz", None, "Tell that the process is alive", reply=Liveness)
    async def _healthz(self, request: web.Request, principal: Principal) -> web.Response:
        return web.json_response({"status": "ok"})

    @Endpoint("GET", "/readyz", None, "Tell whether the store takes writes", reply=Readiness, failures=(503,))
    async def _readyz(self, request: web.Request, principal: Principal) -> web.Response:
        reason = await self._check()
        if reason is None:
            return web.json_response({"status": "ready", "reason": None})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    @Endpoint("GET", "/metrics", Role.READ, "Metrics in the text format of Prometheus")
    async def _show_metrics(self, request: web.Request, principal: Principal) -> web.Response:
        """Of all tenants together, so that keys with a tenant are refused."""
        if principal.tenant is not None:
            raise Forbidden("metrics cover all tenants.", hint="Use a key without a tenant.")
        return web.Response(body=await self._metrics.to_text(), headers={"Content-Type": CONTENT_TYPE})

    @Endpoint("GET", "/openapi.json", None, "The gateway's API as an OpenAPI 3.1 document")
    async def _send_openapi(self, request: web.Request, principal: Principal) -> web.Response:
        """The same for people is at `/docs`."""
        return web.Response(body=orjson.dumps(self._openapi.document), content_type="application/json")


def _render_error(error: GatewayError) -> web.Response:
    return web.json_response({"error": {"code": error.code, "message": str(error)}}, status=error.status)
