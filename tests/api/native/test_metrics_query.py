from __future__ import annotations

import pytest

from gateway.api.native.metrics import BUCKETS, AggregateParams, UserListParams
from gateway.errors import BadInput
from gateway.models.filters import AllOf, Comparison, Op, Page
from gateway.models.metrics import DAY_US, END_OF_TIME_US, HOUR_US, MetricsQuery
from gateway.query.metrics import GROUP_FIELDS, ORDER_METRICS, MetricsOrder
from gateway.web.query_params import Parameter


def metrics_query(*pairs: tuple[str, str]) -> MetricsQuery:
    return AggregateParams.parse(pairs).metrics_query(None)


def test_no_parameters_ask_for_everything_at_once() -> None:
    params = AggregateParams.parse([])
    assert params.metrics_query("north") == MetricsQuery(0, END_OF_TIME_US, tenant="north")
    assert (params.metrics_order(), params.page()) == (MetricsOrder("requests"), Page(1000))


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
    for text, order in (("-cost", MetricsOrder("cost")), ("score", MetricsOrder("score", descending=False))):
        assert AggregateParams.parse([("order", text)]).metrics_order() == order


def test_a_cursor_is_how_many_rows_came_before() -> None:
    assert AggregateParams.parse([("cursor", "40"), ("limit", "20")]).page() == Page(20, 40)


def test_users_are_asked_for_by_the_beginning_of_their_names() -> None:
    params = UserListParams.parse([("prefix", "an"), ("order", "-cost"), ("provider", "x")])
    assert (params.prefix, params.metrics_order(), params.page()) == ("an", MetricsOrder("cost"), Page(50))
    assert params.metrics_query("north") == MetricsQuery(
        0, END_OF_TIME_US, where=AllOf((Comparison("provider", Op.EQ, "x"),)), tenant="north"
    )
    assert UserListParams.parse([]).metrics_order() == MetricsOrder("last_seen")


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
        ("limit", "1001", "1 to 1,000"),
        ("limit", "0", "1 to 1,000"),
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
        ("order", "-score", "-cost, cost, -last_seen, last_seen"),
        ("limit", "501", "1 to 500"),
        ("bucket", "day", "cursor, prefix"),
        ("group_by", "user", "cursor, prefix"),
    ],
)
def test_a_bad_parameter_of_users_is_named_with_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        UserListParams.parse([(name, text)])
    assert refusal.value.field == name
    assert allowed in str(refusal.value)


def test_a_parameter_given_twice_is_refused() -> None:
    for params in (AggregateParams, UserListParams):
        with pytest.raises(BadInput, match="twice"):
            params.parse([("user", "a"), ("user", "b")])


SAMPLES = {
    "status": "200", "outcome": "complete", "from": "1", "to": "1", "limit": "1", "cursor": "1", "group_by": "user",
    "bucket": "day", "order": "-cost", "format": "csv", "judged": "false", "has_feedback": "false",
    "min_score": "0", "max_score": "-0.5", "rating": "good", "client_retry": "0",
    "attempt": "2", "is_stream": "true", "has_usage": "false", "reviewed": "false", "within": "0.8",
}  # fmt: skip


@pytest.mark.parametrize("parameter", AggregateParams.parameters(), ids=lambda parameter: parameter.name)
def test_each_documented_parameter_of_figures_is_taken(parameter: Parameter) -> None:
    metrics_query((parameter.name, SAMPLES.get(parameter.name, "x")))


@pytest.mark.parametrize("parameter", UserListParams.parameters(), ids=lambda parameter: parameter.name)
def test_each_documented_parameter_of_users_is_taken(parameter: Parameter) -> None:
    UserListParams.parse([(parameter.name, SAMPLES.get(parameter.name, "x"))]).metrics_query(None)


def test_each_documented_value_is_taken() -> None:
    for name in GROUP_FIELDS:
        metrics_query(("group_by", name))
    for name in BUCKETS:
        metrics_query(("bucket", name))
    for name in ORDER_METRICS:
        metrics_query(("order", name))
