"""LangChain's chat models of OpenAI and of Anthropic."""

from __future__ import annotations

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

langchain_openai = library("langchain_openai")
langchain_anthropic = library("langchain_anthropic")
anthropic = library("anthropic")
openai = library("openai")
httpx2 = library("httpx2")


@pytest.fixture
def gpt(contract: Contract) -> Any:
    """OpenAI's model, which shows the gateway's headers."""
    return langchain_openai.ChatOpenAI(
        model=GPT,
        base_url=f"{contract.url}/openai/v1",
        api_key=GATEWAY_KEY,
        max_retries=0,
        include_response_headers=True,
    )


@pytest.fixture
def claude(contract: Contract) -> Any:
    """Anthropic's model."""
    return langchain_anthropic.ChatAnthropic(
        model=CLAUDE, base_url=f"{contract.url}/anthropic", api_key=GATEWAY_KEY, max_retries=0
    )


def text_of(model: Any, **more: Any) -> str:
    """Ask for a stream and return its text."""
    return "".join(chunk.text for chunk in model.stream(QUESTION, **more))


def test_an_openai_chat_is_logged_whole_and_feedback_finds_it(gpt: Any, contract: Contract) -> None:
    contract.play(whole(chat()))
    answer = gpt.invoke(QUESTION)
    assert answer.content == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=False)
    assert answer.usage_metadata["input_tokens"] == row["prompt_tokens"]
    assert answer.response_metadata["headers"]["helicone-id"] == row["request_id"]
    contract.vote(answer.response_metadata["id"], row)


def test_an_openai_stream_is_logged_whole(gpt: Any, contract: Contract) -> None:
    events = chat_stream()
    contract.play(streamed([*data(*events), DONE]))
    assert text_of(gpt, stream_usage=True) == "Hi there"
    contract.complete_row(**chat_facts(), is_stream=True, response_id=events[0]["id"])


def test_a_message_is_logged_whole_and_feedback_finds_it(claude: Any, contract: Contract) -> None:
    contract.play(whole(message()))
    answer = claude.invoke(QUESTION)
    assert answer.content == "Hi there"
    row = contract.complete_row(**message_facts(), is_stream=False)
    assert answer.usage_metadata["input_tokens"] == row["prompt_tokens"]
    contract.vote(answer.response_metadata["id"], row)


def test_a_messages_stream_is_logged_whole(claude: Any, contract: Contract) -> None:
    events = message_stream()
    contract.play(streamed(named(*events)))
    assert text_of(claude) == "Hi there"
    contract.complete_row(**message_facts(), is_stream=True, response_id=events[0]["message"]["id"])


def test_a_call_of_a_tool_reaches_the_caller(gpt: Any, contract: Contract) -> None:
    contract.play(whole(chat(tools=True)))
    [call] = gpt.bind_tools([FIND_TOOL]).invoke(QUESTION).tool_calls
    assert (call["name"], call["args"]) == ("find", {"q": "ann"})
    contract.complete_row(**chat_facts(finish_reason="tool_calls"))


def test_embeddings_are_counted(contract: Contract) -> None:
    contract.play(whole(embeddings()))
    model = langchain_openai.OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=f"{contract.url}/openai/v1",
        api_key=GATEWAY_KEY,
        check_embedding_ctx_length=False,
    )
    assert model.embed_query(QUESTION) == [0.5, -0.25]
    contract.complete_row(requested_model="text-embedding-3-small", prompt_tokens=8)


def test_the_providers_refusal_is_the_sdks_own_error(gpt: Any, claude: Any, contract: Contract) -> None:
    contract.play(whole(CHAT_ERROR, status=b"429 Too Many Requests"))
    with pytest.raises(openai.RateLimitError, match="engine died"):
        gpt.invoke(QUESTION)
    row = contract.row(status=429, note="The engine died")
    assert contract.errors(row) == 1

    contract.play(whole(MESSAGE_ERROR, status=b"529 Overloaded"))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        claude.invoke(QUESTION)
    row = contract.row(status=529, note="Overloaded")
    assert contract.errors(row) == 1


def test_an_error_inside_a_stream_is_the_providers_failure(gpt: Any, claude: Any, contract: Contract) -> None:
    gate = contract.gate()
    contract.play(streamed(data(*chat_begun(), CHAT_ERROR), hold=gate))
    with pytest.raises(openai.APIError, match="engine died"):
        text_of(gpt)
    contract.failed_row("provider_error", status=200, note="The engine died")
    contract.open(gate)

    gate = contract.gate()
    contract.play(streamed(named(*message_begun(), MESSAGE_ERROR), hold=gate))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        text_of(claude)
    contract.failed_row("provider_error", status=200, note="Overloaded")
    contract.open(gate)


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(
    gpt: Any, claude: Any, contract: Contract
) -> None:
    contract.play(cut(data(*chat_begun())))
    with pytest.raises(openai.APIConnectionError):
        text_of(gpt)
    contract.failed_row("upstream_truncated", status=200)

    contract.play(cut(named(*message_begun())))
    with pytest.raises(httpx2.RemoteProtocolError):
        text_of(claude)
    contract.failed_row("upstream_truncated", status=200)
