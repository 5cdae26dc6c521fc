"""Cohere's streams, where something other than an event stands in them."""

from __future__ import annotations

from gateway.wire import cohere
from gateway.wire.event_streams import read_sse

BEGUN = b'event: message-start\ndata: {"type":"message-start","id":"c-1"}\n\n'


def test_an_error_in_an_events_place_is_the_providers_failure() -> None:
    facts = cohere.read_stream(read_sse(BEGUN + b'data: {"message":"the engine died"}\n\n'))
    assert (facts.response_id, facts.note, facts.has_failed) == ("c-1", "the engine died", True)


def test_events_alone_are_no_failure() -> None:
    facts = cohere.read_stream(read_sse(BEGUN))
    assert (facts.note, facts.has_failed, facts.has_ended) == (None, False, False)
