"""Access log: one line for each request, or for each failure."""

from collections.abc import Mapping
from typing import Literal

import structlog

from gateway.errors import GatewayError
from gateway.models.exchange import Exchange, Outcome, was_proxied
from gateway.models.request import Facts

log = structlog.get_logger("gateway.access")

AccessLogMode = Literal["all", "failures", "off"]

_FAILURE_STATUS = 500
_PROBE_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
_GOOD_OUTCOMES = (Outcome.COMPLETE, Outcome.CLIENT_CLOSED)


class AccessLog:
    """Writes lines without queries, headers and bodies; a reload of the configuration replaces `mode`."""

    def __init__(self, mode: AccessLogMode) -> None:
        self.mode = mode

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Log a proxied request."""
        status = exchange.status
        is_failure = exchange.outcome not in _GOOD_OUTCOMES or (status or 0) >= _FAILURE_STATUS
        if not was_proxied(exchange.path) or not self._wants(is_failure=is_failure):
            return
        usage = facts.usage
        known = {
            "key": exchange.key_name,
            "provider": exchange.provider,
            "model": facts.model or facts.requested_model,
            "ms": (exchange.ended_at_us - exchange.started_at_us) // 1000,
            "tokens": None
            if usage.prompt_tokens is None and usage.completion_tokens is None
            else f"{usage.prompt_tokens or 0}+{usage.completion_tokens or 0}",
            "trace_id": exchange.identity.trace_id,
            "outcome": None if exchange.outcome is Outcome.COMPLETE else exchange.outcome.value,
            # The gateway's own text. What the provider said is in the row, under the payload policy.
            "error": exchange.error,
        }
        path = exchange.path.partition("?")[0]
        self._write(exchange.method, path, status or "-", is_failure=is_failure, known=known)

    def refused(self, method: str, endpoint: str, error: GatewayError, key_name: str | None) -> None:
        """Log a request that was refused before a provider was chosen."""
        is_failure = error.status >= _FAILURE_STATUS
        if self._wants(is_failure=is_failure):
            # The path and the error's text may hold a key.
            known = {"key": key_name, "error": error.code, "field": error.field}
            self._write(method, endpoint, error.status, is_failure=is_failure, known=known)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Log a request on a path of the gateway's own, given the documented path."""
        is_failure = status >= _FAILURE_STATUS
        if self._wants(is_failure=is_failure) and (is_failure or route not in _PROBE_ROUTES):
            self._write(method, route, status, is_failure=is_failure, known={"ms": int(seconds * 1000)})

    def _wants(self, *, is_failure: bool) -> bool:
        return self.mode == "all" or (is_failure and self.mode == "failures")

    def _write(
        self, method: str, path: str, status: int | str, *, is_failure: bool, known: Mapping[str, object]
    ) -> None:
        write = log.warning if is_failure else log.info
        write(f"{method} {path} {status}", **{name: fact for name, fact in known.items() if fact is not None})
