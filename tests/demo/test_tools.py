"""Tools, structured output and token counts, as the official SDKs and their helpers use them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import jsonschema
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel, Field

from gateway.demo.tools import example_of

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
RESPONSE_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}
MESSAGE_TOOL: Any = {"name": "get_weather", "input_schema": PARAMETERS}
ASKED = "Call get_weather for Ulm."


class Review(BaseModel):
    verdict: Literal["good", "bad"]
    stars: int = Field(ge=1, le=5)
    reasons: list[str]
    replies: list[Review] | None = None


async def test_a_chat_calls_a_tool_that_the_question_names_and_then_answers(openai: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": ASKED}]
    first = await openai.chat.completions.create(model="m", messages=messages, tools=[CHAT_TOOL])
    message = first.choices[0].message
    assert (first.choices[0].finish_reason, message.content) == ("tool_calls", None)
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    assert call.type == "function"
    jsonschema.validate(json.loads(call.function.arguments), PARAMETERS)

    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = await openai.chat.completions.create(model="m", messages=messages, tools=[CHAT_TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


async def test_no_tool_is_called_unasked_and_one_always_where_it_is_required(openai: AsyncOpenAI) -> None:
    async def finish(choice: Any) -> str:
        answer = await openai.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            tools=[CHAT_TOOL],
            tool_choice=choice,
        )
        return answer.choices[0].finish_reason

    named = {"type": "function", "function": {"name": "get_weather"}}
    assert [await finish(choice) for choice in ("auto", "none", "required", named)] == [
        "stop", "stop", "tool_calls", "tool_calls",
    ]  # fmt: skip
    with pytest.raises(BadRequestError, match="tool_choice"):
        await finish({"type": "function", "function": {"name": "other"}})


async def test_a_streamed_call_adds_up(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    async with openai.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": ASKED}], tools=[CHAT_TOOL]
    ) as chat:
        message = (await chat.get_final_completion()).choices[0].message
    assert message.tool_calls is not None
    jsonschema.validate(json.loads(message.tool_calls[0].function.arguments), PARAMETERS)

    async with openai.responses.stream(model="m", input=ASKED, tools=[RESPONSE_TOOL]) as events:
        item = (await events.get_final_response()).output[0]
    assert item.type == "function_call"
    jsonschema.validate(json.loads(item.arguments), PARAMETERS)

    async with anthropic.messages.stream(
        model="m", max_tokens=50, messages=[{"role": "user", "content": ASKED}], tools=[MESSAGE_TOOL]
    ) as messages:
        final = await messages.get_final_message()
    assert final.stop_reason == "tool_use"
    block: Any = final.content[0]
    jsonschema.validate(block.input, PARAMETERS)


async def test_responses_and_messages_answer_after_the_result(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    items: list[Any] = [{"role": "user", "content": ASKED}]
    response = await openai.responses.create(model="m", input=items, tools=[RESPONSE_TOOL])
    call: Any = response.output[0]
    items += [call, {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    response = await openai.responses.create(model="m", input=items, tools=[RESPONSE_TOOL])
    assert "Hello from the demo!" in response.output_text

    messages: list[Any] = [{"role": "user", "content": ASKED}]
    given: Any = {"model": "m", "max_tokens": 50, "tools": [MESSAGE_TOOL]}
    message = await anthropic.messages.create(messages=messages, **given)
    block: Any = message.content[0]
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "rain"}
    messages += [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
    message = await anthropic.messages.create(messages=messages, **given)
    assert message.stop_reason == "end_turn"


async def test_structured_output_fits_its_schema(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    chat = await openai.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "hi"}], response_format=Review
    )
    assert isinstance(chat.choices[0].message.parsed, Review)
    response = await openai.responses.parse(model="m", input="hi", text_format=Review)
    assert isinstance(response.output_parsed, Review)
    message = await anthropic.messages.parse(
        model="m", max_tokens=200, messages=[{"role": "user", "content": "hi"}], output_format=Review
    )
    assert isinstance(message.parsed_output, Review)


async def test_json_without_a_schema_is_an_object(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], response_format={"type": "json_object"}
    )
    assert "hi" in json.loads(answer.choices[0].message.content or "")["reply"]


async def test_tokens_are_counted_as_the_message_would_say(anthropic: AsyncAnthropic) -> None:
    asked: Any = {
        "model": "m",
        "system": "be brief",
        "messages": [{"role": "user", "content": "where is Ulm?"}],
    }
    counted = await anthropic.messages.count_tokens(**asked)
    message = await anthropic.messages.create(max_tokens=5, **asked)
    assert counted.input_tokens == message.usage.input_tokens == 5


class Person(BaseModel):
    name: str = Field(min_length=3)
    born: date
    age: int = Field(gt=0, lt=150)
    share: float = Field(gt=0, lt=1)
    friends: list[Person]
    partner: Person | None
    tags: list[str] = Field(min_length=2)
    kind: Literal["a", "b"] | int


@pytest.mark.parametrize(
    "schema",
    [
        Person.model_json_schema(),
        {"allOf": [{"type": "object", "properties": {"a": {"type": "number"}}}, {"required": ["a"]}]},
        {"type": ["integer", "null"], "maximum": 0},
        {"type": "array", "items": {"const": 7}, "minItems": 3},
        {"type": "string", "format": "date-time"},
        True,
    ],
)
def test_examples_fit_their_schema(schema: Any) -> None:
    jsonschema.validate(example_of(schema), schema)
