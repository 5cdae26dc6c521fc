from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from gateway.models.exchange import Exchange
from gateway.models.request import Usage
from gateway.recording.interpreter import CostCalculator
from gateway.wire import read_facts
from gateway.wire.pricing import PriceTable
from tests.wire.samples import exchange

BATCH_PRICED_AT_US = 1_796_000_000_000_000


def message(model: str, **usage: object) -> dict[str, object]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "usage": usage,
    }


def line(custom_id: str, kind: str, **result: object) -> bytes:
    return orjson.dumps({"custom_id": custom_id, "result": {"type": kind, **result}}) + b"\n"


def results(body: bytes, path: str = "/v1/messages/batches/msgbatch_9/results") -> Exchange:
    made = exchange("messages.batches.results", body, content_type="application/x-jsonl")
    return replace(made, provider="anthropic", path=path, method="GET", started_at_us=BATCH_PRICED_AT_US)


def cost_of(one: Exchange) -> int | None:
    cost = CostCalculator(PriceTable({}), lambda _: None).with_cost(one, read_facts(one)).cost
    return None if cost is None else cost.nanousd


OPUS = line("a", "succeeded", message=message("claude-opus-4-5", input_tokens=100, output_tokens=20))
HAIKU = line(
    "b",
    "succeeded",
    message=message("claude-haiku-4-5", input_tokens=1000, output_tokens=10, cache_read_input_tokens=500),
)
BAD = line(
    "c", "errored", error={"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
)
LATE = line("d", "expired")


def test_results_count_what_all_messages_used_at_the_batch_price_of_their_models() -> None:
    one = results(OPUS + BAD + HAIKU + OPUS + LATE)
    facts = read_facts(one)
    assert facts.usage == Usage(1700, 50, 500)
    assert (facts.response_id, facts.model, facts.is_retrieval) == ("msgbatch_9", "claude-opus-4-5", True)
    assert (facts.note, facts.is_stream, facts.outcome) == (None, None, None)
    assert cost_of(one) == (200 * 5000 + 40 * 25000 + 1000 * 1000 + 500 * 100 + 10 * 5000) // 2


def test_a_single_result_is_read_like_many() -> None:
    assert read_facts(results(OPUS)).usage == Usage(100, 20)
    assert read_facts(results(OPUS.rstrip())).usage == Usage(100, 20)


def test_what_is_billed_beside_a_message_of_a_batch_counts_with_it() -> None:
    beside = {"type": "advisor_message", "model": "claude-haiku-4-5", "input_tokens": 30, "output_tokens": 3}
    body = line(
        "a",
        "succeeded",
        message=message(
            "claude-opus-4-5",
            input_tokens=100,
            output_tokens=20,
            iterations=[{"type": "message", "input_tokens": 100, "output_tokens": 20}, beside],
        ),
    )
    assert read_facts(results(body)).usage == Usage(130, 23)
    assert cost_of(results(body)) == (100 * 5000 + 20 * 25000 + 30 * 1000 + 3 * 5000) // 2


def test_a_batch_of_a_model_without_a_batch_price_has_no_cost() -> None:
    body = line("a", "succeeded", message=message("claude-opus-4-1", input_tokens=100, output_tokens=20))
    assert cost_of(results(body)) is None


def test_results_that_are_cut_count_as_far_as_they_go() -> None:
    body = OPUS + HAIKU
    for end in range(len(OPUS), len(body) - 2):
        assert read_facts(results(body[:end])).usage == Usage(100, 20)


def test_no_result_that_succeeded_counts_nothing() -> None:
    for body in (b"", BAD + LATE):
        assert read_facts(results(body)).usage == Usage()
        assert cost_of(results(body)) is None


def test_an_error_in_place_of_results_is_noted() -> None:
    error = {"type": "error", "error": {"type": "not_found_error", "message": "no such batch"}}
    assert read_facts(results(orjson.dumps(error))).note == "no such batch"
    assert read_facts(results(b"<html>")).note == "the response is not a JSON object"


@pytest.mark.parametrize(
    ("path", "batch_id"),
    [
        ("/anthropic/v1/messages/batches/msgbatch_1/results?beta=true", "msgbatch_1"),
        ("/v1beta/messages/batches/a%2Db/results/", "a-b"),
        ("/v1/messages/batches/" + "x" * 600 + "/results", None),
    ],
)
def test_the_batch_is_named_by_its_path(path: str, batch_id: str | None) -> None:
    assert read_facts(results(OPUS, path)).response_id == batch_id


def test_a_batch_asks_for_a_model_where_all_its_requests_ask_for_one() -> None:
    def asked(*models: object) -> str | None:
        requests = [{"custom_id": "a", "params": {"model": model}} for model in models]
        body = orjson.dumps({"requests": requests})
        return read_facts(exchange("messages.batches", b"{}", request_body=body)).requested_model

    assert asked("claude-opus-4-5", "claude-opus-4-5") == "claude-opus-4-5"
    assert asked("claude-opus-4-5", "claude-haiku-4-5") is None
    assert asked() is None
    assert asked(5) is None
