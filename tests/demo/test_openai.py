"""OpenAI's own SDK talks to the demo. Strict validation stands in for what the SDK reads leniently."""

from __future__ import annotations

import base64
import struct

import pytest
from openai import APIConnectionError, AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.demo import start_demo


async def test_a_chat_echoes_the_last_user_message_and_counts_words(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="gpt-x",
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "not this"},
            {"role": "assistant", "content": "nor this"},
            {"role": "user", "content": [{"type": "text", "text": "where is Ulm?"}]},
        ],
    )
    ChatCompletion.model_validate(answer.model_dump(warnings=False))
    text = answer.choices[0].message.content
    assert text is not None
    assert "“where is Ulm?”" in text
    assert "this" not in text
    assert answer.model == "gpt-x"
    assert answer.id.startswith("chatcmpl-")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 9
    assert answer.usage.completion_tokens == len(text.split())
    assert answer.usage.total_tokens == 9 + len(text.split())


async def test_the_same_question_has_the_same_reply_under_a_new_id(openai: AsyncOpenAI) -> None:
    first, second = [
        await openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        for _ in range(2)
    ]
    assert first.choices == second.choices
    assert first.id != second.id


async def test_n_choices_are_given_and_a_limit_cuts_each(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], n=3, max_completion_tokens=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"Hello from"}
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


async def test_a_streamed_chat_adds_up_to_the_plain_one(openai: AsyncOpenAI) -> None:
    plain = await openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi you"}])
    stream = await openai.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi you"}],
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    texts = {0: "", 1: ""}
    finishes = []
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(warnings=False))
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes += [choice.finish_reason] if choice.finish_reason else []
    assert len(chunks) > 10
    assert texts == {0: plain.choices[0].message.content, 1: plain.choices[0].message.content}
    assert finishes == ["stop", "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert chunks[-1].choices == []
    assert plain.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2 * plain.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == plain.usage.prompt_tokens


async def test_a_stream_has_no_usage_unless_asked(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices for chunk in chunks)
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)


async def test_text_completions_answer_each_prompt_plain_and_streamed(openai: AsyncOpenAI) -> None:
    plain = await openai.completions.create(model="m", prompt=["one", "two"])
    Completion.model_validate(plain.model_dump(warnings=False))
    assert ["“one”" in plain.choices[0].text, "“two”" in plain.choices[1].text] == [True, True]
    assert plain.id.startswith("cmpl-")
    stream = await openai.completions.create(model="m", prompt=["one", "two"], stream=True)
    texts = {0: "", 1: ""}
    async for chunk in stream:
        Completion.model_validate({**chunk.model_dump(warnings=False), "choices": []})
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {choice.index: choice.text for choice in plain.choices}


async def test_embeddings_are_the_same_vectors_as_numbers_and_packed(openai: AsyncOpenAI) -> None:
    numbers = await openai.embeddings.create(
        model="e", input=["a b", "c"], encoding_format="float", dimensions=16
    )
    packed = await openai.embeddings.create(
        model="e", input=["a b", "c"], encoding_format="base64", dimensions=16
    )
    CreateEmbeddingResponse.model_validate(numbers.model_dump())
    assert numbers.usage.prompt_tokens == 3
    for one, other in zip(numbers.data, packed.data, strict=True):
        unpacked = struct.unpack("<16f", base64.b64decode(str(other.embedding)))
        assert one.embedding == pytest.approx(unpacked, abs=1e-6)
        assert sum(number * number for number in one.embedding) == pytest.approx(1)
    assert numbers.data[0].embedding != numbers.data[1].embedding


async def test_embeddings_take_token_ids_and_the_sdks_own_default_format(openai: AsyncOpenAI) -> None:
    answer = await openai.embeddings.create(model="e", input=[[1, 2, 3], [4]])
    assert [len(item.embedding) for item in answer.data] == [256, 256]
    assert answer.usage.prompt_tokens == 4


async def test_models_are_listed_and_shown(openai: AsyncOpenAI) -> None:
    names = [model.id async for model in openai.models.list()]
    assert names == ["demo-chat", "demo-embedding"]
    assert (await openai.models.retrieve("demo-chat")).owned_by == "demo"
    with pytest.raises(NotFoundError) as caught:
        await openai.models.retrieve("gpt-x")
    assert "'gpt-x' does not exist" in caught.value.message


async def test_a_missing_field_is_refused_by_name(openai: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        await openai.chat.completions.create(model="m", messages=[])
    assert caught.value.param == "messages"
    assert caught.value.type == "invalid_request_error"


async def test_a_bad_limit_is_refused_before_the_stream_begins(openai: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        await openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], n=0, stream=True
        )
    assert caught.value.param == "n"


async def test_a_demo_that_was_closed_no_longer_answers() -> None:
    upstream = await start_demo(pause_seconds=0)
    async with AsyncOpenAI(base_url=upstream.base_url, api_key="any", max_retries=0) as client:
        await client.models.list()
        await upstream.close()
        with pytest.raises(APIConnectionError):
            await client.models.list()
