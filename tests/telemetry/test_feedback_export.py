"""Feedback at Phoenix and MLflow: what a real gateway tells them, and how often it tries."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog.testing

from gateway.models.feedback import Feedback
from gateway.telemetry import feedback_export
from gateway.telemetry.attributes import otel_span_id, otel_trace_id
from gateway.telemetry.feedback_export import (
    Annotation,
    AnnotationLookup,
    FeedbackExport,
    Receiver,
    build_annotation,
)
from gateway.telemetry.receivers import MLflow, Phoenix
from gateway.telemetry.reporter import DeliveryLog
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, rows, wait_until_interpreted
from tests.telemetry.collector import Collector, collecting

WORDS = "c4n4ry-in-a-comment"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
NO_SPAN = (404, "Spans with IDs 0 do not exist.")
NO_TRACE = (404, '{"error_code": "RESOURCE_DOES_NOT_EXIST"}')


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def phoenix() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def mlflow() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def gateway(phoenix: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Phoenix is told of feedback, and of what was said only where it is kept whole."""
    config = {
        "providers": {
            name: {"base_url": "http://127.0.0.1:1", "payloads": name} for name in ("off", "redacted")
        },
        "telemetry": {
            "otlp_endpoint": phoenix.url,
            "headers": {"x-key": "k"},
            "payloads": True,
            "feedback": {"to": "phoenix", "headers": {"x-other": "o"}, "project": "llm"},
        },
    }
    folder = tmp_path_factory.mktemp("phoenix")
    with RunningGateway(folder, config, arguments=("--demo",)) as running:
        yield running


@pytest.fixture(scope="module")
def quiet_gateway(mlflow: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """MLflow is told of feedback, and of no word."""
    config = {"telemetry": {"feedback": {"to": "mlflow", "url": mlflow.url}}}
    with RunningGateway(tmp_path_factory.mktemp("mlflow"), config, arguments=("--demo",)) as running:
        yield running


def chat(gateway: RunningGateway, **headers: str) -> httpx.Response:
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=30)
    eventually(lambda: rows(gateway.database, answer.headers["x-portkey-trace-id"]))
    return answer


def give(gateway: RunningGateway, subject: str, **feedback: Any) -> str:
    """Give feedback with a comment, and return its id."""
    given = httpx.post(
        f"{gateway.url}/api/feedback",
        json={"trace_id": subject, "feedback": {"comment": WORDS, **feedback}},
    ).raise_for_status()
    found = re.search(r"[0-9a-f-]{36}", given.text)
    assert found
    return found[0]


def told(collector: Collector, feedback_id: str, calls: int = 1) -> list[Any]:
    """What was told of an entry, once there were so many calls."""

    def find() -> list[Any]:
        found = [call for call in list(collector.calls) if feedback_id in f"{call}"]
        return found if len(found) >= calls else []

    return eventually(find)


def test_feedback_on_a_request_annotates_its_span(gateway: RunningGateway, phoenix: Collector) -> None:
    answer = chat(gateway, **{"x-portkey-span-id": "plan"})
    request_id, trace = answer.headers["helicone-id"], answer.headers["x-portkey-trace-id"]
    httpx.post(f"{gateway.url}/v1/request/{request_id}/feedback", json={"rating": False}).raise_for_status()
    [(method, target, body)] = eventually(lambda: [call for call in phoenix.calls if request_id in f"{call}"])
    assert (method, target) == ("POST", "/v1/span_annotations?sync=true")
    [annotation] = body["data"]
    assert annotation["span_id"] == f"{otel_span_id(otel_trace_id(trace), 'plan'):016x}"
    assert annotation["result"] == {"label": "negative", "score": -1.0, "explanation": None}
    assert (annotation["name"], annotation["annotator_kind"]) == ("rating", "HUMAN")
    assert annotation["metadata"]["gateway.feedback.dialect"] == "helicone"
    assert {"x-key": "k", "x-other": "o"}.items() <= phoenix.headers[-1].items()


def test_an_edit_takes_the_place_of_what_was_said_and_a_withdrawal_removes_it(
    gateway: RunningGateway, phoenix: Collector
) -> None:
    trace = chat(gateway).headers["x-portkey-trace-id"]
    vote = {"trace_id": trace, "value": 5, "weight": 0.5}
    given = httpx.post(f"{gateway.url}/v1/feedback", json=vote).json()["feedback_ids"][0]
    told(phoenix, given)
    httpx.put(f"{gateway.url}/v1/feedback/{given}", json={"value": -5}).raise_for_status()
    told(phoenix, given, calls=2)
    httpx.delete(f"{gateway.url}/api/v1/feedback/{given}").raise_for_status()
    first, second, third = told(phoenix, given, calls=3)
    assert first[1] == second[1] == "/v1/trace_annotations?sync=true"
    [[good], [bad]] = first[2]["data"], second[2]["data"]
    assert good["identifier"] == bad["identifier"] == given
    assert good["trace_id"] == bad["trace_id"] == f"{otel_trace_id(trace):032x}"
    assert (good["result"]["score"], bad["result"]["score"]) == (0.5, -0.5)
    assert good["metadata"]["gateway.feedback.weight"] == 0.5
    assert third[:2] == (
        "DELETE",
        f"/v1/projects/llm/trace_annotations?identifier={given}&delete_all=true",
    )


def test_who_takes_feedback_by_its_own_api_is_sent_no_events(
    gateway: RunningGateway, phoenix: Collector
) -> None:
    trace = chat(gateway).headers["x-portkey-trace-id"]
    told(phoenix, give(gateway, trace, rating=5))
    assert phoenix.events == []


def test_a_comment_leaves_with_a_request_that_is_kept_whole(
    gateway: RunningGateway, phoenix: Collector
) -> None:
    trace = chat(gateway).headers["x-portkey-trace-id"]
    [(_, _, body)] = told(phoenix, give(gateway, trace, rating=5))
    assert body["data"][0]["result"]["explanation"] == WORDS


@pytest.mark.parametrize(
    "headers",
    [
        {"x-portkey-provider": "redacted"},
        {"x-portkey-provider": "off"},
        {"helicone-omit-request": "true"},
        {"helicone-omit-response": "true"},
    ],
)
def test_no_comment_leaves_with_any_other_request(
    gateway: RunningGateway, phoenix: Collector, headers: dict[str, str]
) -> None:
    trace = chat(gateway, **headers).headers["x-portkey-trace-id"]
    chat(gateway, **{"x-portkey-trace-id": trace})
    [(_, _, body)] = told(phoenix, give(gateway, trace, rating=5))
    assert body["data"][0]["result"]["explanation"] is None
    assert WORDS not in f"{body}"


def test_feedback_that_came_first_waits_for_its_request(gateway: RunningGateway, phoenix: Collector) -> None:
    phoenix.refuse = lambda method, target: NO_SPAN if "annotations" in target else None
    wait = {"rating": True}
    request_id = "0197f9a0-0000-7000-8000-00000000f00d"
    httpx.post(f"{gateway.url}/v1/request/chat-{request_id}/feedback", json=wait).raise_for_status()
    phoenix.refuse = lambda method, target: None
    trace = chat(gateway, **{"helicone-request-id": f"chat-{request_id}"}).headers["x-portkey-trace-id"]
    [(_, target, body)] = eventually(
        lambda: [call for call in phoenix.calls if f"chat-{request_id}" in f"{call}"]
    )
    assert target.startswith("/v1/span_annotations")
    assert body["data"][0]["metadata"]["gateway.trace_id"] == trace


def test_an_assessment_is_made_once_and_changed_and_deleted(
    quiet_gateway: RunningGateway, mlflow: Collector
) -> None:
    trace = chat(quiet_gateway).headers["x-portkey-trace-id"]
    wait_until_interpreted(quiet_gateway.database)
    given = give(quiet_gateway, trace, rating=5)
    told(mlflow, given)
    httpx.patch(
        f"{quiet_gateway.url}/api/feedback/{given}", json={"feedback": {"rating": 1}}
    ).raise_for_status()
    eventually(lambda: [call for call in mlflow.calls if call[0] == "PATCH"])
    [assessment] = mlflow.assessments.values()
    assert assessment["trace_id"] == f"tr-{otel_trace_id(trace):032x}"
    assert assessment["feedback"] == {"value": -1.0}
    assert assessment["source"] == {"source_type": "HUMAN", "source_id": "gateway"}
    assert assessment["metadata"]["gateway.feedback.version"] == "2"
    assert assessment["rationale"] == ""
    assert WORDS.encode() not in mlflow.raw
    httpx.delete(f"{quiet_gateway.url}/api/feedback/{given}").raise_for_status()
    eventually(lambda: not mlflow.assessments)


class Judging(AnnotationLookup):
    """Finds each entry to judge a trace of its own."""

    def __init__(self) -> None:
        """Have no store."""

    async def find(self, entry: Feedback) -> tuple[Annotation, bool]:
        return build_annotation(
            entry, entry.subject_id, None, has_text=False
        ), entry.deleted_at_us is not None


def entry_of(number: int, version: int = 1) -> Feedback:
    return Feedback(
        feedback_id=f"entry-{number}",
        version=version,
        subject_id=f"trace-{number}",
        value=1.0,
        score=1.0,
        dialect="native",
        raw="{}",
        created_at_us=1,
        updated_at_us=1,
    )


def export_to(receiver: Receiver, url: str) -> FeedbackExport:
    """Return an export in this process, not started."""
    return FeedbackExport(receiver, Judging(), DeliveryLog("feedback", url))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no long pauses."""
    monkeypatch.setattr(feedback_export, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(feedback_export, "_pause", lambda attempts: 0.01)


@pytest.mark.parametrize(
    "answers", [[NO_TRACE] * 3, [(503, ""), (429, ""), (500, "")], [(404, "Not Found")], [(200, "<p>")]]
)
async def test_what_is_not_taken_is_sent_again_until_it_is(
    hasty: None, collector: Collector, answers: list[tuple[int, str]]
) -> None:
    collector.refuse = lambda method, target: answers.pop() if answers else None
    with structlog.testing.capture_logs() as lines:
        export = export_to(MLflow(collector.url, {}), collector.url)
        export.start()
        export.observe([entry_of(1)])
        await _until(lambda: collector.assessments)
        export.observe([entry_of(1, version=2)])
        await _until(lambda: any(call[0] == "PATCH" for call in collector.calls))
        await export.close()
    assert len(collector.assessments) == 1
    said = [(line["log_level"], line["event"]) for line in lines]
    outage = [("warning", "cannot send feedback"), ("info", "sending feedback again")]
    assert said in ([], outage)


async def test_what_is_refused_is_not_sent_again_and_holds_up_nothing(
    hasty: None, collector: Collector
) -> None:
    refused = iter([(422, "no such kind"), (422, "no such kind")])
    collector.refuse = lambda method, target: next(refused, None)
    with structlog.testing.capture_logs() as lines:
        export = export_to(Phoenix(collector.url, {}, "default"), collector.url)
        export.start()
        for number in range(3):
            export.observe([entry_of(number)])
        await _until(lambda: collector.calls)
        await export.close()
    assert len(collector.calls) == 1
    assert [line["event"] for line in lines] == ["dropping some feedback", "lost feedback"]
    assert lines[-1]["lost"] == 2


async def test_what_nobody_foresaw_holds_up_nothing(hasty: None, collector: Collector) -> None:
    answers = [(200, "[]")]
    collector.refuse = lambda method, target: answers.pop() if method == "GET" and answers else None
    with structlog.testing.capture_logs() as lines:
        export = export_to(MLflow(collector.url, {}), collector.url)
        export.start()
        export.observe([entry_of(1, version=2)])
        await _until(lambda: lines)
        export.observe([entry_of(2)])
        await export.close()
    assert [made["metadata"]["gateway.feedback_id"] for made in collector.assessments.values()] == ["entry-2"]
    assert [line["event"] for line in lines] == ["dropping some feedback", "lost feedback"]


async def test_a_receiver_that_is_away_holds_up_neither_feedback_nor_the_stop(
    hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_export, "MOST_WAITING", 5)
    url = "http://127.0.0.1:1"
    with structlog.testing.capture_logs() as lines:
        export = export_to(Phoenix(url, {}, "default"), url)
        export.start()
        export.observe([entry_of(number) for number in range(8)])
        await _until(lambda: len(lines) > 1)
        await export.close()
    assert [line["event"] for line in lines] == [
        "dropping some feedback",
        "cannot send feedback",
        "lost feedback",
    ]
    assert lines[-1]["lost"] == 8


async def _until(is_done: Any) -> None:
    async with asyncio.timeout(20):
        while not is_done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
