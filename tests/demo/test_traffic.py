"""The plan of the demo data: a believable week of requests and feedback, the same for the same end."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest

from gateway.cli.demo_data import to_entry
from gateway.demo.exchanges import to_exchange
from gateway.demo.feedback import FeedbackApi, plan_feedback
from gateway.demo.traffic import Api, DemoCall, plan_traffic
from gateway.models.exchange import Outcome
from gateway.wire import read_facts

WEEK_US = 7 * 24 * 3600 * 1_000_000
# A Tuesday.
END_US = 1_774_353_600_000_000


@pytest.fixture(scope="module")
def calls() -> list[DemoCall]:
    return plan_traffic(END_US)


def test_the_same_end_gives_the_same_week(calls: list[DemoCall]) -> None:
    assert plan_traffic(END_US) == calls
    assert plan_feedback(calls, END_US) == plan_feedback(calls, END_US)


def test_a_week_has_people_teams_prompts_formats_and_failures(calls: list[DemoCall]) -> None:
    assert len(calls) == len({call.request_id for call in calls}) == 3_000
    assert 500 < len({call.session for call in calls}) < 800
    assert 90 < len({call.user for call in calls}) <= 120
    assert {call.team for call in calls} == {"support", "sales", "legal", "engineering"}
    assert {call.metadata["_environment"] for call in calls} == {"production", "staging"}
    assert len({call.prompt_version for call in calls if "_prompt" in call.metadata}) == 7
    assert {(call.route.api, call.is_stream) for call in calls} == {
        (api, is_stream) for api in Api for is_stream in (False, True)
    } - {(Api.RESPONSES, True), (Api.EMBEDDINGS, True)}
    assert {call.turn.scenario.kind for call in calls} == {
        *("text", "image", "json", "refusal", "tools", "follow_up")
    }
    assert len({call.failure for call in calls}) == 6


def test_a_week_has_days_and_nights(calls: list[DemoCall]) -> None:
    starts = [call.started_at_us for call in calls]
    assert starts == sorted(starts)
    assert starts[0] > END_US - WEEK_US
    assert END_US - 3_600_000_000 < starts[-1] < END_US
    by_hour = Counter(at // 3_600_000_000 % 24 for at in starts)
    assert by_hour[10] > 5 * by_hour[3]


def test_facts_and_times_are_those_of_real_answers(calls: list[DemoCall]) -> None:
    for call in calls[:600]:
        stored = to_exchange(call)
        facts = read_facts(stored)
        assert stored.started_at_us <= (stored.first_byte_at_us or stored.started_at_us) <= stored.ended_at_us
        assert facts.requested_model == call.route.model
        if call.failure is None:
            assert facts.note is None
            assert facts.model == call.route.snapshot
            assert facts.outcome in (None, Outcome.COMPLETE)
            assert facts.usage.prompt_tokens or (call.is_stream and call.team == "sales")


def test_agents_have_traces_with_spans(calls: list[DemoCall]) -> None:
    traces: dict[str, list[DemoCall]] = {}
    for call in calls:
        traces.setdefault(call.trace_id, []).append(call)
    agents = [trace for trace in traces.values() if len(trace) > 2]
    assert agents
    for trace in agents:
        assert trace[0].parent_span_id is None
        assert {call.parent_span_id for call in trace} - {None} <= {call.span_id for call in trace}
        assert all(
            earlier.started_at_us + earlier.duration_us <= later.started_at_us
            for earlier, later in pairwise(trace)
        )


def test_one_version_is_liked_better_and_teams_differ(calls: list[DemoCall]) -> None:
    by_trace = {call.trace_id: call for call in calls}
    given = plan_feedback(calls, END_US)
    scores: dict[str, list[float]] = {}
    for position, each in enumerate(given):
        entry = to_entry(position, each)
        if entry.score is not None and each.trace_id in by_trace:
            scores.setdefault(by_trace[each.trace_id].prompt_version, []).append(entry.score)
    worse, better = (interval(scores[f"support-reply/{version}"]) for version in ("v1", "v2"))
    assert worse[1] < better[0]
    assert {each.api for each in given} == set(FeedbackApi)
    rated = {each.trace_id for each in given if not each.is_model}
    assert 0.08 < len(rated) / len(by_trace) < 0.2
    assert any(each.value is not None for each in given)
    assert any(each.is_withdrawn for each in given)
    assert {each.is_model for each in given} == {True, False}


def interval(scores: list[float]) -> tuple[float, float]:
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    half = 1.96 * deviation / math.sqrt(len(scores))
    return mean - half, mean + half
