"""Gemini, beyond what recorded answers show: paths, prices of every model, and streams that are long or odd."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.models.request import NANOUSD_PER_USD, Facts
from gateway.wire import endpoint_of, gemini, read_facts, reassemble
from gateway.wire.gemini import Modalities, read_usage, split_by_modality
from gateway.wire.pricing import PricedProvider, PriceTable
from tests.wire.samples import exchange

GOOGLE = next(provider for provider in get_snapshot().providers if provider.id == "google")
MODELS = [model for model in GOOGLE.models if not model.id.startswith("claude")]
NOW = datetime(2026, 11, 30, tzinfo=UTC)
VERTEX = "/v1/projects/p/locations/global/publishers"
COUNTS = st.integers(0, 300_000)
MODALITIES = st.dictionaries(st.sampled_from(["TEXT", "AUDIO", "IMAGE", "VIDEO", "DOCUMENT"]), COUNTS)
TOKENS = st.dictionaries(st.sampled_from(["audio", "image", "video"]), st.integers(1, 300_000))
CLAUDE = (
    b'{"id":"msg_vrtx_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}'
)
MISTRAL = (
    b'{"id":"m-1","object":"chat.completion","model":"codestral-2501","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":3}}'
)


def facts_of(path: str, body: bytes, request: bytes = b"{}", content_type: str = "application/json") -> Facts:
    return read_facts(
        replace(exchange(endpoint_of(path), body, content_type=content_type, request_body=request), path=path)
    )


def as_details(tokens: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in tokens.items() if count]


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=k",
        "/v1beta/models/gemini-2.5-flash%3AgenerateContent",
        f"{VERTEX}/google/models/gemini-2.5-flash:streamGenerateContent",
        "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent",
    ],
)
def test_the_path_names_the_model_and_goes_before_the_body(path: str) -> None:
    facts = facts_of(path, b'{"candidates":[]}', b'{"model": "models/gemini-2.5-flash"}')
    assert (endpoint_of(path), facts.requested_model) == ("gemini.generate", "gemini-2.5-flash")


def test_a_tuned_model_is_named_by_its_path() -> None:
    assert facts_of("/v1beta/tunedModels/mine-1:generateContent", b"{}").requested_model == "mine-1"
    path = "/v1/projects/p/locations/l/endpoints/123:generateContent"
    assert facts_of(path, b"{}").requested_model == "123"


@pytest.mark.parametrize("verb", ["rawPredict", "streamRawPredict"])
def test_claude_on_vertex_is_read_as_messages(verb: str) -> None:
    facts = facts_of(f"{VERTEX}/anthropic/models/claude-sonnet-4-5@20250929:{verb}", CLAUDE)
    assert facts.requested_model == "claude-sonnet-4-5@20250929"
    assert (facts.usage.prompt_tokens, facts.usage.completion_tokens) == (9, 3)
    assert facts.response_id == "msg_vrtx_1"


def test_tokens_that_vertex_counts_for_claude_are_no_message() -> None:
    path = f"{VERTEX}/anthropic/models/count-tokens:rawPredict"
    facts = facts_of(path, b'{"input_tokens": 14}', b'{"model": "claude-sonnet-4-5"}')
    assert (endpoint_of(path), facts.requested_model) == ("other", "claude-sonnet-4-5")
    assert facts.usage.prompt_tokens is None


def test_other_publishers_answers_on_vertex_are_told_by_what_they_call_themselves() -> None:
    path = f"{VERTEX}/mistralai/models/codestral-2501:rawPredict"
    facts = facts_of(path, MISTRAL)
    assert (endpoint_of(path), facts.requested_model) == ("other", "codestral-2501")
    assert (facts.usage.prompt_tokens, facts.usage.completion_tokens) == (9, 3)


def test_of_other_predictions_only_the_requested_model_is_taken() -> None:
    path = f"{VERTEX}/google/models/imagen-4.0-generate-001:predict"
    facts = facts_of(path, b'{"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "iVBO"}]}')
    assert (endpoint_of(path), facts.requested_model) == ("other", "imagen-4.0-generate-001")
    assert facts.usage.prompt_tokens is None
    assert facts.note is None


def test_an_answer_under_a_path_of_its_own_is_told_by_its_shape() -> None:
    body = b'{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5}}'
    assert facts_of("/relay/ask", body).usage.prompt_tokens == 5


@settings(max_examples=300)
@given(
    model=st.sampled_from(MODELS),
    prompt=MODALITIES,
    cached=MODALITIES,
    answer=MODALITIES,
    more=st.fixed_dictionaries(
        {}, optional={"thoughtsTokenCount": COUNTS, "toolUsePromptTokenCount": COUNTS}
    ),
)
def test_a_model_that_has_a_price_has_a_cost_whatever_is_itemised(
    model: Any, prompt: dict[str, int], cached: dict[str, int], answer: dict[str, int], more: dict[str, int]
) -> None:
    """Details that contradict the counts included."""
    counts = {
        "promptTokenCount": sum(prompt.values()),
        "candidatesTokenCount": sum(answer.values()),
        "cachedContentTokenCount": min(sum(cached.values()), sum(prompt.values())),
        "promptTokensDetails": as_details(prompt),
        "cacheTokensDetails": as_details(cached),
        "candidatesTokensDetails": as_details(answer),
    }
    answered = gemini.read_answer({"modelVersion": model.id, "usageMetadata": counts | more})
    at_us = int(NOW.timestamp()) * 1_000_000
    assert (
        PriceTable({}).cost(PricedProvider("google"), (model.id,), answered.usage, answered.billing, at_us)
        is not None
    )


@settings(max_examples=300)
@given(
    model=st.sampled_from(MODELS),
    fresh=MODALITIES,
    cached=MODALITIES,
    answer=MODALITIES,
    more=st.fixed_dictionaries({}, optional={"thoughtsTokenCount": st.integers(1, 9000)}),
)
def test_a_cost_is_what_the_price_library_makes_of_the_same_answer(
    model: Any, fresh: dict[str, int], cached: dict[str, int], answer: dict[str, int], more: dict[str, int]
) -> None:
    prompt = {name: fresh.get(name, 0) + cached.get(name, 0) for name in fresh | cached}
    counts = {
        "promptTokenCount": sum(prompt.values()),
        "candidatesTokenCount": sum(answer.values()),
        "promptTokensDetails": as_details(prompt),
        "candidatesTokensDetails": as_details(answer),
    } | more
    if any(cached.values()):
        # Each modality has its line: the library refuses a cached one without.
        lines = [{"modality": name, "tokenCount": cached.get(name, 0)} for name in prompt]
        counts |= {"cachedContentTokenCount": sum(cached.values()), "cacheTokensDetails": lines}
    body = {"modelVersion": model.id, "usageMetadata": counts}
    answered = gemini.read_answer(body)
    at_us = int(NOW.timestamp()) * 1_000_000
    cost = PriceTable({}).cost(PricedProvider("google"), (model.id,), answered.usage, answered.billing, at_us)
    _, usage = GOOGLE.extract_usage(body)
    price = model.calc_price(usage, GOOGLE, genai_request_timestamp=NOW)
    assert cost is not None
    assert abs(cost.nanousd - price.total_price * NANOUSD_PER_USD) <= 1


@given(st.none() | COUNTS, st.none() | COUNTS, st.none() | COUNTS, TOKENS, TOKENS, TOKENS)
def test_modalities_are_never_more_than_what_they_are_part_of(
    prompt: int | None,
    answer: int | None,
    cached: int | None,
    prompts: Modalities,
    caches: Modalities,
    answers: Modalities,
) -> None:
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": answer, "cachedContentTokenCount": cached}
    usage = read_usage(counts)
    units = split_by_modality(usage, prompts, caches, answers)
    read = sum(count for name, count in units.items() if name.startswith("cache_"))
    assert sum(count for name, count in units.items() if name.startswith("input_")) <= (
        usage.prompt_tokens or 0
    )
    assert sum(count for name, count in units.items() if name.startswith("output_")) <= (answer or 0)
    assert read <= (usage.cached_tokens or 0)


def test_the_last_usage_that_counts_the_answer_holds_whatever_follows_it() -> None:
    chunks = [
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 5}},
        {"usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0}},
        {"usageMetadata": None},
    ]
    body = b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks)
    path = "/v1beta/models/m:streamGenerateContent"
    facts = facts_of(path, body, content_type="text/event-stream")
    assert (facts.usage.prompt_tokens, facts.usage.completion_tokens) == (5, 2)
    assert (facts.finish_reason, facts.note) == ("STOP", None)


def test_a_finish_reason_that_is_unspecified_is_none() -> None:
    chunk = b'data: {"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}\n\n'
    facts = facts_of("/v1beta/models/m:streamGenerateContent", chunk, content_type="text/event-stream")
    assert (facts.finish_reason, facts.note) == (None, "the stream ended early")


@pytest.mark.parametrize(
    "path",
    ["$.a[999999999999]", "$" + ".a" * 5000, "$" + "[0]" * 400, "", "$", "a", "$.a..b", "$['a']", None, 7],
)
def test_streamed_arguments_at_odd_places_never_raise(path: object) -> None:
    piece = {"jsonPath": path, "stringValue": "x"}
    part = {"functionCall": {"name": "f", "partialArgs": [piece, {"jsonPath": "$.a", "numberValue": 1}]}}
    body = b"data: %b\n\n" % orjson.dumps({"candidates": [{"content": {"parts": [part]}}]})
    whole = reassemble("gemini.generate", "text/event-stream", body)
    assert isinstance(whole, dict)
    assert whole["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "f"


def test_two_thousand_pieces_of_text_are_joined_in_order() -> None:
    chunks = [{"candidates": [{"content": {"parts": [{"text": f"{n},"}]}}]} for n in range(2000)]
    whole = reassemble("gemini.generate", "application/json", orjson.dumps(chunks))
    assert isinstance(whole, dict)
    assert whole["candidates"][0]["content"]["parts"] == [{"text": "".join(f"{n}," for n in range(2000))}]
