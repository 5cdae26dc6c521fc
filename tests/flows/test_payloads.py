"""What is kept of bodies and headers: as much as the policy says, and never a secret."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.models.request import Payload
from tests.gateway_fixtures import APP_KEY, MIB, PROVIDER_KEY, QUIET_KEY
from tests.gateway_process import RunningGateway
from tests.leak_scan import CREDENTIALS, find_leaks, written_files
from tests.log_reader import eventually, payload, row
from tests.raw_http import call, chunk, request
from tests.scripted_upstream import (
    EVENT_STREAM,
    READ,
    UpstreamProcess,
    answer,
    fill,
    filling_digest,
    head,
    send,
)
from tests.upstream_server import BLOCK

CHUNKED = b"Transfer-Encoding: chunked"
CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a private question"}]}).encode()
REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "m-2",
        "choices": [
            {"message": {"role": "assistant", "content": "a private answer"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
).encode()


def kept(gateway: RunningGateway, trace: str) -> Payload | None:
    """What is stored of the only request of a trace."""
    return payload(gateway.database, row(gateway.database, trace)["seq"])


def test_a_body_beyond_the_cap_is_forwarded_whole_and_kept_cut(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    size = 20 * MIB
    script = upstream.script(READ, head(b"200 OK", b"Content-Length: %d" % size), fill(size))
    upstream.take()
    sent = request(b"POST", b"/v1/files", script, _traced("capped"), body=BLOCK * 20)
    assert call(gateway.port, sent).sha256 == filling_digest(size)
    [received] = upstream.take()
    assert received.sha256 == filling_digest(size)
    logged = row(gateway.database, "capped")
    assert (logged["request_size"], logged["response_size"]) == (size, size)
    stored = kept(gateway, "capped")
    assert stored is not None
    assert stored.request_truncated
    assert stored.response_truncated
    assert stored.request_body == stored.response_body == BLOCK


def test_a_body_of_exactly_the_cap_is_kept_whole(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    call(
        gateway.port,
        request(b"POST", b"/v1/files", upstream.script(*answer(BLOCK)), _traced("cap"), body=BLOCK),
    )
    stored = kept(gateway, "cap")
    assert stored is not None
    assert not stored.request_truncated
    assert not stored.response_truncated


def test_heads_and_bodies_are_kept_as_they_were_on_the_wire(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    packed = gzip.compress(REPLY)
    script = upstream.script(
        *answer(packed, b"Content-Encoding: gzip", b"X-Latin: \xe4", b"X-Same: 1", b"x-same: 2")
    )
    call(
        gateway.port,
        request(b"POST", b"/v1/chat/completions", script, _traced("wire"), b"X-Raw: \xff", body=CHAT),
    )
    stored = kept(gateway, "wire")
    assert stored is not None
    assert stored.request_body == CHAT
    assert stored.response_body == packed
    assert (b"X-Raw", b"\xff") in stored.request_headers
    assert stored.response_headers[1:] == (
        (b"Content-Encoding", b"gzip"), (b"X-Latin", b"\xe4"), (b"X-Same", b"1"), (b"x-same", b"2"),
    )  # fmt: skip
    assert eventually(lambda: row(gateway.database, "wire")["interpreted_at_us"])
    assert row(gateway.database, "wire")["response_id"] == "chatcmpl-1"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_redacted_payload_keeps_its_shape_and_loses_its_text(
    gateway: RunningGateway, upstream: UpstreamProcess, is_stream: bool
) -> None:
    trace = f"redacted-{is_stream}"
    delta = b'{"id":"chatcmpl-1","model":"m-2","choices":[{"delta":{"content":"a private answer"}}]}'
    events = chunk(b"data: " + delta + b"\n\n") + chunk(b"data: [DONE]\n\n") + chunk(b"")
    stream = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED), send(events)]
    script = upstream.script(*(stream if is_stream else answer(REPLY)))
    call(gateway.port, request(b"POST", b"/redacted/chat/completions", script, _traced(trace), body=CHAT))
    stored = kept(gateway, trace)
    assert stored is not None
    assert b"private" not in stored.request_body + stored.response_body
    assert json.loads(stored.request_body)["messages"][0] == {"role": "user", "content": "[redacted 18]"}
    assert b"chatcmpl-1" in stored.response_body
    assert b"[redacted 16]" in stored.response_body
    found = eventually(lambda: [one for one in [row(gateway.database, trace)] if one["interpreted_at_us"]])[0]
    assert (found["requested_model"], found["model"], found["response_id"]) == ("m", "m-2", "chatcmpl-1")
    assert found["request_size"] == len(CHAT)


def test_a_payload_that_may_not_be_kept_is_not_and_is_understood_all_the_same(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(*answer(REPLY))
    call(gateway.port, request(b"POST", b"/quiet/chat/completions", script, _traced("quiet"), body=CHAT))
    assert kept(gateway, "quiet") is None
    found = eventually(lambda: [one for one in [row(gateway.database, "quiet")] if one["interpreted_at_us"]])[
        0
    ]
    assert (found["model"], found["prompt_tokens"], found["completion_tokens"]) == ("m-2", 3, 4)


@pytest.mark.parametrize(("key", "provider"), [(QUIET_KEY, "plain"), (QUIET_KEY, "redacted")])
def test_the_stricter_of_the_key_s_and_the_provider_s_policy_holds(
    guarded: RunningGateway, upstream: UpstreamProcess, key: str, provider: str
) -> None:
    trace = f"strict-{provider}"
    own = b"x-portkey-api-key: " + key.encode()
    script = upstream.script(*answer(REPLY))
    path = f"/{provider}/chat/completions".encode()
    assert call(guarded.port, request(b"POST", path, script, _traced(trace), own, body=CHAT)).status == 200
    assert kept(guarded, trace) is None


def test_no_secret_reaches_the_disk(guarded: RunningGateway, upstream: UpstreamProcess) -> None:
    cookie = answer(REPLY, b"Set-Cookie: session=canary-11", b"X-New-Token: canary-12")
    for way_in in (b"x-portkey-api-key: ", b"Helicone-Auth: Bearer "):
        for provider in (b"/plain", b"/keyed", b"/redacted"):
            target = provider + b"/chat/completions?key=canary-10&api_key=canary-13&model=m"
            script = upstream.script(*cookie)
            fields = [way_in + APP_KEY.encode(), _traced("secrets"), *CREDENTIALS]
            assert call(guarded.port, request(b"POST", target, script, *fields, body=CHAT)).status == 200
    call(guarded.port, request(b"POST", b"/v1/x", b"Authorization: Bearer canary-14", body=b"{}"))
    written = written_files(guarded)
    assert find_leaks(["canary-", APP_KEY, PROVIDER_KEY], written) == []
    assert find_leaks(["secrets"], written), "the search looks in the wrong place"


def _traced(trace: str) -> bytes:
    return b"x-portkey-trace-id: " + trace.encode()
