"""Figures as Prometheus reads them, of one process and of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.operations import Metrics
from gateway.models.process_metrics import MetricFamilies, without_gauges
from gateway.recording.request_metrics import RequestMetrics
from tests.conftest import StartGateway
from tests.store.samples import FACTS, exchange, feedback

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "monitoring.md"

CALL = {"provider": "openai", "endpoint": "chat.completions"}
REQUESTS = {**CALL, "status": "200", "outcome": "complete"}


async def read(metrics: Metrics, name: str, **labels: str) -> float:
    """A figure as it is shown."""
    for family in text_string_to_metric_families((await metrics.to_text()).decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    raise AssertionError(f"{name} is not shown")


def busy(requests: int, *, inherited: MetricFamilies | None = None) -> Metrics:
    """The metrics of a process that had so many requests of a quarter of a second, and has as many connections."""

    async def others() -> Sequence[MetricFamilies]:
        return [ingested(requests)]

    metrics = Metrics(inherited or {}, others)
    metrics.watch({"connections": ("Open.", lambda: requests), "starts_total": ("Starts.", lambda: 1)})
    return metrics


def ingested(requests: int) -> MetricFamilies:
    """What the ingester has counted."""
    counted = RequestMetrics()
    for _ in range(requests):
        counted.observe(exchange(), FACTS)
    return counted.collect()


async def test_what_was_observed_is_counted() -> None:
    metrics = busy(2)
    assert await read(metrics, "gateway_requests_total", **REQUESTS) == 2
    assert await read(metrics, "gateway_request_seconds_count", **CALL) == 2
    assert await read(metrics, "gateway_request_seconds_sum", **CALL) == 0.5
    assert await read(metrics, "gateway_request_seconds_bucket", **CALL, le="0.1") == 0
    assert await read(metrics, "gateway_request_seconds_bucket", **CALL, le="0.25") == 2
    assert await read(metrics, "gateway_tokens_total", **CALL, kind="prompt") == 24
    assert await read(metrics, "gateway_cost_usd_total", **CALL) == 0.0025
    assert await read(metrics, "connections") == 2


async def test_feedback_is_counted_by_whether_it_names_something() -> None:
    metrics = busy(0)
    joined = feedback(joined_at_us=1)
    metrics.observe_feedback([joined, feedback("f2"), feedback("f3"), feedback("f1", version=2)])
    assert await read(metrics, "gateway_feedback_entries_total", dialect="native", joined="true") == 1
    assert await read(metrics, "gateway_feedback_entries_total", dialect="native", joined="false") == 2


async def test_the_figures_of_others_are_added() -> None:
    async def others() -> Sequence[MetricFamilies]:
        return [busy(2).collect(), busy(3).collect(), ingested(2), ingested(3)]

    metrics = Metrics({}, others)
    assert await read(metrics, "gateway_requests_total", **REQUESTS) == 5
    assert await read(metrics, "gateway_request_seconds_bucket", **CALL, le="+Inf") == 5
    assert await read(metrics, "connections") == 5
    assert await read(metrics, "starts_total") == 2


async def test_who_comes_next_counts_on() -> None:
    successor = busy(3, inherited=without_gauges(busy(2).collect()))
    assert await read(successor, "starts_total") == 2
    assert await read(successor, "connections") == 3


async def test_what_passed_is_counted_and_what_was_only_told_of_is_not() -> None:
    counted = RequestMetrics()
    counted.observe(exchange(provider="passed"), FACTS)
    counted.observe(exchange(provider="told of", path="https://api.openai.com/v1/chat/completions"), FACTS)

    async def others() -> Sequence[MetricFamilies]:
        return [counted.collect()]

    text = (await Metrics({}, others).to_text()).decode()
    assert 'provider="passed"' in text
    assert "told of" not in text


def test_each_metric_is_documented_with_its_kind(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"providers": {"up": {"base_url": "http://127.0.0.1:1/v1"}}})
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    shown = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCUMENTATION.read_text(), re.MULTILINE))
    assert documented == {name: kind for name, kind in shown.items() if not name.endswith("_created")}
