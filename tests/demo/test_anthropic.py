"""Anthropic's own SDK talks to the demo."""

from __future__ import annotations

import pytest
from anthropic import AsyncAnthropic, BadRequestError
from anthropic.types import Message


async def test_a_message_echoes_the_last_user_message_and_counts_words(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="claude-x",
        max_tokens=100,
        system="be brief",
        messages=[{"role": "user", "content": "where is Ulm?"}],
    )
    Message.model_validate(answer.model_dump(warnings=False))
    (block,) = answer.content
    assert block.type == "text"
    assert "“where is Ulm?”" in block.text
    assert answer.id.startswith("msg_")
    assert answer.model == "claude-x"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == 5
    assert answer.usage.output_tokens == len(block.text.split())


async def test_max_tokens_cuts_the_message(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="m", max_tokens=2, messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello from"
    assert answer.stop_reason == "max_tokens"


async def test_a_stream_has_the_events_in_order(anthropic: AsyncAnthropic) -> None:
    stream = await anthropic.messages.create(
        model="m", max_tokens=3, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    kinds = [event.type async for event in stream]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_a_stream_adds_up_to_the_plain_message(anthropic: AsyncAnthropic) -> None:
    plain = await anthropic.messages.create(
        model="m", max_tokens=100, messages=[{"role": "user", "content": "hi you"}]
    )
    async with anthropic.messages.stream(
        model="m",
        max_tokens=100,
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi you"}]}],
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert plain.content[0].type == "text"
    assert text == plain.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == plain.usage.output_tokens
    assert final.usage.input_tokens == plain.usage.input_tokens


async def test_a_missing_field_is_refused_in_anthropics_shape(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(BadRequestError) as caught:
        await anthropic.messages.create(model="m", max_tokens=5, messages=[])
    assert caught.value.body == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "messages: a non-empty array is required.",
        },
        "request_id": caught.value.body["request_id"],  # type: ignore[index]
    }
