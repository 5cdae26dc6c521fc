"""The session and the user of a request, as its client says them without knowing of the gateway."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import query, wait_until_interpreted
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

JSON = b"Content-Type: application/json"
CLAUDE_CODE = {"device_id": "d" * 64, "account_uuid": "", "session_id": "in-json"}
OLDER = f"user_{'a' * 64}_account_{{}}_session_7e1c0a52-2b0f-4d5b-8a67-0d6d2f3c9b11"
OLDER_SESSION = "7e1c0a52-2b0f-4d5b-8a67-0d6d2f3c9b11"


def ask(
    gateway: RunningGateway,
    upstream: UpstreamProcess,
    *fields: bytes,
    path: bytes = b"/v1/chat/completions",
    asked: dict[str, Any] | None = None,
    answered: dict[str, Any] | None = None,
    answer_fields: tuple[bytes, ...] = (),
) -> str:
    """Ask, and return our id of the request."""
    script = upstream.script(*answer(json.dumps(answered or {}).encode(), JSON, *answer_fields))
    body = json.dumps({"model": "m", **(asked or {})}).encode()
    reply = call(gateway.port, request(b"POST", path, script, JSON, *fields, body=body))
    assert reply.status == 200, reply.body
    return reply.value(b"helicone-id").decode()


def logged(gateway: RunningGateway, request_id: str) -> sqlite3.Row:
    wait_until_interpreted(gateway.database)
    [found] = query(gateway.database, "SELECT * FROM requests WHERE request_id = ?", request_id)
    return found


def feedback_of(gateway: RunningGateway, request_id: str) -> list[dict[str, Any]]:
    shown = httpx.get(f"{gateway.url}/api/v1/requests/{request_id}").raise_for_status().json()
    found: list[dict[str, Any]] = shown["feedback"]
    return found


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ([b"X-Claude-Code-Session-Id: a"], "a"),
        ([b"x-session-id: a"], "a"),
        ([b"session-id: a"], "a"),
        ([b"thread-id: a"], "a"),
        ([b"session_id: a"], "a"),
        ([b"x-opencode-session: a"], "a"),
        ([b"thread-id: thread", b"session-id: session"], "session"),
        ([b"x-session-id: " + b"x" * 513, b"session-id: short"], "short"),
        ([b"x-session-id: a\tb"], None),
        ([b"x-session-id: {{run}}", b"session-id: a"], "a"),
        ([b"baggage: session.id={{run}}"], None),
        ([b"session-id: a", b"Helicone-Session-Id: ours"], "ours"),
        ([b"session-id: a", b'x-portkey-metadata: {"_session": "ours"}'], "ours"),
        ([b"baggage: session.id=a"], "a"),
        ([b"baggage: x=1, session.id = chat%207;ttl=3 ,user.id=ann"], "chat 7"),
        ([b"baggage: session.id=chat+7"], "chat 7"),
        ([b"baggage: x=1", b"baggage: session.id=second"], "second"),
        ([b"baggage: session.id=a", b"session-id: b"], "b"),
        ([b"baggage: session.id=, =, ;"], None),
    ],
)
def test_the_session_that_a_header_names_is_the_request_s(
    gateway: RunningGateway, upstream: UpstreamProcess, fields: list[bytes], session: str | None
) -> None:
    upstream.take()
    found = logged(gateway, ask(gateway, upstream, *fields))
    assert found["session"] == session
    assert json.loads(found["metadata"]).get("_session") == session
    [received] = upstream.take()
    sent = {name.lower() for name, _ in received.fields}
    theirs = {
        field.partition(b":")[0].lower() for field in fields if not field.startswith((b"x-portkey", b"Hel"))
    }
    assert theirs <= sent


def test_the_session_that_a_sub_agent_was_begun_from_is_kept(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    fields = (b"x-session-id: ses_1", b"x-parent-session-id: ses_0")
    found = logged(gateway, ask(gateway, upstream, *fields))
    assert found["session"] == "ses_1"
    assert json.loads(found["metadata"]) == {"_session": "ses_1", "_parent_session": "ses_0"}


@pytest.mark.parametrize(
    ("path", "asked", "session", "user"),
    [
        (b"/v1/responses", {"prompt_cache_key": "k"}, "k", None),
        (b"/v1/responses", {"conversation": "conv_1", "prompt_cache_key": "k"}, "conv_1", None),
        (b"/v1/responses", {"conversation": {"id": "conv_2"}}, "conv_2", None),
        (b"/v1/responses", {"conversation": "{{conv}}", "prompt_cache_key": "k"}, "k", None),
        (b"/v1/responses", {"prompt_cache_key": "a\n"}, None, None),
        (b"/v1/messages", {"metadata": {"user_id": json.dumps(CLAUDE_CODE)}}, "in-json", "d" * 64),
        (
            b"/v1/messages",
            {"metadata": {"user_id": json.dumps({**CLAUDE_CODE, "account_uuid": "acc"})}},
            "in-json",
            "acc",
        ),
        (b"/v1/messages", {"metadata": {"user_id": "{}"}}, None, None),
        (b"/v1/messages", {"metadata": {"user_id": OLDER.format("acc0-1")}}, OLDER_SESSION, "acc0-1"),
        (b"/v1/messages", {"metadata": {"user_id": OLDER.format("")}}, OLDER_SESSION, "a" * 64),
        (b"/v1/messages", {"metadata": {"user_id": "ann"}}, None, "ann"),
        (b"/v1/chat/completions", {"user": json.dumps(CLAUDE_CODE)}, "in-json", "d" * 64),
    ],
)
def test_the_session_and_the_user_that_a_body_names_are_the_request_s(
    gateway: RunningGateway,
    upstream: UpstreamProcess,
    path: bytes,
    asked: dict[str, Any],
    session: str | None,
    user: str | None,
) -> None:
    found = logged(gateway, ask(gateway, upstream, path=path, asked=asked))
    assert (found["session"], found["user"]) == (session, user)


def test_what_stands_in_a_body_goes_before_baggage_and_after_other_headers(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    asked = {"prompt_cache_key": "of body", "user": "ann"}
    baggage = b"baggage: session.id=of-baggage,user.id=ben"
    found = logged(gateway, ask(gateway, upstream, baggage, asked=asked))
    assert (found["session"], found["user"]) == ("of body", "ann")
    found = logged(gateway, ask(gateway, upstream, baggage, b"session-id: of-header", asked=asked))
    assert found["session"] == "of-header"


def respond(
    gateway: RunningGateway, upstream: UpstreamProcess, number: str, *fields: bytes, **asked: Any
) -> str:
    """Have a response of this id made, and return our id of the request."""
    answered = {"object": "response", "id": number, "status": "completed", "output": []}
    request_id = ask(gateway, upstream, *fields, path=b"/v1/responses", asked=asked, answered=answered)
    wait_until_interpreted(gateway.database)
    return request_id


def test_responses_that_continue_one_another_are_the_session_of_the_first(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    name = upstream.name()
    chat = b"Helicone-Session-Id: chat-" + name.encode()
    first = respond(gateway, upstream, f"resp_1{name}", chat)
    second = respond(gateway, upstream, f"resp_2{name}", previous_response_id=f"resp_1{name}")
    third = respond(gateway, upstream, f"resp_3{name}", previous_response_id=f"resp_2{name}")
    for request_id in (first, second, third):
        assert logged(gateway, request_id)["session"] == f"chat-{name}"


def test_responses_without_a_session_that_continue_one_another_are_one_conversation(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    name = upstream.name()
    asked = [respond(gateway, upstream, f"resp_1{name}")]
    assert logged(gateway, asked[0])["session"] is None
    asked.append(respond(gateway, upstream, f"resp_2{name}", previous_response_id=f"resp_1{name}"))
    asked.append(respond(gateway, upstream, f"resp_3{name}", previous_response_id=f"resp_2{name}"))
    assert {logged(gateway, request_id)["session"] for request_id in asked} == {f"resp_1{name}"}
    shown = httpx.get(f"{gateway.url}/api/v1/sessions/resp_1{name}").raise_for_status().json()
    assert [row["request_id"] for row in shown["requests"]] == asked


@pytest.mark.parametrize("is_early", [True, False])
def test_feedback_on_a_session_that_a_body_names_is_that_of_its_requests(
    gateway: RunningGateway, upstream: UpstreamProcess, is_early: bool
) -> None:
    session = upstream.name() + "-chat"
    feedback = {"trace_id": session, "value": 5}

    def judge() -> None:
        httpx.post(f"{gateway.url}/v1/feedback", json=feedback).raise_for_status()

    if is_early:
        judge()
    request_id = ask(gateway, upstream, asked={"prompt_cache_key": session})
    wait_until_interpreted(gateway.database)
    if not is_early:
        judge()
    [entry] = feedback_of(gateway, request_id)
    assert (entry["session"], entry["via"]) == (session, "session")


@pytest.mark.parametrize("field", [b"x-request-id", b"request-id"])
def test_the_provider_s_own_id_of_a_request_names_it(
    gateway: RunningGateway, upstream: UpstreamProcess, field: bytes
) -> None:
    theirs = "req_" + upstream.name()
    answered = {"object": "chat.completion", "id": "chatcmpl-" + upstream.name()}
    request_id = ask(gateway, upstream, answered=answered, answer_fields=(field + b": " + theirs.encode(),))
    wait_until_interpreted(gateway.database)
    for name in (theirs, answered["id"]):
        httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": name, "value": 5}).raise_for_status()
    assert [entry["subject_id"] for entry in feedback_of(gateway, request_id)] == [theirs, answered["id"]]
