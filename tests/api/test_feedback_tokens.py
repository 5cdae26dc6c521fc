"""Feedback tokens on the paths of every face: what they open and what not, told in each dialect's own shapes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.api.helicone import helicone_api
from gateway.api.pharia.feedback import pharia_api
from gateway.api.portkey.feedback import portkey_feedback_api
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import RateLimiter
from gateway.feedback.payloads import signed_scale, thumb_scale
from gateway.feedback.rules import TOKEN_AUTHOR
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.query.requests import RequestReader
from gateway.store.base import Store
from gateway.web.endpoint import Api
from gateway.web.middleware import MAX_TOKEN_BODY_BYTES, AllowedOrigins
from gateway.web.openapi import build_openapi
from tests.api.api_server import MIB, Serve
from tests.api.native.served import face_over
from tests.api.token_clients import WAYS, Way, every_way, in_portkeys_shape
from tests.factories import token_keys
from tests.feedback.samples import exchange

KEYS = {"app-key": Principal("app", frozenset({Role.FEEDBACK}))}
SECRET = "a-secret-of-at-least-32-characters"
PAGE = "https://app.example.com"
RATE_LIMIT = 10
SCOPE = FeedbackScope("trace-1", "request-1")


@dataclass(frozen=True)
class Served:
    """The faces on a server, with tokens."""

    client: httpx.AsyncClient
    store: Store
    tokens: FeedbackTokens
    origins: AllowedOrigins
    apis: list[Api]

    def token(self, scope: FeedbackScope = SCOPE, tenant: str | None = None) -> str:
        return self.tokens.issue(scope, tenant, "app").decode()

    async def vote(self, way: Way, about: str = "request-1", **headers: str) -> httpx.Response:
        """Vote on this. Underscores in names of headers become hyphens."""
        body = json.dumps(way.body).replace("ID", about)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(way.path.replace("ID", about), content=body, headers=named)

    async def entries(self) -> list[Feedback]:
        return await self.store.find_feedback(NO_FILTER, Sort(), Page(), None)


@pytest.fixture
async def served(store: Store, serve: Serve) -> AsyncIterator[Served]:
    tokens, origins, check_rate = (
        FeedbackTokens(),
        AllowedOrigins(),
        RateLimiter(RATE_LIMIT).check_rate,
    )
    tokens.keys = token_keys([SECRET], 60)
    core = FeedbackService(store, check_rate)
    apis = [
        face_over(store, core),
        portkey_feedback_api(
            core, lambda caller: thumb_scale if caller.name == "app" else signed_scale, 16 * MIB
        ),
        helicone_api(core, store.set_property, RequestReader(store), 16 * MIB),
        pharia_api(core, 16 * MIB),
    ]
    url = await serve(*apis, principals=KEYS, store=store, tokens=tokens, origins=origins)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        yield Served(client, store, tokens, origins, apis)


@every_way
@pytest.mark.parametrize("header", ["x_gateway_feedback_token", "Authorization"])
async def test_a_token_gives_feedback_without_a_key(served: Served, way: Way, header: str) -> None:
    scheme = "Bearer " if header == "Authorization" else ""
    reply = await served.vote(way, **{header: scheme + served.token(tenant="north")})
    assert reply.status_code == 200, reply.text
    [entry] = await served.entries()
    assert (entry.subject_id, entry.tenant, entry.key_name, entry.author) == (
        "request-1",
        "north",
        "app",
        TOKEN_AUTHOR,
    )


@every_way
async def test_a_token_gives_feedback_on_its_own_request_alone(served: Served, way: Way) -> None:
    reply = await served.vote(way, "request-2", x_gateway_feedback_token=served.token())
    assert reply.status_code == 403
    assert "is for its own request only, which 'request-2' does not name" in way.complaint(reply)
    assert await served.entries() == []


@every_way
async def test_a_token_counts_before_a_key(served: Served, way: Way) -> None:
    both = {"x_portkey_api_key": "app-key", "x_gateway_feedback_token": served.token()}
    assert (await served.vote(way, "request-2", **both)).status_code == 403
    assert (await served.vote(way, "request-2", x_portkey_api_key="app-key")).status_code == 200


@every_way
async def test_a_token_that_has_expired_or_was_changed_is_401_and_says_so(served: Served, way: Way) -> None:
    token = served.token()
    changed = await served.vote(way, x_gateway_feedback_token=token[:-1])
    served.tokens.keys = token_keys([SECRET], -1)
    expired = await served.vote(way, Authorization=f"Bearer {served.token()}")
    assert changed.status_code == expired.status_code == 401
    assert "not valid" in way.complaint(changed)
    assert "expired on" in way.complaint(expired)
    assert await served.entries() == []


@every_way
async def test_while_there_are_no_tokens_one_is_a_key_that_is_not_known(served: Served, way: Way) -> None:
    token = served.token()
    served.tokens.keys = token_keys([], 60)
    for headers in ({"x_gateway_feedback_token": token}, {"Authorization": f"Bearer {token}"}):
        reply = await served.vote(way, **headers)
        assert reply.status_code == 401
        assert "no valid gateway key" in way.complaint(reply)


@every_way
async def test_a_token_that_is_used_too_often_has_to_wait(served: Served, way: Way) -> None:
    token = served.token()
    for _ in range(RATE_LIMIT):
        assert (await served.vote(way, x_gateway_feedback_token=token)).status_code == 200
    refused = await served.vote(way, x_gateway_feedback_token=token)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60 / RATE_LIMIT
    assert "10 entries per minute" in way.complaint(refused)
    other = served.token(FeedbackScope("trace-2", "request-2"))
    assert (await served.vote(way, "request-2", x_gateway_feedback_token=other)).status_code == 200


@every_way
async def test_what_a_token_may_send_is_short(served: Served, way: Way) -> None:
    padding = " " * MAX_TOKEN_BODY_BYTES
    long = Way(way.path, {**way.body, "comment": padding}, way.complaint)
    refused = await served.vote(long, x_gateway_feedback_token=served.token())
    assert refused.status_code == 413
    assert "65,536 bytes" in way.complaint(refused)
    assert (await served.vote(long, x_portkey_api_key="app-key")).status_code == 200


@every_way
async def test_every_dialect_says_how_many_entries_were_joined(served: Served, way: Way) -> None:
    await served.store.append([exchange("request-1", "trace-1")])
    replies = [await served.vote(way, about, x_api_key="app-key") for about in ("request-1", "typo")]
    assert [reply.headers["x-gateway-feedback-joined"] for reply in replies] == ["1 of 1", "0 of 1"]


def closed(served: Served) -> list[tuple[str, str]]:
    """Method and path of every endpoint that needs a key."""
    return [
        (endpoint.method, re.sub(r"\{(\w+)[^}]*\}", r"\1", endpoint.path))
        for api in served.apis
        for endpoint in api.endpoints
        if endpoint.role is not None and not endpoint.accepts_feedback_token
    ]


async def test_a_token_opens_nothing_else(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.token()}"}
    assert {method for method, _ in closed(served)} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    for method, path in closed(served):
        reply = await served.client.request(method, path, headers=headers, content=b"{}")
        assert reply.status_code == 403, f"{method} {path}"
        assert "allows feedback on its own request only" in reply.text


async def test_an_array_of_a_token_is_all_its_own_or_refused(served: Served) -> None:
    vote = {"trace_id": "trace-1", "value": 1}
    headers = {"x-gateway-feedback-token": served.token()}
    mixed = await served.client.post("/v1/feedback", json=[vote, {**vote, "trace_id": "t"}], headers=headers)
    whole = await served.client.post("/v1/feedback", json=[vote] * 8, headers=headers)
    rest = await served.client.post("/v1/feedback", json=[vote], headers=headers)
    long = await served.client.post("/v1/feedback", json=[vote] * 11, headers=headers)
    assert [reply.status_code for reply in (mixed, whole, rest, long)] == [403, 200, 429, 413]
    assert "holds 11 entries; a feedback token may give 10 per minute" in in_portkeys_shape(long)
    assert len(await served.entries()) == 8


async def test_feedback_is_scored_as_those_of_the_key_that_the_request_came_with(served: Served) -> None:
    headers = {"x-gateway-feedback-token": served.token()}
    await served.client.post("/v1/feedback", json={"trace_id": "trace-1", "value": 0}, headers=headers)
    [entry] = await served.entries()
    assert (entry.value, entry.score) == (0, -1)


async def test_a_retry_of_a_token_makes_one_entry_and_another_s_key_is_another_s(served: Served) -> None:
    way = WAYS["portkey"]
    once = {"Idempotency_Key": "1", "x_gateway_feedback_token": served.token()}
    replies = [await served.vote(way, **once) for _ in range(3)]
    assert len({reply.text for reply in replies}) == 1
    other = served.token(FeedbackScope("trace-2", "request-2"))
    assert (
        await served.vote(way, "request-2", **{**once, "x_gateway_feedback_token": other})
    ).status_code == 200
    assert len(await served.entries()) == 2


async def test_the_last_rating_of_a_token_stands_and_those_of_others_stay(served: Served) -> None:
    path = "/v1/request/request-1/feedback"
    ann = {"Helicone-User-Id": "ann"}
    key, token = {"x-api-key": "app-key"}, {"x-gateway-feedback-token": served.token()}
    for rating, headers in ((True, key), (True, key | ann), (True, token | ann), (False, token)):
        reply = await served.client.post(path, json={"rating": rating}, headers=headers)
        assert reply.status_code == 200
    entries = [(entry.author, entry.value, entry.version) for entry in await served.entries()]
    assert sorted(entries, key=str) == [("ann", 1, 1), (TOKEN_AUTHOR, -1, 2), (None, 1, 1)]


@every_way
async def test_browsers_are_answered_only_where_an_origin_is_allowed(served: Served, way: Way) -> None:
    path = way.path.replace("ID", "request-1")
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    asked = await served.client.options(path, headers=asking)
    voted = await served.vote(way, Origin=PAGE, x_gateway_feedback_token=served.token())
    assert not [name for name in (*asked.headers, *voted.headers) if name.startswith("access-control-")]

    served.origins.allowed = (PAGE,)
    opened = await served.client.options(f"{path}/", headers=asking)
    voted = await served.vote(way, Origin=PAGE, x_gateway_feedback_token=served.token())
    refused = await served.vote(way, "request-2", Origin=PAGE, x_gateway_feedback_token=served.token())
    assert [reply.status_code for reply in (opened, voted, refused)] == [204, 200, 403]
    assert {reply.headers["access-control-allow-origin"] for reply in (opened, voted, refused)} == {PAGE}
    assert {reply.headers["vary"] for reply in (opened, voted, refused)} == {"Origin"}
    assert "x-gateway-feedback-token" in opened.headers["access-control-allow-headers"]

    stranger = await served.client.options(path, headers={**asking, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


async def test_paths_that_take_no_tokens_are_closed_to_pages_of_other_origins(served: Served) -> None:
    served.origins.allowed = ("*",)
    headers = {"Origin": PAGE, "x-portkey-api-key": "app-key"}
    for method, path in closed(served):
        reply = await served.client.request(method, path, headers=headers, content=b"{}")
        assert "access-control-allow-origin" not in reply.headers, f"{method} {path}"
    assert (await served.client.options("/api/v1/requests", headers=headers)).status_code == 405
    assert (await served.client.options("/v1/feedback/1", headers=headers)).status_code == 405


async def test_the_description_says_which_operations_take_a_token(served: Served) -> None:
    document: Any = build_openapi(served.apis, "1.2.3")
    paths = document["paths"]
    takes = {
        path
        for path, operations in paths.items()
        for operation in operations.values()
        if {"feedbackToken": []} in operation["security"] and "429" in operation["responses"]
    }
    assert takes == {
        "/v1/feedback", "/v1/request/{request_id}/feedback", "/v1/request/{request_id}/score",
        "/api/feedback", "/feedback", "/api/v1/feedback",
    }  # fmt: skip


CURRENT = "/api/v1/feedback/current"
UPSERT = "/api/v1/feedback?rule=upsert"


async def test_a_token_upserts_and_reads_what_it_gave_without_knowing_an_id(served: Served) -> None:
    headers = {"x-gateway-feedback-token": served.token()}

    async def give(**entry: object) -> None:
        reply = await served.client.post(UPSERT, json=entry, headers=headers)
        assert reply.status_code == 200, reply.text

    async def current() -> object:
        reply = await served.client.get(CURRENT, headers=headers)
        assert reply.headers["cache-control"] == "no-store"
        return reply.json()

    assert await current() == {"rating": None, "edit": None}
    await give(thumb="up", comment="Fine")
    # Before its request is logged and after, it is one entry.
    await served.store.append([exchange("request-1", "trace-1")])
    await give(rating=2, label="off-topic")
    await give(edited_text="Better", original_text="Good")
    await give(edited_text="Best")
    rating = {"thumb": None, "rating": 2, "label": "off-topic", "comment": None}
    assert await current() == {"rating": rating, "edit": {"edited_text": "Best"}}
    entries = sorted((entry.score or 0, entry.edited_text, entry.version) for entry in await served.entries())
    assert entries == [(-0.5, None, 2), (0, "Best", 2)]
    # What is read can be sent again, and the form's and Helicone's thumb is the same entry.
    await give(**rating)
    await served.client.post("/v1/request/request-1/feedback", json={"rating": False}, headers=headers)
    assert await current() == {
        "rating": {"thumb": "down", "rating": None, "label": None, "comment": None},
        "edit": {"edited_text": "Best"},
    }
    # Another token of the request reads the same, one of another request does not.
    other = {"x-gateway-feedback-token": served.token(FeedbackScope("trace-2", "request-2"))}
    assert (await served.client.get(CURRENT, headers=other)).json() == {"rating": None, "edit": None}


async def test_a_key_upserts_by_author_and_has_no_own_request(served: Served) -> None:
    headers = {"x-api-key": "app-key"}
    for author, score in (("ann", 1), ("bob", 1), ("ann", -0.5)):
        entry = {"id": "trace-1", "score": score, "author": author}
        assert (await served.client.post(UPSERT, json=entry, headers=headers)).status_code == 200
    found = sorted((entry.author, entry.kind, entry.score, entry.version) for entry in await served.entries())
    assert found == [("ann", "rating", -0.5, 2), ("bob", "rating", 1, 1)]
    refused = await served.client.get(CURRENT, headers=headers)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "x-gateway-feedback-token")
    assert (await served.client.get(CURRENT)).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (UPSERT, [{"thumb": "up"}, {"thumb": "down"}], "body"),
        (UPSERT, {"thumb": "up", "feedback_id": "018f3c5e-0000-7000-8000-000000000000"}, "feedback_id"),
        ("/api/v1/feedback?rule=replace", {"thumb": "up"}, "rule"),
        ("/api/v1/feedback?role=upsert", {"thumb": "up"}, "role"),
        (UPSERT, {"comment": ""}, "body"),
    ],
)
async def test_what_cannot_be_upserted_is_refused(
    served: Served, path: str, body: object, field: str
) -> None:
    reply = await served.client.post(path, json=body, headers={"x-gateway-feedback-token": served.token()})
    assert (reply.status_code, reply.json()["error"]["field"]) == (400, field), reply.text
    assert await served.entries() == []


async def test_a_page_reads_its_feedback_only_where_its_origin_is_allowed(served: Served) -> None:
    served.origins.allowed = (PAGE,)
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    asked = await served.client.options(CURRENT, headers=asking)
    read = await served.client.get(
        CURRENT, headers={"Origin": PAGE, "x-gateway-feedback-token": served.token()}
    )
    assert {reply.headers["access-control-allow-origin"] for reply in (asked, read)} == {PAGE}
    assert "GET" in asked.headers["access-control-allow-methods"]
    stranger = await served.client.options(CURRENT, headers={**asking, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
