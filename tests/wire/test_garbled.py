"""Whatever the bytes are, nothing raises, and what comes out has the types that it says it has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.models.conversation import Part
from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.wire import read_conversation, read_facts, reassemble
from gateway.wire.endpoints import FORMATS
from gateway.wire.event_streams import read_events
from gateway.wire.formats import WireMessage
from gateway.wire.json_fields import MAX_COUNT, MAX_TEXT
from tests.wire import frames
from tests.wire.samples import ALL, STREAMS, Case, exchange

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ENDPOINTS = [*FORMATS, "other", "unheard-of"]
CONTENT_TYPES = ["text/event-stream", "application/json", "application/vnd.amazon.eventstream", ""]


def check_types(facts: Facts) -> None:
    for text in (facts.requested_model, facts.model, facts.response_id, facts.finish_reason, facts.user):
        assert text is None or (isinstance(text, str) and 0 < len(text) <= 2 * MAX_TEXT + 1)
    assert facts.note is None or isinstance(facts.note, str)
    for count in asdict(facts.usage).values():
        assert count is None or (type(count) is int and 0 <= count <= 3 * MAX_COUNT)


def check_messages(endpoint: str, logged: Exchange) -> None:
    said = read_conversation(endpoint, WireMessage.of_request(logged), WireMessage.of_response(logged))
    for message in (*said.input, *said.output):
        assert isinstance(message.role, str)
        check_parts(message.parts)
    orjson.dumps(said)


def check_parts(parts: tuple[Part, ...]) -> None:
    for part in parts:
        for name, value in ((name, getattr(part, name)) for name in part.__dataclass_fields__):
            if isinstance(value, tuple):
                check_parts(value)
            else:
                assert value is None or type(value) is (int if name == "size_bytes" else str)


def check(endpoint: str, content_type: str, body: bytes) -> None:
    check_types(read_facts(exchange(endpoint, body, content_type=content_type, request_body=body)))
    orjson.dumps(reassemble(endpoint, content_type, body))
    check_messages(endpoint, exchange(endpoint, body, content_type=content_type, request_body=body))


def replace_somewhere(value: Any, replacement: Any, draw: st.DrawFn) -> Any:
    """`value` with one of its parts, at any depth, replaced."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if not keys or draw(st.integers(0, 5)) == 0:
        return replacement
    key = draw(st.sampled_from(keys))
    changed = value.copy()
    changed[key] = replace_somewhere(value[key], replacement, draw)
    return changed


@st.composite
def distorted_streams(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A recorded stream, some of whose events have unexpected values."""
    case = draw(st.sampled_from(STREAMS))
    pieces = []
    stream = read_events(case.content_type, case.body)
    assert stream is not None
    for name, data in stream.all_events:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            continue
        for _ in range(draw(st.integers(0, 2))):
            value = replace_somewhere(value, draw(JSON), draw)
        written = orjson.dumps(value)
        as_text = b"event: %b\ndata: %b\n\n" % (name.encode(), written)
        pieces.append(frames.event(name, written) if case.is_binary else as_text)
    return case, b"".join(draw(st.permutations(pieces)) if draw(st.booleans()) else pieces)


@st.composite
def distorted_answers(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A recorded unstreamed answer with unexpected values."""
    case = draw(st.sampled_from([case for case in ALL if not case.is_stream]))
    value = orjson.loads(case.body)
    for _ in range(draw(st.integers(1, 3))):
        value = replace_somewhere(value, draw(JSON), draw)
    return case, orjson.dumps(value)


@st.composite
def scrambled_bytes(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A recorded body with bytes changed, lost and repeated."""
    case = draw(st.sampled_from(ALL))
    body = bytearray(case.body)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 20))] = draw(st.binary(max_size=5))
    return case, bytes(body)


@settings(max_examples=300)
@given(distorted_streams() | distorted_answers())
def test_values_of_odd_types_anywhere_in_an_answer_never_raise(distorted: tuple[Case, bytes]) -> None:
    case, body = distorted
    check(case.endpoint, case.content_type, body)


@settings(max_examples=300)
@given(scrambled_bytes())
def test_garbled_bytes_never_raise(scrambled: tuple[Case, bytes]) -> None:
    case, body = scrambled
    check(case.endpoint, case.content_type, body)


@given(st.sampled_from(ENDPOINTS), st.sampled_from(CONTENT_TYPES), st.binary())
def test_arbitrary_bytes_never_raise(endpoint: str, content_type: str, body: bytes) -> None:
    check(endpoint, content_type, body)


@given(st.sampled_from(ENDPOINTS), JSON)
def test_arbitrary_json_never_raises(endpoint: str, value: object) -> None:
    check(endpoint, "application/json", orjson.dumps(value))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_json_nested_beyond_the_interpreters_stack_never_raises(endpoint: str) -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    delta = b'{"index":0,"type":"content_block_delta","delta":' + deep + b"}"
    chunk = b'data: {"choices":[' + delta + b'],"delta":' + deep + b',"type":"message_delta"}\n\n'
    check(endpoint, "text/event-stream", chunk * 2)


@pytest.mark.parametrize("kind", ["[]", "{}", "5", "null"])
def test_a_step_of_an_interaction_whose_type_is_none_never_raises(kind: str) -> None:
    body = b'data: {"event_type":"step.delta","index":0,"delta":{"type":%b,"text":"x"}}\n\n' % kind.encode()
    check("gemini.interactions", "text/event-stream", body)
