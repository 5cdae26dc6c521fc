"""The examples for Node do what they say, with the SDKs that their lock file pins."""

from __future__ import annotations

import json
import shutil

import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.examples.running import EXAMPLES, run_example, told
from tests.gateway_process import RunningGateway

NODE = EXAMPLES / "node"

with_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
with_sdks = pytest.mark.skipif(
    not (NODE / "node_modules").is_dir(), reason="run `npm ci` in examples/node to install the SDKs"
)


@with_node
@with_sdks
def test_openais_sdk_chats_and_streams_through_the_gateway(demo: RunningGateway) -> None:
    output = run_example(demo, "node", "node/openai_chat.mjs")
    assert "What is a gateway?" in told(output, "answer")
    assert "And what is a proxy?" in told(output, "streamed")

    trace = read_trace(demo, told(output, "trace"), requests=2)
    plain, streamed = trace["requests"]
    assert [plain["is_stream"], streamed["is_stream"]] == [False, True]
    assert streamed["prompt_tokens"] + streamed["completion_tokens"] == int(told(output, "tokens"))
    [entry] = trace["feedback"]
    assert (entry["feedback_id"], entry["score"]) == (told(output, "feedback"), 1)


@with_node
@with_sdks
def test_portkeys_sdk_creates_entries_and_changes_one(demo: RunningGateway) -> None:
    output = run_example(demo, "node", "node/portkey_feedback.mjs")

    [first, second] = (read_trace(demo, trace_id) for trace_id in told(output, "traces").split())
    [created, first_of_bulk] = first["feedback"]
    [second_of_bulk] = second["feedback"]
    assert created["feedback_id"] == told(output, "created") == told(output, "updated")
    assert (created["value"], created["weight"], created["version"]) == (-5, 0.5, 2)
    assert told(output, "bulk").split() == [first_of_bulk["feedback_id"], second_of_bulk["feedback_id"]]
    assert first["requests"][0]["user"] == "ann"


@with_node
@with_sdks
def test_portkeys_sdk_tells_of_a_request_and_exports_it(demo: RunningGateway) -> None:
    output = run_example(demo, "node", "node/portkey_logs.mjs")
    assert (told(output, "total"), told(output, "export"), told(output, "listed")) == (
        "1",
        "success one trace",
        "true",
    )

    [request] = read_trace(demo, told(output, "trace"))["requests"]
    assert request["request_id"] == told(output, "told")
    assert (request["user"], request["latency_ms"], request["model"]) == ("ann", 850, "gpt-4o")
    assert told(output, "row") == f"{request['request_id']} 13 Name a colour."


def test_the_lock_file_pins_what_is_asked_for_and_names_no_registry() -> None:
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    locked = json.loads((NODE / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert not [name for name, package in locked.items() if "resolved" in package]
    assert all("integrity" in package for name, package in locked.items() if name)


@with_node
def test_the_quality_monitor_of_the_page_tells_of_a_fifth_that_is_disliked(demo: RunningGateway) -> None:
    for number in range(4):
        body = {"model": "demo-chat", "messages": [{"role": "user", "content": f"Question {number}"}]}
        headers = {"Authorization": f"Bearer {GATEWAY_KEY}", "Helicone-Request-Id": f"monitored-{number}"}
        httpx.post(f"{demo.url}/v1/chat/completions", json=body, headers=headers).raise_for_status()
        vote = {"rating": False}
        given = httpx.post(f"{demo.url}/v1/request/monitored-{number}/feedback", json=vote, headers=headers)
        given.raise_for_status()
    output = run_example(demo, "node", "node/quality_monitor.mjs")
    assert int(told(output, "watched").split()[0]) >= 4
    # Others' requests of this gateway are counted too.
    total = int(told(output, "watched").split()[0])
    disliked = httpx.post(
        f"{demo.url}/v1/request/query",
        json={"filter": {"feedback": {"rating": {"equals": False}}}, "limit": 100},
        headers={"Authorization": f"Bearer {GATEWAY_KEY}"},
    ).json()["data"]
    expected = ["alert High negative feedback rate detected!"] if len(disliked) / total > 0.2 else []
    assert [line for line in output.splitlines() if line.startswith("alert")] == expected
