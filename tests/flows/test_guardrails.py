"""Guardrails through a real gateway: what is sent, what the caller gets, what the rows and the feedback say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, rows
from tests.raw_http import Connection, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head
from tests.upstream_server import Step

JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"
CHAT, MESSAGES = b"/v1/chat/completions", b"/v1/messages"
BAD = {"default.contains": {"operator": "none", "words": ["bad"]}}
WAITS = {"async": False}
DENIES = {"deny": True}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.fixture(scope="module")
def guarded(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose providers `one` and `two` play the scripts of these names."""
    base_url = f"{upstream.url}/v1"
    shared = {"base_url": base_url, "websocket": True}
    providers = {name: {**shared, "headers": {"x-script": name}} for name in ("one", "two")}
    config = {"default_provider": "one", "providers": providers}
    with RunningGateway(tmp_path_factory.mktemp("guarded"), config) as running:
        yield running


def play(upstream: UpstreamProcess, name: str, text: str, status: bytes = b"200 OK") -> None:
    steps = answer(json.dumps(said(text)).encode(), JSON, status=status)
    upstream._order({"script": name, "steps": steps})
    upstream.take()


def said(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message}], "usage": USAGE}


def play_stream(upstream: UpstreamProcess, *texts: str) -> bytes:
    events = [_event(text) for text in texts] + [b"data: [DONE]\n\n"]
    steps: list[Step] = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED), *map(chunk, events), chunk(b"")]
    upstream._order({"script": "one", "steps": steps})
    upstream.take()
    return b"".join(events)


def _event(text: str) -> bytes:
    event = {"id": "c1", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def ask(
    gateway: RunningGateway, config: dict[str, Any], text: str = "Hi", *fields: bytes, path: bytes = CHAT
) -> Any:
    body = json.dumps({"model": "m1", "messages": [{"role": "user", "content": text}]}).encode()
    route = b"x-portkey-config: " + json.dumps({"provider": "one", **config}).encode()
    with Connection(gateway.port) as caller:
        return caller.call(request(b"POST", path, JSON, route, *fields, body=body))


def traced(name: str) -> bytes:
    return f"x-portkey-trace-id: {name}".encode()


def feedback(gateway: RunningGateway, trace: str) -> list[dict[str, Any]]:
    """The feedback on the requests of a trace, the first first."""
    with sqlite3.connect(f"file:{gateway.database}?mode=ro", uri=True) as store:
        store.row_factory = sqlite3.Row
        found = store.execute("SELECT * FROM feedback WHERE trace_id = ? ORDER BY rowid", (trace,))
        return [dict(row) for row in found]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_denied_request_is_not_sent(
    guarded: RunningGateway, upstream: UpstreamProcess, path: bytes
) -> None:
    play(upstream, "one", "fine")
    trace = f"denied-{path.decode()}"
    answered = ask(guarded, {"input_guardrails": [{**BAD, **DENIES}]}, "bad words", traced(trace), path=path)
    body = json.loads(answered.body)
    assert (answered.status, body["error"]["type"]) == (446, "hooks_failed")
    assert answered.reason == b"Hooks Failed"
    assert body["error"]["message"] == (
        "the guardrail 'input_guardrails[0]' (default.contains failed) denied the request."
    )
    [told] = body["hook_results"]["before_request_hooks"]
    assert (told["verdict"], told["deny"], told["checks"][0]["id"]) == (False, True, "default.contains")
    assert ("type" in body) is (path == MESSAGES)
    assert upstream.take() == []
    [row] = rows(guarded.database, trace)
    assert (row["status"], row["outcome"], row["error"]) == (446, "gateway_error", body["error"]["message"])


def test_a_denied_answer_does_not_reach_the_caller_and_is_paid_for(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", "a bad answer")
    answered = ask(guarded, {"output_guardrails": [{**BAD, **DENIES}]}, "Hi", traced("denied-answer"))
    assert (answered.status, b"a bad answer" in answered.body) == (446, False)
    [told] = json.loads(answered.body)["hook_results"]["after_request_hooks"]
    assert told["deny"]
    [row] = rows(guarded.database, "denied-answer")
    assert (row["status"], row["outcome"], row["completion_tokens"]) == (446, "gateway_error", 2)


def test_an_answer_that_fails_without_denial_is_delivered_as_246(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    for stage in ("input_guardrails", "output_guardrails"):
        play(upstream, "one", "a bad answer")
        answered = ask(guarded, {stage: [{**BAD, **WAITS}]}, "bad words", traced(stage))
        assert (answered.status, json.loads(answered.body)) == (246, said("a bad answer"))
        assert [(row["status"], row["outcome"]) for row in rows(guarded.database, stage)] == [
            (246, "complete")
        ]
    assert ask(guarded, {"input_guardrails": [{**BAD, **WAITS}]}, "good words").status == 200


def test_246_is_a_success_unless_a_fallback_lists_it_and_446_is_none(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    targets = [{"provider": "one"}, {"provider": "two"}]

    def used(guardrail: dict[str, Any], **strategy: Any) -> tuple[int, list[Any]]:
        play(upstream, "one", "a bad answer")
        play(upstream, "two", "a good answer")
        config = {"strategy": {"mode": "fallback", **strategy}, "targets": targets}
        answered = ask(guarded, {**config, "output_guardrails": [guardrail]})
        return answered.status, [answered.value(b"x-portkey-provider"), len(upstream.take())]

    assert used({**BAD, **WAITS}) == (246, [b"one", 1])
    assert used({**BAD, **WAITS}, on_status_codes=[246]) == (200, [b"two", 2])
    assert used({**BAD, **DENIES}) == (200, [b"two", 2])
    assert used({**BAD, **DENIES}, on_status_codes=[500]) == (446, [b"one", 1])


def test_a_failed_attempt_is_tried_again_if_retry_lists_246(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", "a bad answer")
    retry = {"attempts": 1, "on_status_codes": [246]}
    config = {"retry": retry, "output_guardrails": [{**BAD, **WAITS}]}
    answered = ask(guarded, config, "Hi", traced("again"))
    assert (answered.status, answered.value(b"x-portkey-retry-attempt-count")) == (246, b"-1")
    assert [row["status"] for row in rows(guarded.database, "again")] == [246, 246]


def test_a_stream_is_not_held_and_its_verdict_follows_behind_its_end(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    sent = play_stream(upstream, "a bad", " answer")
    verdicts = {"on_fail": {"feedback": {"value": -5}}, "on_success": {"feedback": {"value": 5}}}
    config = {"output_guardrails": [{**BAD, **DENIES, **verdicts, "id": "words"}]}
    answered = ask(guarded, config, "Hi", traced("stream"))
    assert (answered.status, answered.body) == (200, sent)
    [given] = eventually(lambda: feedback(guarded, "stream"))
    assert (given["value"], given["metric"]) == (-5.0, "words")
    play_stream(upstream, "a bad", " answer")
    shown = ask(guarded, {**config, "strict_open_ai_compliance": False})
    assert shown.body.startswith(sent)
    [told] = json.loads(shown.body.rpartition(b"data: ")[2])["hook_results"]["after_request_hooks"]
    assert told["verdict"] is False


def test_a_stream_whose_request_failed_is_246(guarded: RunningGateway, upstream: UpstreamProcess) -> None:
    sent = play_stream(upstream, "fine")
    answered = ask(guarded, {"input_guardrails": [{**BAD, **WAITS}]}, "bad words")
    assert (answered.status, answered.body) == (246, sent)


def test_results_are_in_the_answer_only_without_strict_compliance(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", "fine")
    config = {"input_guardrails": [{**BAD, **WAITS}]}
    lenient = b"x-portkey-strict-open-ai-compliance: false"
    told = json.loads(ask(guarded, config, "good words", lenient).body)
    assert told.pop("hook_results")["before_request_hooks"][0]["verdict"] is True
    assert told == said("fine")
    assert json.loads(ask(guarded, config, "good words").body) == said("fine")


def test_a_verdict_is_feedback_of_code_on_the_request(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", "a bad answer")
    verdicts = {
        "on_success": {"feedback": {"value": 5}},
        "on_fail": {"feedback": {"value": -5, "weight": 0.5, "metadata": {"by": "us"}}},
    }
    config = {
        "input_guardrails": [{**BAD, **verdicts, "id": "asked"}],
        "output_guardrails": [{**BAD, **verdicts, "id": "answered"}],
    }
    # Nothing waits for what is async, as it is by default.
    answered = ask(guarded, config, "Hi", traced("verdicts"))
    assert (answered.status, json.loads(answered.body)) == (200, said("a bad answer"))
    given = eventually(lambda: found if len(found := feedback(guarded, "verdicts")) == 2 else None)
    assert given is not None
    by_metric = {each["metric"]: each for each in given}
    asked, failed = by_metric["asked"], by_metric["answered"]
    assert (asked["score"], failed["score"], failed["weight"]) == (0.5, -0.5, 0.5)
    assert {each["source"] for each in given} == {"code"}
    assert json.loads(failed["metadata"]) == {
        "by": "us",
        "successfulChecks": "",
        "failedChecks": "default.contains",
        "erroredChecks": "",
    }
    [row] = rows(guarded.database, "verdicts")
    assert {each["request_id"] for each in given} == {row["request_id"]}


def test_texts_are_replaced_before_they_are_sent_and_before_they_are_given(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", "call 0123")
    digits = {"default.regexReplace": {"rule": r"\d+", "redactText": "#"}, **WAITS}
    config = {"input_mutators": [digits], "output_guardrails": [digits]}
    answered = ask(guarded, config, "I am 0456")
    assert json.loads(answered.body) == said("call #")
    [sent] = upstream.take()
    assert sent.body is not None
    assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "I am #"}]
    assert sent.body.startswith(b'{"model": "m1", ')


def test_cached_answers_are_checked_again_and_bad_ones_are_not_kept(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    def asked(config: dict[str, Any], text: str) -> tuple[int, list[bytes], int]:
        answered = ask(guarded, {"cache": {"mode": "simple"}, **config}, text)
        return answered.status, answered.values(b"x-portkey-cache-status"), len(upstream.take())

    play(upstream, "one", "a bad answer")
    assert asked({"output_guardrails": [{**BAD, **DENIES}]}, "cached") == (446, [], 1)
    assert asked({"output_guardrails": [{**BAD, **WAITS}]}, "cached") == (246, [b"MISS"], 1)
    assert asked({}, "cached")[:2] == (200, [b"MISS"])
    # What was kept for those who do not mind is no way around a guardrail.
    eventually(lambda: asked({}, "cached")[1] == [b"HIT"])
    assert asked({"output_guardrails": [{**BAD, **DENIES}]}, "cached") == (446, [], 0)
    assert asked({"output_guardrails": [{**BAD, **WAITS}]}, "cached") == (246, [b"HIT"], 0)


def test_what_guardrails_cannot_check_is_refused(guarded: RunningGateway) -> None:
    config = {"input_guardrails": [{**BAD, **DENIES}]}
    answered = ask(guarded, {"input_guardrails": ["pg-123"]})
    assert answered.status == 400
    fault = "x-portkey-config.input_guardrails[0]: no guardrail is saved as 'pg-123'."
    assert json.loads(answered.body)["error"]["message"].startswith(fault)
    route = b"x-portkey-config: " + json.dumps({"provider": "one", **config}).encode()
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", key)
    with Connection(guarded.port) as caller:
        refused = caller.call(request(b"GET", b"/v1/realtime", route, *upgrade))
    assert b"x-portkey-config: guardrails cannot check WebSockets." in refused.body
