"""Groq's SDK, which adds a path of its own and shows counts in a place of its own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.clients.answers import DONE, cut, data, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.clients.wires import CHAT_ERROR, FIND_TOOL, QUESTIONS, chat, chat_begun, chat_chunk

groq = library("groq")

MODEL = "llama-3.3-70b-versatile"
USAGE = {
    "queue_time": 0.01,
    "prompt_tokens": 210,
    "prompt_time": 0.02,
    "completion_tokens": 34,
    "completion_time": 0.1,
    "total_tokens": 244,
    "total_time": 0.12,
}
FACTS = {
    "requested_model": MODEL,
    "model": MODEL,
    "prompt_tokens": 210,
    "completion_tokens": 34,
    "finish_reason": "stop",
    "cost_nanousd": 150_760,
}


@pytest.fixture
def client(contract: Contract) -> Any:
    """The SDK, which tries once."""
    return groq.Groq(api_key=GATEWAY_KEY, base_url=f"{contract.url}/groq", max_retries=0)


def chunks_of(client: Any) -> list[Any]:
    """Ask for a stream and return its chunks."""
    return list(client.chat.completions.create(model=MODEL, messages=QUESTIONS, stream=True))


def test_a_chat_is_logged_whole_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(whole(chat(MODEL, USAGE) | {"x_groq": {"id": "req_1"}}))
    answer = client.chat.completions.create(model=MODEL, messages=QUESTIONS)
    assert answer.choices[0].message.content == "Hi there"
    assert contract.received().target == "/openai/v1/chat/completions"
    row = contract.complete_row(**FACTS, is_stream=False)
    contract.vote(answer.id, row)


def test_a_stream_is_counted_without_having_asked_for_usage(client: Any, contract: Contract) -> None:
    begun = chat_begun(MODEL)
    begun[0]["x_groq"] = {"id": "req_1"}
    end = chat_chunk(begun[0]["id"], {}, "stop", MODEL, x_groq={"id": "req_1", "usage": USAGE})
    contract.play(streamed([*data(*begun, end), DONE]))
    chunks = chunks_of(client)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hi there"
    assert chunks[-1].x_groq.usage.prompt_tokens == 210
    row = contract.complete_row(**FACTS, is_stream=True)
    contract.vote(chunks[0].id, row)


def test_a_call_of_a_tool_reaches_the_caller(client: Any, contract: Contract) -> None:
    contract.play(whole(chat(MODEL, USAGE, tools=True)))
    answer = client.chat.completions.create(model=MODEL, messages=QUESTIONS, tools=[FIND_TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert call.function.arguments == '{"q":"ann"}'
    contract.complete_row(**FACTS | {"finish_reason": "tool_calls"})


def test_the_providers_refusal_is_the_sdks_own_error(client: Any, contract: Contract) -> None:
    contract.play(whole(CHAT_ERROR, status=b"429 Too Many Requests"))
    with pytest.raises(groq.RateLimitError, match="engine died"):
        client.chat.completions.create(model=MODEL, messages=QUESTIONS)
    row = contract.row(status=429, note="The engine died", requested_model=MODEL)
    assert contract.errors(row) == 1


@pytest.mark.parametrize("prefix", [b"", b"event: error\n"])
def test_an_error_inside_a_stream_is_the_providers_failure(
    client: Any, contract: Contract, prefix: bytes
) -> None:
    gate = contract.gate()
    contract.play(streamed([*data(*chat_begun(MODEL)), prefix + data(CHAT_ERROR)[0]], hold=gate))
    with pytest.raises(groq.APIError, match="engine died"):
        chunks_of(client)
    contract.failed_row("provider_error", status=200, note="The engine died")
    contract.open(gate)


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    begun = chat_begun(MODEL)
    contract.play(cut(data(*begun)))
    with pytest.raises(httpx.RemoteProtocolError):
        chunks_of(client)
    contract.failed_row("upstream_truncated", status=200, response_id=begun[0]["id"])
