from __future__ import annotations

import pytest

from gateway.models.request import Usage
from gateway.wire import read_facts, reassemble
from tests.wire.samples import exchange

LISTED = (
    b'[{"generated_text":" blue","details":{"finish_reason":"length","generated_tokens":2,"prefill":[]}}]'
)


def test_an_answer_in_a_list_is_no_stream() -> None:
    facts = read_facts(exchange("tgi.generate", LISTED))
    assert (facts.usage, facts.finish_reason) == (Usage(None, 2), "length")
    assert (facts.is_stream, facts.outcome, facts.note) == (None, None, None)
    assert reassemble("tgi.generate", "application/json", LISTED) is None


def test_an_answer_is_told_by_itself_where_the_path_does_not_tell() -> None:
    assert read_facts(exchange("other", LISTED)).usage == Usage(None, 2)


@pytest.mark.parametrize("count", [b"", b"-1", b"1.5", b"many", b"9" * 30, b"10000000000000"])
def test_a_header_that_states_no_count_is_not_believed(count: bytes) -> None:
    headers = ((b"X-Prompt-Tokens", count), (b"X-Compute-Tokens", count))
    for endpoint in ("tgi.generate", "embeddings", "rerank"):
        facts = read_facts(exchange(endpoint, b'{"generated_text":"a"}', response_headers=headers))
        assert facts.usage == Usage()


def test_headers_do_not_go_before_what_an_answer_states() -> None:
    body = b'{"model":"m","data":[],"usage":{"prompt_tokens":5}}'
    headers = ((b"X-Compute-Tokens", b"7"),)
    assert read_facts(exchange("embeddings", body, response_headers=headers)).usage == Usage(5)
    assert read_facts(exchange("embeddings", b"[[0.5]]", response_headers=headers)).usage == Usage(7)


def test_a_list_of_vectors_says_nothing_and_is_no_fault() -> None:
    facts = read_facts(exchange("cohere.embed", b"[[0.5,0.25]]"))
    assert (facts.usage, facts.note, facts.is_stream, facts.outcome) == (Usage(), None, None, None)
    assert reassemble("cohere.embed", "application/json", b"[[0.5,0.25]]") is None
