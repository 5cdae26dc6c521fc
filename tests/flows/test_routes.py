"""Requests with a route, through a real gateway: what the caller sees, what each target got, what the rows say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.models.ids import new_id
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import rows
from tests.raw_http import Broken, Connection, request
from tests.scripted_upstream import CLOSE, EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head, wait
from tests.upstream_server import Step

CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"
CHAT, MESSAGES, RESPONSES = b"/v1/chat/completions", b"/v1/messages", b"/v1/responses"
ASKED = (
    b'{"model": "m", "temperature": 1.50, "messages": [{"role": "user", "content": "Hi"}], "stream": true}'
)


@pytest.fixture(scope="module")
def routed(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose providers `one` and `two` play the scripts of these names."""
    base_url = f"{upstream.url}/v1"
    two = {"strategy": {"mode": "fallback"}, "targets": [{"provider": "one"}, {"provider": "two"}]}
    config = {
        "server": {"commit_within": 0.5},
        "default_provider": "one",
        "providers": {
            "one": {"base_url": base_url, "headers": {"x-script": "one"}},
            "two": {"base_url": base_url, "headers": {"x-script": "two"}, "api_key": "sk-two-0123456789"},
            "keyed": {
                "base_url": base_url,
                "headers": {"x-script": "keyed"},
                "api_keys": ["sk-first", "sk-second"],
            },
            "down": {"base_url": f"http://127.0.0.1:{closed_port()}/v1"},
        },
        "routes": {"both": two},
    }
    with RunningGateway(tmp_path_factory.mktemp("routed"), config) as running:
        yield running


def play(upstream: UpstreamProcess, name: str, *steps: Step) -> None:
    upstream._order({"script": name, "steps": steps})


def fallback(*targets: dict[str, Any], **settings: Any) -> bytes:
    return config(strategy={"mode": "fallback"}, targets=list(targets), **settings)


def config(**given: Any) -> bytes:
    return b"x-portkey-config: " + json.dumps(given).encode()


def stream(*events: bytes, end: bytes | None = b"") -> list[Step]:
    steps = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED), *map(chunk, events)]
    return [*steps, CLOSE] if end is None else [*steps, chunk(end)]


def ask(gateway: RunningGateway, *fields: bytes, path: bytes = CHAT, body: bytes = ASKED) -> Any:
    with Connection(gateway.port) as caller:
        return caller.call(request(b"POST", path, *fields, body=body))


ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
FAILED = b'data: {"error":{"message":"The engine died","type":"server_error"}}\n\n'
GOOD = stream(ROLE, TEXT, STOP)
BOTH = (b"x-portkey-config: both",)

BEGUN = {
    CHAT: ROLE,
    MESSAGES: b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","content":[],"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: ping\ndata: {"type":"ping"}\n\n',
    RESPONSES: b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1",'
    b'"object":"response","status":"in_progress","model":"m","output":[]}}\n\n',
}
BROKEN = {
    CHAT: FAILED,
    MESSAGES: b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
    b'"message":"Overloaded"}}\n\n',
    RESPONSES: b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"resp_1",'
    b'"object":"response","status":"failed","error":{"code":"server_error","message":"boom"},"output":[]}}\n\n',
}


def traced(name: str) -> bytes:
    return f"x-portkey-trace-id: {name}".encode()


def told(gateway: RunningGateway, trace: str) -> list[tuple[Any, ...]]:
    columns = ("attempt", "provider", "status", "outcome")
    return [tuple(each[column] for column in columns) for each in rows(gateway.database, trace)]


@pytest.mark.parametrize("path", BEGUN)
@pytest.mark.parametrize("ending", ["error", "cut"])
def test_a_stream_that_fails_before_it_says_anything_falls_back(
    routed: RunningGateway, upstream: UpstreamProcess, path: bytes, ending: str
) -> None:
    failing = (BEGUN[path], BROKEN[path]) if ending == "error" else (BEGUN[path],)
    play(upstream, "one", *stream(*failing, end=b"" if ending == "error" else None))
    play(upstream, "two", *GOOD)
    trace = f"before-{path.decode()}-{ending}"
    answered = ask(routed, *BOTH, traced(trace), path=path)
    assert (answered.status, answered.body) == (200, ROLE + TEXT + STOP)
    assert answered.value(b"x-portkey-provider") == b"two"
    assert answered.value(b"x-portkey-last-used-option-index") == b"config.targets[1]"
    first, second = told(routed, trace)
    assert first[:3] == (0, "one", 200)
    assert second[:3] == (1, "two", 200)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (answer(b"", JSON), "the answer is empty"),
        (answer(b'{"choices":[{"message', JSON), "the answer is no JSON"),
        (stream(), "the answer is empty"),
        (stream(ROLE), "the stream ended early"),
        (answer(ROLE + TEXT, EVENT_STREAM), "the stream ended early"),
        (stream(ROLE, b'data: {"choices":[{"delta":\n\n', TEXT, STOP), "an event of the stream is no JSON"),
    ],
)
def test_what_is_no_answer_falls_back_whatever_its_status_says(
    routed: RunningGateway, upstream: UpstreamProcess, steps: list[Step], reason: str
) -> None:
    trace = f"broken-{new_id()}"
    play(upstream, "one", *steps)
    play(upstream, "two", *GOOD)
    answered = ask(routed, *BOTH, traced(trace))
    assert (answered.body, answered.value(b"x-portkey-provider")) == (ROLE + TEXT + STOP, b"two")
    assert told(routed, trace) == [(0, "one", 200, "upstream_error"), (1, "two", 200, "complete")]
    assert reason in rows(routed.database, trace)[0]["error"]
    # With one target, or the last one, the caller gets what it gave.
    alone = config(strategy={"mode": "single"}, targets=[{"provider": "one"}])
    assert ask(routed, alone).status == 200


def test_each_attempt_says_which_target_it_went_to_and_why(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", *answer(b"{}", JSON, status=b"503 No"))
    play(upstream, "two", *GOOD)
    ask(routed, *BOTH, traced("trail"))
    columns = ("route", "target", "route_trail")
    first, second = ([row[name] for name in columns] for row in rows(routed.database, "trail"))
    assert first == ["both", "config.targets[0]", "one (config.targets[0]) is the target."]
    assert second == [
        "both",
        "config.targets[1]",
        "one (config.targets[0]) answered 503; the next target of the fallback is tried.",
    ]
    # A route of the caller's own has no name, targets may have one, and the last one's failure is told too.
    play(upstream, "two", *answer(b"{}", JSON, status=b"500 No"))
    named = fallback({"provider": "one", "name": "cheap"}, {"provider": "two", "name": "dear"})
    ask(routed, named, traced("named"))
    first, second = ([row[name] for name in columns] for row in rows(routed.database, "named"))
    assert first[:2] == [None, "cheap"]
    assert second[:2] == [None, "dear"]
    assert second[2].endswith("dear (config.targets[1]) answered 500, and no target is left.")


def test_a_request_without_a_route_names_none(routed: RunningGateway, upstream: UpstreamProcess) -> None:
    play(upstream, "one", *GOOD)
    ask(routed, traced("plain"))
    [row] = rows(routed.database, "plain")
    assert (row["route"], row["target"], row["route_trail"]) == (None, None, None)


def response(name: str) -> list[Step]:
    return answer(b'{"id":"%s","object":"response","status":"completed","output":[]}' % name.encode(), JSON)


def test_what_continues_a_response_goes_to_the_target_that_gave_it_and_nowhere_else(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    name = f"resp_{new_id()}"
    play(upstream, "one", *answer(b"{}", JSON, status=b"503 No"))
    play(upstream, "two", *response(name))
    assert ask(routed, *BOTH, path=RESPONSES).value(b"x-portkey-provider") == b"two"
    # The first target could answer again, but does not have it.
    play(upstream, "one", *response("resp_other"))
    body = json.dumps({"model": "m", "input": "go on", "previous_response_id": name}).encode()
    trace = f"continued-{new_id()}"
    assert ask(routed, *BOTH, traced(trace), path=RESPONSES, body=body).value(b"x-portkey-provider") == b"two"
    [row] = rows(routed.database, trace)
    assert row["route_trail"] == ("it continues a response, which this target gave: two (config.targets[1]).")
    path = RESPONSES + b"/" + name.encode()
    assert ask(routed, *BOTH, path=path, body=b"").value(b"x-portkey-provider") == b"two"
    # It is not moved on when its target fails.
    play(upstream, "two", *answer(b"{}", JSON, status=b"503 No"))
    assert ask(routed, *BOTH, path=RESPONSES, body=body).status == 503


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (RESPONSES, {"previous_response_id": "resp_unknown"}),
        (RESPONSES, {"conversation": {"id": "conv_1"}}),
        (RESPONSES, {"input": [{"type": "reasoning", "encrypted_content": "gAAA"}]}),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        ),
        (b"/v1/batches/batch_1/cancel", {}),
        (b"/v1/batches", {"input_file_id": "file-1"}),
        (b"/v1/chat/completions/chatcmpl-1", {}),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        (RESPONSES, {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
        (MESSAGES, {"messages": [{"content": [{"type": "image", "source": {"file_id": "file_1"}}]}]}),
    ],
)
def test_state_that_nobody_knows_goes_to_the_first_target_alone(
    routed: RunningGateway, upstream: UpstreamProcess, path: bytes, given: dict[str, Any]
) -> None:
    play(upstream, "one", *answer(b"{}", JSON, status=b"503 No"))
    play(upstream, "two", *GOOD)
    trace = f"unknown-{new_id()}"
    body = json.dumps({"model": "m", **given}).encode()
    assert ask(routed, *BOTH, traced(trace), path=path, body=body).status == 503
    [row] = rows(routed.database, trace)
    assert "so no other target is tried" in row["route_trail"]


def read_chunks(caller: Connection, pieces: list[bytes]) -> None:
    """Note the chunks of a body up to its end. Raises Broken."""
    while piece := caller.chunk():
        pieces.append(piece)


def test_a_stream_that_fails_after_it_said_something_ends_with_an_error_and_a_broken_connection(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", *stream(ROLE, TEXT, end=None))
    play(upstream, "two", *GOOD)
    upstream.take()
    with Connection(routed.port) as caller:
        caller.send(request(b"POST", CHAT, *BOTH, traced("after"), body=ASKED))
        caller.head()
        pieces: list[bytes] = []
        with pytest.raises(Broken):
            read_chunks(caller, pieces)
    received = b"".join(pieces)
    assert received.startswith(ROLE + TEXT)
    assert json.loads(received.rpartition(b"data: ")[2])["error"]["type"] == "api_error"
    assert [each.method for each in upstream.take()] == ["POST"]
    [(attempt, provider, status, outcome)] = told(routed, "after")
    assert (attempt, provider, status, outcome) == (0, "one", 200, "upstream_truncated")


def test_nothing_is_held_beyond_the_first_meaningful_event(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    play(upstream, "one", READ, head(b"200 OK", EVENT_STREAM, CHUNKED), chunk(ROLE), chunk(TEXT), wait(gate),
         chunk(STOP), chunk(b""))  # fmt: skip
    with Connection(routed.port) as caller:
        caller.send(request(b"POST", CHAT, *BOTH, body=ASKED))
        assert caller.head().status == 200
        assert caller.chunk() == ROLE + TEXT
        upstream.open(gate)
        assert caller.chunk() == STOP


def test_an_answer_that_says_nothing_for_long_is_passed_on(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    play(upstream, "one", READ, head(b"200 OK", EVENT_STREAM, CHUNKED), chunk(ROLE), wait(gate), chunk(STOP),
         chunk(b""))  # fmt: skip
    with Connection(routed.port) as caller:
        caller.send(request(b"POST", CHAT, *BOTH, body=ASKED))
        # After commit_within.
        assert caller.head().status == 200
        assert caller.chunk() == ROLE
        upstream.open(gate)
        assert caller.chunk() == STOP


def test_with_one_target_and_no_retry_nothing_is_held(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    play(upstream, "one", READ, head(b"200 OK", EVENT_STREAM, CHUNKED), chunk(ROLE), wait(gate), chunk(STOP),
         chunk(b""))  # fmt: skip
    single = config(strategy={"mode": "single"}, targets=[{"provider": "one"}])
    with Connection(routed.port) as caller:
        caller.send(request(b"POST", CHAT, single, body=ASKED))
        assert caller.head().status == 200
        assert caller.chunk() == ROLE
        upstream.open(gate)
        assert caller.chunk() == STOP


def test_an_error_body_with_a_good_status_falls_back(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", *answer(b'{"error":{"message":"no","type":"overloaded_error"}}', JSON))
    play(upstream, "two", *answer(b'{"choices":[]}', JSON))
    answered = ask(routed, *BOTH, traced("error-body"))
    assert answered.body == b'{"choices":[]}'
    first = rows(routed.database, "error-body")[0]
    assert (first["status"], first["response_size"]) == (200, 52)


def test_a_refused_connection_falls_back_and_the_last_failure_is_the_caller_s(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "two", *answer(b'{"error":"busy"}', JSON, status=b"503 Busy"))
    answered = ask(routed, fallback({"provider": "down"}, {"provider": "two"}), traced("last"))
    assert (answered.status, answered.body) == (503, b'{"error":"busy"}')
    assert told(routed, "last") == [(0, "down", 502, "upstream_error"), (1, "two", 503, "complete")]


def test_retries_and_their_count(routed: RunningGateway, upstream: UpstreamProcess) -> None:
    play(upstream, "one", *answer(b"{}", JSON, b"Retry-After-Ms: 1", status=b"429 Slow down"))
    retry = {"attempts": 2, "use_retry_after_header": True}
    answered = ask(routed, config(provider="one", retry=retry), traced("retried"))
    assert (answered.status, answered.value(b"x-portkey-retry-attempt-count")) == (429, b"-1")
    assert [each[0] for each in told(routed, "retried")] == [0, 1, 2]


def test_a_quota_that_is_used_up_is_not_tried_again(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    body = b'{"error":{"code":"insufficient_quota"}}'
    play(upstream, "one", *answer(body, JSON, status=b"429 Too Many Requests"))
    play(upstream, "two", *GOOD)
    answered = ask(
        routed, fallback({"provider": "one"}, {"provider": "two"}, retry={"attempts": 5}), traced("quota")
    )
    assert answered.status == 200
    assert [each[1] for each in told(routed, "quota")] == ["one", "two"]


def test_a_target_that_does_not_begin_in_time_counts_as_408(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    play(upstream, "one", READ, wait(gate), *answer(b"{}")[1:])
    answered = ask(routed, config(provider="one", request_timeout=50), traced("late"))
    shorter = b"x-portkey-request-timeout: 40"
    sooner = ask(routed, config(provider="one", request_timeout=60_000), shorter)
    upstream.open(gate)
    assert answered.status == 408
    error = json.loads(answered.body)["error"]
    assert (error["type"], error["message"]) == (
        "timeout_error",
        "Request exceeded the timeout sent in the request: 50ms",
    )
    assert told(routed, "late") == [(0, "one", 408, "timeout")]
    assert (sooner.status, b"40ms" in sooner.body) == (408, True)
    for wrong in (b"0", b"-1", b"5s", b"9" * 30):
        refused = ask(routed, config(provider="one"), b"x-portkey-request-timeout: " + wrong)
        assert (refused.status, b"milliseconds" in refused.body) == (400, True)


def test_each_target_gets_its_own_key_and_parameters_and_all_other_bytes(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", *answer(b"{}", JSON, status=b"500 No"))
    play(upstream, "two", *answer(b'{"choices":[]}', JSON))
    upstream.take()
    targets = (
        {"provider": "one", "api_key": "sk-mine-0123456789", "override_params": {"model": "big"}},
        {"provider": "two", "default_params": {"temperature": 0, "seed": 1}, "drop_params": ["stream"]},
    )
    assert ask(routed, fallback(*targets)).status == 200
    first, second = upstream.take()
    assert first.body == ASKED.replace(b'"m"', b'"big"')
    assert first.values(b"authorization") == [b"Bearer sk-mine-0123456789"]
    assert second.values(b"authorization") == [b"Bearer sk-two-0123456789"]
    sent = json.loads(second.body or b"")
    assert sent == {
        "model": "m",
        "temperature": 1.5,
        "messages": [{"role": "user", "content": "Hi"}],
        "seed": 1,
    }
    assert b"1.50" in (second.body or b"")
    assert not any(name.lower().startswith(b"x-portkey") for name, _ in second.fields)


def test_a_key_that_is_refused_or_limited_makes_room_for_the_next(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "keyed", *answer(b"{}", JSON, b"Retry-After-Ms: 1", status=b"429 Slow down"))
    upstream.take()
    retry = {"attempts": 1, "use_retry_after_header": True}
    assert ask(routed, config(provider="keyed", retry=retry)).status == 429
    play(upstream, "keyed", *answer(b"{}", JSON, status=b"401 No"))
    assert ask(routed, b"x-portkey-provider: keyed").status == 401
    used = [received.values(b"authorization") for received in upstream.take()]
    assert used[:2] == [[b"Bearer sk-first"], [b"Bearer sk-second"]]
    # A key of the caller's own says nothing about ours.
    own = b"Authorization: Bearer sk-of-the-caller"
    assert ask(routed, b"x-portkey-provider: keyed", own).status == 401
    assert upstream.take()[0].values(b"authorization") == [b"Bearer sk-of-the-caller"]


def test_a_long_streamed_body_goes_whole_to_the_next_target(
    routed: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "two", *answer(b"{}", JSON))
    upstream.take()
    body = b'{"text":"' + b"x" * 3_000_000 + b'"}'
    route = fallback({"provider": "down"}, {"provider": "two"})
    with Connection(routed.port) as caller:
        assert caller.call(request(b"POST", CHAT, route, body=body, is_chunked=True)).status == 200
    [received] = upstream.take()
    assert received.size == len(body)


def test_a_session_stays_on_its_target(routed: RunningGateway, upstream: UpstreamProcess) -> None:
    for name in ("one", "two"):
        play(upstream, name, *answer(b'{"choices":[]}', JSON))
    route = config(strategy={"mode": "loadbalance"}, targets=[{"provider": "one"}, {"provider": "two"}])
    used = {
        session: {
            ask(routed, route, b"x-session-id: " + session).value(b"x-portkey-provider") for _ in range(4)
        }
        for session in (b"s1", b"s2", b"s3", b"s4", b"s5", b"s6")
    }
    assert all(len(providers) == 1 for providers in used.values())
    assert set().union(*used.values()) == {b"one", b"two"}


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (b"x-portkey-config: nothing", "no route is called 'nothing'. Configured are: both."),
        (b"x-portkey-config: {", "is not valid JSON"),
        (config(provider="three"), "no provider is called 'three'. Configured are: down, keyed, one, two."),
        (config(provider="one", weight=-1), "x-portkey-config.weight: must be 0 or more."),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(routed: RunningGateway, field: bytes, fault: str) -> None:
    answered = ask(routed, field)
    assert answered.status == 400
    assert fault in json.loads(answered.body)["error"]["message"]


def test_a_host_that_is_not_allowed_is_refused(routed: RunningGateway) -> None:
    assert ask(routed, config(custom_host="http://127.0.0.1:1/v1")).status == 403
