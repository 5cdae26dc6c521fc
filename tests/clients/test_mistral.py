"""Mistral's SDK."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.answers import DONE, cut, data, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.clients.wires import (
    FIND_TOOL,
    QUESTION,
    QUESTIONS,
    chat,
    chat_begun,
    chat_chunk,
    chat_facts,
    chat_stream,
    embeddings,
    fresh,
)

sdk = library("mistralai.client")
errors = library("mistralai.client.errors")
httpx2 = library("httpx2")

MODEL = "mistral-small-latest"
FAILURE = {
    "object": "error",
    "message": "Service unavailable",
    "type": "internal_server_error",
    "param": None,
    "code": "3000",
}
FACTS = chat_facts(MODEL)


@pytest.fixture
def client(contract: Contract) -> Any:
    """The SDK, whose URL has no version."""
    return sdk.Mistral(api_key=GATEWAY_KEY, server_url=f"{contract.url}/mistral")


def chunks_of(client: Any) -> list[Any]:
    """Ask for a stream and return its chunks."""
    return [event.data for event in client.chat.stream(model=MODEL, messages=QUESTIONS)]


def text_of(chunks: list[Any]) -> str:
    """The text of a stream's chunks."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_chat_is_logged_whole_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(whole(chat(MODEL)))
    answer = client.chat.complete(model=MODEL, messages=QUESTIONS)
    assert answer.choices[0].message.content == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=False)
    contract.vote(answer.id, row)


def test_a_stream_is_put_together_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(streamed([*data(*chat_stream(MODEL)), DONE]))
    chunks = chunks_of(client)
    assert text_of(chunks) == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=True)
    assert row["response"]["reassembled"]["choices"][0]["message"]["content"] == "Hi there"
    contract.vote(chunks[0].id, row)


def test_what_a_model_thinks_is_put_together_with_what_it_says(client: Any, contract: Contract) -> None:
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]} for text in ("Hm", "m")]
    said = chat_stream(MODEL)
    thoughts = [chat_chunk(said[0]["id"], {"content": [piece]}, model=MODEL) for piece in thought]
    events = [*thoughts, *said[1:]]
    contract.play(streamed([*data(*events), DONE]))
    assert [type(chunk.choices[0].delta.content) for chunk in chunks_of(client)[:3]] == [list, list, str]
    row = contract.complete_row(**FACTS, is_stream=True)
    assembled = str(row["response"]["reassembled"]["choices"][0]["message"])
    assert [word in assembled for word in ("Hm", "Hi ")] == [True, True]


def test_a_call_of_a_tool_reaches_the_caller(client: Any, contract: Contract) -> None:
    contract.play(whole(chat(MODEL, tools=True)))
    answer = client.chat.complete(model=MODEL, messages=QUESTIONS, tools=[FIND_TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("find", '{"q":"ann"}')
    contract.complete_row(**FACTS | {"finish_reason": "tool_calls"})


def test_a_completion_in_the_middle_is_read_like_a_chat(client: Any, contract: Contract) -> None:
    contract.play(whole(chat("codestral-latest")))
    client.fim.complete(model="codestral-latest", prompt="def f(")
    contract.complete_row(**chat_facts("codestral-latest"))


def test_embeddings_are_counted(client: Any, contract: Contract) -> None:
    contract.play(whole(embeddings("mistral-embed") | {"id": fresh("embd")}))
    answer = client.embeddings.create(model="mistral-embed", inputs=[QUESTION])
    assert answer.data[0].embedding == [0.5, -0.25]
    row = contract.complete_row(
        requested_model="mistral-embed", prompt_tokens=8, endpoint="embeddings", response_id=answer.id
    )
    contract.vote(answer.id, row)


def test_the_providers_refusal_is_the_sdks_own_error(client: Any, contract: Contract) -> None:
    contract.play(whole(FAILURE, status=b"429 Too Many Requests"))
    with pytest.raises(errors.SDKError, match="Service unavailable") as refused:
        client.chat.complete(model=MODEL, messages=QUESTIONS)
    assert refused.value.status_code == 429
    row = contract.row(status=429, note="Service unavailable", requested_model=MODEL)
    assert contract.errors(row) == 1


def test_an_error_inside_a_stream_is_the_providers_failure(client: Any, contract: Contract) -> None:
    gate = contract.gate()
    contract.play(streamed(data(*chat_begun(MODEL), FAILURE), hold=gate))
    with pytest.raises(errors.ResponseValidationError):
        chunks_of(client)
    contract.failed_row("provider_error", status=200, note="Service unavailable")
    contract.open(gate)


def test_a_choice_that_ended_in_an_error_is_the_providers_failure(client: Any, contract: Contract) -> None:
    begun = chat_begun(MODEL)
    contract.play(streamed([*data(*begun, chat_chunk(begun[0]["id"], {}, "error", MODEL)), DONE]))
    assert chunks_of(client)[-1].choices[0].finish_reason == "error"
    contract.failed_row("provider_error", status=200, finish_reason="error")


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    begun = chat_begun(MODEL)
    contract.play(cut(data(*begun)))
    with pytest.raises(httpx2.RemoteProtocolError):
        chunks_of(client)
    contract.failed_row("upstream_truncated", status=200, response_id=begun[0]["id"])
