"""What a caller may get wrong: each a 4xx that names the place, stores nothing and spoils no later call."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.api.pharia.errors import render_error
from gateway.errors import (
    BadInput,
    Conflict,
    Forbidden,
    GatewayError,
    MethodNotAllowed,
    NotFound,
    StoreUnavailable,
    TooLarge,
    Unauthorized,
)

from .served import GOOD, Served, details

MIB = 1024 * 1024

FEEDBACK, TRACE_ID = ["body", "feedback"], ["body", "trace_id"]

NOT_FOUND = {"detail": [{"loc": ["path", "feedback_id"], "msg": "Feedback not found", "type": "not_found"}]}

BAD_FIELDS: list[tuple[dict[str, object], list[str], str]] = [
    ({"trace_id": None}, TRACE_ID, "type_error.none.not_allowed"),
    ({"trace_id": 5}, TRACE_ID, "type_error.str"),
    ({"trace_id": ""}, TRACE_ID, "value_error.any_str.min_length"),
    ({"trace_id": "x" * 513}, TRACE_ID, "value_error.any_str.max_length"),
    ({"trace_id": "é" * 257}, TRACE_ID, "value_error"),
    ({"trace_id": "a\u0000"}, TRACE_ID, "value_error"),
    ({"trace_id": "a\nb"}, TRACE_ID, "value_error"),
    ({"feedback": None}, FEEDBACK, "type_error.none.not_allowed"),
    ({"feedback": []}, FEEDBACK, "type_error.dict"),
    ({"feedback": "good"}, FEEDBACK, "type_error.dict"),
    ({"feedback": 5}, FEEDBACK, "type_error.dict"),
    ({"feedback": True}, FEEDBACK, "type_error.dict"),
    ({"app_id": 5}, ["body", "app_id"], "type_error.str"),
    ({"app_id": ""}, ["body", "app_id"], "value_error.any_str.min_length"),
    ({"app_version": 1.5}, ["body", "app_version"], "type_error.str"),
    ({"app_version": "\u0000"}, ["body", "app_version"], "value_error"),
    ({"api_version": 1}, ["body", "api_version"], "type_error.str"),
    ({"ui_version": ""}, ["body", "ui_version"], "value_error.any_str.min_length"),
    ({"user": ["ann"]}, ["body", "user"], "type_error.str"),
    ({"metadata": []}, ["body", "metadata"], "type_error.dict"),
    ({"metadata": {"a": [{"\u0000": 1}]}}, ["body", "metadata"], "value_error"),
]

BAD_BODIES = {
    b"": "value_error.jsondecode",
    b"{": "value_error.jsondecode",
    b"trace_id=t&feedback=5": "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{},}': "value_error.jsondecode",
    b'{"trace_id":"\xff","feedback":{}}': "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"a":"\\ud800"}}': "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"\\udfff":1}}': "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"a":NaN}}': "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"a":18446744073709551616}}': "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"a":%s}}' % (b"[" * 70 + b"]" * 70): "value_error.jsondecode",
    b'{"trace_id":"t","feedback":{"a":%s' % (b"[" * 100_000): "value_error.jsondecode",
    b"[" * 100_000 + b"]" * 100_000: "value_error.jsondecode",
    json.dumps(GOOD).encode("utf-16"): "value_error.jsondecode",
    b"null": "type_error.none.not_allowed",
    b"5": "type_error.dict",
    b'"text"': "type_error.dict",
    b"[]": "type_error.dict",
    json.dumps([GOOD]).encode(): "type_error.dict",
}

BAD_QUERIES = [
    ("colour=red", "colour", "value_error.extra"),
    ("limit=0", "limit", "value_error.number.not_ge"),
    ("limit=10001", "limit", "value_error.number.not_le"),
    ("limit=many", "limit", "type_error.integer"),
    ("limit=", "limit", "type_error.integer"),
    ("limit=1&limit=2", "limit", "type_error.integer"),
    ("trace_id=a&trace_id=b", "trace_id", "type_error.str"),
    ("feedback_id=abc", "feedback_id", "type_error.uuid"),
    ("feedback_id=%00", "feedback_id", "type_error.uuid"),
    ("start_time=yesterday", "start_time", "value_error.datetime"),
    ("start_time=2026-02-30", "start_time", "value_error.datetime"),
    ("start_time=1700000000", "start_time", "value_error.datetime"),
    ("start_time=2026-01-31T09:30:00+01:00", "start_time", "value_error.datetime"),
    ("end_time=", "end_time", "value_error.datetime"),
    ("end_time=2026-01-31T25:00:00Z", "end_time", "value_error.datetime"),
]


@pytest.mark.parametrize(("fields", "place", "kind"), BAD_FIELDS)
async def test_a_bad_field_is_422_and_named(
    served: Served, fields: dict[str, object], place: list[str], kind: str
) -> None:
    reply = await served.call("POST", "", GOOD | fields)

    assert reply.status_code == 422
    assert details(reply) == [(place, kind)]
    assert len(reply.content) < 400
    assert await served.find() == []


async def test_everything_that_is_wrong_is_named_at_once(served: Served) -> None:
    reply = await served.call("POST", "", {"feedback": 5, "app_id": 1})

    assert reply.status_code == 422
    assert details(reply) == [
        (["body", "trace_id"], "value_error.missing"),
        (["body", "feedback"], "type_error.dict"),
        (["body", "app_id"], "type_error.str"),
    ]


@pytest.mark.parametrize(("body", "kind"), BAD_BODIES.items(), ids=range(len(BAD_BODIES)))
async def test_what_is_no_object_of_json_is_422(served: Served, body: bytes, kind: str) -> None:
    reply = await served.call("POST", "", body)

    assert reply.status_code == 422
    assert details(reply) == [(["body"], kind)]
    assert await served.find() == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{}", ["body"]),
        (b'{"feedback": null, "unknown": 1}', ["body"]),
        (b"{", ["body"]),
        (b'{"feedback": []}', ["body", "feedback"]),
        (b'{"app_id": 5}', ["body", "app_id"]),
        (b'{"app_version": ""}', ["body", "app_version"]),
    ],
)
async def test_a_bad_change_is_422_and_makes_no_version(
    served: Served, body: bytes, place: list[str]
) -> None:
    feedback_id = await served.give()

    reply = await served.call("PATCH", f"/{feedback_id}", body)

    assert reply.status_code == 422
    assert [loc for loc, _ in details(reply)] == [place]
    assert (await served.stored(feedback_id)).version == 1


@pytest.mark.parametrize(("query", "name", "kind"), BAD_QUERIES)
async def test_a_bad_parameter_is_422_and_named(served: Served, query: str, name: str, kind: str) -> None:
    reply = await served.call("GET", f"?{query}", by="admin")

    assert reply.status_code == 422
    assert details(reply) == [(["query", name], kind)]


@pytest.mark.parametrize("feedback_id", ["unknown", "5", "%00", "%ED%A0%80", "a%2Fb", "é", "x" * 5000])
@pytest.mark.parametrize(("method", "body"), [("PATCH", {"app_id": "x"}), ("DELETE", None)])
async def test_an_id_that_is_no_uuid_is_that_of_no_entry(
    served: Served, method: str, body: object, feedback_id: str
) -> None:
    reply = await served.call(method, f"/{feedback_id}", body, by="admin")

    assert reply.status_code == 404
    assert reply.json() == NOT_FOUND


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"a\tb", b"\xff"])
async def test_a_bad_idempotency_key_is_422(served: Served, key: bytes) -> None:
    headers = {b"Authorization": b"Bearer app", b"Idempotency-Key": key}
    reply = await served.client.post("/api/feedback", json=GOOD, headers=headers)

    assert reply.status_code == 422
    assert details(reply) == [(["header", "Idempotency-Key"], "value_error")]


async def test_ten_megabytes_are_taken_and_more_than_the_limit_is_413(served: Served) -> None:
    feedback = {"content_edit": "x" * 10 * MIB}
    assert (await served.show(await served.give(feedback)))["feedback"] == feedback

    reply = await served.call("POST", "", GOOD | {"feedback": {"text": "x" * 17 * MIB}})

    assert reply.status_code == 413
    assert details(reply) == [(["body"], "too_large")]
    assert len(await served.find()) == 1


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda served: served.call("PUT", "", GOOD), 405),
        (lambda served: served.call("POST", "/a/b", GOOD), 404),
    ],
)
async def test_what_is_not_served_is_drawn_in_the_dialects_shape(
    served: Served, call: Callable[[Served], Awaitable[Any]], status: int
) -> None:
    reply = await call(served)

    assert reply.status_code == status
    assert len(details(reply)) == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BadInput, 422),
        (Unauthorized, 401),
        (Forbidden, 403),
        (NotFound, 404),
        (MethodNotAllowed, 405),
        (Conflict, 409),
        (TooLarge, 413),
        (GatewayError, 500),
        (StoreUnavailable, 503),
    ],
)
def test_every_error_has_the_dialects_shape(kind: type[GatewayError], status: int) -> None:
    drawn = render_error(kind("is wrong: \ud800.", hint="Mend it."))

    assert drawn.status == status
    assert isinstance(drawn.body, bytes)
    [detail] = json.loads(drawn.body)["detail"]
    assert detail["msg"] == "is wrong: ?. Mend it."


async def test_a_store_that_cannot_write_is_said_to_be_unavailable_for_now(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("the disk is full.")

    feedback_id = await served.give()
    with monkeypatch.context() as patched:
        patched.setattr(served.store, "put_feedback", refuse)
        patched.setattr(served.store, "remove_feedback", refuse)
        replies = [
            await served.call("POST", "", GOOD),
            await served.call("PATCH", f"/{feedback_id}", {"app_id": "x"}),
            await served.call("DELETE", f"/{feedback_id}", by="admin"),
        ]

    for reply in replies:
        assert reply.status_code == 503
        assert details(reply) == [([], "store_unavailable")]
        assert int(reply.headers["retry-after"]) > 0
    assert len(await served.find()) == 1
