"""Webhooks: what proxied requests cost while 10,000 messages wait, fail or are delivered, side by side."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from benchmarks.calls import request_of
from benchmarks.contestants import GATEWAY
from benchmarks.lineup import Running, Say, running, warm_up
from benchmarks.load import percentile

QUEUED = 10_000
ROUNDS = 9
_CONNECTIONS = 16
_SECONDS = 3
_BATCH = 500
STATES = ("no webhook", "delivering", "failing")


@dataclass(frozen=True, slots=True)
class WebhookCost:
    """Proxied requests beside a queue; the median of several rounds.

    Args:
        messages_per_second: attempts at messages meanwhile.
    """

    state: str
    cpu_us: float
    requests_per_second: float
    p50_us: float
    p99_us: float
    messages_per_second: float


class _Receiver:
    """Counts messages, and answers all with one status."""

    def __init__(self, status: int) -> None:
        self.count = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                receiver.count += 1
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def measure_webhooks(folder: Path, say: Say) -> list[WebhookCost]:
    """Load three gateways in turns: one without webhooks, one that delivers, one whose receiver fails.

    Raises:
        Failed: a request failed, or a gateway did.
    """
    environment = {**(GATEWAY.environment or {}), "GATEWAY__WEBHOOKS__ALLOW_INTERNAL": '["127.0.0.1"]'}
    gateways = [replace(GATEWAY, name=state.replace(" ", "-"), environment=environment) for state in STATES]
    with running(gateways, folder) as present, _receivers() as receivers:
        warm_up(present, _SECONDS)
        for gateway, receiver in zip(present, receivers, strict=True):
            # All have the same feedback, since what waits for its request costs by itself.
            _queue(gateway, receiver.url if gateway is not present[0] else None)
        rounds: dict[str, list[WebhookCost]] = {state: [] for state in STATES}
        for number in range(ROUNDS):
            for state, gateway, receiver in zip(STATES, present, receivers, strict=True):
                rounds[state].append(_measure(state, gateway, receiver))
                say(f"round {number + 1}: {rounds[state][-1]}")
    return [_median(each) for each in rounds.values()]


@contextmanager
def _receivers() -> Iterator[Sequence[_Receiver]]:
    receivers = [_Receiver(200), _Receiver(200), _Receiver(500)]
    try:
        yield receivers
    finally:
        for receiver in receivers:
            receiver.close()


def _queue(gateway: Running, url: str | None) -> None:
    """Give a gateway feedback, of which each entry is a message to a URL."""
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}/api/v1", timeout=60) as client:
        if url is not None:
            client.post("/webhooks", json={"url": url, "events": ["feedback.created"]}).raise_for_status()
        for start in range(0, QUEUED, _BATCH):
            entries = [{"id": f"trace-{number}", "score": 1} for number in range(start, start + _BATCH)]
            client.post("/feedback", json=entries).raise_for_status()


def _measure(state: str, gateway: Running, receiver: _Receiver) -> WebhookCost:
    assert gateway.server is not None
    request = request_of("json", f"webhooks-{state.replace(' ', '-')}", gateway.headers)
    messages, before = receiver.count, gateway.server.usage()
    answers = gateway.send(request, connections=_CONNECTIONS, seconds=_SECONDS)
    cpu_seconds = gateway.server.usage().cpu_seconds - before.cpu_seconds
    took_us = [answer.took_us for answer in answers]
    return WebhookCost(
        state,
        cpu_us=cpu_seconds / len(answers) * 1e6,
        requests_per_second=len(answers) / answers[-1].at_us * 1e6,
        p50_us=percentile(took_us, 50),
        p99_us=percentile(took_us, 99),
        messages_per_second=(receiver.count - messages) / _SECONDS,
    )


def _median(rounds: Sequence[WebhookCost]) -> WebhookCost:
    def of(name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in rounds))

    return WebhookCost(
        rounds[0].state, of("cpu_us"), of("requests_per_second"), of("p50_us"), of("p99_us"),
        of("messages_per_second"),
    )  # fmt: skip
