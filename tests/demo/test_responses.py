"""OpenAI's own SDK reads the demo's Responses, whole and as events."""

from __future__ import annotations

from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseCompletedEvent, ResponseTextDeltaEvent


async def test_a_response_echoes_its_input(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model="m", input="where is Ulm?", instructions="be brief")
    Response.model_validate(answer.model_dump(warnings=False))
    assert answer.id.startswith("resp_")
    assert answer.status == "completed"
    assert "“where is Ulm?”" in answer.output_text
    assert answer.usage is not None
    assert answer.usage.input_tokens == 5
    assert answer.usage.output_tokens == len(answer.output_text.split())


async def test_a_limit_makes_a_response_incomplete(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(
        model="m",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        max_output_tokens=2,
    )
    assert answer.output_text == "Hello from"
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_streamed_events_are_numbered_and_add_up_to_the_response(openai: AsyncOpenAI) -> None:
    stream = await openai.responses.create(model="m", input="hi you", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    Response.model_validate(last.response.model_dump(warnings=False))
    pieces = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    assert len(pieces) > 5
    assert "".join(pieces) == last.response.output_text
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == len(pieces)


async def test_the_sdks_stream_helper_gathers_the_response(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model="m", input="hi you") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert "“hi you”" in final.output_text
