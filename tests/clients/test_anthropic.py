"""Anthropic's SDK where its provider fails after it began to answer. `tests/contracts` has what goes well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from tests.clients.answers import cut, named, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract
from tests.clients.wires import (
    CLAUDE,
    MESSAGE_ERROR,
    QUESTIONS,
    message,
    message_begun,
    message_facts,
    message_stream,
)

COST_NANOUSD = 40 * 1_000 + 150 * 100 + 50 * 1_250 + 9 * 5_000


@pytest.fixture
def client(contract: Contract) -> Iterator[anthropic.Anthropic]:
    """The SDK, which tries once."""
    with anthropic.Anthropic(base_url=f"{contract.url}/anthropic", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


def types_of(client: anthropic.Anthropic) -> list[str]:
    """Ask for a stream and return what its events are called."""
    stream = client.messages.create(model=CLAUDE, max_tokens=99, messages=QUESTIONS, stream=True)
    return [event.type for event in stream]


def test_an_answer_is_priced_and_feedback_finds_it(client: anthropic.Anthropic, contract: Contract) -> None:
    contract.play(whole(message()))
    answer = client.messages.create(model=CLAUDE, max_tokens=99, messages=QUESTIONS)
    assert contract.received().target == "/v1/messages"
    row = contract.complete_row(**message_facts(), is_stream=False, cost_nanousd=COST_NANOUSD)
    contract.vote(answer.id, row)


def test_a_stream_whose_caller_leaves_at_its_last_event_is_complete(
    client: anthropic.Anthropic, contract: Contract
) -> None:
    gate = contract.gate()
    events = message_stream()
    contract.play(streamed(named(*events), hold=gate))
    with client.messages.stream(model=CLAUDE, max_tokens=99, messages=QUESTIONS) as stream:
        for event in stream:
            if event.type == "message_stop":
                break
    row = contract.complete_row(**message_facts(), is_stream=True, cost_nanousd=COST_NANOUSD)
    contract.open(gate)
    contract.vote(events[0]["message"]["id"], row)


@pytest.mark.parametrize("begun", [message_begun(), []])
def test_an_error_inside_a_stream_is_the_providers_failure_though_the_caller_left(
    client: anthropic.Anthropic, contract: Contract, begun: list[Any]
) -> None:
    gate = contract.gate()
    contract.play(streamed(named(*begun, MESSAGE_ERROR), hold=gate))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as failed:
        types_of(client)
    assert failed.value.status_code == 200
    contract.failed_row("provider_error", status=200, note="Overloaded", requested_model=CLAUDE)
    contract.open(gate)


def test_an_error_under_200_is_the_providers_failure(client: anthropic.Anthropic, contract: Contract) -> None:
    contract.play(whole(MESSAGE_ERROR))
    answer: Any = client.messages.create(model=CLAUDE, max_tokens=99, messages=QUESTIONS)
    assert (answer.type, answer.content) == ("error", None)
    contract.failed_row("provider_error", status=200, note="Overloaded", is_stream=False)


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(
    client: anthropic.Anthropic, contract: Contract
) -> None:
    begun = message_begun()
    contract.play(cut(named(*begun)))
    with pytest.raises(httpx2.RemoteProtocolError):
        types_of(client)
    contract.failed_row(
        "upstream_truncated", status=200, response_id=begun[0]["message"]["id"], prompt_tokens=240
    )


def test_a_stream_without_its_end_was_cut(client: anthropic.Anthropic, contract: Contract) -> None:
    begun = message_begun()
    contract.play(streamed(named(*begun)))
    assert len(types_of(client)) == len(begun)
    contract.failed_row(
        "upstream_truncated", status=200, response_id=begun[0]["message"]["id"], prompt_tokens=240
    )
