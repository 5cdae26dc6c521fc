from __future__ import annotations

import pytest

from gateway.api.native.metrics import (
    AGGREGATE_PARAMETERS,
    BUCKETS,
    GROUP_FIELDS,
    USER_PARAMETERS,
    read_metrics_request,
    read_users_request,
)
from gateway.errors import BadInput
from gateway.models.filters import AllOf, Comparison, Op, Page
from gateway.models.metrics import DAY_US, END_OF_TIME_US, HOUR_US, MetricsQuery
from gateway.query.metrics import ORDER_METRICS, MetricsOrder
from gateway.web.endpoint import Parameter


def metrics_query(*pairs: tuple[str, str]) -> MetricsQuery:
    return read_metrics_request(pairs, None).metrics_query


def test_no_parameters_ask_for_everything_at_once() -> None:
    parsed = read_metrics_request([], "north")
    assert parsed.metrics_query == MetricsQuery(0, END_OF_TIME_US, tenant="north")
    assert (parsed.order, parsed.page) == (MetricsOrder("requests"), Page(1000))


def test_times_are_no_conditions_so_that_sums_at_hand_can_answer() -> None:
    parsed = metrics_query(("from", "1970-01-01T00:00:01Z"), ("to", "5000000"), ("provider", "openai"))
    assert (parsed.from_us, parsed.to_us) == (1_000_000, 5_000_000)
    assert parsed.where == AllOf((Comparison("provider", Op.EQ, "openai"),))


@pytest.mark.parametrize(
    ("name", "field"),
    [("model", "any_model"), ("user", "user"), ("is_stream", "is_stream"), ("metadata.a.b", "metadata.a.b")],
)
def test_groups_are_named_as_everywhere(name: str, field: str) -> None:
    assert metrics_query(("group_by", name)).group_by == field


@pytest.mark.parametrize("pairs", [["model,metadata.v"], ["model", "metadata.v"]])
def test_two_groups_come_as_a_list_or_one_by_one(pairs: list[str]) -> None:
    parsed = metrics_query(*(("group_by", text) for text in pairs))
    assert (parsed.group_by, parsed.then_by) == ("any_model", "metadata.v")


@pytest.mark.parametrize(
    ("bucket", "length_us", "offset_us"),
    [("minute", 60_000_000, 0), ("hour", HOUR_US, 0), ("day", DAY_US, 0), ("week", 7 * DAY_US, -3 * DAY_US)],
)
def test_weeks_begin_on_monday_and_all_else_at_the_epoch(bucket: str, length_us: int, offset_us: int) -> None:
    parsed = metrics_query(("bucket", bucket))
    assert (parsed.bucket_us, parsed.bucket_offset_us) == (length_us, offset_us)


def test_a_minus_puts_the_most_first() -> None:
    assert read_metrics_request([("order", "-cost")], None).order == MetricsOrder("cost", descending=True)
    assert read_metrics_request([("order", "score")], None).order == MetricsOrder("score", descending=False)


def test_a_cursor_is_how_many_rows_came_before() -> None:
    assert read_metrics_request([("cursor", "40"), ("limit", "20")], None).page == Page(20, 40)


def test_users_are_asked_for_by_the_beginning_of_their_names() -> None:
    parsed = read_users_request([("prefix", "an"), ("order", "-cost"), ("provider", "x")], "north")
    assert (parsed.prefix, parsed.order, parsed.page) == ("an", MetricsOrder("cost"), Page(50))
    assert parsed.metrics_query == MetricsQuery(
        0, END_OF_TIME_US, where=AllOf((Comparison("provider", Op.EQ, "x"),)), tenant="north"
    )
    assert read_users_request([], None).order == MetricsOrder("last_seen")


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("group_by", "colour", "requested_model"),
        ("group_by", "metadata.", "metadata.KEY"),
        ("group_by", "any_model", "model"),
        ("group_by", "metadata.a,b", "'b' must be one of model"),
        ("group_by", "model,", "A comma stands between two fields"),
        ("group_by", "model,provider,user", "one or two different fields"),
        ("group_by", "model,model", "one or two different fields"),
        ("bucket", "month", "minute, hour, day, week"),
        ("bucket", "3600", "minute, hour, day, week"),
        ("order", "colour", "error_rate"),
        ("order", "--cost", "cost"),
        ("order", "cost desc", "cost"),
        ("from", "tuesday", "RFC 3339"),
        ("to", "tomorrow", "RFC 3339"),
        ("limit", "1001", "1 to 1000"),
        ("limit", "0", "1 to 1000"),
        ("cursor", "-1", "next_cursor"),
        ("cursor", "1.2", "next_cursor"),
        ("status", "6xx", "4xx"),
        ("outcome", "fine", "client_closed"),
        ("model", "", "no value"),
        ("colour", "red", "group_by, bucket"),
        ("prefix", "a", "group_by, bucket"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        metrics_query((name, text))
    assert refusal.value.field == name
    assert allowed in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("prefix", "", "no value"),
        ("order", "-score", "requests, cost, last_seen"),
        ("limit", "501", "1 to 500"),
        ("bucket", "day", "prefix, trace_id"),
        ("group_by", "user", "prefix, trace_id"),
    ],
)
def test_a_bad_parameter_of_users_is_named_with_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_users_request([(name, text)], None)
    assert refusal.value.field == name
    assert allowed in str(refusal.value)


def test_a_parameter_given_twice_is_refused() -> None:
    for read in (read_metrics_request, read_users_request):
        with pytest.raises(BadInput, match="twice"):
            read([("user", "a"), ("user", "b")], None)


SAMPLES = {
    "status": "200", "outcome": "complete", "from": "1", "to": "1", "limit": "1", "cursor": "1", "group_by": "user",
    "bucket": "day", "order": "-cost", "format": "csv", "judged": "false", "has_feedback": "false",
    "min_score": "0", "max_score": "-0.5", "rating": "good", "client_retry": "0",
}  # fmt: skip


@pytest.mark.parametrize("parameter", AGGREGATE_PARAMETERS, ids=lambda parameter: parameter.name)
def test_each_documented_parameter_of_figures_is_taken(parameter: Parameter) -> None:
    read_metrics_request([(parameter.name, SAMPLES.get(parameter.name, "x"))], None)


@pytest.mark.parametrize("parameter", USER_PARAMETERS, ids=lambda parameter: parameter.name)
def test_each_documented_parameter_of_users_is_taken(parameter: Parameter) -> None:
    read_users_request([(parameter.name, SAMPLES.get(parameter.name, "x"))], None)


def test_each_documented_value_is_taken() -> None:
    for name in GROUP_FIELDS:
        metrics_query(("group_by", name))
    for name in BUCKETS:
        metrics_query(("bucket", name))
    for name in ORDER_METRICS:
        metrics_query(("order", name))
