"""Portkey's SDK, whose every call goes to the gateway's own URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import portkey_ai
import pytest

from tests.clients.answers import DONE, cut, data, streamed, whole
from tests.clients.contract import GATEWAY_KEY, PROVIDER_KEY, Contract
from tests.clients.wires import CHAT_ERROR, GPT, QUESTIONS, chat, chat_begun, chat_facts, chat_stream


@pytest.fixture
def client(contract: Contract) -> Iterator[Any]:
    """The SDK with the gateway's key in Portkey's header."""
    with portkey_ai.Portkey(base_url=f"{contract.url}/v1", api_key=GATEWAY_KEY) as sdk:
        yield sdk
        sdk.openai_client.close()


def text_of(client: Any) -> str:
    """Ask for a stream with its usage, and return its text."""
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model=GPT, messages=QUESTIONS, stream=True, stream_options=options
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_the_provider_is_asked_with_the_providers_key(client: Any, contract: Contract) -> None:
    contract.play(whole(chat()))
    client.chat.completions.create(model=GPT, messages=QUESTIONS)
    assert contract.received().values(b"authorization") == [f"Bearer {PROVIDER_KEY}".encode()]


def test_an_answer_is_logged_whole_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(whole(chat()))
    answer = client.chat.completions.create(model=GPT, messages=QUESTIONS)
    assert answer.choices[0].message.content == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=False)
    contract.vote(answer.id, row)


def test_a_stream_is_logged_whole_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    events = chat_stream()
    contract.play(streamed([*data(*events), DONE]))
    assert text_of(client) == "Hi there"
    row = contract.complete_row(**chat_facts(), is_stream=True)
    client.feedback.create(trace_id=events[0]["id"], value=3)
    contract.joined(events[0]["id"], row)


def test_an_error_inside_a_stream_is_the_providers_failure(client: Any, contract: Contract) -> None:
    gate = contract.gate()
    contract.play(streamed(data(*chat_begun(), CHAT_ERROR), hold=gate))
    with pytest.raises(Exception, match="engine died"):
        text_of(client)
    contract.failed_row("provider_error", status=200, note="The engine died")
    contract.open(gate)


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    contract.play(cut(data(*chat_begun())))
    with pytest.raises(Exception, match=r"[Cc]onnection"):
        text_of(client)
    contract.failed_row("upstream_truncated", status=200)
