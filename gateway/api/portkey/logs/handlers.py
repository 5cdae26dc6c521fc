"""Portkey's logs: tell of requests that went elsewhere, and read one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.logs.custom import CustomLog, to_exchanges
from gateway.api.portkey.logs.log_object import to_log_object
from gateway.api.portkey.logs.schema import LogObject
from gateway.api.portkey.records import UrlOf
from gateway.api.portkey.shapes import reply
from gateway.domain.clock import now_us
from gateway.domain.exchange import Exchange
from gateway.domain.feedback import Receipt
from gateway.domain.principal import Principal, Role
from gateway.feedback.idempotency import read_call
from gateway.query import RequestReader
from gateway.web.bodies import read_json
from gateway.web.face import Endpoint
from gateway.web.validation import read_idempotency_key


class LogBook(Protocol):
    """Where requests that went elsewhere are entered."""

    async def insert(
        self, exchanges: Sequence[Exchange], principal: Principal, receipt: Receipt | None = None
    ) -> list[str]:
        """Store exchanges as this caller's, all or none, and return their request ids in the same order; those
        of the first time where the receipt says that this is a retry."""


class LogsResponse(BaseModel):
    """What was stored."""

    status: Literal["success"] = "success"
    message: str
    log_ids: list[str] = Field(description="Ids of the logs, in the order in which they were sent.")


class LogEndpoints:
    """Handlers of the log's paths.

    Args:
        url_of: where a provider was asked.
        max_body_bytes: longest body taken.
    """

    def __init__(
        self, log_book: LogBook, requests: RequestReader, url_of: UrlOf, max_body_bytes: int
    ) -> None:
        self._log_book = log_book
        self._requests = requests
        self._url_of = url_of
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="POST",
                path="/v1/logs",
                handler=self._insert,
                role=Role.PROXY,
                summary="Tell of requests that went elsewhere",
                description="Takes one or an array of up to 1,000, all or none. They are logged like those that "
                "pass the gateway.",
                body=CustomLog | list[CustomLog],
                reply=LogsResponse,
                failures=(400, 409, 413, 503),
            ),
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/v1/logs/{log_id:(?!exports(?:/|$)).*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read a log",
                description="By our request id or the provider's id of its response. An id that several requests "
                "share is refused. Streams are put together.",
                reply=LogObject,
                failures=(404, 409, 413, 503, 504),
            ),
        )

    async def _insert(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes)
        # Many logs take long to go through, and other callers' streams go through this thread.
        exchanges = await asyncio.to_thread(to_exchanges, body, now_us())
        receipt = await asyncio.to_thread(_receipt, exchanges, body, key, principal) if key else None
        log_ids = await self._log_book.insert(exchanges, principal, receipt)
        return reply(LogsResponse(message="Logs successfully saved", log_ids=log_ids))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        logged = await self._requests.show(request.match_info["log_id"], principal.tenant)
        body = await asyncio.to_thread(to_log_object, logged, self._url_of)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _receipt(exchanges: Sequence[Exchange], body: object, key: str, principal: Principal) -> Receipt | None:
    """The proof that a call under this key made these exchanges of its body."""
    call = read_call(principal, DIALECT, "log", key, [("", orjson.dumps(body).decode())])
    return call.receipt([exchange.identity.request_id for exchange in exchanges]) if call else None
