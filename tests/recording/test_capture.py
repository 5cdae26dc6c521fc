"""What is noted of a request while it passes by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.exchange import Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.recording.capture import BodyCapture, Capture


@given(st.lists(st.binary(max_size=20)), st.integers(0, 60))
def test_the_beginning_of_a_body_is_kept_and_the_whole_is_counted(pieces: list[bytes], limit: int) -> None:
    body = BodyCapture(limit)
    for piece in pieces:
        body.add(piece)
    assert body.content() == b"".join(pieces)[:limit]
    assert body.size_bytes == sum(map(len, pieces))


def test_a_body_that_came_in_one_piece_is_kept_without_a_copy() -> None:
    body, piece = BodyCapture(10), bytes(10)
    body.add(piece)
    assert body.content() is piece


def a_capture() -> Capture:
    return Capture(
        identity=Identity("r-1", "t-1"),
        tenant="north",
        key_name="app",
        provider="up",
        endpoint="other",
        method="GET",
        path="/v1/x?a",
        payloads=PayloadPolicy.REDACTED,
        opt_out=LoggingOptOut(request=True),
        limit_bytes=3,
        request_headers=((b"A", b"1"),),
    )


def test_a_capture_becomes_an_exchange_with_all_that_was_noted() -> None:
    capture = a_capture()
    capture.request_body.add(b"abcd")
    capture.add_response_head(201, ((b"B", b"2"),))
    capture.response_body.add(b"ef")
    exchange = capture.close(Outcome.TIMEOUT, "too slow")
    assert (exchange.identity, exchange.tenant, exchange.key_name) == (Identity("r-1", "t-1"), "north", "app")
    assert (exchange.provider, exchange.method, exchange.path) == ("up", "GET", "/v1/x?a")
    assert (exchange.status, exchange.outcome, exchange.error) == (201, Outcome.TIMEOUT, "too slow")
    assert (exchange.payloads, exchange.opt_out) == (PayloadPolicy.REDACTED, LoggingOptOut(request=True))
    assert (exchange.request_headers, exchange.response_headers) == (((b"A", b"1"),), ((b"B", b"2"),))
    assert (exchange.request_body, exchange.request_size) == (b"abc", 4)
    assert (exchange.response_body, exchange.response_size) == (b"ef", 2)
    assert exchange.first_byte_at_us is not None
    assert exchange.started_at_us <= exchange.first_byte_at_us <= exchange.ended_at_us


def test_a_request_without_an_answer_has_no_first_byte() -> None:
    exchange = a_capture().close(Outcome.CLIENT_CLOSED)
    assert (exchange.status, exchange.first_byte_at_us, exchange.error) == (None, None, None)


def test_a_request_ends_once() -> None:
    capture = a_capture()
    capture.close(Outcome.COMPLETE)
    with pytest.raises(AssertionError):
        capture.close(Outcome.COMPLETE)
