"""A server that gives logged answers again, byte for byte, and says how other requests differ from logged ones."""

import asyncio
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Payload, RequestRecord
from gateway.store.base import Queries
from gateway.wire.content_encoding import decode
from gateway.wire.json_fields import parse_object

MAX_BODY_BYTES = 64 * 1024 * 1024
_PAGE_ROWS = 500
# Most differences that are named.
_MAX_DIFFERENCES = 8
_NO_MATCH_STATUS = 501
# About a connection, or set by the server that answers.
_NOT_REPEATED = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"date", b"server", b"set-cookie"}
)
_OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(slots=True)
class _Recorded:
    body: object
    # Those of equal requests, the earliest first.
    records: deque[RequestRecord] = field(default_factory=deque)


@dataclass(slots=True)
class RecordedAnswers:
    """Logged answers by the request that got them; of several to equal requests each in turn, the last again."""

    store: Queries
    by_key: dict[tuple[str, str, bytes], _Recorded] = field(default_factory=dict)
    given: int = 0
    diverged: Counter[str] = field(default_factory=Counter)

    async def load(self, where: Filter) -> int:
        """Read the matching requests; return how many can be answered."""
        last = number = 0
        while True:
            page = AllOf((where, Comparison("seq", Op.GT, last), Comparison("outcome", Op.EQ, "complete")))
            rows = await self.store.find_requests(page, _OLDEST_FIRST, Page(_PAGE_ROWS), None)
            payloads = await self.store.payloads([row.seq for row in rows])
            for row in rows:
                number += self._add(row, payloads.get(row.seq))
            if len(rows) < _PAGE_ROWS:
                return number
            last = rows[-1].seq

    def _add(self, record: RequestRecord, payload: Payload | None) -> bool:
        if (
            payload is None
            or payload.request_truncated
            or payload.response_truncated
            or record.status is None
        ):
            return False
        body = decode(payload.request_body, payload.request_headers).data
        key = (record.method, record.path_at_provider, _normalised(body))
        found = self.by_key.setdefault(key, _Recorded(parse_object(body)))
        found.records.append(record)
        return True

    async def find(self, method: str, path: str, body: bytes) -> tuple[RequestRecord, Payload] | str:
        """Return what was answered to a request, or how it differs from the nearest one that was."""
        found = self.by_key.get((method, path, _normalised(body)))
        if found is not None:
            record = found.records[0]
            if len(found.records) > 1:
                found.records.popleft()
            payload = await self.store.payload(record.seq)
            if payload is not None:
                self.given += 1
                return record, payload
        difference = self._explain(method, path, body)
        self.diverged[difference] += 1
        return difference

    def _explain(self, method: str, path: str, body: bytes) -> str:
        same = [each for key, each in self.by_key.items() if key[:2] == (method, path)]
        if not same:
            paths = sorted({f"{key[0]} {key[1]}" for key in self.by_key})[:_MAX_DIFFERENCES]
            return f"nothing is logged of {method} {path[:200]}; there is {', '.join(paths) or 'nothing'}."
        asked = parse_object(body)
        nearest = min((list(_differences(each.body, asked, "")) for each in same), key=len)
        named = "; ".join(nearest[:_MAX_DIFFERENCES])
        more = f"; and {len(nearest) - _MAX_DIFFERENCES} more" if len(nearest) > _MAX_DIFFERENCES else ""
        return f"{method} {path} differs from the nearest logged request: {named}{more}."


def _normalised(body: bytes) -> bytes:
    """Return a body so that JSON texts of equal values are equal."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return body


def _differences(logged: object, asked: object, path: str) -> Iterator[str]:
    """Yield in what two JSON values differ, by their paths."""
    if isinstance(logged, dict) and isinstance(asked, dict):
        for key in [*logged, *(key for key in asked if key not in logged)]:
            place = f"{path}.{key}" if path else str(key)
            if key not in asked:
                yield f"{place} is missing"
            elif key not in logged:
                yield f"{place} is new"
            else:
                yield from _differences(logged[key], asked[key], place)
    elif isinstance(logged, list) and isinstance(asked, list):
        for position, (one, other) in enumerate(zip(logged, asked, strict=False)):
            yield from _differences(one, other, f"{path}[{position}]")
        if len(logged) != len(asked):
            yield f"{path} has {len(asked)} members, not {len(logged)}"
    elif logged != asked:
        yield f"{path or 'the body'} is {_shown(asked)}, not {_shown(logged)}"


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"


def build_replay_app(answers: RecordedAnswers, report: Callable[[str], object]) -> web.Application:
    """Return the server; `report` takes a line for each request that has no answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        # Not aiohttp's own decoding, which a body of the log has not had either.
        raw = tuple(request.raw_headers)
        body = decode(await request.read(), raw).data
        found = await answers.find(request.method, request.raw_path, body)
        if isinstance(found, str):
            report(found)
            error = {"message": found, "type": "replay_diverged", "param": None, "code": "replay_diverged"}
            return web.json_response({"error": error}, status=_NO_MATCH_STATUS)
        record, payload = found
        return await _give(request, record, payload)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def _give(request: web.Request, record: RequestRecord, payload: Payload) -> web.StreamResponse:
    assert record.status is not None, "only what has a status is loaded"
    response = web.StreamResponse(status=record.status)
    for name, text in payload.response_headers:
        if name.lower() not in _NOT_REPEATED:
            response.headers.add(name.decode("latin-1"), text.decode("utf-8", "surrogateescape"))
    if record.is_stream:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(payload.response_body)
    await response.prepare(request)
    await response.write(payload.response_body)
    await response.write_eof()
    return response


async def serve_recorded(
    store: Queries, where: Filter, port: int, report: Callable[[str], object], host: str = "127.0.0.1"
) -> None:
    """Answer from the log until a signal comes, then say what was asked that is not there."""
    answers = RecordedAnswers(store)
    number = await answers.load(where)
    runner = web.AppRunner(build_replay_app(answers, report), access_log=None, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        report(f"{number:,} logged answers on http://{host}:{runner.addresses[0][1]}/v1")
        await _stop_signal()
    finally:
        await runner.cleanup()
    report(
        f"{answers.given:,} requests were answered, {answers.diverged.total():,} differed from what is logged."
    )


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
