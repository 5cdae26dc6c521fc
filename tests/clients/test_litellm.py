"""LiteLLM's library, which calls OpenAI's and Anthropic's APIs by clients of its own."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.clients.answers import DONE, cut, data, named, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.clients.wires import (
    CHAT_ERROR,
    CLAUDE,
    FIND_TOOL,
    GPT,
    MESSAGE_ERROR,
    QUESTION,
    QUESTIONS,
    chat,
    chat_begun,
    chat_facts,
    chat_stream,
    embeddings,
    message,
    message_begun,
    message_facts,
    message_stream,
)

# Its table of prices would be fetched from its makers otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm = library("litellm")

OPENAI = f"openai/{GPT}"
ANTHROPIC = f"anthropic/{CLAUDE}"


@pytest.fixture
def complete(contract: Contract) -> Any:
    """Its `completion`, which tries once."""
    urls = {OPENAI: f"{contract.url}/openai/v1", ANTHROPIC: f"{contract.url}/anthropic"}

    def complete(model: str, **more: Any) -> Any:
        return litellm.completion(
            model, messages=QUESTIONS, api_base=urls[model], api_key=GATEWAY_KEY, max_retries=0, **more
        )

    return complete


def text_of(chunks: Any) -> str:
    """The text of a stream."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_openai_chat_is_logged_whole_and_feedback_finds_it(complete: Any, contract: Contract) -> None:
    contract.play(whole(chat()))
    answer = complete(OPENAI)
    assert answer.choices[0].message.content == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=False)
    contract.vote(answer.id, row)


def test_an_openai_stream_is_put_together_and_feedback_finds_it(complete: Any, contract: Contract) -> None:
    contract.play(streamed([*data(*chat_stream()), DONE]))
    chunks = list(complete(OPENAI, stream=True, stream_options={"include_usage": True}))
    assert text_of(chunks) == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=True)
    contract.vote(chunks[0].id, row)


def test_a_message_is_logged_whole_under_an_id_that_the_library_hides(
    complete: Any, contract: Contract
) -> None:
    said = message()
    contract.play(whole(said))
    answer = complete(ANTHROPIC)
    assert answer.choices[0].message.content == "Hi there"
    assert answer.id.startswith("chatcmpl-")
    row = contract.complete_row(**message_facts(), is_stream=False, response_id=said["id"])
    assert answer.usage.prompt_tokens == row["prompt_tokens"]


def test_a_messages_stream_is_logged_whole(complete: Any, contract: Contract) -> None:
    events = message_stream()
    contract.play(streamed(named(*events)))
    assert text_of(complete(ANTHROPIC, stream=True)) == "Hi there"
    contract.complete_row(**message_facts(), is_stream=True, response_id=events[0]["message"]["id"])


def test_a_call_of_a_tool_reaches_the_caller(complete: Any, contract: Contract) -> None:
    contract.play(whole(chat(tools=True)))
    [call] = complete(OPENAI, tools=[FIND_TOOL]).choices[0].message.tool_calls
    assert call.function.arguments == '{"q":"ann"}'
    contract.complete_row(**chat_facts(finish_reason="tool_calls"))


def test_embeddings_are_counted(contract: Contract) -> None:
    contract.play(whole(embeddings()))
    model = "text-embedding-3-small"
    answer = litellm.embedding(
        f"openai/{model}", input=[QUESTION], api_base=f"{contract.url}/openai/v1", api_key=GATEWAY_KEY
    )
    assert answer.data[0]["embedding"] == [0.5, -0.25]
    contract.complete_row(requested_model=model, prompt_tokens=8, endpoint="embeddings")


def test_the_providers_refusal_is_the_librarys_own_error(complete: Any, contract: Contract) -> None:
    contract.play(whole(CHAT_ERROR, status=b"429 Too Many Requests"))
    with pytest.raises(litellm.RateLimitError, match="engine died"):
        complete(OPENAI)
    row = contract.row(status=429, note="The engine died")
    assert contract.errors(row) == 1


@pytest.mark.parametrize(
    ("model", "events", "reason"),
    [
        (OPENAI, data(*chat_begun(), CHAT_ERROR), "The engine died"),
        (ANTHROPIC, named(*message_begun(), MESSAGE_ERROR), "Overloaded"),
    ],
    ids=["openai", "anthropic"],
)
def test_an_error_inside_a_stream_is_the_providers_failure(
    complete: Any, contract: Contract, model: str, events: list[bytes], reason: str
) -> None:
    contract.play(streamed(events))
    with pytest.raises(litellm.ServiceUnavailableError, match=reason):
        text_of(complete(model, stream=True))
    contract.failed_row("provider_error", status=200, note=reason)


@pytest.mark.parametrize("ends", [cut, streamed])
@pytest.mark.parametrize(
    ("model", "events"),
    [(OPENAI, data(*chat_begun())), (ANTHROPIC, named(*message_begun()))],
    ids=["openai", "anthropic"],
)
def test_a_stream_that_was_cut_is_an_error_to_both_sides(
    complete: Any, contract: Contract, model: str, events: list[bytes], ends: Any
) -> None:
    contract.play(ends(events))
    with pytest.raises(litellm.ServiceUnavailableError):
        text_of(complete(model, stream=True))
    contract.failed_row("upstream_truncated", status=200)
