"""OpenAI's SDK, given the gateway as its base URL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import openai
import pytest

from tests.contracts.scripts import scripted
from tests.demo_gateway import GATEWAY_KEY, read_request
from tests.gateway_process import RunningGateway
from tests.scripted_upstream import UpstreamProcess

MODEL = "demo-chat"
QUESTION = "How are you, gateway?"


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    """The SDK, which tries once."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


def test_a_chat_is_answered_and_its_headers_name_trace_and_request(
    client: openai.OpenAI, gateway: RunningGateway
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        extra_headers={"x-portkey-trace-id": "openai/plain"},
    )
    completion = raw.parse()
    assert QUESTION in (completion.choices[0].message.content or "")

    logged = read_request(gateway, raw.headers["helicone-id"])
    assert raw.headers["x-portkey-trace-id"] == logged["trace_id"] == "openai/plain"
    assert logged["response_id"] == completion.id
    assert completion.usage is not None
    assert (logged["prompt_tokens"], logged["completion_tokens"]) == (
        completion.usage.prompt_tokens,
        completion.usage.completion_tokens,
    )


def test_a_stream_brings_the_same_words_and_ends_with_its_usage(
    client: openai.OpenAI, gateway: RunningGateway
) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert QUESTION in text
    usage = chunks[-1].usage
    assert usage is not None

    logged = read_request(gateway, chunks[0].id)
    assert logged["is_stream"]
    assert logged["completion_tokens"] == usage.completion_tokens
    assert logged["response"]["reassembled"]["choices"][0]["message"]["content"] == text


def test_the_sdks_own_accumulation_of_a_stream_equals_ours(
    client: openai.OpenAI, gateway: RunningGateway
) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        stream.until_done()
        theirs = stream.get_final_completion()
    ours = read_request(gateway, theirs.id)["response"]["reassembled"]
    assert ours["choices"][0]["message"]["content"] == theirs.choices[0].message.content
    assert ours["choices"][0]["finish_reason"] == theirs.choices[0].finish_reason == "stop"


def test_embeddings_arrive_as_the_vectors_that_were_sent(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="demo-embedding", input=["a gateway", "a bridge"])
    plain = client.embeddings.create(
        model="demo-embedding", input=["a gateway", "a bridge"], encoding_format="float"
    )
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding


def test_a_response_is_answered_and_its_stream_ends_in_the_same_text(
    client: openai.OpenAI, gateway: RunningGateway
) -> None:
    plain = client.responses.create(model=MODEL, input=QUESTION)
    assert QUESTION in plain.output_text

    events = list(client.responses.create(model=MODEL, input=QUESTION, stream=True))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == plain.output_text

    logged = read_request(gateway, last.response.id)
    assert (logged["endpoint"], logged["is_stream"]) == ("responses", True)
    assert last.response.usage is not None
    assert logged["completion_tokens"] == last.response.usage.output_tokens
    assert logged["response"]["reassembled"]["output"][0]["content"][0]["text"] == plain.output_text


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]


def test_an_uploaded_file_reaches_the_provider_byte_for_byte(
    client: openai.OpenAI, upstream: UpstreamProcess
) -> None:
    content = secrets.token_bytes(100_000)
    stored = {"id": "file-1", "object": "file", "bytes": len(content), "filename": "notes.bin"}
    upstream.take()
    file = client.files.create(
        file=("notes.bin", content), purpose="user_data", extra_headers=scripted(upstream, stored)
    )
    assert file.id == "file-1"
    [received] = upstream.take()
    assert received.target == "/v1/files"
    assert received.values(b"content-type")[0].startswith(b"multipart/form-data; boundary=")
    assert received.body is not None
    assert content in received.body
    assert b'filename="notes.bin"' in received.body


def test_recorded_speech_is_sent_and_its_transcript_comes_back(
    client: openai.OpenAI, upstream: UpstreamProcess, gateway: RunningGateway
) -> None:
    sound = secrets.token_bytes(10_000)
    upstream.take()
    raw = client.audio.transcriptions.with_raw_response.create(
        file=("speech.wav", sound), model="whisper-1", extra_headers=scripted(upstream, {"text": "hello"})
    )
    assert raw.parse().text == "hello"
    [received] = upstream.take()
    assert received.target == "/v1/audio/transcriptions"
    assert received.body is not None
    assert sound in received.body
    logged = read_request(gateway, raw.headers["helicone-id"])
    assert (logged["endpoint"], logged["request_size"]) == (
        "audio.transcriptions",
        received.size,
    )


def test_the_providers_own_errors_stay_its_own(client: openai.OpenAI, upstream: UpstreamProcess) -> None:
    with pytest.raises(openai.NotFoundError, match="The model 'nobody' does not exist"):
        client.models.retrieve("nobody")
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.files.list()
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=[])
    assert bad.value.param == "messages"
    busy = {"error": {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limited"}}
    with pytest.raises(openai.RateLimitError, match="slow down") as limited:
        client.models.list(
            extra_headers=scripted(upstream, busy, b"429 Too Many Requests", b"Retry-After: 7")
        )
    assert limited.value.response.headers["retry-after"] == "7"
    assert limited.value.code == "rate_limited"


def test_the_gateways_own_errors_are_ones_that_the_sdk_knows(
    client: openai.OpenAI, gateway: RunningGateway
) -> None:
    with pytest.raises(openai.AuthenticationError, match="gateway key"):
        client.with_options(api_key="gw-wrong").models.list()
    with pytest.raises(openai.BadRequestError, match=r"Configured are: .*scripted"):
        client.models.list(extra_headers={"x-portkey-provider": "nobody"})
    with pytest.raises(openai.InternalServerError) as refused:
        client.models.list(extra_headers={"x-portkey-provider": "refusing"})
    assert refused.value.status_code == 502
    assert refused.value.code == "upstream_error"
    logged = read_request(gateway, refused.value.response.headers["helicone-id"])
    assert (logged["status"], logged["outcome"]) == (502, "upstream_error")


def test_each_try_of_a_retrying_sdk_is_a_row_of_the_same_trace(
    client: openai.OpenAI, upstream: UpstreamProcess, gateway: RunningGateway
) -> None:
    headers = scripted(upstream, {"error": None}, b"503 Service Unavailable", b"retry-after-ms: 1")
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=2).models.list(
            extra_headers={**headers, "x-portkey-trace-id": "openai/retries"}
        )
    trace = client.get("/../api/v1/traces/openai/retries", cast_to=object)
    assert isinstance(trace, dict)
    assert [request["status"] for request in trace["requests"]] == [503, 503, 503]


async def test_the_asynchronous_sdk_chats_and_streams(gateway: RunningGateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        plain = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}]
        )
    assert plain.choices[0].message.content == text
