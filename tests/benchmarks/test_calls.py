from __future__ import annotations

import json

import pytest

from benchmarks.calls import CHAT, STREAMED_CHAT, chat_of, request_of


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_chat_has_the_length_that_was_asked_for_and_is_the_same_every_time(size: int) -> None:
    assert len(chat_of(size)) == pytest.approx(size, abs=20)
    assert chat_of(size) == chat_of(size)
    assert json.loads(chat_of(size))["model"] == "gpt-4o-mini"


def test_the_upstream_sees_who_wants_a_stream() -> None:
    assert b'"stream":true' in STREAMED_CHAT
    assert b'"stream":true' not in CHAT


def test_feedback_is_about_the_request_with_its_number() -> None:
    chat, vote = request_of("json", "run-1", ()), request_of("feedback", "run-1", ())
    assert b"x-portkey-trace-id: run-1-##########\r\n" in chat
    assert b'"trace_id":"run-1-##########"' in vote


def test_callers_send_what_the_one_who_serves_wants() -> None:
    assert b"\r\nX-Wanted: yes\r\n" in request_of("sse", "run", ("X-Wanted: yes",))
