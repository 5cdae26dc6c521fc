"""What the log says of things that are sent: that they stop or begin to arrive, and how many were lost."""

from __future__ import annotations

import threading

import orjson
import pytest
import structlog.testing

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.request import Facts
from gateway.telemetry.attributes import MAX_MESSAGE_CHARACTERS, message_attributes
from gateway.telemetry.otlp import OtlpReporter
from gateway.telemetry.reporter import DeliveryLog
from tests.telemetry.collector import collecting


def exchange(number: int = 0, body: bytes = b"{}") -> Exchange:
    return Exchange(
        identity=Identity(request_id=f"request-{number}", trace_id=f"trace-{number}"),
        provider="p",
        endpoint="chat.completions",
        method="POST",
        path="/v1/chat/completions",
        started_at_us=0,
        ended_at_us=1,
        status=200,
        outcome=Outcome.COMPLETE,
        request_body=body,
    )


def test_an_outage_is_two_lines_however_many_fail() -> None:
    delivery = DeliveryLog("spans", "http://collector.test")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            for _ in range(5):
                delivery.failed("refused", lost=2)
            delivery.succeeded()
            delivery.succeeded()
    assert [line["event"] for line in lines] == ["cannot send spans", "sending spans again"] * 3
    assert [line["lost"] for line in lines[1::2]] == [10, 10, 10]


def test_what_is_dropped_while_other_things_arrive_is_said_once_and_counted() -> None:
    delivery = DeliveryLog("spans", "http://collector.test")
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            delivery.dropped("no room")
            delivery.succeeded()
        delivery.close()
    assert [line["event"] for line in lines] == ["dropping some spans", "lost spans"]
    assert lines[1]["lost"] == 5


def test_spans_for_which_the_sdk_has_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MAX_QUEUE_SIZE": "2",
        "MAX_EXPORT_BATCH_SIZE": "2",
        "SCHEDULE_DELAY": "60000",
    }.items():
        monkeypatch.setenv(f"OTEL_BSP_{name}", value)
    release = threading.Event()
    with collecting() as collector, structlog.testing.capture_logs() as lines:
        collector.refuse = lambda method, target: None if release.wait(20) else (500, "")
        reporter = OtlpReporter(collector.url, {}, "gateway")
        for number in range(20):
            reporter.observe(exchange(number), Facts())
        release.set()
        reporter.close()
    assert [line["event"] for line in lines] == ["dropping some spans", "lost spans"]
    assert lines[1]["lost"] == 20 - len(collector.spans) > 0


def test_a_collector_that_cannot_be_reached_is_one_line_and_the_sum(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    with structlog.testing.capture_logs() as lines:
        reporter = OtlpReporter("http://127.0.0.1:1", {}, "gateway")
        for number in range(6):
            reporter.observe(exchange(number), Facts())
        reporter.close()
    assert [line["event"] for line in lines] == ["cannot send spans", "lost spans"]
    assert lines[1]["lost"] == 6
    assert not caplog.records


def test_messages_that_are_too_many_are_told_from_the_end() -> None:
    texts = [str(number) * 10_000 for number in range(9)]
    body = orjson.dumps({"messages": [{"role": "user", "content": text} for text in texts]})
    told = str(message_attributes(exchange(body=body))["gen_ai.input.messages"])
    assert len(told) <= MAX_MESSAGE_CHARACTERS + 100
    assert texts[-1] in told
    assert texts[0] not in told
