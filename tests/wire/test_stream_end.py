"""Streams that are over, and streams that are not."""

from __future__ import annotations

import pytest

from gateway.wire.stream_end import is_ended

OVER = [
    b'data: {"choices":[]}\n\ndata: [DONE]\n\n',
    b'data: {"choices":[]}\r\n\r\ndata: [DONE]\r\n\r\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: response.completed\ndata: {"type":"response.completed","response":{}}\n\n',
    b"x" * 300_000 + b"\n\ndata: [DONE]\n\n",
]
NOT_OVER = [
    b"",
    b'{"id": "chatcmpl-1"}',
    b'data: {"choices":[]}\n\n',
    b"data: [DONE]\n",
    b"data: [DO",
    b'data: {"content":"data: [DONE]"}\n\n',
    b'data: [DONE]\n\ndata: {"choices":[]}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta"}\n\n',
]


@pytest.mark.parametrize("body", OVER)
def test_a_stream_with_its_last_event_is_ended(body: bytes) -> None:
    assert is_ended(body)


@pytest.mark.parametrize("body", NOT_OVER)
def test_a_stream_without_its_whole_last_event_is_not_ended(body: bytes) -> None:
    assert not is_ended(body)
