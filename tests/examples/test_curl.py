"""The shell examples do what they say."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.demo_gateway import read_trace
from tests.examples.running import run_example
from tests.gateway_process import RunningGateway

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def test_a_chat_shows_its_trace_id_and_is_logged_under_it(demo: RunningGateway) -> None:
    output = run_example(demo, "curl/chat.sh", "shell-chat")
    assert "x-portkey-trace-id: shell-chat" in output
    [request] = read_trace(demo, "shell-chat")["requests"]
    assert f"helicone-id: {request['request_id']}" in output
    assert request["user"] == "ann"


def test_a_stream_ends_with_its_usage_and_is_logged_as_a_stream(demo: RunningGateway) -> None:
    output = run_example(demo, "curl/stream.sh", "shell-stream")
    *_, last, done = output.split("\n\n")[:-1]
    assert done == "data: [DONE]"
    usage = json.loads(last.removeprefix("data: "))["usage"]
    [request] = read_trace(demo, "shell-stream")["requests"]
    assert request["is_stream"]
    assert request["completion_tokens"] == usage["completion_tokens"]


def test_feedback_is_given_singly_and_in_bulk_and_changed(demo: RunningGateway) -> None:
    for name in ("shell-a", "shell-b"):
        run_example(demo, "curl/chat.sh", name)
    [single] = json.loads(run_example(demo, "curl/feedback.sh", "shell-a", "5"))["feedback_ids"]
    bulk = json.loads(run_example(demo, "curl/bulk.sh", "shell-a", "shell-b"))["feedback_ids"]
    assert json.loads(run_example(demo, "curl/update.sh", single, "-5"))["feedback_ids"] == [single]

    shown = json.loads(run_example(demo, "curl/read_trace.sh", "shell-a"))
    assert [entry["feedback_id"] for entry in shown["feedback"]] == [single, bulk[0]]
    assert [entry["value"] for entry in shown["feedback"]] == [-5, 10]
    [entry] = read_trace(demo, "shell-b")["feedback"]
    assert (entry["feedback_id"], entry["value"]) == (bulk[1], -10)
