"""What a real gateway tells a collector: spans of requests, events of feedback, and no word of either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.telemetry.attributes import otel_span_id, otel_trace_id
from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.telemetry.collector import Collector, collecting

SECRET = "c4n4ry-in-a-prompt"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HASTE = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BLRP_SCHEDULE_DELAY": "20"}
"""Milliseconds from a span or an event to its batch."""

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": SECRET}]}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def config(collector: Collector) -> dict[str, Any]:
    return {
        "providers": {"gone": {"base_url": "http://127.0.0.1:1/v1"}},
        "prices": {"gpt-4o-mini": {"input": 1_000_000, "output": 0}},
        "telemetry": {
            "otlp_endpoint": collector.url,
            "service_name": "llm",
            "headers": {"x-key": "k"},
        },
    }


@pytest.fixture
def gateway(start_gateway: StartGateway, collector: Collector) -> RunningGateway:
    return start_gateway(config(collector), arguments=("--demo",))


def chat(gateway: RunningGateway, **headers: str) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=30)


def test_a_request_is_a_span_in_its_caller_s_trace(gateway: RunningGateway, collector: Collector) -> None:
    answer = chat(
        gateway,
        traceparent=PARENT,
        **{"x-portkey-metadata": '{"_user": "ann", "_session": "s", "_prompt": "p@2"}'},
    )
    gateway.stop()
    [span] = collector.spans
    usage = answer.json()["usage"]
    assert collector.services == {"llm"}
    assert all(headers["x-key"] == "k" for headers in collector.headers)
    assert span["name"] == "chat gpt-4o-mini"
    assert (span["trace"], span["parent"]) == (PARENT[3:35], PARENT[36:52])
    assert span["span"] == f"{otel_span_id(int(PARENT[3:35], 16), answer.headers['helicone-id']):016x}"
    assert 0 < span["end_ns"] - span["start_ns"] < 30e9
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "demo",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.id": answer.json()["id"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.conversation.id": "s",
        "session.id": "s",
        "user.id": "ann",
        "enduser.id": "ann",
        "gen_ai.prompt.name": "p",
        "gen_ai.prompt.version": "2",
        "http.response.status_code": 200,
        "gateway.outcome": "complete",
        "gateway.cost_usd": float(usage["prompt_tokens"]),
        "mlflow.llm.cost": f'{{"total_cost":{float(usage["prompt_tokens"])}}}',
        "gateway.prompt": "p@2",
        "gateway.request_id": answer.headers["helicone-id"],
    }
    assert told.items() <= span.items()
    assert "error.type" not in span


def test_a_stated_version_of_a_prompt_goes_before_that_in_its_name(
    gateway: RunningGateway, collector: Collector
) -> None:
    chat(gateway, **{"x-portkey-metadata": '{"_prompt": "p@2", "_prompt_version": "seven"}'})
    gateway.stop()
    [span] = collector.spans
    assert (span["gen_ai.prompt.name"], span["gen_ai.prompt.version"]) == ("p", "seven")


def test_spans_of_a_run_hang_together_whatever_their_ids_look_like(
    gateway: RunningGateway, collector: Collector
) -> None:
    chat(gateway, **{"x-portkey-trace-id": "run 1", "x-portkey-span-id": "plan"})
    chat(
        gateway,
        **{"x-portkey-trace-id": "run 1", "x-portkey-span-id": "act", "x-portkey-parent-span-id": "plan"},
    )
    gateway.stop()
    plan, act = sorted(collector.spans, key=lambda span: span["start_ns"])
    assert plan["trace"] == act["trace"] == f"{otel_trace_id('run 1'):032x}"
    assert act["parent"] == plan["span"]


def test_what_went_wrong_is_an_error(gateway: RunningGateway, collector: Collector) -> None:
    assert chat(gateway, **{"x-portkey-provider": "gone"}).status_code == 502
    gateway.stop()
    [span] = collector.spans
    assert (span["status"], span["error.type"], span["http.response.status_code"]) == (
        2,
        "upstream_error",
        502,
    )
    assert span["message"]


def test_each_version_of_feedback_is_an_evaluation(gateway: RunningGateway, collector: Collector) -> None:
    answer = chat(gateway)
    trace, request_id = answer.headers["x-portkey-trace-id"], answer.headers["helicone-id"]
    vote = {"trace_id": trace, "value": 5, "weight": 0.5, "metadata": {"note": SECRET}}
    given = httpx.post(f"{gateway.url}/v1/feedback", json=vote).json()["feedback_ids"][0]
    httpx.put(f"{gateway.url}/v1/feedback/{given}", json={"value": -5}).raise_for_status()
    eventually(
        lambda: (
            httpx.post(f"{gateway.url}/v1/request/{request_id}/feedback", json={"rating": True}).is_success
        )
    )
    gateway.stop()
    good, bad, thumb = collector.events
    assert {event["name"] for event in collector.events} == {"gen_ai.evaluation.result"}
    assert {event["trace"] for event in collector.events} == {f"{otel_trace_id(trace):032x}"}
    assert (good["gen_ai.evaluation.name"], good["gen_ai.evaluation.score.value"]) == ("rating", 0.5)
    assert (good["gen_ai.evaluation.score.label"], good["gateway.feedback.weight"]) == ("positive", 0.5)
    assert (bad["gateway.feedback_id"], bad["gateway.feedback.version"]) == (given, 2)
    assert bad["gen_ai.evaluation.score.label"] == "negative"
    assert thumb["span"] == collector.spans[0]["span"]
    assert (thumb["gateway.feedback.dialect"], thumb["gen_ai.evaluation.score.value"]) == ("helicone", 1.0)


def test_no_prompt_answer_or_comment_is_told(gateway: RunningGateway, collector: Collector) -> None:
    answer = chat(gateway)
    vote = {"trace_id": answer.headers["x-portkey-trace-id"], "value": 1, "metadata": {"note": SECRET}}
    httpx.post(f"{gateway.url}/v1/feedback", json=vote).raise_for_status()
    gateway.stop()
    assert (len(collector.spans), len(collector.events)) == (1, 1)
    assert SECRET.encode() not in collector.raw


def test_a_collector_that_takes_no_events_is_one_line_of_the_log(
    start_gateway: StartGateway, collector: Collector
) -> None:
    collector.refuse = lambda method, target: (405, "") if target == "/v1/logs" else None
    gateway = start_gateway(config(collector), arguments=("--demo",), environment=HASTE)
    trace = chat(gateway).headers["x-portkey-trace-id"]
    for value in range(3):
        attempts = len(collector.attempts)
        httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": trace, "value": value}).raise_for_status()
        eventually(lambda: "/v1/logs" in collector.attempts[attempts:])  # noqa: B023
    gateway.stop()
    lines = telemetry_lines(gateway)
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "cannot send feedback events"),
        ("warning", "lost feedback events"),
    ]
    assert "405" in lines[0]["reason"]
    assert lines[1]["lost"] == 3


def test_a_collector_that_is_away_holds_up_nobody_and_is_told_of_twice(
    start_gateway: StartGateway, collector: Collector
) -> None:
    collector.refuse = lambda method, target: (400, "") if target == "/v1/traces" else None
    gateway = start_gateway(config(collector), arguments=("--demo",), environment=HASTE)
    for _ in range(5):
        attempts = len(collector.attempts)
        assert chat(gateway).status_code == 200
        eventually(lambda: "/v1/traces" in collector.attempts[attempts:])  # noqa: B023
    collector.refuse = lambda method, target: None
    assert chat(gateway).status_code == 200
    assert gateway.stop() == 0
    lines = telemetry_lines(gateway)
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "cannot send spans"),
        ("info", "sending spans again"),
    ]
    assert lines[1]["lost"] == 5


def test_messages_are_told_only_if_asked_for_and_of_what_is_kept_whole(
    start_gateway: StartGateway, collector: Collector
) -> None:
    providers = {
        name: {"base_url": "http://127.0.0.1:1/v1", "payloads": name} for name in ("full", "redacted", "off")
    }
    telemetry = {**config(collector)["telemetry"], "payloads": True}
    gateway = start_gateway({"providers": providers, "telemetry": telemetry}, arguments=("--demo",))
    for headers in ({"x-portkey-provider": "redacted"}, {"x-portkey-provider": "off"}):
        chat(gateway, **headers)
    for side in ("request", "response"):
        chat(gateway, **{f"helicone-omit-{side}": "true"})
    answer = chat(gateway)
    gateway.stop()
    told = [span for span in collector.spans if "gen_ai.input.messages" in span]
    assert len(collector.spans) == 5
    [span] = told
    assert span["gateway.request_id"] == answer.headers["helicone-id"]
    assert json.loads(span["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    ]
    [said] = json.loads(span["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == answer.json()["choices"][0]["message"]["content"]
    collector.spans.remove(span)
    assert SECRET not in str(collector.spans)


def telemetry_lines(gateway: RunningGateway) -> list[dict[str, Any]]:
    """What the log says of telemetry; all that the SDK says included."""
    lines = [json.loads(line) for line in gateway.log().splitlines()]
    return [
        line for line in lines if line["logger"].startswith(("gateway.telemetry", "opentelemetry", "urllib3"))
    ]


def test_where_the_packages_are_not_installed_that_is_said(collector: Collector, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "opentelemetry.py").write_text("raise ImportError('hidden')")
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"providers: {{a: {{base_url: http://a.test}}}}\ntelemetry: {{otlp_endpoint: {collector.url}}}\n"
    )
    refused = run_gateway("serve", "-c", str(file), cwd=tmp_path, environment={"PYTHONPATH": str(hidden)})
    assert refused.returncode == 2
    assert "pip install 'feedback-gateway[otel]'" in refused.stderr
