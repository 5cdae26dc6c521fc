"""AWS's SDK for Bedrock's runtime: Converse, InvokeModel, and the binary streams of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.clients.answers import EVENTS, aws_chunk, aws_event, aws_exception, cut, streamed, whole
from tests.clients.contract import GATEWAY_KEY, PROVIDER_KEY, Contract, library
from tests.clients.tls import TlsFront
from tests.clients.wires import FIND, MESSAGE_USAGE, QUESTION, message, message_begun, message_stream

boto3 = library("boto3")
botocore = library("botocore")
botocore_config = library("botocore.config")
exceptions = library("botocore.exceptions")
urllib3 = library("urllib3")

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SNAPSHOT = "claude-haiku-4-5-20251001"
QUESTIONS = [{"role": "user", "content": [{"text": QUESTION}]}]
COUNTS = {
    "inputTokens": 40,
    "outputTokens": 9,
    "totalTokens": 249,
    "cacheReadInputTokens": 150,
    "cacheWriteInputTokens": 50,
}
FACTS: dict[str, Any] = {
    "requested_model": MODEL,
    "prompt_tokens": 240,
    "completion_tokens": 9,
    "cached_tokens": 150,
    "cache_write_tokens": 50,
    "finish_reason": "end_turn",
    "cost_nanousd": 178_750,
}
MESSAGE_BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": []})
INNER_TYPE = b"x-amzn-bedrock-content-type: application/json"

BEGUN = [
    aws_event("messageStart", {"role": "assistant", "p": "abcd"}),
    aws_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi "}, "p": "ab"}),
    aws_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "there"}, "p": "abc"}),
]
ENDED = [
    aws_event("contentBlockStop", {"contentBlockIndex": 0}),
    aws_event("messageStop", {"stopReason": "end_turn"}),
    aws_event("metadata", {"usage": COUNTS, "metrics": {"latencyMs": 321}}),
]


def conversed(*content: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    """An answer of Converse."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": COUNTS,
        "metrics": {"latencyMs": 321},
    }


@pytest.fixture(scope="module")
def unsigned() -> Any:
    """A client that signs nothing, since a signature would name the gateway's host and path."""

    def make(url: str, **more: Any) -> Any:
        settings = {"retries": {"total_max_attempts": 1}, **more}
        return boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            config=botocore_config.Config(signature_version=botocore.UNSIGNED, **settings),
        )

    return make


@pytest.fixture
def client(contract: Contract, unsigned: Any) -> Iterator[Any]:
    """The SDK on plain HTTP, to which the gateway's key is added by a hook."""
    client = unsigned(f"{contract.url}/aws")

    def add_key(request: Any, **_: Any) -> None:
        request.headers["Authorization"] = f"Bearer {GATEWAY_KEY}"

    client.meta.events.register("before-send.bedrock-runtime", add_key)
    yield client
    client.close()


def events_of(client: Any) -> list[Any]:
    """Ask for a stream and return its events."""
    return list(client.converse_stream(modelId=MODEL, messages=QUESTIONS)["stream"])


def text_of(events: list[Any]) -> str:
    """The text of a stream's events."""
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return "".join(delta["text"] for delta in deltas)


def test_a_conversation_is_logged_whole(client: Any, contract: Contract) -> None:
    contract.play(whole(conversed({"text": "Hi there"})))
    answer = client.converse(modelId=MODEL, messages=QUESTIONS)
    assert answer["output"]["message"]["content"] == [{"text": "Hi there"}]
    row = contract.complete_row(**FACTS, is_stream=False)
    contract.vote(answer["ResponseMetadata"]["HTTPHeaders"]["helicone-id"], row)


def test_a_binary_stream_is_put_together(client: Any, contract: Contract) -> None:
    contract.play(streamed([*BEGUN, *ENDED], content_type=EVENTS))
    assert text_of(events_of(client)) == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=True)
    assembled = row["response"]["reassembled"]
    assert assembled["output"]["message"]["content"] == [{"text": "Hi there"}]
    assert assembled["stopReason"] == "end_turn"


def test_a_streamed_use_of_a_tool_is_put_together(client: Any, contract: Contract) -> None:
    start = {"toolUse": {"toolUseId": "tool_1", "name": "find"}}
    pieces = [
        aws_event("messageStart", {"role": "assistant"}),
        aws_event("contentBlockStart", {"contentBlockIndex": 0, "start": start}),
        *(
            aws_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": text}}})
            for text in ('{"q":', '"ann"}')
        ),
        ENDED[0],
        aws_event("messageStop", {"stopReason": "tool_use"}),
        ENDED[2],
    ]
    contract.play(streamed(pieces, content_type=EVENTS))
    tool = {"toolSpec": {"name": "find", "inputSchema": {"json": FIND["parameters"]}}}
    answer = client.converse_stream(modelId=MODEL, messages=QUESTIONS, toolConfig={"tools": [tool]})
    assert len(list(answer["stream"])) == len(pieces)
    row = contract.complete_row(**FACTS | {"finish_reason": "tool_use"})
    [block] = row["response"]["reassembled"]["output"]["message"]["content"]
    assert block == {"toolUse": {"toolUseId": "tool_1", "name": "find", "input": {"q": "ann"}}}


def test_an_invoked_claude_is_read_as_a_message(client: Any, contract: Contract) -> None:
    contract.play(whole(message(SNAPSHOT)))
    answer = client.invoke_model(modelId=MODEL, body=MESSAGE_BODY)
    said = json.loads(answer["body"].read())
    assert said["content"][0]["text"] == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=False, response_id=said["id"])
    contract.vote(said["id"], row)


def test_an_invoked_claudes_stream_is_read_as_a_messages_stream(client: Any, contract: Contract) -> None:
    events = message_stream(SNAPSHOT)
    events[-1]["amazon-bedrock-invocationMetrics"] = {"inputTokenCount": 40, "outputTokenCount": 9}
    contract.play(streamed([aws_chunk(event) for event in events], INNER_TYPE, content_type=EVENTS))
    answer = client.invoke_model_with_response_stream(modelId=MODEL, body=MESSAGE_BODY)
    seen = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert [event["type"] for event in seen] == [event["type"] for event in events]
    row = contract.complete_row(**FACTS, is_stream=True, response_id=events[0]["message"]["id"])
    assert row["response"]["reassembled"]["content"] == [{"type": "text", "text": "Hi there"}]
    contract.vote(seen[0]["message"]["id"], row)


def test_an_invoked_llama_is_counted(client: Any, contract: Contract) -> None:
    said = {
        "generation": "Hi",
        "prompt_token_count": 120,
        "generation_token_count": 40,
        "stop_reason": "stop",
    }
    counts = (b"x-amzn-bedrock-input-token-count: 120", b"x-amzn-bedrock-output-token-count: 40")
    contract.play(whole(said, *counts))
    model = "meta.llama3-8b-instruct-v1:0"
    client.invoke_model(modelId=model, body=json.dumps({"prompt": QUESTION}))["body"].read()
    contract.complete_row(
        requested_model=model, prompt_tokens=120, completion_tokens=40, finish_reason="stop"
    )


def test_the_providers_refusal_is_the_sdks_own_error(client: Any, contract: Contract) -> None:
    refusal = {"message": "Too many requests, please wait"}
    kind = b"x-amzn-ErrorType: ThrottlingException"
    contract.play(whole(refusal, kind, status=b"429 Too Many Requests"))
    with pytest.raises(client.exceptions.ThrottlingException, match="please wait"):
        client.converse(modelId=MODEL, messages=QUESTIONS)
    row = contract.row(status=429, note=refusal["message"], requested_model=MODEL)
    assert contract.errors(row) == 1


def test_an_exception_inside_a_stream_is_the_providers_failure(client: Any, contract: Contract) -> None:
    gate = contract.gate()
    failure = aws_exception("modelStreamErrorException", "The model failed")
    contract.play(streamed([*BEGUN, failure], content_type=EVENTS, hold=gate))
    with pytest.raises(exceptions.EventStreamError, match="The model failed"):
        events_of(client)
    contract.failed_row("provider_error", status=200, requested_model=MODEL, note="The model failed")
    contract.open(gate)


def test_an_exception_inside_an_invoked_models_stream_is_the_providers_failure(
    client: Any, contract: Contract
) -> None:
    chunks = [aws_chunk(event) for event in message_begun(SNAPSHOT)]
    failure = aws_exception("internalServerException", "Bedrock failed")
    contract.play(streamed([*chunks, failure], INNER_TYPE, content_type=EVENTS))
    answer = client.invoke_model_with_response_stream(modelId=MODEL, body=MESSAGE_BODY)
    with pytest.raises(exceptions.EventStreamError, match="Bedrock failed"):
        list(answer["body"])
    total = MESSAGE_USAGE["input_tokens"] + 200
    contract.failed_row("provider_error", status=200, prompt_tokens=total, note="Bedrock failed")


@pytest.mark.parametrize("rest", [b"", ENDED[0][:20]])
def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(
    client: Any, contract: Contract, rest: bytes
) -> None:
    contract.play(cut([*BEGUN, rest] if rest else BEGUN, content_type=EVENTS))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        events_of(client)
    contract.failed_row("upstream_truncated", status=200, requested_model=MODEL)


@pytest.mark.parametrize("rest", [b"", ENDED[0][:20]])
def test_a_stream_without_its_end_was_cut(client: Any, contract: Contract, rest: bytes) -> None:
    contract.play(streamed([*BEGUN, rest] if rest else BEGUN, content_type=EVENTS))
    assert text_of(events_of(client)) == "Hi there"
    contract.failed_row("upstream_truncated", status=200, requested_model=MODEL)


def test_a_token_goes_over_tls_and_is_exchanged_for_the_providers(
    contract: Contract, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", GATEWAY_KEY)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    contract.play(whole(conversed({"text": "Hi there"})))
    with TlsFront(authority, contract.url) as url:
        client = boto3.client(
            "bedrock-runtime", region_name="us-east-1", endpoint_url=f"{url}/aws", verify=str(trusted)
        )
        client.converse(modelId=MODEL, messages=QUESTIONS)
        client.close()
    received = contract.received()
    assert received.target == f"/model/{MODEL.replace(':', '%3A')}/converse"
    assert received.values(b"authorization") == [f"Bearer {PROVIDER_KEY}".encode()]
    contract.complete_row(**FACTS)


def test_the_gateways_own_refusal_names_its_reason(contract: Contract, unsigned: Any) -> None:
    client = unsigned(f"{contract.url}/aws")
    with pytest.raises(exceptions.ClientError, match="gateway key"):
        client.converse(modelId=MODEL, messages=QUESTIONS)
    client.close()
