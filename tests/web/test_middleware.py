"""What happens around every handler of a face."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer
from structlog.testing import capture_logs

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.errors import BadInput, GatewayError, NotFound, StoreUnavailable
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.routes import build_application
from gateway.store.base import Admin
from gateway.web.endpoint import Api, Endpoint
from gateway.web.middleware import AuthMiddleware

FAILURES: dict[str, Exception] = {
    "bad": BadInput("is wrong.", field="value"),
    "gone": NotFound("is not there."),
    "full": StoreUnavailable("the disk is full."),
    "bug": KeyError("s3cret-detail"),
    "redirect": web.HTTPFound("/elsewhere"),
}

PRINCIPALS = {
    hash_token("gw-read"): Principal("reader", frozenset({Role.READ})),
    hash_token("gw-vote"): Principal("voter", frozenset({Role.FEEDBACK})),
}


async def whoami(request: web.Request, principal: Principal) -> web.StreamResponse:
    return web.json_response({"name": principal.name, "is_open": principal is OPEN_ACCESS})


async def fail(request: web.Request, principal: Principal) -> web.StreamResponse:
    raise FAILURES[request.match_info["how"]]


def a_face(name: str) -> Api:
    def draw(error: GatewayError) -> web.Response:
        return web.json_response({name: str(error)}, status=error.status)

    def endpoint(path: str, role: Role | None) -> Endpoint:
        handler = fail if path.endswith("{how}") else whoami
        return Endpoint(method="GET", path=f"/{name}{path}", handler=handler, role=role, summary="")

    endpoints = (endpoint("/read", Role.READ), endpoint("/open", None), endpoint("/fail/{how}", None))
    return Api(name=name, prefixes=(f"/{name}",), endpoints=endpoints, render_error=draw)


@pytest.fixture
async def client(aiohttp_server: AiohttpServer) -> AsyncIterator[httpx.AsyncClient]:
    guard = AuthMiddleware(ApiKeys(PRINCIPALS, cast(Admin, None)))
    server = await aiohttp_server(build_application([a_face("one"), a_face("two")], guard))
    async with httpx.AsyncClient(base_url=str(server.make_url("")), verify=False) as client:
        yield client


async def test_a_handler_is_told_who_calls(client: httpx.AsyncClient) -> None:
    reply = await client.get("/one/read", headers={"x-api-key": "gw-read"})
    assert reply.json() == {"name": "reader", "is_open": False}


async def test_an_endpoint_without_a_role_asks_nobody(client: httpx.AsyncClient) -> None:
    assert (await client.get("/one/open", headers={"x-api-key": "wrong"})).json()["is_open"]


async def test_every_path_is_served_with_a_trailing_slash_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/one/open/")).status_code == 200


async def test_who_brings_no_key_or_the_wrong_role_is_refused_in_the_api_s_shape(
    client: httpx.AsyncClient,
) -> None:
    missing = await client.get("/one/read")
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"].startswith("Bearer")
    assert set(missing.json()) == {"one"}
    wrong = await client.get("/two/read", headers={"x-api-key": "gw-vote"})
    assert wrong.status_code == 403
    assert set(wrong.json()) == {"two"}


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [("bad", 400, "value: is wrong."), ("gone", 404, "is not there."), ("full", 503, "full")],
)
async def test_an_error_is_drawn_in_the_shape_of_the_api_that_was_called(
    client: httpx.AsyncClient, how: str, status: int, message: str
) -> None:
    reply = await client.get(f"/two/fail/{how}")
    assert reply.status_code == status
    assert message in reply.json()["two"]
    assert ("retry-after" in reply.headers) == (status == 503)


async def test_a_bug_is_a_500_that_names_its_place_in_the_log_and_tells_nothing_else(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await client.get("/one/fail/bug")
    assert reply.status_code == 500
    assert "s3cret-detail" not in reply.text
    assert "under" in reply.json()["one"]


async def test_an_answer_that_is_raised_is_still_an_answer(client: httpx.AsyncClient) -> None:
    reply = await client.get("/one/fail/redirect")
    assert (reply.status_code, reply.headers["location"]) == (302, "/elsewhere")


@pytest.mark.parametrize(
    ("path", "api"), [("/one/nothing", "one"), ("/two", "two"), ("/two/x/y", "two"), ("/three", "one")]
)
async def test_a_path_that_an_api_does_not_serve_is_404_in_its_shape(
    client: httpx.AsyncClient, path: str, api: str
) -> None:
    reply = await client.get(path)
    assert reply.status_code == 404
    assert set(reply.json()) == {api}


async def test_another_method_is_405_and_says_which_are_possible(client: httpx.AsyncClient) -> None:
    reply = await client.post("/two/open")
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) >= {"GET"}
    assert set(reply.json()) == {"two"}


async def test_the_log_of_a_bug_names_the_endpoint_and_not_the_path_which_may_hold_a_token(
    client: httpx.AsyncClient,
) -> None:
    with capture_logs() as lines:
        await client.get("/one/fail/bug")
    [line] = lines
    assert (line["event"], line["path"]) == ("unexpected error", "/one/fail/{how}")
