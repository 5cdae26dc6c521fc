"""Captures an attempt while it is forwarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from gateway.models import exchange
from gateway.models.clock import now_us
from gateway.recording.redaction import mask_echoed_credentials, request_secrets


class BodyCapture:
    """The beginning of a body, and its whole size."""

    __slots__ = ("_dropped_bytes", "_limit_bytes", "_pieces", "_room_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._pieces: list[bytes] = []
        self._limit_bytes = self._room_bytes = limit_bytes
        self._dropped_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._limit_bytes - self._room_bytes + self._dropped_bytes

    def add(self, piece: bytes) -> None:
        size = len(piece)
        if self._room_bytes >= size:
            # Kept as it is, not copied.
            self._pieces.append(piece)
            self._room_bytes -= size
            return
        self._dropped_bytes += size - self._room_bytes
        if self._room_bytes:
            self._pieces.append(piece[: self._room_bytes])
            self._room_bytes = 0

    def content(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


@dataclass(slots=True)
class Capture:
    """One attempt of a request in progress; `close` makes it an Exchange, once.

    Args:
        sent_credentials: sent to the provider beside path and headers; its errors may echo them.
    """

    identity: exchange.Identity
    tenant: str | None
    key_name: str | None
    provider: str
    endpoint: str
    method: str
    path: str
    payloads: exchange.PayloadPolicy
    # How much of each body is kept.
    limit_bytes: int
    request_headers: exchange.RawHeaders
    opt_out: exchange.LoggingOptOut = exchange.NO_OPT_OUT
    client_retry: int = 0
    attempt: int = 0
    started_at_us: int = field(default_factory=now_us)
    first_byte_at_us: int | None = None
    status: int | None = None
    cache_status: str | None = None
    cache_source_request_id: str | None = None
    route: str | None = None
    target: str | None = None
    route_trail: str | None = None
    experiment: str | None = None
    variant: str | None = None
    # Those sent to the provider beside path and headers, which its errors may repeat.
    sent_credentials: Sequence[bytes] = ()
    response_headers: exchange.RawHeaders = ()
    is_closed: bool = False
    request_body: BodyCapture = field(init=False)
    response_body: BodyCapture = field(init=False)

    def __post_init__(self) -> None:
        self.request_body = BodyCapture(self.limit_bytes)
        self.response_body = BodyCapture(self.limit_bytes)

    def next_attempt(self, provider: str, payloads: exchange.PayloadPolicy) -> Capture:
        """Return the capture of the next attempt of the same request, whose body is noted once for all."""
        following = replace(
            self,
            provider=provider,
            payloads=payloads,
            attempt=self.attempt + 1,
            started_at_us=now_us(),
            first_byte_at_us=None,
            status=None,
            cache_status=None,
            cache_source_request_id=None,
            target=None,
            route_trail=None,
            sent_credentials=(),
            response_headers=(),
            is_closed=False,
        )
        following.request_body = self.request_body
        return following

    def add_response_head(self, status: int, headers: exchange.RawHeaders) -> None:
        self.first_byte_at_us = now_us()
        self.status = status
        self.response_headers = headers

    def close(self, outcome: exchange.Outcome, error: str | None = None) -> exchange.Exchange:
        """Return the exchange. Call once."""
        assert not self.is_closed, "an attempt ended twice"
        self.is_closed = True
        response_headers, response_body = self.response_headers, self.response_body.content()
        if self.status is not None and self.status >= HTTPStatus.BAD_REQUEST:
            sent = (*self.sent_credentials, *request_secrets(self.path, self.request_headers))
            response_headers, response_body = mask_echoed_credentials(sent, response_headers, response_body)
        # By position, since 30 names would cost three times as much.
        return exchange.Exchange(
            self.identity, self.provider, self.endpoint, self.method, self.path,
            self.started_at_us, now_us(), outcome, self.tenant, self.key_name, self.first_byte_at_us,
            self.status, error, self.attempt, self.client_retry, self.cache_status,
            self.cache_source_request_id, self.route, self.target, self.route_trail, self.experiment, self.variant,
            self.payloads, self.opt_out,
            self.request_headers, self.request_body.content(), self.request_body.size_bytes,
            response_headers, response_body, self.response_body.size_bytes,
        )  # fmt: skip
