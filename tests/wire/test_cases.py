from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from gateway.models.exchange import Outcome
from gateway.models.request import Facts
from gateway.recording.interpreter import CostCalculator
from gateway.wire import read_facts, reassemble
from gateway.wire.pricing import PriceTable
from tests.wire.samples import ALL, STREAMS, Case, known

PRICED_AT_US = 1_796_000_000_000_000
"""At the end of November 2026; prices change."""

GENERATED = {
    "result",
    "generated_text",
    "tool_plan",
    "content",
    "text",
    "reasoning_content",
    "refusal",
    "arguments",
    "thinking",
}
FINISHED = [case for case in STREAMS if "finish_reason" in case.expected_facts]
STEADY = [case for case in STREAMS if "other_response_ids" not in case.expected_facts]
"""Streams that are of one answer throughout."""

TEXTUAL = [case for case in STREAMS if case.path.suffix in (".sse", ".ndjson")]

UNCUT = [
    case
    for case in FINISHED
    if case in STEADY
    and case.expected_facts.get("outcome") != "upstream_truncated"
    and case.expected_facts.get("note") != "the stream ended inside an event"
]


def generated_texts(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], str]]:
    """What a model wrote, by where it stands. Choices go by their own index: the first may come second."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key in GENERATED and isinstance(member, str):
                yield (*path, key), member
            elif key == "arguments" and member:
                # Those that are an object at the end are text while they arrive.
                yield (*path, key), orjson.dumps(member).decode()
            yield from generated_texts(member, (*path, key))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            place = member.get("index", position) if isinstance(member, dict) else position
            yield from generated_texts(member, (*path, place))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_facts_of_a_recorded_answer_are_read(case: Case) -> None:
    assert known(read_facts(case.exchange())) == case.expected_facts


@pytest.mark.parametrize("case", [case for case in ALL if case.expected_cost], ids=str)
def test_a_recorded_answer_costs_what_it_should(case: Case) -> None:
    right = case.expected_cost
    assert right is not None
    pricing = CostCalculator(PriceTable({}), lambda _: None)
    exchange = replace(case.exchange(), provider=right["provider"], started_at_us=PRICED_AT_US)
    cost = pricing.with_cost(exchange, read_facts(exchange)).cost
    assert cost is not None
    assert cost.nanousd == right["nanousd"]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_recorded_stream_is_put_together_as_if_it_had_not_been_streamed(case: Case) -> None:
    assert reassemble(case.endpoint, case.content_type, case.body) == case.expected_whole


@pytest.mark.parametrize("case", UNCUT, ids=str)
def test_a_stream_and_the_same_answer_unstreamed_tell_the_same_facts(case: Case) -> None:
    whole = case.exchange(case.beside("whole").read_bytes())
    untyped = [header for header in whole.response_headers if header[0] != b"Content-Type"]
    unstreamed = known(read_facts(replace(whole, response_headers=tuple(untyped))))
    streamed = known(read_facts(case.exchange()))
    assert unstreamed | {"is_stream": True} == streamed | {"is_stream": True}


@pytest.mark.parametrize("case", [case for case in ALL if not case.is_binary], ids=str)
@pytest.mark.parametrize("newline", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
def test_line_endings_make_no_difference(case: Case, newline: bytes) -> None:
    if case.path.suffix == ".ndjson":
        newline = b"\r\n"
    body = case.body.replace(b"\n", newline)
    assert known(read_facts(case.exchange(body))) == case.expected_facts
    assert reassemble(case.endpoint, case.content_type, body) == case.expected_whole


@pytest.mark.parametrize("case", STEADY, ids=str)
def test_a_stream_cut_at_any_byte_gives_the_beginning_of_its_texts(case: Case) -> None:
    whole = dict(generated_texts(case.expected_whole))
    for end in range(len(case.body)):
        part = reassemble(case.endpoint, case.content_type, case.body[:end])
        for path, text in generated_texts(part):
            assert whole[path].startswith(text)


@pytest.mark.parametrize("case", [case for case in ALL if not case.is_stream or case in STEADY], ids=str)
def test_an_answer_cut_at_any_byte_tells_nothing_that_the_whole_does_not(case: Case) -> None:
    body, whole = case.body, read_facts(case.exchange())
    for end in range(len(body)):
        part = read_facts(case.exchange(body[:end]))
        assert part.response_id in (None, whole.response_id)
        assert part.model in (None, whole.model)
        assert part.finish_reason in (None, whole.finish_reason)


@pytest.mark.parametrize("case", FINISHED, ids=str)
def test_a_stream_cut_before_its_finish_reason_has_a_note(case: Case) -> None:
    body = case.body
    for end in range(1, len(body)):
        facts = read_facts(case.exchange(body[:end]))
        assert facts.finish_reason is not None or facts.note is not None


@pytest.mark.parametrize("case", TEXTUAL, ids=str)
def test_an_error_among_the_events_of_a_stream_is_the_providers_failure_wherever_it_stands(
    case: Case,
) -> None:
    separator, error = (b"\n\n", b"data: ") if case.path.suffix == ".sse" else (b"\n", b"")
    events = [event for event in case.body.split(separator) if event.strip()]
    error += b'{"error":{"message":"The engine died"}}'
    for place in range(len(events) + 1):
        body = separator.join([*events[:place], error, *events[place:], b""])
        assert read_facts(case.exchange(body)).outcome is Outcome.PROVIDER_ERROR


@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_case_is_compared_with_something(case: Case) -> None:
    assert case.beside("facts").exists()
    assert set(case.expected_facts) <= set(Facts.__dataclass_fields__)
