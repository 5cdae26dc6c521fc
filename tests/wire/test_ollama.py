from __future__ import annotations

import pytest

from gateway.wire import endpoint_of, read_facts
from tests.wire.samples import CASES, exchange

TEXT = (CASES / "ollama.chat/text.ndjson").read_bytes()


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/x-ndjson"])
def test_a_stream_is_read_whatever_its_content_type(content_type: str) -> None:
    facts = read_facts(exchange("ollama.chat", TEXT, content_type=content_type))
    assert (facts.usage.prompt_tokens, facts.usage.completion_tokens) == (41, 7)
    assert facts.finish_reason == "stop"


def test_a_path_that_names_another_format_or_none_is_put_right_by_the_answer() -> None:
    assert read_facts(exchange("other", TEXT)).usage.completion_tokens == 7


def test_a_base_path_before_its_own_makes_no_difference() -> None:
    assert endpoint_of("/local/ollama/api/chat") == "ollama.chat"


def test_an_answer_without_a_reason_to_stop_is_over_when_it_is_done() -> None:
    body = b'{"model":"m","response":"Hi","done":false}\n{"model":"m","response":"","done":true,"eval_count":2}\n'
    facts = read_facts(exchange("ollama.generate", body, content_type="application/x-ndjson"))
    assert (facts.finish_reason, facts.note, facts.outcome) == (None, None, None)


def test_an_error_in_place_of_a_stream_is_a_failure() -> None:
    body = b'{"error":"model requires more system memory (5.6 GiB) than is available (3.1 GiB)"}\n'
    facts = read_facts(exchange("ollama.chat", body, content_type="application/x-ndjson"))
    assert facts.note is not None
    assert facts.note.startswith("model requires more system memory")
    assert facts.outcome is not None
    assert facts.outcome.value == "provider_error"
