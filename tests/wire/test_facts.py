from __future__ import annotations

import gzip
import zlib

import pytest

from gateway.models.exchange import Outcome
from gateway.wire import read_facts, reassemble
from tests.wire.samples import CASES, exchange

TEXT = (CASES / "chat.completions/text.sse").read_bytes()
ERROR = (CASES / "chat.completions/error.json").read_bytes()
GZIP = ((b"Content-Encoding", b"gzip"),)


def test_an_error_under_a_streams_content_type_is_read_as_the_json_it_is() -> None:
    facts = read_facts(exchange("chat.completions", ERROR, content_type="text/event-stream"))
    assert facts.note is not None
    assert facts.note.startswith("The model `gpt-9` does not exist")
    assert reassemble("chat.completions", "text/event-stream", ERROR) is None


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_a_stream_under_another_content_type_is_read_as_the_stream_it_is(content_type: str) -> None:
    facts = read_facts(exchange("chat.completions", TEXT, content_type=content_type))
    assert facts.usage.prompt_tokens == 9
    assert reassemble("chat.completions", content_type, TEXT) is not None


def test_a_compressed_answer_is_read() -> None:
    facts = read_facts(exchange("chat.completions", gzip.compress(TEXT), response_headers=GZIP))
    assert facts.finish_reason == "stop"
    assert facts.note is None


def test_a_compressed_answer_that_was_cut_is_read_as_far_as_it_goes_with_a_note() -> None:
    body = gzip.compress(TEXT)[:-20]
    facts = read_facts(exchange("chat.completions", body, response_headers=GZIP))
    assert facts.response_id == "chatcmpl-BxQ7"
    assert facts.note is not None
    assert "the response could not be decompressed to its end" in facts.note


def test_a_compressed_stream_that_was_cut_was_truncated_by_the_provider() -> None:
    coder = zlib.compressobj(wbits=31)
    body = coder.compress(TEXT[:700]) + coder.flush(zlib.Z_SYNC_FLUSH)
    facts = read_facts(exchange("chat.completions", body, response_headers=GZIP))
    assert facts.outcome is Outcome.UPSTREAM_TRUNCATED


def test_a_stream_without_a_byte_was_truncated_by_the_provider() -> None:
    facts = read_facts(exchange("chat.completions", b"", content_type="text/event-stream"))
    assert facts.outcome is Outcome.UPSTREAM_TRUNCATED
    assert facts.note == "the stream ended early"


@pytest.mark.parametrize("endpoint", ["other", "messages.count_tokens"])
def test_a_stream_of_no_known_format_may_be_empty(endpoint: str) -> None:
    assert read_facts(exchange(endpoint, b"", content_type="text/event-stream")).outcome is None


def test_a_body_that_was_not_kept_whole_is_noted_with_its_sizes() -> None:
    facts = read_facts(
        exchange("chat.completions", TEXT[:700], content_type="text/event-stream", response_size=5000)
    )
    assert facts.note == "700 of 5000 bytes of the response were kept; the stream ended early"


def test_a_request_that_is_no_json_leaves_the_answer_readable() -> None:
    facts = read_facts(exchange("chat.completions", TEXT, request_body=b"--boundary"))
    assert facts.requested_model is None
    assert facts.finish_reason == "stop"
    assert facts.note == "the request is not a JSON object"


def test_a_page_in_place_of_an_answer_is_noted() -> None:
    facts = read_facts(exchange("messages", b"<html>502 Bad Gateway</html>", content_type="text/html"))
    assert facts.note == "the response is not a JSON object"


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b'{"error": "model not loaded"}', "model not loaded"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"message": "no Route  matched\\nwith those values"}', "no Route matched with those values"),
        (b'{"error": {"code": 7}}', "an error without a message"),
    ],
)
def test_an_error_of_any_shape_is_noted_by_its_message(body: bytes, note: str) -> None:
    assert read_facts(exchange("chat.completions", body)).note == note


def test_a_long_error_message_is_shortened() -> None:
    note = read_facts(exchange("chat.completions", b'{"error": "%b"}' % (b"a " * 4000))).note
    assert note is not None
    assert len(note) == 300


def test_no_answer_at_all_says_nothing() -> None:
    facts = read_facts(exchange("chat.completions", b"", request_body=b'{"model": "m"}'))
    assert (facts.requested_model, facts.model, facts.note) == ("m", None, None)


def test_of_an_unknown_call_only_the_requested_model_is_taken() -> None:
    facts = read_facts(
        exchange("other", b'{"model": "x", "id": "1"}', request_body=b'{"model": "m", "user": "u"}')
    )
    assert (facts.requested_model, facts.model, facts.response_id, facts.user) == ("m", None, None, None)


def test_an_answer_under_an_unknown_path_is_read_as_what_it_calls_itself() -> None:
    facts = read_facts(exchange("other", TEXT, content_type="text/event-stream"))
    assert (facts.finish_reason, facts.usage.prompt_tokens) == ("stop", 9)
    assert reassemble("other", "text/event-stream", TEXT) == reassemble("chat.completions", "", TEXT)


def test_embeddings_are_no_stream() -> None:
    assert reassemble("embeddings", "text/event-stream", TEXT) is None
    assert read_facts(exchange("embeddings", TEXT)).note == "embeddings came as a stream of events"


def test_a_stream_of_comments_alone_is_no_answer() -> None:
    for endpoint in ("chat.completions", "responses", "messages"):
        assert reassemble(endpoint, "text/event-stream", b": ping\n\n: ping\n\n") is None
        assert read_facts(exchange(endpoint, b": ping\n\n")).note == "the stream ended early"


def test_a_count_that_no_model_can_reach_is_not_believed() -> None:
    body = b'{"usage": {"prompt_tokens": 9000000000000000000, "completion_tokens": 5}}'
    usage = read_facts(exchange("chat.completions", body)).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (None, 5)


def test_two_thousand_deltas_are_joined_in_order() -> None:
    pieces = [
        b'data: {"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"%d,"}}]}\n\n' % n
        for n in range(2000)
    ]
    whole = reassemble("chat.completions", "text/event-stream", b"".join(pieces))
    assert isinstance(whole, dict)
    assert whole["choices"][0]["message"]["content"] == "".join(f"{n}," for n in range(2000))
