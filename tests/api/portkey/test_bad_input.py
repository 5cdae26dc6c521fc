"""What a caller may get wrong: each a 4xx that names the field, stores nothing and spoils no later call."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.models.ids import new_id

from .served import GOOD, Served, as_bytes, complaint

MIB = 1024 * 1024


def nested(depth: int, opening: str = "[", closing: str = "]", core: str = "") -> str:
    return opening * depth + core + closing * depth


def body(**fields: object) -> bytes:
    return as_bytes(GOOD | fields)


def literal(field: str, text: str) -> bytes:
    """A body with one field written as it stands, be it JSON or not."""
    others = {name: value for name, value in GOOD.items() if name != field}
    return (json.dumps(others)[:-1] + f', "{field}": {text}}}').encode()


BAD_VALUES = {
    "11": "value: must be an integer from -10 to 10; got 11.",
    "-11": "value: must be an integer from -10 to 10; got -11.",
    "1.5": "value: must be an integer from -10 to 10; got 1.5.",
    "true": "value: must be an integer from -10 to 10; got true.",
    "false": "value: must be an integer",
    '"5"': 'value: must be an integer from -10 to 10; got "5".',
    "null": "value: must be an integer from -10 to 10; got null.",
    "[5]": "value: must be an integer from -10 to 10; got an array.",
    "{}": "value: must be an integer from -10 to 10; got an object.",
    "1e299": "value: must be an integer",
    "9" * 300: "value: is an integer of more than 64 bits",
    "-" + "9" * 20: "value: is an integer of more than 64 bits",
    "9" * 400: "value: is an integer of more than 64 bits",
    "1e400": "value: must be a finite number",
    "NaN": "value: must be a finite number",
    "Infinity": "value: must be a finite number",
    "-Infinity": "value: must be a finite number",
}

BAD_WEIGHTS = {
    "2": "weight: must be a number from 0 to 1; got 2.",
    "-0.1": "weight: must be a number from 0 to 1; got -0.1.",
    "1.0000001": "weight: must be a number",
    "true": "weight: must be a number from 0 to 1; got true.",
    '"0.5"': "weight: must be a number",
    "[]": "weight: must be a number",
    "NaN": "weight: must be a finite number",
    "9" * 300: "weight: is an integer of more than 64 bits",
}

BAD_METADATA = {
    "5": "metadata: must be an object, or a string that holds one as JSON; got 5.",
    "true": "metadata: must be an object",
    "[1]": "metadata: must be an object",
    '""': "metadata: is a string that holds no JSON object",
    '"{"': "metadata: is a string that holds no JSON object",
    '"[1]"': "metadata: must be an object",
    '"null"': "metadata: must be an object",
    '"{\\"a\\": NaN}"': "metadata: is a string that holds no JSON object; in it, a: must be a finite",
    f'"{{\\"a\\": {"9" * 30}}}"': "metadata: is a string that holds no JSON object; in it, a: is an integer",
    f'"{nested(100)}"': "metadata: is a string that holds no JSON object",
    '{"a": NaN}': "metadata.a: must be a finite number",
    '{"a": {"b": [0, -Infinity]}}': "metadata.a.b[1]: must be a finite number",
    '{"a": 18446744073709551616}': "metadata.a: is an integer of more than 64 bits",
    '{"a": -9223372036854775809}': "metadata.a: is an integer of more than 64 bits",
    '{"a": "\\u0000"}': "metadata: must not hold the character U+0000",
    '{"a": [{"\\u0000": 1}]}': "metadata: must not hold the character U+0000",
    '{"a": "\\ud800"}': "metadata.a: holds half of a surrogate pair",
    '{"\\udfff": 1}': "metadata: has a key that holds half of a surrogate pair",
    nested(64, '{"a":', "}", "1"): "metadata.a: is nested more than 64 levels deep",
    f'{{"a": {nested(63)}}}': "metadata.a: is nested more than 64 levels deep",
    f'{{"a": {nested(900)}}}': "metadata.a: is nested more than 64 levels deep",
    nested(100_000, '{"a":', "}", "1"): "body: is nested more than 64 levels deep",
    f'{{"a": {nested(100_000)}}}': "body: is nested more than 64 levels deep",
    json.dumps({"a": "x" * MIB}): "metadata: may be 65,536 bytes long as JSON; got 1,048,584.",
    json.dumps({"a": "x" * (64 * 1024 - 7)}): "metadata: may be 65,536 bytes long as JSON; got 65,537.",
    json.dumps(json.dumps({"a": "x" * MIB})): "metadata: may be 65,536 bytes long as JSON",
}

BAD_TRACE_IDS = {
    "null": "trace_id: must be a printable string of 1 to 512 bytes; got null.",
    '""': 'trace_id: must be a printable string of 1 to 512 bytes; got "".',
    "5": "trace_id: must be a printable string",
    '["a"]': "trace_id: must be a printable string",
    json.dumps("x" * 513): "trace_id: must be a printable string",
    json.dumps("é" * 257): "trace_id: must be a printable string",
    json.dumps("x" * 10 * MIB): "trace_id: must be a printable string",
    '"a\\u0000b"': "trace_id: must be a printable string",
    '"a\\nb"': "trace_id: must be a printable string",
    '"\\ud83d"': "trace_id: holds half of a surrogate pair",
}

BAD_IDS = {
    "5": "id: must be a UUID; got 5.",
    '""': 'id: must be a UUID; got "".',
    '"abc"': 'id: must be a UUID; got "abc".',
    '"{0190a5b2-7c3d-7e4f-8a6b-9c0d1e2f3a4b}"': "id: must be a UUID",
    '"0190a5b27c3d7e4f8a6b9c0d1e2f3a4b"': "id: must be a UUID",
}

BAD_BODIES = {
    b"": "body: is empty",
    b" \n": "body: is empty",
    b"{": "body: is not valid JSON",
    b"trace_id=t&value=5": "body: is not valid JSON",
    b'{"trace_id":"t","value":5,}': "body: is not valid JSON",
    b'{"trace_id":"t","value":05}': "body: is not valid JSON",
    b'{"trace_id":"\xff","value":5}': "body: is not valid JSON",
    b'{"trace_id":"t\x00","value":5}': "body: is not valid JSON",
    b"\x00": "body: is not valid JSON",
    json.dumps(GOOD).encode("utf-16"): "body: is not valid JSON",
    b'{"trace_id":"t","value":5} {}': "body: is not valid JSON",
    b"null": "body: must be an object; got null.",
    b"5": "body: must be an object; got 5.",
    b'"text"': 'body: must be an object; got "text".',
    b"{}": "trace_id: is missing.",
    b'{"value":5}': "trace_id: is missing.",
    b'{"trace_id":"t"}': "value: is missing.",
    b"[]": "body: must be an array of 1 to 1,000 entries; got 0.",
    as_bytes([GOOD] * 1001): "body: must be an array of 1 to 1,000 entries; got 1,001.",
    b"[" * 100_000: "body: is nested more than 64 levels deep",
    nested(100_000).encode(): "body: is nested more than 64 levels deep",
    nested(65).encode(): "[0][0]: is nested more than 64 levels deep",
    as_bytes([GOOD, 5]): "[1]: must be an object; got 5.",
    as_bytes([GOOD, None]): "[1]: must be an object; got null.",
    as_bytes([GOOD, [GOOD]]): "[1]: must be an object; got an array.",
    as_bytes([GOOD, GOOD, GOOD, GOOD | {"value": 11}]): (
        "[3].value: must be an integer from -10 to 10; got 11."
    ),
    as_bytes([GOOD] * 999 + [{"value": 1}]): "[999].trace_id: is missing.",
    as_bytes([GOOD, GOOD | {"metadata": "x"}]): "[1].metadata: is a string that holds no JSON object",
    f"[{{}}, {nested(64)}]".encode(): "[1][0]: is nested more than 64 levels deep",
    b'[{"trace_id":"t","value":5},{"trace_id":"t","value":NaN}]': "[1].value: must be a finite number",
}

CASES = [
    *((literal("value", text), message) for text, message in BAD_VALUES.items()),
    *((literal("weight", text), message) for text, message in BAD_WEIGHTS.items()),
    *((literal("metadata", text), message) for text, message in BAD_METADATA.items()),
    *((literal("trace_id", text), message) for text, message in BAD_TRACE_IDS.items()),
    *((literal("id", text), message) for text, message in BAD_IDS.items()),
    *BAD_BODIES.items(),
]


@pytest.mark.parametrize(("sent", "message"), CASES, ids=lambda part: repr(part[:48]))
async def test_bad_input_is_named_and_nothing_is_stored(served: Served, sent: bytes, message: str) -> None:
    reply = await served.post(sent)

    assert reply.status_code == 400
    assert complaint(reply).startswith(message)
    assert len(reply.content) < 400
    assert await served.entries() == []
    assert (await served.give()).value == 5


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"{}", "body: changes nothing; send value, weight, metadata or comment."),
        (b'{"value": null, "feedbackID": "x"}', "body: changes nothing"),
        (b"[]", "body: must be an object; got an array."),
        (b"", "body: is empty"),
        (b'{"value": 11}', "value: must be an integer from -10 to 10; got 11."),
        (b'{"value": true}', "value: must be an integer"),
        (b'{"value": 1, "weight": 1.1}', "weight: must be a number from 0 to 1; got 1.1."),
        (b'{"value": 1, "metadata": []}', "metadata: must be an object"),
        (b'{"value": NaN}', "value: must be a finite number"),
    ],
)
async def test_a_bad_change_is_named_and_makes_no_version(served: Served, sent: bytes, message: str) -> None:
    entry = await served.give()

    reply = await served.put(entry.feedback_id, sent)

    assert reply.status_code == 400
    assert complaint(reply).startswith(message)
    assert await served.store.history(entry.feedback_id) == [entry]
    assert (await served.put(entry.feedback_id, {"value": 1})).status_code == 200


@pytest.mark.parametrize(
    "feedback_id",
    ["unknown", "5", "%00", "%ED%A0%80", "a%2Fb", "é", "x" * 5000, "00000000-0000-7000-8000-000000000000"],
)
async def test_a_change_of_what_does_not_exist_is_not_found(served: Served, feedback_id: str) -> None:
    reply = await served.put(feedback_id, {"value": 1})

    assert reply.status_code == 404
    assert "no feedback entry has" in complaint(reply)
    assert await served.entries() == []


@pytest.mark.parametrize("key", [b"", b"k" * 256, b"a\tb", b"\xff", b"\xc2\xa0"])
async def test_a_bad_idempotency_key_is_named(served: Served, key: bytes) -> None:
    entry = await served.give()
    headers = {b"Idempotency-Key": key}

    for reply in (
        await served.client.post("/feedback", json=GOOD, headers=headers),
        await served.client.put(f"/feedback/{entry.feedback_id}", json={"value": 1}, headers=headers),
    ):
        assert reply.status_code == 400
        assert complaint(reply) == "Idempotency-Key: must be 1 to 255 printable characters."

    assert await served.entries() == [entry]


async def test_another_call_under_a_used_idempotency_key_is_a_conflict(served: Served) -> None:
    entry = await served.give(GOOD, Idempotency_Key="k")

    reply = await served.post(GOOD | {"value": -5}, Idempotency_Key="k")

    assert reply.status_code == 409
    assert complaint(reply).startswith("Idempotency-Key: was used before")
    assert await served.entries() == [entry]


async def test_a_used_id_with_other_content_is_a_conflict(served: Served) -> None:
    own = new_id()
    entry = await served.give(GOOD | {"id": own}, x_portkey_api_key="north-key")

    changed = await served.post([GOOD, GOOD | {"id": own, "value": 1}], x_portkey_api_key="north-key")

    assert changed.status_code == 409
    assert own in complaint(changed)
    assert await served.entries() == [entry]


async def test_a_body_over_the_limit_is_too_large(served: Served) -> None:
    reply = await served.post(body(trace_id="x" * 17 * MIB))

    assert reply.status_code == 413
    assert complaint(reply) == "body: is longer than the 16,777,216 bytes taken here."
    assert await served.entries() == []
    assert (await served.give()).value == 5


async def test_a_compressed_body_is_read_and_one_that_only_says_so_is_refused(served: Served) -> None:
    taken = await served.post(gzip.compress(as_bytes(GOOD)), Content_Encoding="gzip")
    refused = await served.post(as_bytes(GOOD), Content_Encoding="gzip")

    assert taken.status_code == 200
    assert refused.status_code == 400
    assert complaint(refused) == "body: is not encoded the way its headers say."
    assert len(await served.entries()) == 1


async def test_a_small_body_that_unpacks_to_a_huge_one_is_too_large(served: Served) -> None:
    reply = await served.post(gzip.compress(b" " * 40 * MIB), Content_Encoding="gzip")

    assert reply.status_code == 413
    assert (await served.give()).value == 5


@pytest.mark.parametrize("key", ["", "wrong", "app-key-2"])
async def test_a_caller_without_a_good_key_is_told_so(served: Served, key: str) -> None:
    reply = await served.post(GOOD, x_portkey_api_key=key)

    assert reply.status_code == 401
    assert "gateway key" in complaint(reply)
    assert reply.headers["www-authenticate"]
    assert await served.entries() == []


async def test_a_key_for_something_else_is_refused(served: Served) -> None:
    entry = await served.give()

    given = await served.post(GOOD, x_portkey_api_key="proxy-key")
    changed = await served.put(entry.feedback_id, {"value": 1}, x_portkey_api_key="proxy-key")

    assert (given.status_code, changed.status_code) == (403, 403)
    assert "role feedback" in complaint(given)
    assert await served.entries() == [entry]
