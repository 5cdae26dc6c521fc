"""OpenAI's SDK where its provider fails after it began to answer. `tests/contracts` has what goes well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.clients.answers import DONE, cut, data, named, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract
from tests.clients.wires import (
    CHAT_ERROR,
    GPT,
    QUESTION,
    QUESTIONS,
    chat,
    chat_begun,
    chat_facts,
    chat_stream,
    embeddings,
    response,
)

RESPONSE_MODEL = "gpt-5-mini"
BROKEN = {"code": "server_error", "message": "The engine died"}
FAILED = response(status="failed", output=[], usage=None, error=BROKEN)


@pytest.fixture
def client(contract: Contract) -> Iterator[openai.OpenAI]:
    """The SDK, which tries once."""
    with openai.OpenAI(base_url=f"{contract.url}/openai/v1", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


def text_of(client: openai.OpenAI) -> str:
    """Ask for a stream with its usage, and return its text."""
    stream = client.chat.completions.create(
        model=GPT, messages=QUESTIONS, stream=True, stream_options={"include_usage": True}
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_an_answer_is_priced_and_feedback_finds_it(client: openai.OpenAI, contract: Contract) -> None:
    contract.play(whole(chat()))
    answer = client.chat.completions.create(model=GPT, messages=QUESTIONS)
    row = contract.complete_row(**chat_facts(), is_stream=False, cost_nanousd=44_400)
    contract.vote(answer.id, row)

    contract.play(whole(embeddings()))
    client.embeddings.create(model="text-embedding-3-small", input=QUESTION)
    contract.complete_row(requested_model="text-embedding-3-small", prompt_tokens=8, cost_nanousd=160)


def test_a_stream_whose_caller_leaves_at_its_last_event_is_complete(
    client: openai.OpenAI, contract: Contract
) -> None:
    gate = contract.gate()
    events = chat_stream()
    contract.play(streamed([*data(*events), DONE], hold=gate))
    assert text_of(client) == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=True, cost_nanousd=44_400)
    contract.open(gate)
    contract.vote(events[0]["id"], row)


@pytest.mark.parametrize("begun", [chat_begun(), []])
def test_an_error_inside_a_stream_is_the_providers_failure_though_the_caller_left(
    client: openai.OpenAI, contract: Contract, begun: list[Any]
) -> None:
    gate = contract.gate()
    contract.play(streamed(data(*begun, CHAT_ERROR), hold=gate))
    with pytest.raises(openai.APIError, match="engine died"):
        text_of(client)
    contract.failed_row("provider_error", status=200, note="The engine died", requested_model=GPT)
    contract.open(gate)


def test_an_error_under_200_is_the_providers_failure(client: openai.OpenAI, contract: Contract) -> None:
    contract.play(whole(CHAT_ERROR))
    assert client.chat.completions.create(model=GPT, messages=QUESTIONS).choices is None
    contract.failed_row("provider_error", status=200, note="The engine died", is_stream=False)

    contract.play(whole(CHAT_ERROR))
    assert text_of(client) == ""
    contract.failed_row("provider_error", status=200, note="The engine died", requested_model=GPT)


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(
    client: openai.OpenAI, contract: Contract
) -> None:
    begun = chat_begun()
    contract.play(cut(data(*begun)))
    with pytest.raises(openai.APIConnectionError) as lost:
        text_of(client)
    assert isinstance(lost.value.__cause__, httpx2.RemoteProtocolError)
    contract.failed_row("upstream_truncated", status=200, response_id=begun[0]["id"])


def test_a_stream_without_a_finish_reason_was_cut(client: openai.OpenAI, contract: Contract) -> None:
    begun = chat_begun()
    contract.play(streamed(data(*begun)))
    assert text_of(client) == "Hi there"
    contract.failed_row("upstream_truncated", status=200, response_id=begun[0]["id"])


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (
            {"type": "response.failed", "response": FAILED},
            {"finish_reason": "failed", "response_id": FAILED["id"]},
        ),
        ({"type": "error", "param": None, **BROKEN}, {}),
    ],
    ids=["failed", "error"],
)
def test_a_response_that_failed_is_the_providers_failure(
    client: openai.OpenAI, contract: Contract, event: dict[str, Any], facts: dict[str, Any]
) -> None:
    contract.play(streamed(named(event | {"sequence_number": 0})))
    events = list(client.responses.create(model=RESPONSE_MODEL, input=QUESTION, stream=True))
    assert [event.type for event in events] == [event["type"]]
    contract.failed_row("provider_error", status=200, note="The engine died", **facts)


def test_a_response_that_is_incomplete_is_no_failure(client: openai.OpenAI, contract: Contract) -> None:
    reason = {"reason": "max_output_tokens"}
    contract.play(whole(response(status="incomplete", incomplete_details=reason)))
    answer = client.responses.create(model=RESPONSE_MODEL, input=QUESTION)
    row = contract.complete_row(
        **chat_facts(RESPONSE_MODEL, finish_reason="incomplete:max_output_tokens", response_id=answer.id)
    )
    contract.vote(answer.id, row)
