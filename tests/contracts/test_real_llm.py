"""A real model behind the gateway: what llama.cpp sends is understood as it is, and can be judged."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from gateway.client import GatewayClient
from tests.demo_gateway import CONFIG, GATEWAY_KEY, read_request, read_trace
from tests.gateway_process import RunningGateway
from tests.real_llm import llm, needs_real_llm

__all__ = ["llm"]

MODEL = "gemma-3-270m"
MAX_TOKENS = 16
pytestmark = [pytest.mark.slow, needs_real_llm]


@pytest.fixture(scope="module")
def local(llm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose only provider is that model."""
    config = {**CONFIG, "providers": {"local": {"base_url": llm}}}
    with RunningGateway(tmp_path_factory.mktemp("local"), config) as running:
        yield running


@pytest.fixture
def client(local: RunningGateway) -> Iterator[openai.OpenAI]:
    """OpenAI's SDK in front of both."""
    with openai.OpenAI(base_url=f"{local.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


def test_a_chat_is_logged_with_the_models_own_token_counts_and_no_price(
    client: openai.OpenAI, local: RunningGateway
) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Name a colour."}], max_tokens=MAX_TOKENS
    )
    logged = read_request(local, completion.id)
    assert completion.usage is not None
    assert (logged["prompt_tokens"], logged["completion_tokens"]) == (
        completion.usage.prompt_tokens,
        completion.usage.completion_tokens,
    )
    assert 0 < completion.usage.completion_tokens <= MAX_TOKENS
    assert (logged["cost_usd"], logged["price_version"], logged["note"]) == (None, None, None)
    # The server calls it by the path of its file.
    assert completion.model != MODEL
    assert (logged["requested_model"], logged["model"]) == (MODEL, MODEL)
    assert logged["response"]["body"]["content"]["id"] == completion.id


def test_a_stream_is_put_together_as_the_caller_saw_it(client: openai.OpenAI, local: RunningGateway) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Write a long story about the sea."}],
            max_tokens=MAX_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    seen = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    [reason] = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    usage = chunks[-1].usage
    assert usage is not None

    logged = read_request(local, chunks[0].id)
    how = (logged["is_stream"], logged["outcome"], logged["finish_reason"], logged["note"])
    assert how == (True, "complete", reason, None)
    assert logged["response"]["reassembled"]["choices"][0]["message"]["content"] == seen
    assert (logged["prompt_tokens"], logged["completion_tokens"]) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    assert logged["cost_usd"] is None


def test_feedback_on_a_real_answer_is_joined_to_it(client: openai.OpenAI, local: RunningGateway) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Name a fruit."}],
        max_tokens=MAX_TOKENS,
        extra_headers={"x-portkey-trace-id": "real/1"},
    )
    with GatewayClient(local.url, GATEWAY_KEY) as votes:
        on_trace = votes.feedback.create(trace_id="real/1", value=4)
        on_answer = votes.feedback.create(trace_id=completion.id, value=-4, weight=0.5)

    entries = read_trace(local, "real/1")["feedback"]
    joined = [(entry["feedback_id"], entry["target"], entry["joined_at"] is not None) for entry in entries]
    assert joined == [(on_trace.feedback_id, "trace", True), (on_answer.feedback_id, "request", True)]
