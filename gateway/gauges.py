"""What the parts of a gateway tell of themselves at /metrics, beside what is counted there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from gateway.access.allowances import Allowances
from gateway.access.keys import KeyRing
from gateway.api.operations import KEY_LABEL, Gauges, LabelledGauges, LabelledReading
from gateway.domain.limit import LimitUsage
from gateway.proxy.handler import Proxy
from gateway.recording.expiring import Expiring
from gateway.recording.overflow import Overflow
from gateway.recording.recorder import Recorder
from gateway.upstream import Upstream


def gauges_of(
    proxy: Proxy,
    recorder: Recorder,
    overflow: Overflow,
    expiring: Expiring,
    upstream: Upstream,
) -> Gauges:
    """Return the figures that are read when they are asked for."""
    return {
        "gateway_workers": ("Processes that serve.", lambda: 1),
        "gateway_worker_starts_total": (
            "Processes that began to serve, those in the place of others included.", lambda: 1,
        ),
        "gateway_in_flight": ("Proxied requests that have not ended.", lambda: len(proxy.in_flight)),
        "gateway_event_loop_tasks": (
            "What the event loop has begun and not ended: callers' connections, and the gateway's own work.",
            lambda: len(asyncio.all_tasks()),
        ),
        "gateway_recorder_queue": ("Rows taken but not stored yet.", lambda: recorder.queued),
        "gateway_rows_spilled_total": (
            "Rows that went to the file beside the store because it failed.", lambda: overflow.rows_spilled,
        ),
        "gateway_rows_lost_total": ("Rows that could be stored nowhere.", lambda: overflow.rows_lost),
        "gateway_rows_expired_total": (
            "Rows that were deleted because they were too old.", lambda: expiring.rows_expired,
        ),
        "gateway_upstream_connections": ("Connections to providers.", lambda: upstream.stats().open_connections),
        "gateway_upstream_idle_connections": (
            "Connections to providers that wait for a request.", lambda: upstream.stats().idle_connections,
        ),
        "gateway_upstream_waiting": (
            "Requests that wait for a connection to their provider.", lambda: upstream.stats().waiting_requests,
        ),
    }  # fmt: skip


def labelled_gauges_of(proxy: Proxy, keys: KeyRing, allowances: Allowances) -> LabelledGauges:
    """Return the figures of single keys that are read when they are asked for."""

    def of_limits(figure: Callable[[LimitUsage], int]) -> Iterator[tuple[tuple[str, ...], float]]:
        for caller in keys.sources():
            for usage in allowances.usage(caller):
                yield (caller.name or "", str(usage.limit)), usage.limit.in_units(figure(usage))

    return {
        "gateway_requests_refused_total": LabelledReading(
            "Proxied requests that were refused before they had a provider.",
            (KEY_LABEL, "reason"),
            lambda: list(proxy.refused.items()),
        ),
        "gateway_key_limit_used": LabelledReading(
            "What a key has used of a limit in the window at hand, in the limit's unit.",
            (KEY_LABEL, "limit"),
            lambda: of_limits(lambda usage: usage.used),
            is_shared=True,
        ),
        "gateway_key_limit_allowed": LabelledReading(
            "How much of a limit a key may use in each window, in the limit's unit.",
            (KEY_LABEL, "limit"),
            lambda: of_limits(lambda usage: usage.limit.amount),
            is_shared=True,
        ),
    }
