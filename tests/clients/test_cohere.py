"""Cohere's SDK, in both versions of its API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.clients.answers import cut, data, lines, named, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.clients.wires import FIND_TOOL, QUESTION, QUESTIONS, fresh

cohere = library("cohere")

MODEL = "command-a-03-2025"
BILLED = {"input_tokens": 12, "output_tokens": 4}
USAGE = {"billed_units": BILLED, "tokens": {"input_tokens": 80, "output_tokens": 6}}
FACTS = {
    "requested_model": MODEL,
    "prompt_tokens": 12,
    "completion_tokens": 4,
    "finish_reason": "COMPLETE",
    "cost_nanousd": 70_000,
}
PLAIN = {
    "id": fresh("cohere"),
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi there"}]},
    "usage": USAGE,
}


def begun() -> list[dict[str, Any]]:
    """The first events of a stream."""
    nothing = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    kind = {"message": {"content": {"type": "text", "text": ""}}}
    words = [{"message": {"content": {"text": text}}} for text in ("Hi ", "there")]
    return [
        {"id": fresh("cohere"), "type": "message-start", "delta": {"message": nothing}},
        {"type": "content-start", "index": 0, "delta": kind},
        *({"type": "content-delta", "index": 0, "delta": word} for word in words),
    ]


def ending(**delta: object) -> list[dict[str, Any]]:
    """The last events of a stream."""
    return [
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE, **delta}},
    ]


@pytest.fixture
def client(contract: Contract) -> Any:
    """The SDK for version 2, which tries once."""
    return cohere.ClientV2(api_key=GATEWAY_KEY, base_url=f"{contract.url}/cohere")


@pytest.fixture
def old_client(contract: Contract) -> Any:
    """The SDK for version 1."""
    return cohere.Client(api_key=GATEWAY_KEY, base_url=f"{contract.url}/cohere")


def events_of(client: Any) -> list[Any]:
    """Ask for a stream and return its events."""
    return list(client.chat_stream(model=MODEL, messages=QUESTIONS))


def text_of(events: list[Any]) -> str:
    """The text of a stream's events."""
    return "".join(event.delta.message.content.text for event in events if event.type == "content-delta")


def test_a_chat_counts_what_is_billed_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(whole(PLAIN))
    answer = client.chat(model=MODEL, messages=QUESTIONS)
    assert answer.message.content[0].text == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=False, response_id=PLAIN["id"])
    assert answer.usage.billed_units.input_tokens == row["prompt_tokens"]
    contract.vote(answer.id, row)


def test_a_stream_is_put_together_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    sent = begun()
    contract.play(streamed(named(*sent, *ending())))
    events = events_of(client)
    assert text_of(events) == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=True, response_id=sent[0]["id"])
    assert row["response"]["reassembled"]["message"]["content"] == [{"type": "text", "text": "Hi there"}]
    contract.vote(events[0].id, row)


def test_a_streamed_call_of_a_tool_is_put_together(client: Any, contract: Contract) -> None:
    function = {"name": "find", "arguments": ""}
    call = {"id": "find_1", "type": "function", "function": function}
    pieces: list[dict[str, Any]] = [
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        *(
            {
                "type": "tool-call-delta",
                "index": 0,
                "delta": {"message": {"tool_calls": {"function": {"arguments": text}}}},
            }
            for text in ('{"q":', '"ann"}')
        ),
        {"type": "tool-call-end", "index": 0},
    ]
    end = ending(finish_reason="TOOL_CALL")[1]
    contract.play(streamed(named(begun()[0], *pieces, end)))
    events = list(client.chat_stream(model=MODEL, messages=QUESTIONS, tools=[FIND_TOOL]))
    deltas = [event.delta.message.tool_calls for event in events if event.type == "tool-call-delta"]
    assert "".join(delta.function.arguments for delta in deltas) == '{"q":"ann"}'
    row = contract.complete_row(requested_model=MODEL, finish_reason="TOOL_CALL")
    [called] = row["response"]["reassembled"]["message"]["tool_calls"]
    assert (called["id"], called["function"]) == ("find_1", {"name": "find", "arguments": '{"q":"ann"}'})


def test_version_1_is_read_too_and_feedback_finds_it_by_either_id(
    old_client: Any, contract: Contract
) -> None:
    answer = {
        "response_id": fresh("response"),
        "generation_id": fresh("generation"),
        "text": "Hi there",
        "finish_reason": "COMPLETE",
        "chat_history": [],
        "meta": {"api_version": {"version": "1"}, **USAGE},
    }
    contract.play(whole(answer))
    shown = old_client.chat(model=MODEL, message=QUESTION)
    assert shown.text == "Hi there"
    row = contract.complete_row(**FACTS, is_stream=False, response_id=shown.generation_id)
    contract.vote(shown.response_id, row)

    answer |= {"response_id": fresh("response"), "generation_id": fresh("generation")}
    pieces = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": answer["generation_id"]},
        {"is_finished": False, "event_type": "text-generation", "text": "Hi there"},
        {
            "is_finished": True,
            "event_type": "stream-end",
            "finish_reason": "COMPLETE",
            "response": answer,
        },
    ]
    contract.play(streamed(lines(*pieces), content_type=b"Content-Type: application/stream+json"))
    events = list(old_client.chat_stream(model=MODEL, message=QUESTION))
    assert [event.event_type for event in events] == ["stream-start", "text-generation", "stream-end"]
    row = contract.complete_row(**FACTS, is_stream=True, response_id=events[0].generation_id)
    contract.vote(events[0].generation_id, row)


def test_embeddings_and_ranks_count_what_is_billed(client: Any, contract: Contract) -> None:
    version = {"api_version": {"version": "2"}}
    embedded = {
        "id": "cohere-embedded",
        "embeddings": {"float": [[0.5, -0.25]]},
        "texts": [QUESTION],
        "meta": {**version, "billed_units": {"input_tokens": 3}},
        "response_type": "embeddings_by_type",
    }
    contract.play(whole(embedded))
    answer = client.embed(
        model="embed-v4.0", input_type="search_query", texts=[QUESTION], embedding_types=["float"]
    )
    assert answer.embeddings.float_ == [[0.5, -0.25]]
    row = contract.row(requested_model="embed-v4.0", prompt_tokens=3, response_id="cohere-embedded")
    contract.vote(answer.id, row)

    ranked = {
        "id": "cohere-ranked",
        "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {**version, "billed_units": {"search_units": 1}},
    }
    contract.play(whole(ranked))
    ranks = client.rerank(model="rerank-v3.5", query=QUESTION, documents=["one", "other"])
    assert ranks.results[0].index == 1
    row = contract.row(requested_model="rerank-v3.5", outcome="complete", response_id="cohere-ranked")
    contract.vote(ranks.id, row)


def test_the_providers_refusal_is_the_sdks_own_error(client: Any, contract: Contract) -> None:
    contract.play(whole({"id": "refused", "message": "slow down"}, status=b"429 Too Many Requests"))
    with pytest.raises(cohere.TooManyRequestsError, match="slow down"):
        client.chat(model=MODEL, messages=QUESTIONS, request_options={"max_retries": 0})
    row = contract.row(status=429, note="slow down", requested_model=MODEL)
    assert contract.errors(row) == 1


def test_a_stream_that_ends_in_an_error_is_the_providers_failure(client: Any, contract: Contract) -> None:
    contract.play(streamed(named(*begun(), *ending(finish_reason="ERROR", error="the engine died"))))
    assert events_of(client)[-1].delta.finish_reason == "ERROR"
    row = contract.failed_row("provider_error", status=200, finish_reason="ERROR", prompt_tokens=12)
    assert row["note"] == "the engine died"


def test_an_error_in_an_events_place_is_the_providers_failure(client: Any, contract: Contract) -> None:
    contract.play(streamed([*named(*begun()), *data({"message": "the engine died"})]))
    assert text_of(events_of(client)) == "Hi there"
    contract.failed_row("provider_error", status=200, note="the engine died")


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    sent = begun()
    contract.play(cut(named(*sent)))
    with pytest.raises(httpx.RemoteProtocolError):
        events_of(client)
    contract.failed_row("upstream_truncated", status=200, response_id=sent[0]["id"], finish_reason=None)


def test_a_stream_without_its_end_was_cut(client: Any, contract: Contract) -> None:
    sent = begun()
    contract.play(streamed(named(*sent)))
    assert text_of(events_of(client)) == "Hi there"
    contract.failed_row("upstream_truncated", status=200, response_id=sent[0]["id"], finish_reason=None)
