"""Definition of rules: defaults by measure, and what is refused with the field to blame."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.alerts.definition import build_rule, rules_of_file, written_fields
from gateway.errors import BadInput
from gateway.models.alerts import AlertTest, Direction, NoDataMode

ERRORS: Mapping[str, object] = {"name": "errors", "measure": "error_rate", "above": 0.05}
HOUR_US = 3_600_000_000


def test_defaults_follow_from_the_measure() -> None:
    rule = build_rule(ERRORS, "a", "north")
    assert (rule.window_us, rule.settle_us, rule.min_count) == (HOUR_US, HOUR_US // 60, 20)
    assert (rule.test, rule.no_data, rule.tenant) == (AlertTest.SEQUENTIAL, NoDataMode.KEEP, "north")
    assert rule.interval_us == HOUR_US // 60
    cost = build_rule({"name": "c", "measure": "cost", "above": "50"}, "b", None)
    assert (cost.test, cost.window_us, cost.threshold) == (AlertTest.NONE, 24 * HOUR_US, 50.0)
    score = build_rule({"name": "s", "measure": "mean_score", "below": -0.1, "window": "7d"}, "c", None)
    assert (score.direction, score.min_count, score.interval_us) == (Direction.BELOW, 10, HOUR_US)


def test_what_is_written_means_the_same_again() -> None:
    given = {
        **ERRORS, "where": {"model": "gpt-4o", "is_stream": True}, "group_by": "model", "window": "90m",
        "renotify": "4h", "no_data": "alert", "severity": "critical", "enabled": False, "description": "call ann",
    }  # fmt: skip
    rule = build_rule(given, "a", None)
    assert rule.filters == {"model": "gpt-4o", "is_stream": "true"}
    assert rule.group_by == "any_model"
    assert build_rule(written_fields(rule), "a", None) == rule


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"measure": None}, "measure", "Allowed: mean_score"),
        ({"measure": "errors"}, "measure", "must be one of mean_score"),
        ({"above": None}, "above", "usually above"),
        ({"below": 0.1}, "below", "exclude each other"),
        ({"above": 5}, "above", "from 0 to 1 for error_rate"),
        ({"above": True}, "above", "must be a number"),
        ({"above": float("nan")}, "above", "must be a number"),
        ({"name": " "}, "name", "1 to 128"),
        ({"name": "events"}, "name", "'events' could not be read at /api/v1/alerts/NAME"),
        ({"name": "a/"}, "name", "could not be read"),
        ({"window": "1m"}, "window", "from 5m to 31d; got 1m"),
        ({"window": "soon"}, "window", "must be a duration such as 30s"),
        ({"settle": "8d"}, "settle", "from 0s to 7d"),
        ({"min_count": 1.5}, "min_count", "whole number"),
        ({"group_by": "user"}, "group_by", "users and sessions are no groups"),
        ({"group_by": "metadata."}, "group_by", "metadata.KEY"),
        ({"where": {"colour": "red"}}, "where.colour", "is not a filter of requests"),
        ({"where": {"status": "bad"}}, "where.status", "must be a status such as 200"),
        ({"where": {"from": "7d"}}, "where.from", "watch a window"),
        ({"where": "model=x"}, "where", "filters by their names"),
        ({"measure": "cost", "test": "sequential"}, "test", "must be none for cost"),
        ({"measure": "orphaned_feedback", "where": {"model": "x"}}, "where", "has no request yet"),
        ({"colour": "red"}, "colour", "is not a field of an alert"),
        ({"enabled": "yes"}, "enabled", "true or false"),
    ],
)
def test_bad_fields_are_named(change: Mapping[str, object], field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        build_rule({**ERRORS, **change}, "a", None)
    assert error.value.field == field


def test_rules_of_the_file_have_their_place_in_errors() -> None:
    [rule] = rules_of_file([(ERRORS, "north")])
    assert (rule.alert_id, rule.is_from_file, rule.tenant) == ("file-errors", True, "north")
    with pytest.raises(BadInput, match="given twice") as error:
        rules_of_file([(ERRORS, None), (ERRORS, None)])
    assert error.value.field == "alerts.1.name"
    with pytest.raises(BadInput) as error:
        rules_of_file([(ERRORS, None), ({**ERRORS, "window": "x"}, None)])
    assert error.value.field == "alerts.1.window"
