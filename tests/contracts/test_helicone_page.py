"""Helicone's page on feedback runs as it is printed. What it uses and does not define is brought by the test."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import httpx
import pytest

from tests.contracts.printed import CONFIG, DOCUMENTS, HOSTS, KEY, ask, bash, entries, node, printed, run
from tests.gateway_process import RunningGateway

OLD_ID = "018bcfe5-6800-7000-8000-000000000000"
"""A request id that tells that it was made in 2023, so that nothing of that name can still come."""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "node"))), reason="bash, curl or node is not installed"
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, CONFIG, arguments=("--demo",)) as running:
        yield running


def rating_of(gateway: RunningGateway, request_id: str) -> bool | None:
    """The rating that a request's row shows."""
    row = httpx.get(f"{gateway.url}/v1/request/{request_id}", headers={"Authorization": f"Bearer {KEY}"})
    found: bool | None = row.json()["data"]["feedback_rating"]
    return found


def test_the_last_rating_by_curl_stands_and_each_is_answered_as_the_page_shows(
    gateway: RunningGateway,
) -> None:
    ask(gateway, "req_123abc")
    done = json.loads(printed("helicone-feedback", "reply of success").code)

    for name, expected in (("positive feedback", True), ("negative feedback", False)):
        assert json.loads(bash(gateway, printed("helicone-feedback", name).code)) == done
        assert rating_of(gateway, "req_123abc") is expected

    assert entries(gateway, "value, version") == [(-1, 2)]


def test_an_unknown_request_is_answered_as_the_page_shows(gateway: RunningGateway) -> None:
    code = printed("helicone-feedback", "positive feedback").code.replace("req_123abc", OLD_ID)
    expected = json.loads(printed("helicone-feedback", "reply of an error").code)
    assert json.loads(bash(gateway, code)) == expected


def test_the_function_of_the_page_gives_feedback(gateway: RunningGateway) -> None:
    ask(gateway, "req_123abc")
    ask(gateway, "req_456def")
    wrote = node(gateway, printed("helicone-feedback", "function that gives feedback").code)
    assert wrote == "Feedback added successfully\n" * 2
    assert (rating_of(gateway, "req_123abc"), rating_of(gateway, "req_456def")) == (True, False)


@pytest.mark.parametrize(("button", "rating"), [(0, True), (1, False)])
def test_the_component_rates_once_and_shows_what_was_chosen(
    gateway: RunningGateway, button: int, rating: bool
) -> None:
    ask(gateway, "req_123abc")
    code = printed("helicone-feedback", "component of React").code
    wrote = node(gateway, _COMPONENT % (with_buttons_as_objects(code), button))
    before, during, after = json.loads(wrote)
    assert before == [{"disabled": False, "className": ""}] * 2
    assert [each["disabled"] for each in during] == [True, True]
    chosen = ["active" if each == button else "" for each in range(2)]
    assert after == [{"disabled": True, "className": name} for name in chosen]
    assert rating_of(gateway, "req_123abc") is rating


_COMPONENT = """
const state = [];
let place = 0;
const useState = (first) => {
  const own = place++;
  if (!(own in state)) state[own] = first;
  return [state[own], (value) => { state[own] = value; }];
};
%s
const render = () => { place = 0; return FeedbackButtons({ requestId: 'req_123abc' }); };
const before = render();
const done = before[%d].onClick();
const during = render();
await done;
console.log(JSON.stringify([before, during, render()]));
"""


def with_buttons_as_objects(code: str) -> str:
    """The component with its JSX as an array of what each button is given."""
    code = code.replace("import { useState } from 'react';", "")
    head, _, jsx = code.partition("  return (\n    <div")
    buttons = re.findall(r"<button\n(.*?)\n\s*>\n", jsx, re.DOTALL)
    assert len(buttons) == 2
    objects = [
        ", ".join(f"{name}: ({value})" for name, value in re.findall(r"(\w+)=\{(.*)\}$", given, re.MULTILINE))
        for given in buttons
    ]
    return f"{head}return [{', '.join(f'{{{given}}}' for given in objects)}];\n}}"


def test_the_command_line_tool_rates_by_both_words_and_tells_its_usage(gateway: RunningGateway) -> None:
    ask(gateway, "req_123abc")
    tool = gateway.folder / "feedback.sh"
    tool.write_text(printed("helicone-feedback", "command line tool").code.replace(HOSTS[1], gateway.url))
    for word, expected in (("positive", True), ("negative", False)):
        assert json.loads(run(gateway, word, "bash", str(tool), "req_123abc")) == {
            "data": None,
            "error": None,
        }
        assert rating_of(gateway, "req_123abc") is expected
    assert run(gateway, "neither", "bash", str(tool), "req_123abc", status=1).startswith("Usage: ")


_BROUGHT = """
import { writeFileSync } from 'node:fs';
const call = async (path, body, headers = {}) => (await fetch(`https://api.helicone.ai${path}`, {
  method: 'POST',
  headers: { 'Authorization': 'Bearer YOUR_API_KEY', 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify(body)
})).json();
let found;
const rows = async (body) => {
  const { data, error } = await call('/v1/request/query', body);
  if (error) throw new Error(error);
  found = data;
  return data;
};
const queryRequests = ({ promptId, ...body }) => rows(
  promptId === undefined ? body : { filter: { request: { prompt_id: { equals: promptId } } } });
const addFeedback = (id, rating) => call(`/v1/request/${id}/feedback`, { rating });
"""
"""What several blocks use and the page does not define, or defines in another block."""


def test_the_buttons_of_collected_feedback_rate_the_request(gateway: RunningGateway) -> None:
    ask(gateway, "req_123abc")
    code = printed("helicone-feedback", "collection of feedback by users").code
    wrote = node(
        gateway,
        f"""{_BROUGHT}
        let buttons;
        const displayResponse = (response) => console.log(response);
        const addFeedbackButtons = (given) => {{ buttons = given; }};
        {code}
        showResponseWithFeedback('Hello', 'req_123abc');
        await buttons.onThumbsUp();
        await buttons.onThumbsDown();
        """,
    )
    assert wrote == "Hello\n"
    assert entries(gateway, "value, version") == [(-1, 2)]


def test_variants_are_compared_by_the_ratings_of_their_prompts(gateway: RunningGateway) -> None:
    code = printed("helicone-feedback", "comparison of variants").code
    wrote = node(
        gateway,
        f"""{_BROUGHT}
        const promptA = {{ id: 'a' }}, promptB = {{ id: 'b' }};
        const verdicts = [true, false];
        const callLLM = async (prompt) => {{
          const requestId = `asked-${{prompt.id}}`;
          await call('/v1/chat/completions', {{ model: 'demo', messages: [{{ role: 'user', content: 'Hi' }}] }},
                     {{ 'Helicone-Request-Id': requestId, 'Helicone-Prompt-Id': prompt.id }});
          return {{ requestId }};
        }};
        const collectUserFeedback = async () => verdicts.shift();
        const calculatePositiveRate = (found) => {{
          const rate = found.filter((row) => row.feedback_rating).length / found.length;
          console.log(rate);
          return rate;
        }};
        {code}
        await runABTest();
        """,
    )
    assert wrote == "1\n0\n"


def test_the_requests_with_negative_feedback_of_every_dialect_are_found_for_an_alert(
    gateway: RunningGateway,
) -> None:
    give_in_every_dialect(gateway)
    code = printed("helicone-feedback", "monitoring of quality").code
    wrote = node(
        gateway,
        f"""{_BROUGHT}
        const totalRequests = 7;
        const sendAlert = async (message) => console.log(message);
        {code}
        await monitorQuality();
        console.log(found.map((row) => row.request_id).join());
        """,
    )
    assert wrote.splitlines() == ["High negative feedback rate detected!", "on-trace,pharia,portkey,helicone"]


def give_in_every_dialect(gateway: RunningGateway) -> None:
    """Log seven requests and say something bad of four of them and something good of two, each in another way."""
    for name in ("helicone", "portkey", "pharia", "on-trace", "good", "up", "silent"):
        ask(gateway, name, x_portkey_trace_id=f"trace-of-{name}")
    given = [
        ("/v1/request/helicone/feedback", {"rating": False}),
        ("/v1/feedback", {"trace_id": "portkey", "value": -3}),
        (
            "/api/feedback",
            {
                "trace_id": "pharia",
                "app_id": "a",
                "app_version": "1",
                "user": "ann",
                "feedback": {"rating": 1},
            },
        ),
        ("/v1/feedback", {"trace_id": "trace-of-on-trace", "value": -10}),
        ("/v1/feedback", {"trace_id": "good", "value": 5.0}),
        ("/v1/request/up/feedback", {"rating": True}),
    ]
    for path, body in given:
        httpx.post(gateway.url + path, headers={"x-portkey-api-key": KEY}, json=body).raise_for_status()


def test_training_data_holds_the_bodies_of_what_was_liked_and_of_what_was_not(
    gateway: RunningGateway,
) -> None:
    give_in_every_dialect(gateway)
    code = printed("helicone-feedback", "training data").code
    node(
        gateway,
        f"""{_BROUGHT}
        const exportToFile = async (found, name) => writeFileSync(
          {json.dumps(str(gateway.folder))} + '/' + name, found.map((row) => JSON.stringify(row)).join('\\n'));
        {code}
        await exportTrainingData();
        """,
    )
    files = ("positive_examples.jsonl", "negative_examples.jsonl")
    lines = [
        [json.loads(line) for line in (gateway.folder / name).read_text().splitlines()] for name in files
    ]
    liked, disliked = ([row["request_id"] for row in rows] for rows in lines)
    assert (liked, disliked) == (["up", "good"], ["on-trace", "pharia", "portkey", "helicone"])
    assert all(row["request_body"]["messages"] and row["response_body"]["choices"] for row in chain(*lines))


def test_both_queries_by_feedback_find_what_was_said_in_every_dialect(gateway: RunningGateway) -> None:
    give_in_every_dialect(gateway)
    wrote = bash(gateway, printed("helicone-feedback", "queries by feedback").code)
    liked, disliked = (json.loads(reply)["data"] for reply in re.split(r"(?<=\})(?=\{\"data\")", wrote))
    assert [row["request_id"] for row in liked] == ["up", "good"]
    assert [row["request_id"] for row in disliked] == ["on-trace", "pharia", "portkey", "helicone"]
    assert {row["feedback_rating"] for row in liked} == {True}
    assert {row["feedback_rating"] for row in disliked} == {False}


def test_every_block_of_every_page_is_run_and_what_cannot_run_as_printed_says_why() -> None:
    source = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*_page*.py"))
    blocks = [block for document in DOCUMENTS.values() for block in document]
    assert len(blocks) == 20
    assert [block.block for block in blocks if f'"{block.block}"' not in source] == []
    assert all(block.reason for block in blocks if block.meant)
