"""What `payloads: redacted` leaves of a body."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.exchange import Exchange
from gateway.recording.redaction import KEPT_KEYS, redact
from gateway.wire import read_facts
from tests.store.samples import exchange
from tests.wire.samples import STREAMS, Case

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

SECRET = "s3cret-"
"""Begins every text below, so that one that is left shows."""

texts = st.text(max_size=10).map(SECRET.__add__)
keys = st.text("abcdef", max_size=5) | st.sampled_from(sorted(KEPT_KEYS))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def redacted(body: bytes, *headers: tuple[bytes, bytes]) -> bytes:
    return redact(answer(body, *headers)).response_body


def answer(body: bytes, *headers: tuple[bytes, bytes]) -> Exchange:
    return exchange(response_body=body, response_size=len(body), response_headers=headers)


def shape(value: Json, *, is_kept: bool = False) -> Json:
    """What a document must look like afterwards."""
    if isinstance(value, dict):
        return {key: shape(item, is_kept=key in KEPT_KEYS) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, str) and not is_kept:
        return f"[redacted {len(value)}]"
    return value


@given(documents)
def test_json_keeps_its_shape_numbers_and_technical_words_and_no_other_text(document: Json) -> None:
    assert json.loads(redacted(json.dumps(document).encode())) == shape(document)


@given(st.lists(st.dictionaries(st.text("abc"), texts, min_size=1), min_size=1, max_size=4))
def test_events_are_redacted_one_by_one(documents: list[dict[str, str]]) -> None:
    body = b"".join(b"event: delta\ndata: %b\n\n" % json.dumps(one).encode() for one in documents)
    found = redacted(body + b"data: [DONE]\n\n")
    assert SECRET.encode() not in found
    assert found.count(b"event: delta\n") == len(documents)
    assert found.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "body",
    [
        b"s3cret-plain text",
        b"\xff\xfes3cret-",
        b'{"text": "s3cret-',
        b"data: s3cret-\n\n",
        b'data: {"text": "s3cret-\n\n',
        b"event: s3cret\n\n",
        b": s3cret-comment\n\ndata: {}\n\n",
        b"[" * 5000 + b'"s3cret-"' + b"]" * 5000,
        b'{"content": {"id": ["s3cret-"]}}',
        b'--boundary\r\nContent-Disposition: form-data; name="x"\r\n\r\ns3cret-\r\n--boundary--',
    ],
)
def test_nothing_is_left_of_text_in_any_other_form(body: bytes) -> None:
    assert b"s3cret-" not in redacted(body)


def test_an_encoded_body_is_decoded_first_and_no_longer_said_to_be_encoded() -> None:
    packed = gzip.compress(b'{"content":"s3cret-","n":1}')
    found = redact(answer(packed, (b"Content-Encoding", b"gzip"), (b"X-A", b"1")))
    assert found.response_body == b'{"content":"[redacted 7]","n":1}'
    assert found.response_headers == ((b"X-A", b"1"),)
    assert found.response_size == len(packed)


def test_a_body_in_an_unknown_encoding_is_left_out() -> None:
    assert redacted(b'{"content":"s3cret-"}', (b"Content-Encoding", b"x-odd")) == b""


def test_the_request_is_redacted_too_and_ids_stay() -> None:
    found = redact(exchange(request_body=b'{"model":"m","user":"s3cret-"}', request_size=30))
    assert found.request_body == b'{"model":"m","user":"[redacted 7]"}'
    assert found.response_body == b'{"id":"chatcmpl-1"}'
    assert (found.request_size, found.identity) == (30, exchange().identity)


@pytest.mark.parametrize("case", [case for case in STREAMS if case.is_binary], ids=str)
def test_a_binary_stream_becomes_text_that_tells_the_same_facts(case: Case) -> None:
    whole = case.exchange()
    bare = redact(whole)
    told, left = read_facts(whole), read_facts(replace(bare, response_size=len(bare.response_body)))
    assert bare.response_body.isascii()
    assert b"Hi" not in bare.response_body
    assert (left.usage, left.billing) == (told.usage, told.billing)
    assert (left.finish_reason, left.model) == (told.finish_reason, told.model)
    assert (left.response_id, left.outcome) == (told.response_id, told.outcome)
