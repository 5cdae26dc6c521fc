"""GatewayClient and AsyncGatewayClient: the calls over blocking and asynchronous httpx."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

import httpx

from gateway.client import calls
from gateway.client.calls import FeedbackFilters, Page, RequestFilters, ReviewFilters
from gateway.client.frames import MAX_PAGE_ROWS, feedback_frame, requests_frame
from gateway.client.models import Comparison, ListedFeedback, LoggedRequest, Overview, Review, SearchPage
from gateway.client.transport import AttemptResult, Call, conduct_call

if TYPE_CHECKING:
    import pandas

DEFAULT_URL = "http://127.0.0.1:8787"

T = TypeVar("T")
P = ParamSpec("P")
Client = TypeVar("Client")
Method = TypeVar("Method", bound=Callable[..., Any])


class _Calls(Generic[Client]):
    def __init__(self, client: Client) -> None:
        self._client = client


def _described(send: Method, make: Callable[..., Call[Any]]) -> Method:
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *signature.parameters.values()]
    send.__name__, send.__doc__ = make.__name__, make.__doc__
    send.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=str(signature.return_annotation)[len("Call[") : -1]
    )
    return send


def _blocking(make: Callable[P, Call[T]]) -> Callable[Concatenate[_Calls[GatewayClient], P], T]:
    """Return the method that sends such a call and returns its result."""

    def send(self: _Calls[GatewayClient], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client.send(make(*args, **kwargs))

    return _described(send, make)


def _async(make: Callable[P, Call[T]]) -> Callable[Concatenate[_Calls[AsyncGatewayClient], P], Awaitable[T]]:
    """Return the coroutine method that sends such a call and returns its result."""

    async def send(self: _Calls[AsyncGatewayClient], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._client.send(make(*args, **kwargs))

    return _described(send, make)


class GatewayClient:
    """A blocking client; threads may share it. Every method raises GatewayClientError where it fails.

    Args:
        base_url: where the gateway listens, without `/v1`.
        timeout: seconds to wait for a reply.
        retries: of calls without a reply or with 503; nothing is stored twice.
    """

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, timeout: float = 10.0, retries: int = 2
    ) -> None:
        self._http = httpx.Client(base_url=base_url, headers=calls.credentials(api_key), timeout=timeout)
        self._retries = retries
        self.feedback = FeedbackCalls(self)
        self.traces = TraceCalls(self)
        self.requests = RequestCalls(self)
        self.reviews = ReviewCalls(self)

    def send(self, call: Call[T]) -> T:
        """Send a call, with retries, and return its result."""
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

    def compare(
        self,
        by: str,
        arms: Sequence[str | float | bool] = (),
        *,
        source: str = "human",
        **filters: Unpack[RequestFilters],
    ) -> Comparison:
        """Compare groups of requests by what people say: `compare("prompt_version", ["v1", "v2"])`."""
        return self.send(calls.compare(by, arms, source=source, **filters))

    def overview(self, **filters: Unpack[RequestFilters]) -> Overview:
        """Return the overview of a time, without `since` of the last seven days."""
        return self.send(calls.overview(**filters))

    def search(
        self,
        text: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        time_limit_ms: int | None = None,
        **filters: Unpack[RequestFilters],
    ) -> SearchPage:
        """Return a page of what has this id or contains these words; see `calls.search`."""
        return self.send(
            calls.search(text, limit=limit, cursor=cursor, time_limit_ms=time_limit_ms, **filters)
        )

    def tail(self, **filters: Unpack[RequestFilters]) -> Iterator[LoggedRequest]:
        """Yield requests as they are logged, for ever; a lost connection is made again."""
        events = calls.TailEvents(filters)
        while True:
            try:
                with self._http.stream(
                    "GET",
                    events.PATH,
                    params=events.query,
                    headers=events.headers(),
                    timeout=calls.TAIL_TIMEOUT,
                ) as reply:
                    if reply.status_code != httpx.codes.OK:
                        reply.read()
                    calls.read_tail_error(reply)
                    for line in reply.iter_lines():
                        if (request := events.read_line(line)) is not None:
                            yield request
            except httpx.TransportError as error:
                events.refuse_first_failure(error)
            time.sleep(calls.RECONNECT_SECONDS)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


class _ListCalls(_Calls[GatewayClient]):
    def _walk(self, make: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        page = self._client.send(make(None))
        yield from page.rows
        while page.next_cursor is not None:
            page = self._client.send(make(page.next_cursor))
            yield from page.rows


class FeedbackCalls(_ListCalls):
    """`client.feedback`."""

    give = _blocking(calls.give)
    give_many = _blocking(calls.give_many)
    create = _blocking(calls.create)
    create_many = _blocking(calls.create_many)
    update = _blocking(calls.update)

    def find(
        self, *, texts: bool = False, page_size: int = 100, **filters: Unpack[FeedbackFilters]
    ) -> Iterator[ListedFeedback]:
        """Yield all matching feedback, the newest first, page by page; `texts`: with question and answer."""
        return self._walk(lambda cursor: calls.find_feedback(filters, page_size, cursor, texts=texts))

    def frame(
        self, *, texts: bool = False, max_rows: int | None = None, **filters: Unpack[FeedbackFilters]
    ) -> pandas.DataFrame:
        """Return all or the newest `max_rows` matching entries as a DataFrame; needs pandas."""
        found = self.find(texts=texts, page_size=MAX_PAGE_ROWS, **filters)
        return feedback_frame(islice(found, max_rows), texts=texts)


class TraceCalls(_Calls[GatewayClient]):
    """`client.traces`."""

    get = _blocking(calls.get_trace)


class RequestCalls(_ListCalls):
    """`client.requests`."""

    get = _blocking(calls.get_request)

    def find(self, *, page_size: int = 100, **filters: Unpack[RequestFilters]) -> Iterator[LoggedRequest]:
        """Yield all matching requests, the newest first, page by page."""
        return self._walk(lambda cursor: calls.find_requests(filters, page_size, cursor))

    def frame(self, *, max_rows: int | None = None, **filters: Unpack[RequestFilters]) -> pandas.DataFrame:
        """Return all or the newest `max_rows` matching requests as a DataFrame; needs pandas."""
        return requests_frame(islice(self.find(page_size=MAX_PAGE_ROWS, **filters), max_rows))


class ReviewCalls(_ListCalls):
    """`client.reviews`."""

    change = _blocking(calls.change_review)
    reserve_next = _blocking(calls.reserve_next)
    compare_scores = _blocking(calls.compare_scores)

    def find(self, *, page_size: int = 100, **filters: Unpack[ReviewFilters]) -> Iterator[Review]:
        """Yield all matching reviews, the newest first, page by page."""
        return self._walk(lambda cursor: calls.find_reviews(filters, page_size, cursor))


class AsyncGatewayClient:
    """`GatewayClient` for asyncio: its methods are awaited, `find` is used with `async for`; tasks may share it."""

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, timeout: float = 10.0, retries: int = 2
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, headers=calls.credentials(api_key), timeout=timeout)
        self._retries = retries
        self.feedback = AsyncFeedbackCalls(self)
        self.traces = AsyncTraceCalls(self)
        self.requests = AsyncRequestCalls(self)
        self.reviews = AsyncReviewCalls(self)

    async def send(self, call: Call[T]) -> T:
        """Send a call, with retries, and return its result."""
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

    async def compare(
        self,
        by: str,
        arms: Sequence[str | float | bool] = (),
        *,
        source: str = "human",
        **filters: Unpack[RequestFilters],
    ) -> Comparison:
        """Compare groups of requests by what people say."""
        return await self.send(calls.compare(by, arms, source=source, **filters))

    async def overview(self, **filters: Unpack[RequestFilters]) -> Overview:
        """Return the overview of a time, without `since` of the last seven days."""
        return await self.send(calls.overview(**filters))

    async def search(
        self,
        text: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        time_limit_ms: int | None = None,
        **filters: Unpack[RequestFilters],
    ) -> SearchPage:
        """Return a page of what has this id or contains these words; see `calls.search`."""
        return await self.send(
            calls.search(text, limit=limit, cursor=cursor, time_limit_ms=time_limit_ms, **filters)
        )

    async def tail(self, **filters: Unpack[RequestFilters]) -> AsyncIterator[LoggedRequest]:
        """Yield requests as they are logged, for ever; a lost connection is made again."""
        events = calls.TailEvents(filters)
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    events.PATH,
                    params=events.query,
                    headers=events.headers(),
                    timeout=calls.TAIL_TIMEOUT,
                ) as reply:
                    if reply.status_code != httpx.codes.OK:
                        await reply.aread()
                    calls.read_tail_error(reply)
                    async for line in reply.aiter_lines():
                        if (request := events.read_line(line)) is not None:
                            yield request
            except httpx.TransportError as error:
                events.refuse_first_failure(error)
            await asyncio.sleep(calls.RECONNECT_SECONDS)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.aclose()


class _AsyncListCalls(_Calls[AsyncGatewayClient]):
    async def _walk(self, make: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._client.send(make(cursor))
            for row in page.rows:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return


async def _take(rows: AsyncIterator[T], max_rows: int | None) -> list[T]:
    taken: list[T] = []
    async for row in rows:
        if max_rows is not None and len(taken) >= max_rows:
            break
        taken.append(row)
    return taken


class AsyncFeedbackCalls(_AsyncListCalls):
    """`client.feedback`."""

    give = _async(calls.give)
    give_many = _async(calls.give_many)
    create = _async(calls.create)
    create_many = _async(calls.create_many)
    update = _async(calls.update)

    def find(
        self, *, texts: bool = False, page_size: int = 100, **filters: Unpack[FeedbackFilters]
    ) -> AsyncIterator[ListedFeedback]:
        """Yield all matching feedback, the newest first, page by page; `texts`: with question and answer."""
        return self._walk(lambda cursor: calls.find_feedback(filters, page_size, cursor, texts=texts))

    async def frame(
        self, *, texts: bool = False, max_rows: int | None = None, **filters: Unpack[FeedbackFilters]
    ) -> pandas.DataFrame:
        """Return all or the newest `max_rows` matching entries as a DataFrame; needs pandas."""
        found = self.find(texts=texts, page_size=MAX_PAGE_ROWS, **filters)
        return feedback_frame(await _take(found, max_rows), texts=texts)


class AsyncTraceCalls(_Calls[AsyncGatewayClient]):
    """`client.traces`."""

    get = _async(calls.get_trace)


class AsyncRequestCalls(_AsyncListCalls):
    """`client.requests`."""

    get = _async(calls.get_request)

    def find(
        self, *, page_size: int = 100, **filters: Unpack[RequestFilters]
    ) -> AsyncIterator[LoggedRequest]:
        """Yield all matching requests, the newest first, page by page."""
        return self._walk(lambda cursor: calls.find_requests(filters, page_size, cursor))

    async def frame(
        self, *, max_rows: int | None = None, **filters: Unpack[RequestFilters]
    ) -> pandas.DataFrame:
        """Return all or the newest `max_rows` matching requests as a DataFrame; needs pandas."""
        return requests_frame(await _take(self.find(page_size=MAX_PAGE_ROWS, **filters), max_rows))


class AsyncReviewCalls(_AsyncListCalls):
    """`client.reviews`."""

    change = _async(calls.change_review)
    reserve_next = _async(calls.reserve_next)
    compare_scores = _async(calls.compare_scores)

    def find(self, *, page_size: int = 100, **filters: Unpack[ReviewFilters]) -> AsyncIterator[Review]:
        """Yield all matching reviews, the newest first, page by page."""
        return self._walk(lambda cursor: calls.find_reviews(filters, page_size, cursor))
