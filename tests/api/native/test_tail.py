"""New requests as server-sent events, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.api.native.schemas import LoggedRow
from gateway.api.native.tail import render_row
from gateway.auth.api_keys import ApiKeys, create_key, hash_token, revoke_key
from gateway.models.clock import now_us
from gateway.models.filters import NO_FILTER, Page
from gateway.models.principal import Role
from gateway.models.request import Facts
from gateway.query import tail
from gateway.query.requests import NEWEST_FIRST
from gateway.query.tail import RequestTail
from gateway.routes import build_application
from gateway.store.base import NewRows, Store
from gateway.web import event_stream
from gateway.web.middleware import AuthMiddleware

from .conftest import PRINCIPALS, MakeExchange, MakeFeedback, key
from .served import face_over

Event = dict[str, str]


class Events:
    """The events of one response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Event:
        """Return the next event; without any field where the stream has ended."""
        event: Event = {}
        while (line := await asyncio.wait_for(self.response.content.readline(), 20)) not in (b"", b"\n"):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event[name] = value
        return event

    async def rows(self, number: int) -> list[str]:
        events = [await self.next() for _ in range(number)]
        assert {event["event"] for event in events} == {"request"}
        return [json.loads(event["data"])["request_id"] for event in events]


class Served:
    """A tail on a real server, and how often it asked the store."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tail, "TICK_SECONDS", 0.02)
        self.queries = 0
        find_requests = store.find_requests

        async def counted(*args: Any, **options: Any) -> Any:
            self.queries += args[1].field == "seq" and not args[1].descending
            return await find_requests(*args, **options)

        monkeypatch.setattr(store, "find_requests", counted)
        self.tail = RequestTail(store, render_row)
        self.url = ""
        self.keys: ApiKeys
        self.session: aiohttp.ClientSession

    @asynccontextmanager
    async def follow(self, query: str = "", who: str = "reader", **headers: str) -> AsyncIterator[Events]:
        url = f"{self.url}/api/v1/requests/tail{query}"
        async with self.session.get(url, headers=key(who) | headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Transfer-Encoding"] == "chunked"
            events = Events(response)
            assert await events.next() == {"retry": "2000"}
            yield events

    async def refused(self, query: str = "", **headers: str) -> tuple[int, Any]:
        url = f"{self.url}/api/v1/requests/tail{query}"
        async with self.session.get(url, headers=key("reader") | headers) as response:
            return response.status, (await response.json())["error"]


@pytest.fixture
async def served(store: Store, monkeypatch: pytest.MonkeyPatch, aiohttp_server: Any) -> AsyncIterator[Served]:
    served = Served(store, monkeypatch)
    configured = {hash_token(token): principal for token, principal in PRINCIPALS.items()}
    keys = served.keys = ApiKeys(configured, store)
    app = build_application([face_over(store, keys=keys, tail=served.tail)], AuthMiddleware(keys))
    server = await aiohttp_server(app, shutdown_timeout=0.5)
    served.url = str(server.make_url("")).rstrip("/")
    async with aiohttp.ClientSession() as served.session:
        yield served
        served.tail.close()


async def add(store: Store, *exchanges: Any, facts: Facts | None = None) -> list[int]:
    seqs = await store.append(list(exchanges))
    await store.annotate([(seq, facts or Facts()) for seq in seqs], now_us())
    return seqs


async def test_new_rows_come_in_order_as_rows_of_the_list(
    served: Served, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await add(store, make_exchange("before"))
    await store.put_feedback([make_feedback("early", value=5.0, score=0.5)])
    async with served.follow() as events:
        await add(store, make_exchange("a", "early"), make_exchange("b"), facts=Facts(model="m"))
        first, second = await events.next(), await events.next()
        url = f"{served.url}/api/v1/requests"
        async with served.session.get(url, headers=key("reader")) as response:
            listed = (await response.json())["data"]
        assert [json.loads(second["data"]), json.loads(first["data"])] == listed[:2]
        assert json.loads(first["data"])["feedback_pairs"][0]["value"] == 5.0
        await add(store, make_exchange("c"))
        assert await events.rows(1) == ["c"]

    # A connection that ended goes on, by header or parameter.
    async with served.follow(**{"Last-Event-ID": first["id"]}) as events:
        assert await events.rows(2) == ["b", "c"]
        async with served.follow(f"?cursor={second['id']}") as later:
            assert await later.rows(1) == ["c"]
            await add(store, make_exchange("d"))
            assert await events.rows(1) == await later.rows(1) == ["d"]


async def test_a_row_is_rendered_as_the_list_writes_it(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", "t", metadata={"deep": {"a": [1]}})])
    await store.put_feedback([make_feedback("t", value=1), make_feedback("t", value=-1)])
    [record] = await store.find_requests(NO_FILTER, NEWEST_FIRST, Page(1), None)
    [summary] = (await store.feedback_summaries([record.seq])).values()
    assert len(summary.pairs) == 2
    shown = orjson.dumps(LoggedRow.of(record, summary).model_dump())
    assert LoggedRow.render(record, summary) == shown


async def test_listeners_of_one_filter_share_its_query(
    served: Served, store: Store, make_exchange: MakeExchange
) -> None:
    def read_by(user: str) -> Any:
        return served.follow(f"?user={user}&from=7d")

    ann, bob, of_a = read_by("ann"), read_by("bob"), served.follow(who="reader-a")
    async with ann as one, read_by("ann") as two, bob as three, of_a as four:
        for name, user, tenant in (("x", "ann", "a"), ("y", "bob", None), ("z", "ann", "a")):
            await add(store, make_exchange(name, tenant=tenant, metadata={"_user": user}))
        assert await one.rows(2) == await two.rows(2) == await four.rows(2) == ["x", "z"]
        assert await three.rows(1) == ["y"]
        served.queries = 0
        await add(store, make_exchange("last", metadata={"_user": "ann"}), make_exchange("a", tenant="a"))
        assert await one.rows(1) == await two.rows(1) == ["last"]
        assert await four.rows(1) == ["a"]
    assert served.queries == 3
    # Once all are gone, the store is asked no more.
    assert served.tail._task is not None
    await asyncio.wait_for(served.tail._task, 20)


async def test_rows_are_waited_for_that_appear_late(
    served: Served, store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a transaction of another worker had taken the position before, or its facts were not read yet."""
    new_rows, missing = store.new_rows, [True]

    async def gappy(after: int) -> NewRows | None:
        new = await new_rows(after)
        if new and missing:
            return NewRows(new.top, new.number - 1, new.first_unread)
        return new

    monkeypatch.setattr(store, "new_rows", gappy)
    async with served.follow() as events:
        await add(store, make_exchange("late"), make_exchange("b"))
        await asyncio.sleep(0.1)
        assert served.queries == 0
        missing.clear()
        assert await events.rows(2) == ["late", "b"]
        monkeypatch.setattr(tail, "SETTLE_SECONDS", 0.2)
        begun = asyncio.get_running_loop().time()
        [seq] = await store.append([make_exchange("unread")])
        assert await events.rows(1) == ["unread"]
        assert asyncio.get_running_loop().time() - begun > 0.2
        await store.annotate([(seq, Facts())], now_us())
        missing.append(True)
        await add(store, make_exchange("after a gap that stays"))
        assert await events.rows(1) == ["after a gap that stays"]


async def test_a_listener_that_was_away_for_long_is_told(
    served: Served, store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MAX_BACKLOG", 3)
    await add(store, *(make_exchange() for _ in range(5)))
    async with served.follow("?cursor=1") as events:
        assert await events.next() == {"event": "reset", "data": "{}"}
        await add(store, make_exchange("new"))
        assert await events.rows(1) == ["new"]


async def test_it_ends_when_the_key_is_revoked_or_the_gateway_drains(served: Served, store: Store) -> None:
    token = await create_key(store, "temp", [Role.READ], None)
    await served.keys.refresh()
    async with served.follow(who=token) as revoked, served.follow() as other:
        await revoke_key(store, "temp")
        await served.keys.refresh()
        assert await revoked.next() == {}
        served.tail.close()
        assert await other.next() == {}
        assert other.response.content.at_eof()
    status, error = await served.refused()
    assert (status, error["code"]) == (503, "overloaded")
    assert "shutting down" in error["message"]


async def test_listeners_are_bounded_and_bad_queries_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MAX_LISTENERS", 1)
    monkeypatch.setattr(event_stream, "KEEPALIVE_SECONDS", 0.05)
    async with served.follow() as events:
        assert (await served.refused())[0] == 503
        assert await events.next() == {"": "no new requests"}
    for query, field in (("?to=now", "to"), ("?colour=red", "colour"), ("?cursor=x", "cursor")):
        status, error = await served.refused(query)
        assert (status, error["field"]) == (400, field)
    assert (await served.refused(**{"Last-Event-ID": "1x"}))[1]["field"] == "Last-Event-ID"


async def test_who_takes_nothing_is_let_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    following = RequestTail(store, render_row)
    monkeypatch.setattr(tail, "_CLOSING_SECONDS", 0.05)
    ends = []
    async with following.listen(NO_FILTER, None, None) as listener:
        for _ in range(tail.MAX_QUEUED + 1):
            listener.give(b"x")
        # As a write that does not end.
        await asyncio.sleep(60)
        ends.append("it was not cancelled")
    assert ends == []
    assert not following._listeners
    following.close()
