from __future__ import annotations

from typing import Any

import botocore.eventstream
import botocore.parsers
import botocore.session
import orjson
import pytest

from gateway.models.exchange import Outcome
from gateway.models.request import Billing, Facts, Usage
from gateway.wire import read_facts, reassemble
from gateway.wire.formats import model_in_path
from tests.wire.frames import event, exception
from tests.wire.samples import STREAMS, Case, exchange

EVENTS = "application/vnd.amazon.eventstream"
PATH = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
CONVERSED = [case for case in STREAMS if case.endpoint == "bedrock.converse"]
ANSWER = {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn"}


def delta(block: int, piece: object) -> bytes:
    return event("contentBlockDelta", orjson.dumps({"contentBlockIndex": block, "delta": piece}))


def begun(block: int, piece: object) -> bytes:
    return event("contentBlockStart", orjson.dumps({"contentBlockIndex": block, "start": piece}))


def content_of(*messages: bytes) -> Any:
    whole = reassemble("bedrock.converse", EVENTS, b"".join(messages))
    assert isinstance(whole, dict)
    return whole["output"]["message"]["content"]


def facts_of(answer: object, endpoint: str = "bedrock.converse", **headers: str) -> Facts:
    named = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    path = f"{PATH}/{endpoint.partition('.')[2]}"
    return read_facts(exchange(endpoint, orjson.dumps(answer), response_headers=named, path=path))


def parse_as_amazon(case: Case) -> list[dict[str, Any]]:
    """The events that boto3 would give of a stream, up to an exception."""
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    shape = model.operation_model("ConverseStream").get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(case.body)
    return [parser.parse(found.to_response_dict(), shape) for found in buffer]


@pytest.mark.parametrize("case", CONVERSED, ids=str)
def test_a_recorded_stream_tells_amazons_own_library_the_same(case: Case) -> None:
    events = parse_as_amazon(case)
    facts = read_facts(case.exchange())
    stopped = [found["messageStop"]["stopReason"] for found in events if "messageStop" in found]
    assert stopped == ([facts.finish_reason] if facts.finish_reason else [])
    counted = [found["metadata"]["usage"] for found in events if "metadata" in found]
    assert [usage["outputTokens"] for usage in counted] == [
        count for count in [facts.usage.completion_tokens] if count is not None
    ]
    failures = [found["Error"] for found in events if "Error" in found]
    assert [failure["Message"] for failure in failures] == (
        [facts.note] if facts.outcome is Outcome.PROVIDER_ERROR else []
    )


def test_citations_stand_beside_the_text_that_they_are_of() -> None:
    first, second = {"title": "One", "source": "a"}, {"title": "Two", "source": "b"}
    content = content_of(
        *(delta(0, piece) for piece in ({"text": "It is "}, {"citation": first})),
        *(delta(0, piece) for piece in ({"text": "so."}, {"citation": second})),
    )
    assert content == [
        {"citationsContent": {"content": [{"text": "It is so."}], "citations": [first, second]}}
    ]


def test_reasoning_that_was_withheld_is_kept_as_it_is() -> None:
    content = content_of(delta(0, {"reasoningContent": {"redactedContent": "EqQB"}}))
    assert content == [{"reasoningContent": {"redactedContent": "EqQB"}}]


def test_what_a_tool_of_the_provider_answered_is_joined() -> None:
    content = content_of(
        begun(0, {"toolUse": {"toolUseId": "t1", "name": "search", "type": "server_tool_use"}}),
        delta(0, {"toolUse": {"input": "{}"}}),
        begun(1, {"toolResult": {"toolUseId": "t1", "type": "search_result", "status": "success"}}),
        delta(1, {"toolResult": [{"text": "It "}]}),
        delta(1, {"toolResult": [{"text": "rains."}, {"json": {"mm": 3}}]}),
    )
    assert content == [
        {"toolUse": {"toolUseId": "t1", "name": "search", "type": "server_tool_use", "input": {}}},
        {
            "toolResult": {
                "toolUseId": "t1",
                "type": "search_result",
                "status": "success",
                "content": [{"text": "It rains."}, {"json": {"mm": 3}}],
            }
        },
    ]


def test_an_image_has_its_format_and_its_source() -> None:
    content = content_of(
        begun(0, {"image": {"format": "png"}}), delta(0, {"image": {"source": {"bytes": "iVBO"}}})
    )
    assert content == [{"image": {"format": "png", "source": {"bytes": "iVBO"}}}]


def test_blocks_that_arrive_by_turns_are_each_put_together() -> None:
    content = content_of(
        delta(1, {"text": "c"}), delta(0, {"text": "a"}), delta(1, {"text": "d"}), delta(0, {"text": "b"})
    )
    assert content == [{"text": "ab"}, {"text": "cd"}]


def test_no_events_make_no_answer() -> None:
    assert reassemble("bedrock.converse", EVENTS, HALF) is None
    assert reassemble("bedrock.invoke", EVENTS, HALF) is None


HALF = event("messageStop", b"{}")[:20]


@pytest.mark.parametrize("endpoint", ["bedrock.converse", "bedrock.invoke"])
@pytest.mark.parametrize(
    "kind",
    [
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
        "somethingNewException",
    ],
)
def test_an_exception_in_a_stream_is_the_providers_failure(endpoint: str, kind: str) -> None:
    body = delta(0, {"text": "Hi"}) + exception(kind, b'{"message":"Not now"}')
    facts = read_facts(exchange(endpoint, body, content_type=EVENTS))
    assert (facts.outcome, facts.note) == (Outcome.PROVIDER_ERROR, "Not now")


@pytest.mark.parametrize(
    "reason", ["guardrail_intervened", "content_filtered", "malformed_tool_use", "max_tokens", "refusal"]
)
def test_an_answer_that_stopped_for_a_reason_is_no_failure(reason: str) -> None:
    facts = facts_of(ANSWER | {"stopReason": reason})
    assert (facts.outcome, facts.finish_reason) == (None, reason)


def test_a_message_of_claude_is_known_by_its_own_id_and_by_the_requests() -> None:
    message = {"id": "msg_bdrk_1", "type": "message", "model": "claude-haiku-4-5-20251001"}
    facts = facts_of(message, "bedrock.invoke", x_amzn_RequestId="6f2b")
    assert (facts.response_id, facts.other_response_ids) == ("msg_bdrk_1", ("6f2b",))


@pytest.mark.parametrize("request_id", ["", "x" * 600])
def test_a_request_id_that_is_none_is_not_taken(request_id: str) -> None:
    assert facts_of(ANSWER, x_amzn_RequestId=request_id).response_id is None


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "0x10", "x", "9" * 40, "\uff11"])
def test_a_header_that_is_no_count_counts_nothing(text: str) -> None:
    facts = facts_of({"outputs": []}, "bedrock.invoke", X_Amzn_Bedrock_Input_Token_Count=text)
    assert facts.usage == Usage()


def test_headers_count_what_the_body_does_not_with_the_cached_tokens_beside_the_others() -> None:
    counts = {
        "X-Amzn-Bedrock-Input-Token-Count": "40",
        "X-Amzn-Bedrock-Output-Token-Count": "9",
        "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "150",
        "X-Amzn-Bedrock-Cache-Write-Input-Token-Count": "50",
    }
    headers = {name.replace("-", "_"): value for name, value in counts.items()}
    assert facts_of({"outputs": [{"text": "Hi"}]}, "bedrock.invoke", **headers).usage == Usage(
        prompt_tokens=240, completion_tokens=9, cached_tokens=150, cache_write_tokens=50
    )
    own = {"prompt_token_count": 120, "generation_token_count": 40, "generation": "Hi"}
    assert facts_of(own, "bedrock.invoke", **headers).usage == Usage(prompt_tokens=120, completion_tokens=40)


@pytest.mark.parametrize(("tier", "terms"), [("flex", {"service_tier": "flex"}), ("default", {})])
def test_the_tier_that_served_is_told_by_a_header_or_by_the_answer(tier: str, terms: dict[str, str]) -> None:
    invoked = facts_of({"generation": "Hi"}, "bedrock.invoke", X_Amzn_Bedrock_Service_Tier=tier)
    conversed = facts_of(ANSWER | {"serviceTier": {"type": tier}})
    assert invoked.billing == conversed.billing == Billing(terms=terms)


def test_the_path_names_the_model_whatever_the_body_says() -> None:
    body = b'{"model":"gpt-oss","messages":[],"user":"u-1"}'
    facts = read_facts(exchange("bedrock.invoke", b"", request_body=body, path=f"{PATH}/invoke"))
    assert facts.requested_model == "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert facts.user == "u-1"


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize("call", ["converse", "converse-stream", "invoke", "count-tokens"])
@pytest.mark.parametrize(
    ("segment", "model"),
    [
        ("amazon.nova-lite-v1%3A0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (PROFILE.replace(":", "%3A").replace("/", "%2F"), PROFILE),
        (PROFILE.replace("/", "%2f"), PROFILE),
        (PROFILE, PROFILE),
        ("", None),
        ("a" * 600, None),
    ],
)
def test_a_path_names_a_model_by_id_profile_or_arn(segment: str, model: str | None, call: str) -> None:
    for path in (f"/model/{segment}/{call}", f"/aws/model/{segment}/{call}/?x=/model/y/invoke"):
        assert model_in_path(path) == model


def test_counting_tokens_is_no_answer_of_a_model() -> None:
    facts = facts_of({"inputTokens": 40}, "bedrock.count_tokens")
    assert (facts.usage, facts.note) == (Usage(), None)


def test_a_stream_whose_metrics_came_is_over_though_no_reason_did() -> None:
    last = b'{"outputs":[],"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":2}}'
    body = event("chunk", b'{"outputs":[{"text":"Hi","stop_reason":null}]}') + event("chunk", last)
    facts = read_facts(exchange("bedrock.invoke", body, content_type=EVENTS))
    assert (facts.outcome, facts.note, facts.usage.prompt_tokens) == (None, None, 7)


@pytest.mark.parametrize("endpoint", ["bedrock.converse", "bedrock.invoke", "messages", "other"])
def test_events_nested_beyond_the_interpreters_stack_never_raise(endpoint: str) -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    body = b"".join(
        event(kind, b'{"delta":' + deep + b',"role":' + deep + b',"text":' + deep + b"}")
        for kind in ("messageStart", "contentBlockDelta", "chunk", "metadata")
    )
    read_facts(exchange(endpoint, body + exception("throttlingException", deep), content_type=EVENTS))
    orjson.dumps(reassemble(endpoint, EVENTS, body))


def test_an_answer_of_converse_under_another_path_is_told_by_what_it_looks_like() -> None:
    case = next(case for case in CONVERSED if case.path.stem == "text")
    facts = read_facts(exchange("other", case.body, content_type=EVENTS))
    assert (facts.finish_reason, facts.usage.prompt_tokens) == ("end_turn", 240)
    assert read_facts(exchange("other", orjson.dumps(ANSWER))).finish_reason == "end_turn"
