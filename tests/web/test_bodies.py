"""Reading JSON: exactly or not at all, and with the field that is to blame."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from gateway.auth.api_keys import ApiKeys
from gateway.errors import BadInput, GatewayError, Overloaded, TooLarge
from gateway.models.principal import Principal
from gateway.routes import build_application
from gateway.store.base import Admin
from gateway.web.bodies import FREE_BYTES, MAX_DEPTH, BodyLimits, RequestBody, parse_json, read_body
from gateway.web.endpoint import Api, Endpoint
from gateway.web.middleware import AuthMiddleware
from gateway.wire.json_fields import MAX_JSON_VALUES
from tests.upstream.scripted_server import eventually


def refusal(raw: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        parse_json(raw)
    return str(caught.value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=20,
    )
)
def test_json_is_read_exactly(body: object) -> None:
    read = parse_json(json.dumps(body).encode())

    assert json.dumps(read) == json.dumps(body)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "body: is empty; send a JSON object."),
        (b"  ", "body: is empty; send a JSON object."),
        (b"{", "body: is not valid JSON"),
        (b'{"a": NaN}', "a: must be a finite number; NaN and Infinity are not JSON."),
        (b'[{"a": [1, Infinity]}]', "[0].a[1]: must be a finite number; NaN and Infinity are not JSON."),
        (b"-Infinity", "body: must be a finite number; NaN and Infinity are not JSON."),
        (b'{"a": {"b": "\\ud800"}}', "a.b: holds half of a surrogate pair, which is not a character."),
        (b'{"a": {"\\ud800": 1}}', "a: has a key that holds half of a surrogate pair"),
        (b'{"\\ud800": {"b": NaN}}', "body: has a key that holds half of a surrogate pair"),
        (b"[18446744073709551616]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[-9223372036854775809]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[" + b"9" * 400 + b"]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[" + b"9" * 5000 + b"]", "body: is not valid JSON"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, told: str) -> None:
    assert refusal(raw).startswith(told)


@pytest.mark.parametrize("raw", [b"[1.5e300]", b'["99999999999999999999"]', b"[0.12345678901234567890123]"])
def test_long_numbers_that_are_no_integers_are_taken(raw: bytes) -> None:
    assert parse_json(raw) == json.loads(raw)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_taken_to_its_limit_and_no_deeper(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    assert json.loads(nested(MAX_DEPTH)) == parse_json(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 1000, 10_000, 100_000):
        assert "is nested more than 64 levels deep" in refusal(nested(depth))


def test_the_field_that_is_nested_too_deeply_is_named_and_not_its_whole_path() -> None:
    deep = '{"a": {"b": {"c":' + "[" * 70 + "]" * 70 + "}}}"

    assert refusal(f'{{"ok": [[]], "x": {deep}}}'.encode()).startswith("x.a: ")
    assert refusal(f"[{{}}, {deep}]".encode()).startswith("[1].a: ")


def test_a_long_key_is_not_shown_whole() -> None:
    assert len(refusal(f'{{"{"k" * 100_000}": NaN}}'.encode())) < 200


def test_a_body_of_more_values_than_fit_into_memory_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge, match="holds more than"):
        parse_json(b"[" + b"[]," * MAX_JSON_VALUES + b"[]]")


LIMITS = BodyLimits(60, max_held_bytes=1000)


def test_long_bodies_hold_no_more_together_than_they_may_and_keep_no_short_one_out() -> None:
    first, second, small = (RequestBody(LIMITS) for _ in range(3))
    first.hold(FREE_BYTES)
    first.hold(600)
    second.hold(FREE_BYTES + 400)
    with pytest.raises(Overloaded, match="other long bodies"):
        second.hold(1)
    small.hold(FREE_BYTES)
    with pytest.raises(Overloaded):
        small.hold(1)
    assert LIMITS.held_bytes == 1000
    first.release()
    small.hold(600)
    for body in (first, second, small):
        body.release()
    assert LIMITS.held_bytes == 0


async def _swallow(request: web.Request, principal: Principal) -> web.Response:
    return web.json_response({"size": len(await read_body(request, 1024 * 1024))})


def _draw(error: GatewayError) -> web.Response:
    return web.json_response({"error": str(error)}, status=error.status)


async def test_what_a_request_holds_is_let_go_of_when_it_is_answered_or_its_caller_leaves(
    aiohttp_client: AiohttpClient,
) -> None:
    limits = BodyLimits(60, max_held_bytes=150_000)
    swallowing = Endpoint(method="POST", path="/swallow", handler=_swallow, role=None, summary="")
    api = Api(name="test", prefixes=("/swallow",), endpoints=(swallowing,), render_error=_draw)
    guard = AuthMiddleware(ApiKeys({}, cast(Admin, None)), bodies=limits)
    client = await aiohttp_client(
        build_application([api], guard), server_kwargs={"handler_cancellation": True}
    )
    leaving = [(await asyncio.open_connection(client.host, client.port))[1] for _ in range(2)]
    for writer in leaving:
        writer.write(b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 130_000)
    await eventually(lambda: limits.held_bytes == 2 * (130_000 - FREE_BYTES))
    refused = await client.post("/swallow", data=b"x" * 130_000)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert (await client.post("/swallow", data=b"x" * 60_000)).status == 200
    for writer in leaving:
        writer.close()
    await eventually(lambda: limits.held_bytes == 0)
    assert (await client.post("/swallow", data=b"x" * 200_000)).status == 200
    assert limits.held_bytes == 0


@pytest.mark.parametrize("entry", [b'{"a": {"b": [{}, "]}"]}}', b' {"a": "\\"[{"} \n'])
def test_an_array_of_far_too_many_entries_is_refused_before_they_are_decoded(entry: bytes) -> None:
    many = b" [" + entry + b"," + b",".join([entry] * 2_000) + b"], this is no JSON"
    with pytest.raises(BadInput, match="1 to 100 entries; got more"):
        parse_json(many, 100)


@pytest.mark.parametrize(
    "raw",
    [
        orjson.dumps([{"a": [{}] * 1_000}] * 100),
        orjson.dumps({"a": [{}] * 1_000}),
        orjson.dumps(["{" * 1_000] * 100),
    ],
)
def test_many_objects_in_few_entries_are_taken(raw: bytes) -> None:
    assert parse_json(raw, 100) == orjson.loads(raw)


def test_what_is_no_array_after_all_is_explained_as_ever() -> None:
    with pytest.raises(BadInput, match="is not valid JSON"):
        parse_json(b"[" + b"{}," * 50 + b"x" + b"{}," * 800, 100)
    with pytest.raises(BadInput, match="nested more than 64 levels"):
        parse_json(b"[" + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"]", 100)
