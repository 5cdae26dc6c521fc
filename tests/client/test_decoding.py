from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from gateway.api.native.feedback import FeedbackListParams, FeedbackWithTexts
from gateway.api.native.requests import RequestListParams
from gateway.api.native.reviews import AgreementReply, ModelsShape, PairShape, PeopleShape
from gateway.api.native.schemas import (
    AppendedFeedback,
    LoggedRequestReply,
    LoggedRow,
    ReviewShape,
    ScoreShape,
    TraceReply,
)
from gateway.client import (
    Agreement,
    Feedback,
    FeedbackFilters,
    GatewayClient,
    LoggedRequest,
    RequestDetail,
    RequestFilters,
    Review,
    Score,
    Trace,
    UnexpectedReply,
    models,
)
from gateway.client.transport import decode
from tests.client.scripted_server import Reply, ScriptedServer

ROW = {
    "request_id": "r", "trace_id": "t", "provider": "p", "endpoint": "other", "method": "GET", "path": "/",
    "started_at": "2026-01-31T09:30:00.000001Z", "ended_at": "2026-01-31T09:30:01Z", "outcome": "complete",
    "latency_ms": 1,
}  # fmt: skip
TRACE = {
    "trace_id": "t",
    "requests": [ROW],
    "feedback": [],
    "score": {"count": 0, "weighted_sum": 0, "total_weight": 0, "weighted_mean": None},
}


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (LoggedRequest, LoggedRow),
        (RequestDetail, LoggedRequestReply),
        (Feedback, AppendedFeedback),
        (Score, ScoreShape),
        (Trace, TraceReply),
        (Review, ReviewShape),
        (Agreement, AgreementReply),
        (models.PeopleAgreement, PeopleShape),
        (models.ModelAgreement, ModelsShape),
        (models.PairAgreement, PairShape),
    ],
)
def test_models_have_the_fields_that_the_gateway_sends(model: type, shape: type) -> None:
    assert {field.name for field in fields(model)} == set(shape.model_fields)  # type: ignore[attr-defined]


def test_every_filter_of_requests_can_be_asked_for() -> None:
    renamed = {"since": "from", "until": "to", "metadata": "metadata.KEY"}
    asked = {renamed.get(name, name) for name in RequestFilters.__annotations__}
    others = {"limit", "cursor", "format", "judged", "feedback.metadata.KEY"}
    assert asked == set(RequestListParams.names()) - others


def test_every_filter_of_feedback_can_be_asked_for_and_its_texts_are_read() -> None:
    renamed = {"since": "from", "until": "to", "metadata": "metadata.KEY"}
    asked = {renamed.get(name, name) for name in FeedbackFilters.__annotations__}
    others = {"limit", "cursor", "format", "texts", "feedback.metadata.KEY"}
    assert asked == set(FeedbackListParams.names()) - others
    # What else a list has, such as `via`, is read where requests have it.
    names = {field.name for field in fields(models.ListedFeedback)}
    assert names - {"via"} == set(FeedbackWithTexts.model_fields)


def test_times_become_datetimes() -> None:
    assert decode(LoggedRequest, ROW).started_at == datetime(2026, 1, 31, 9, 30, 0, 1, tzinfo=UTC)


def test_unknown_fields_are_left_out_at_every_depth() -> None:
    newer = {**TRACE, "colour": "red", "requests": [{**ROW, "colour": "red"}]}
    assert decode(Trace, newer) == decode(Trace, TRACE)


@pytest.mark.parametrize(
    "data",
    [
        {"trace_id": "t"},
        {**TRACE, "requests": 1},
        {**TRACE, "requests": [{**ROW, "started_at": "yesterday"}]},
        {**TRACE, "requests": [1]},
        [],
        None,
    ],
)
def test_a_reply_that_is_not_what_it_should_be_is_unexpected(data: object) -> None:
    with pytest.raises(UnexpectedReply):
        decode(Trace, data)


@pytest.mark.parametrize("body", ["<html>It works!</html>", {"status": "success"}, []])
def test_a_server_that_is_no_gateway_is_unexpected(body: object) -> None:
    with ScriptedServer(Reply(200, body)) as server, GatewayClient(server.url) as client:
        with pytest.raises(UnexpectedReply):
            client.feedback.create(trace_id="t", value=1)
        with pytest.raises(UnexpectedReply):
            next(client.requests.find())
