"""Anthropic's SDK, given the gateway and a provider's name as its base URL."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_request
from tests.gateway_process import RunningGateway

MODEL = "demo-chat"
QUESTION = "How are you, gateway?"


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    """The SDK, which tries once."""
    with anthropic.Anthropic(base_url=f"{gateway.url}/demo", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


def test_a_message_is_answered_and_its_tokens_are_logged(
    client: anthropic.Anthropic, gateway: RunningGateway
) -> None:
    message = client.messages.create(
        model=MODEL, max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": QUESTION}]
    )
    [block] = message.content
    assert block.type == "text"
    assert QUESTION in block.text

    logged = read_request(gateway, message.id)
    assert (logged["endpoint"], logged["finish_reason"]) == ("messages", "end_turn")
    assert logged["prompt_tokens"] == message.usage.input_tokens
    assert logged["completion_tokens"] == message.usage.output_tokens


def test_the_sdks_own_accumulation_of_a_stream_equals_ours(
    client: anthropic.Anthropic, gateway: RunningGateway
) -> None:
    with client.messages.stream(
        model=MODEL, max_tokens=5, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        words = list(stream.text_stream)
        theirs = stream.get_final_message()
    assert len(words) == 5

    logged = read_request(gateway, theirs.id)
    ours = logged["response"]["reassembled"]
    assert ours["content"] == [{"type": "text", "text": "".join(words)}]
    assert ours["stop_reason"] == theirs.stop_reason == "max_tokens"
    assert logged["completion_tokens"] == theirs.usage.output_tokens == 5


def test_feedback_finds_a_message_by_the_id_that_the_sdk_shows(
    client: anthropic.Anthropic, gateway: RunningGateway
) -> None:
    message = client.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
    )
    httpx.post(
        f"{gateway.url}/v1/feedback",
        headers={"x-api-key": GATEWAY_KEY},
        json={"trace_id": message.id, "value": 2},
    ).raise_for_status()
    [entry] = read_request(gateway, message.id)["feedback"]
    assert (entry["subject_id"], entry["value"]) == (message.id, 2)


def test_without_a_provider_in_the_path_the_header_or_the_default_decides(gateway: RunningGateway) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=GATEWAY_KEY, max_retries=0) as client:
        question: list[anthropic.types.MessageParam] = [{"role": "user", "content": QUESTION}]
        by_default = client.messages.create(model=MODEL, max_tokens=100, messages=question)
        assert read_request(gateway, by_default.id)["provider"] == "demo"
        with pytest.raises(anthropic.InternalServerError) as refused:
            client.messages.create(
                model=MODEL,
                max_tokens=100,
                messages=question,
                extra_headers={"x-portkey-provider": "refusing"},
            )
    assert refused.value.status_code == 502


def test_errors_of_provider_and_gateway_are_in_anthropics_shape(client: anthropic.Anthropic) -> None:
    question: list[anthropic.types.MessageParam] = [{"role": "user", "content": QUESTION}]
    with pytest.raises(anthropic.BadRequestError) as bad:
        client.messages.create(model="", max_tokens=100, messages=question)
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        client.with_options(api_key="gw-wrong").messages.create(
            model=MODEL, max_tokens=100, messages=question
        )
    for error in (bad.value, unknown.value):
        assert isinstance(error.body, dict)
        assert error.body["type"] == "error"
        assert {"type", "message"} <= set(error.body["error"])
