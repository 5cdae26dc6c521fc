"""The Python examples do what they say, and the gateway has it all."""

from __future__ import annotations

import sys

from tests.demo_gateway import KEY_NAME, read_request, read_trace
from tests.examples.running import run_example, told
from tests.gateway_process import RunningGateway


def test_a_chat_with_openais_sdk_is_logged_and_its_feedback_joined(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "01_openai_chat.py")
    assert "What is a gateway?" in told(output, "answer")

    trace = read_trace(demo, told(output, "trace"))
    [request], [entry] = trace["requests"], trace["feedback"]
    assert (request["endpoint"], request["status"], request["key_name"]) == (
        "chat.completions",
        200,
        KEY_NAME,
    )
    assert request["completion_tokens"] > 0
    assert entry["feedback_id"] == told(output, "feedback")
    assert (entry["value"], entry["score"], entry["author"]) == (10, 1, "ann")
    assert entry["joined_at"] is not None


def test_a_stream_with_openais_sdk_is_found_by_the_id_in_its_chunks(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "02_openai_stream.py")
    assert "Count to three, slowly." in output

    request = read_request(demo, told(output, "request"))
    tokens = f"{request['prompt_tokens']} in, {request['completion_tokens']} out"
    assert told(output, "tokens") == tokens
    assert request["is_stream"]
    [entry] = request["feedback"]
    assert entry["feedback_id"] == told(output, "feedback")
    assert (entry["value"], entry["target"], entry["request_id"]) == (-3, "request", request["request_id"])


def test_a_message_with_anthropics_sdk_is_found_by_the_id_in_its_headers(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "03_anthropic_messages.py")
    assert "What is a gateway?" in told(output, "answer")

    request = read_request(demo, told(output, "request"))
    assert (request["endpoint"], request["path"]) == ("messages", "/demo/v1/messages")
    assert request["user"] == "ann"
    [entry] = request["feedback"]
    assert (entry["feedback_id"], entry["value"]) == (told(output, "feedback"), 7)


def test_portkeys_sdk_creates_many_entries_and_changes_one(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "04_portkey_feedback.py")

    [first, second] = (read_trace(demo, trace_id) for trace_id in told(output, "traces").split())
    [created, first_of_bulk] = first["feedback"]
    [second_of_bulk] = second["feedback"]
    assert told(output, "created") == str([created["feedback_id"]])
    assert told(output, "bulk") == str([first_of_bulk["feedback_id"], second_of_bulk["feedback_id"]])
    assert told(output, "updated") == told(output, "created")
    assert (created["value"], created["weight"], created["version"]) == (-5, 0.5, 2)
    assert [first_of_bulk["author"], second_of_bulk["author"]] == ["ben", "ben"]
    assert first["requests"][0]["user"] == "ann"


def test_the_gateways_own_client_gives_feedback_once_and_reads_the_trace(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "05_gateway_client.py")
    assert told(output, "once") == "True"
    assert "value: must be an integer from -10 to 10" in told(output, "refused")

    trace = read_trace(demo, told(output, "trace"))
    votes = [(entry["author"], entry["value"], entry["weight"]) for entry in trace["feedback"]]
    assert votes == [(None, 8, 1), ("ann", 10, 1), ("ben", -10, 0.5)]
    assert trace["feedback"][0]["version"] == 2
    assert trace["score"]["weighted_mean"] == float(told(output, "score"))


def test_an_agents_run_is_one_trace_with_its_steps_as_spans(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "06_agent_trace.py")

    trace = read_trace(demo, told(output, "trace"), requests=3)
    steps = [(step["span_name"], step["span_id"], step["parent_span_id"]) for step in trace["requests"]]
    assert steps == [("plan", "1", None), ("search", "2", "1"), ("write", "3", "1")]
    assert {step["environment"] for step in trace["requests"]} == {"staging"}
    assert {step["metadata"]["task"] for step in trace["requests"]} == {"holiday"}
    assert [line.split(":")[0] for line in output.splitlines()[:3]] == ["plan", "  search", "  write"]
    assert trace["score"]["weighted_mean"] == float(told(output, "score")) == 0.8


def test_portkeys_sdk_tells_of_a_request_and_exports_it(demo: RunningGateway) -> None:
    output = run_example(demo, sys.executable, "07_portkey_logs.py")
    assert told(output, "export") == "success"
    assert told(output, "row") == "gpt-4o 13 0.00475 cents"
    assert told(output, "answer") == "Blue."

    trace = read_trace(demo, told(output, "trace"))
    [request], [entry] = trace["requests"], trace["feedback"]
    assert (request["request_id"], request["provider"]) == (told(output, "told"), "openai")
    assert (request["user"], request["latency_ms"], entry["value"]) == ("ann", 850, 8)
