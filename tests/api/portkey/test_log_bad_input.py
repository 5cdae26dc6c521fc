"""What a caller may get wrong in a log: each a 4xx that names the field, and stores nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .logs_served import CHAT, LOG, LogsServed
from .served import as_bytes, complaint

NO_ID = "must be a printable string of 1 to 512 bytes; got"


def request(**fields: object) -> dict[str, Any]:
    return LOG | {"request": LOG["request"] | fields}


def response(**fields: object) -> dict[str, Any]:
    return LOG | {"response": LOG["response"] | fields}


def without(part: str, field: str) -> dict[str, Any]:
    return LOG | {part: {name: value for name, value in LOG[part].items() if name != field}}


BAD_REQUESTS: dict[str, list[tuple[object, str]]] = {
    "url": [
        (None, "must be a whole URL such as https://api.openai.com/v1/chat/completions; got null."),
        (5, "must be a whole URL"),
        ("", "must be a whole URL"),
        ("/v1/chat", 'must be a whole URL such as https://api.openai.com/v1/chat/completions; got "/v1/chat".'),
        ("api.openai.com/v1", "must be a whole URL"),
        ("https:///v1", "must be a whole URL"),
        ("https://[::1/v1", "must be a whole URL"),
        ("https://a b/", "must be a whole URL"),
        ("https://a/\n", "must be a whole URL"),
        (f"https://a/{'x' * 9000}", "must be a whole URL"),
    ],
    "method": [
        ("GRAB", 'must be one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS; got "GRAB".'),
        (None, "must be one of"),
        (5, "must be one of"),
    ],
    "provider": [("", f'{NO_ID} "".'), (5, f"{NO_ID} 5."), ("a\nb", NO_ID), ("x" * 513, NO_ID), ("@", NO_ID)],
    "headers": [
        ([], "must be an object; got an array."),
        ({"a b": "c"}, 'holds "a b", which is not a header name.'),
        ({"": "c"}, 'holds "", which is not a header name.'),
        ({"ü": "c"}, 'holds "\\u00fc", which is not a header name.'),
        ({"a": 5}, "must hold a string without line breaks under 'a'; got 5."),
        ({"a": None}, "must hold a string"),
        ({"a": ["b"]}, "must hold a string"),
        ({"a": "b\r\nc: d"}, "must hold a string without line breaks under 'a'"),
    ],
    "body": [
        (5, "must be an object, an array, a string, or null for no body; got 5."),
        (True, "must be an object, an array, a string"),
    ],
}  # fmt: skip

BAD_RESPONSES: dict[str, list[tuple[object, str]]] = {
    "status": [
        (99, "must be an integer from 100 to 599; got 99."),
        (600, "must be an integer from 100 to 599"),
        ("200", "must be an integer"),
        (200.0, "must be an integer"),
        (True, "must be an integer"),
    ],
    "headers": [("a", 'must be an object; got "a".')],
    "body": [(1.5, "must be an object, an array, a string")],
    "response_time": [
        (-1, "must be a number of milliseconds up to 1,000,000,000; got -1."),
        (10**10, "must be a number of milliseconds"),
        ("5", "must be a number of milliseconds"),
        (False, "must be a number of milliseconds"),
    ],
    "streamingMode": [("yes", "input should be a valid boolean"), (1, "input should be a valid boolean")],
}

BAD_METADATA = [
    (5, "metadata: must be an object"),
    ("{", "metadata: is a string that holds no JSON object"),
    ({"a": "\0"}, "metadata: must not hold the character U+0000"),
    ({"a": "x" * 70_000}, "metadata: may be 65,536 bytes long as JSON"),
    ({"trace_id": ""}, f'metadata.trace_id: {NO_ID} "".'),
    ({"traceId": 5}, f"metadata.traceId: {NO_ID} 5."),
    ({"span_id": "a\nb"}, f"metadata.span_id: {NO_ID}"),
    ({"parent_span_id": ["a"]}, f"metadata.parent_span_id: {NO_ID} an array."),
    ({"spanName": "x" * 513}, f"metadata.spanName: {NO_ID}"),
]

BAD_BODIES = [
    (b"", "body: is empty"),
    (b"{", "body: is not valid JSON"),
    (b"5", "body: must be an object; got 5."),
    (b"{}", "request: is missing."),
    (b"[]", "body: must be an array of 1 to 1,000 entries; got 0."),
    (as_bytes([LOG] * 1001), "body: must be an array of 1 to 1,000 entries; got 1,001."),
    (as_bytes({"request": LOG["request"]}), "response: is missing."),
    (as_bytes(without("request", "url")), "request.url: is missing."),
    (as_bytes(without("request", "body")), "request.body: is missing."),
    (as_bytes(without("response", "body")), "response.body: is missing."),
    (as_bytes(LOG | {"request": 5}), "request: must be an object; got 5."),
    (as_bytes(LOG | {"response": None}), "response: must be an object; got null."),
    (as_bytes([LOG, 5]), "[1]: must be an object; got 5."),
    (as_bytes([LOG, LOG | {"request": {"url": CHAT}}]), "[1].request.body: is missing."),
    (as_bytes([LOG, LOG | {"metadata": {"trace_id": ""}}]), "[1].metadata.trace_id: must be"),
    (json.dumps(LOG).replace("10", "1" * 30).encode(), "response.body.usage.prompt_tokens: is an integer of more"),
    (json.dumps(LOG).replace("10", "NaN").encode(), "response.body.usage.prompt_tokens: must be a finite number"),
]  # fmt: skip

CASES = [
    *[
        (as_bytes(request(**{field: value})), f"request.{field}: {problem}")
        for field, cases in BAD_REQUESTS.items()
        for value, problem in cases
    ],
    *[
        (as_bytes(response(**{field: value})), f"response.{field}: {problem}")
        for field, cases in BAD_RESPONSES.items()
        for value, problem in cases
    ],
    *[(as_bytes(LOG | {"metadata": value}), problem) for value, problem in BAD_METADATA],
    *BAD_BODIES,
]


@pytest.mark.parametrize(("body", "problem"), CASES, ids=[problem[:60] for _, problem in CASES])
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    logs: LogsServed, body: bytes, problem: str
) -> None:
    reply = await logs.insert(body)
    assert reply.status_code == 400
    assert problem in complaint(reply)
    assert await logs.rows() == []


async def test_a_body_that_is_too_long_is_refused(logs: LogsServed) -> None:
    reply = await logs.insert(request(body="x" * (17 * 1024 * 1024)))
    assert reply.status_code == 413
    assert complaint(reply) == "body: is longer than the 16,777,216 bytes taken here."


async def test_an_idempotency_key_that_is_none_is_refused(logs: LogsServed) -> None:
    reply = await logs.insert(Idempotency_Key="x" * 256)
    assert complaint(reply).startswith("Idempotency-Key: must be 1 to 255 printable characters")
    assert await logs.rows() == []
