from __future__ import annotations

import orjson
import pytest

from gateway.models.exchange import Exchange
from gateway.recording.redaction import redact
from gateway.wire import read_facts, reassemble
from gateway.wire.event_streams import MAX_EVENTS, read_sse
from gateway.wire.json_fields import MAX_JSON_VALUES, has_too_many_values, parse_json
from tests.factories import MakeExchange, make_exchange

__all__ = ["make_exchange"]

BOMB = b'{"model":"m","a":[' + b"[]," * MAX_JSON_VALUES + b"[]]}"


@pytest.fixture
def bomb(make_exchange: MakeExchange) -> Exchange:
    return make_exchange(request_body=BOMB, response_body=BOMB)


@pytest.mark.parametrize("unit", [b"0,", b"[],", b"{},", b'"",', b'{"":0},'])
def test_a_text_is_read_up_to_so_many_values_and_no_more(unit: bytes) -> None:
    marks = sum(map(unit.count, (b",", b"[", b"{")))
    most = b"[" + unit * ((MAX_JSON_VALUES - 1) // marks) + b"0]"
    assert parse_json(most)
    with pytest.raises(orjson.JSONDecodeError):
        parse_json(b"[" + unit + most[1:])


def test_a_long_text_with_few_values_is_read_however_long() -> None:
    text = orjson.dumps({"image": "A" * (4 * MAX_JSON_VALUES)})
    assert not has_too_many_values(text)
    assert parse_json(text)


def test_of_what_holds_too_much_only_that_is_said(bomb: Exchange) -> None:
    facts = read_facts(bomb)
    assert facts.requested_model is None
    assert facts.note == (
        "the request holds more than 1,500,000 values; the response holds more than 1,500,000 values"
    )


def test_what_holds_too_much_is_left_out_where_text_is_redacted(bomb: Exchange) -> None:
    assert redact(bomb).response_body == b""


def test_a_stream_that_holds_too_much_is_not_put_together() -> None:
    event = b"data: " + BOMB[: len(BOMB) // 4] + b"\n\n"
    assert reassemble("chat.completions", "text/event-stream", event * 8) is None


@pytest.mark.parametrize("event", [b"data: {}\n\n", b"\n\n", b"data\n\n"])
def test_a_stream_is_read_up_to_so_many_events(event: bytes) -> None:
    stream = read_sse(event * (MAX_EVENTS + 10))
    assert len(stream.events) in (MAX_EVENTS, 0)
    assert len(read_sse(b"data: 1\n\n" * MAX_EVENTS).events) == MAX_EVENTS


def test_an_event_is_read_up_to_so_many_lines() -> None:
    (found,) = read_sse(b"data: 1\n" * (MAX_EVENTS + 10) + b"\n").events
    assert found[1].count(b"1") == MAX_EVENTS
