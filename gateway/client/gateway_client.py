"""GatewayClient and AsyncGatewayClient: the calls over blocking and asynchronous httpx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from gateway.client import calls
from gateway.client.calls import (
    AttemptResult,
    Call,
    FeedbackEntry,
    FeedbackFields,
    Metadata,
    NewFeedback,
    RequestFilters,
    conduct_call,
)
from gateway.client.models import FeedbackReceipt, GivenFeedback, LoggedRequest, RequestDetail, Trace

T = TypeVar("T")


class GatewayClient:
    """Talks to a gateway. Close it when done, or use it in a `with` statement; threads may share it.

    Args:
        base_url: where the gateway listens, without `/v1`.
        api_key: a gateway key; None where the gateway needs none.
        timeout: seconds to wait for a reply.
        retries: how often a call is sent again that got no reply, or was put off by a gateway whose store is
            not available. Nothing is stored twice by that.

    Every method raises GatewayClientError where it fails.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8787",
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, headers=calls.credentials(api_key), timeout=timeout)
        self._retries = retries
        self.feedback = FeedbackCalls(self)
        self.traces = TraceCalls(self)
        self.requests = RequestCalls(self)

    def send(self, call: Call[T]) -> T:
        """Send a call, again if need be, and return its result."""
        steps = conduct_call(call, self._retries)
        pause = next(steps)
        while True:
            time.sleep(pause)
            try:
                pause = steps.send(self._attempt(call))
            except StopIteration as done:
                result: T = done.value
                return result

    def _attempt(self, call: Call[T]) -> AttemptResult:
        try:
            return self._http.request(
                call.method, call.path, params=call.query, headers=call.headers, json=call.body
            )
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FeedbackCalls:
    """`client.feedback`: give verdicts and change them."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    def give(
        self, id: str, *, idempotency_key: str | None = None, **fields: Unpack[FeedbackFields]
    ) -> GivenFeedback:
        """Say what is thought of what an id names, logged or not yet, and return what became of it.

        `give("order-4711", thumb="down", comment="Too long", author="ann")`

        Args:
            id: of a trace, a request, the provider's response, or a session.
            idempotency_key: name of this call, under which it is carried out once; None makes one.
        """
        [given] = self.give_many([NewFeedback(id=id, **fields)], idempotency_key=idempotency_key)
        return given

    def give_many(
        self, entries: Sequence[NewFeedback], *, idempotency_key: str | None = None
    ) -> tuple[GivenFeedback, ...]:
        """Say it of 1 to 1,000 things, all or none; returns what became of each, in their order."""
        return self._client.send(calls.give_feedback(entries, idempotency_key))

    def create(
        self,
        *,
        trace_id: str,
        value: int,
        weight: float = 1.0,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> FeedbackReceipt:
        """Give a verdict from -10 to 10 on a trace or request, logged or not yet, and return the proof.

        Args:
            trace_id: the trace's id, the request's, the response id that the provider gave, or a session.
            idempotency_key: name of this call, under which it is carried out once; None makes one.
        """
        entry = FeedbackEntry(trace_id=trace_id, value=value, weight=weight, metadata=metadata)
        return self.create_many([entry], idempotency_key=idempotency_key)

    def create_many(
        self, entries: Sequence[FeedbackEntry], *, idempotency_key: str | None = None
    ) -> FeedbackReceipt:
        """Give 1 to 1,000 verdicts, all or none."""
        return self._client.send(calls.create_feedback(entries, idempotency_key))

    def update(
        self,
        feedback_id: str,
        *,
        value: int | None = None,
        weight: float | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> FeedbackReceipt:
        """Change an entry; what is None stays as it is, metadata is replaced as a whole."""
        return self._client.send(calls.update_feedback(feedback_id, value, weight, metadata, idempotency_key))


class TraceCalls:
    """`client.traces`: requests and feedback seen together."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    def get(self, trace_id: str) -> Trace:
        """Return a trace."""
        return self._client.send(calls.get_trace(trace_id))


class RequestCalls:
    """`client.requests`: the log."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    def get(self, request_id: str) -> RequestDetail:
        """Return one request with all that was kept of it, by our id or its provider's response id."""
        return self._client.send(calls.get_request(request_id))

    def find(self, *, page_size: int = 100, **filters: Unpack[RequestFilters]) -> Iterator[LoggedRequest]:
        """Walk through all matching requests, the newest first, asking for the next page when it is due."""
        cursor: str | None = None
        while True:
            page = self._client.send(calls.find_requests(filters, page_size, cursor))
            yield from page.requests
            cursor = page.next_cursor
            if cursor is None:
                return


class AsyncGatewayClient:
    """The same as `GatewayClient` for asyncio: its methods are awaited, `find` is gone through by `async for`.

    Close it with `aclose`, or use it in an `async with` statement. Tasks may share it.

    Every method raises GatewayClientError where it fails.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8787",
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, headers=calls.credentials(api_key), timeout=timeout)
        self._retries = retries
        self.feedback = AsyncFeedbackCalls(self)
        self.traces = AsyncTraceCalls(self)
        self.requests = AsyncRequestCalls(self)

    async def send(self, call: Call[T]) -> T:
        """Send a call, again if need be, and return its result."""
        steps = conduct_call(call, self._retries)
        pause = next(steps)
        while True:
            await asyncio.sleep(pause)
            try:
                pause = steps.send(await self._attempt(call))
            except StopIteration as done:
                result: T = done.value
                return result

    async def _attempt(self, call: Call[T]) -> AttemptResult:
        try:
            return await self._http.request(
                call.method, call.path, params=call.query, headers=call.headers, json=call.body
            )
        except httpx.RequestError as error:
            return error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncFeedbackCalls:
    """`client.feedback`: give verdicts and change them."""

    def __init__(self, client: AsyncGatewayClient) -> None:
        self._client = client

    async def give(
        self, id: str, *, idempotency_key: str | None = None, **fields: Unpack[FeedbackFields]
    ) -> GivenFeedback:
        """Say what is thought of what an id names, logged or not yet, and return what became of it.

        `give("order-4711", thumb="down", comment="Too long", author="ann")`

        Args:
            id: of a trace, a request, the provider's response, or a session.
            idempotency_key: name of this call, under which it is carried out once; None makes one.
        """
        [given] = await self.give_many([NewFeedback(id=id, **fields)], idempotency_key=idempotency_key)
        return given

    async def give_many(
        self, entries: Sequence[NewFeedback], *, idempotency_key: str | None = None
    ) -> tuple[GivenFeedback, ...]:
        """Say it of 1 to 1,000 things, all or none; returns what became of each, in their order."""
        return await self._client.send(calls.give_feedback(entries, idempotency_key))

    async def create(
        self,
        *,
        trace_id: str,
        value: int,
        weight: float = 1.0,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> FeedbackReceipt:
        """Give a verdict from -10 to 10 on a trace or request, logged or not yet, and return the proof.

        Args:
            trace_id: the trace's id, the request's, the response id that the provider gave, or a session.
            idempotency_key: name of this call, under which it is carried out once; None makes one.
        """
        entry = FeedbackEntry(trace_id=trace_id, value=value, weight=weight, metadata=metadata)
        return await self.create_many([entry], idempotency_key=idempotency_key)

    async def create_many(
        self, entries: Sequence[FeedbackEntry], *, idempotency_key: str | None = None
    ) -> FeedbackReceipt:
        """Give 1 to 1,000 verdicts, all or none."""
        return await self._client.send(calls.create_feedback(entries, idempotency_key))

    async def update(
        self,
        feedback_id: str,
        *,
        value: int | None = None,
        weight: float | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> FeedbackReceipt:
        """Change an entry; what is None stays as it is, metadata is replaced as a whole."""
        return await self._client.send(
            calls.update_feedback(feedback_id, value, weight, metadata, idempotency_key)
        )


class AsyncTraceCalls:
    """`client.traces`: requests and feedback seen together."""

    def __init__(self, client: AsyncGatewayClient) -> None:
        self._client = client

    async def get(self, trace_id: str) -> Trace:
        """Return a trace."""
        return await self._client.send(calls.get_trace(trace_id))


class AsyncRequestCalls:
    """`client.requests`: the log."""

    def __init__(self, client: AsyncGatewayClient) -> None:
        self._client = client

    async def get(self, request_id: str) -> RequestDetail:
        """Return one request with all that was kept of it, by our id or its provider's response id."""
        return await self._client.send(calls.get_request(request_id))

    async def find(
        self, *, page_size: int = 100, **filters: Unpack[RequestFilters]
    ) -> AsyncIterator[LoggedRequest]:
        """Walk through all matching requests, the newest first, asking for the next page when it is due."""
        cursor: str | None = None
        while True:
            page = await self._client.send(calls.find_requests(filters, page_size, cursor))
            for request in page.requests:
                yield request
            cursor = page.next_cursor
            if cursor is None:
                return
