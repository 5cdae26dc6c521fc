"""What a running gateway tells of itself: readiness, the page of settings, gauges."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.api import operations
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.config.models import MIB, Config
from gateway.config.shown_config import show_config
from gateway.models.addresses import database_name
from gateway.models.quota import QuotaStatus
from gateway.proxy.handler import Proxy
from gateway.recording.freshness import MAX_BEHIND_MS, Freshness
from gateway.recording.recorder import Recorder
from gateway.recording.retention import RetentionJob
from gateway.store.base import Store
from gateway.ui.settings import GatewayStatus, ProviderStatus
from gateway.upstream.client import Upstream


def readiness_check(store: Store, recorder: Recorder, freshness: Freshness) -> operations.ReadinessCheck:
    async def check() -> str | None:
        health = await store.check()
        if not health.is_writable:
            return health.reason or "the store takes no writes"
        if recorder.failure is not None:
            return f"rows are lost: {recorder.failure}"
        if freshness.is_failing() or freshness.behind_ms() > MAX_BEHIND_MS:
            return f"the store takes no rows: {freshness.rows_waiting():,} wait in the journal"
        return None

    return check


_SAFE_SINCE = {
    "commit": "before its answer ends",
    "disk": "on the disk before its answer ends",
    "interval": "within 50 ms",
}


@dataclass(slots=True)
class StatusReader:
    """Tells the page of settings how the gateway runs."""

    config: Config
    is_ready: operations.ReadinessCheck
    recorder: Recorder
    freshness: Freshness

    async def __call__(self) -> GatewayStatus:
        config = self.config
        storage, days = config.storage, config.storage.retention_days
        providers = (
            ProviderStatus(name, each.base_url, each.api_key is not None, name == config.default_provider)
            for name, each in config.providers.items()
        )
        shown = {
            "database": database_name(storage.url),
            "kept for": "ever" if days is None else f"{days} days",
            "headers and bodies": storage.payloads.value,
            "a row is safe": _SAFE_SINCE[storage.durability],
            "rows that wait in the journal": f"{self.freshness.rows_waiting():,}",
            "size of the journal": f"{self.freshness.size_bytes() / MIB:,.1f} MiB",
            "rows lost": f"{self.recorder.rows_lost:,}",
        }
        return GatewayStatus(tuple(providers), shown, await self.is_ready(), show_config(config))


def build_gauges(
    proxy: Proxy, recorder: Recorder, freshness: Freshness, retention: RetentionJob, upstream: Upstream
) -> operations.Gauges:
    pool = upstream.stats
    return {
        "gateway_workers": ("Worker processes.", lambda: 1),
        "gateway_worker_starts_total": ("Worker processes started, replacements included.", lambda: 1),
        "gateway_in_flight": ("Proxied requests in flight.", lambda: len(proxy.in_flight)),
        "gateway_event_loop_tasks": ("Connections and background work.", lambda: len(asyncio.all_tasks())),
        "gateway_rows_lost_total": ("Rows that could not be journaled.", lambda: recorder.rows_lost),
        "gateway_rows_expired_total": ("Rows deleted because of their age.", lambda: retention.rows_expired),
        "gateway_upstream_connections": ("Connections to providers.", lambda: pool().open_connections),
        "gateway_upstream_idle_connections": (
            "Idle connections to providers.",
            lambda: pool().idle_connections,
        ),
        "gateway_upstream_waiting": (
            "Requests that wait for a connection.",
            lambda: pool().waiting_requests,
        ),
    }


def build_labelled_gauges(
    proxy: Proxy, keys: ApiKeys, quotas: Quotas, freshness: Freshness
) -> operations.LabelledGauges:
    def limit_values(measure: Callable[[QuotaStatus], int]) -> Iterator[tuple[tuple[str, ...], float]]:
        for principal in keys.sources():
            for usage in quotas.usage(principal):
                value = usage.limit.to_units(measure(usage))
                yield (principal.name or "", str(usage.limit)), value

    def journal_gauge(description: str, read: Callable[[], float]) -> operations.LabelledGauge:
        return operations.LabelledGauge(description, (), lambda: [((), read())], is_shared=True)

    by_limit = (operations.KEY_LABEL, "limit")
    return {
        "gateway_journal_rows": journal_gauge("Rows that wait in the journal.", freshness.rows_waiting),
        "gateway_journal_bytes": journal_gauge("Size of the journal.", freshness.size_bytes),
        "gateway_journal_age_seconds": journal_gauge(
            "Age of the oldest row that waits in the journal.", lambda: freshness.behind_ms() / 1000
        ),
        "gateway_requests_refused_total": operations.LabelledGauge(
            "Proxied requests refused before a provider was chosen.",
            (operations.KEY_LABEL, "reason"),
            lambda: list(proxy.refused.items()),
        ),
        "gateway_key_limit_used": operations.LabelledGauge(
            "Used of a key's limit in the current window, in the limit's unit.",
            by_limit,
            lambda: limit_values(lambda usage: usage.used),
            is_shared=True,
        ),
        "gateway_key_limit_allowed": operations.LabelledGauge(
            "A key's limit in each window, in the limit's unit.",
            by_limit,
            lambda: limit_values(lambda usage: usage.limit.amount),
            is_shared=True,
        ),
    }
