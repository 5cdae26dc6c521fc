"""Secrets of every kind go in by every door; afterwards none is found in anything the gateway said or wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.leak_scan import find_leaks, unpacked_bodies, written_files
from tests.log_reader import eventually, wait_until_interpreted
from tests.openapi_paths import without_endless
from tests.raw_http import Response, call, chunk, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, head, send
from tests.storage_faults import empty_disk, fill_disk
from tests.telemetry.collector import Collector, collecting

TRACE = "the-trace-of-it"
TOKEN = b"x-gateway-feedback-token"
CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
DELTA = b'data: {"id": "chatcmpl-2", "model": "m", "choices": [{"delta": {"content": "hi"}}]}\n\n'
KEY_FIELDS = ("x-portkey-api-key: ", "Helicone-Auth: Bearer ", "Authorization: Bearer ", "x-api-key: ")
ROLES = ("proxy", "feedback", "read", "admin")
HOUR = timedelta(hours=1)
WINDOW = {
    "time_of_generation_min": (datetime.now(UTC) - HOUR).isoformat(),
    "time_of_generation_max": (datetime.now(UTC) + HOUR).isoformat(),
}


def secret(name: str) -> str:
    """A secret that nothing else looks like."""
    return f"canary-{name}-0123456789-0123456789"


SECRETS = {
    name: secret(name)
    for name in (
        *(f"key-{role}" for role in ROLES), "provider-key", "provider-header", "signing", "next-signing",
        "wrong-key", "own-bearer", "own-x-api-key", "own-api-key", "cookie", "set-cookie", "query",
        "own-path-query", "userinfo", "told-header", "told-userinfo", "told-query", "virtual-key", "odd-bearer",
        "routing-config", "telemetry-key",
    )
}  # fmt: skip

OWN = [
    f"Authorization: Bearer {SECRETS['own-bearer']}",
    f"x-api-key: {SECRETS['own-x-api-key']}",
    f"api-key: {SECRETS['own-api-key']}",
    f"Cookie: session={SECRETS['cookie']}",
    f"x-portkey-virtual-key: {SECRETS['virtual-key']}",
    f"X-Odd: Bearer {SECRETS['odd-bearer']}",
]
"""What a caller brings for its provider."""


@dataclass
class House:
    """A gateway with secrets of all kinds, what it said, and what it gave out that opens something."""

    gateway: RunningGateway
    collector: Collector
    said: dict[str, bytes] = field(default_factory=dict)
    given_out: list[str] = field(default_factory=list)

    def call(self, what: str, method: str, target: str, *fields: str, body: bytes = b"") -> Response:
        """Call with these fields, and remember what was said by the gateway itself."""
        raw = request(method.encode(), target.encode(), *(each.encode() for each in fields), body=body)
        answered = call(self.gateway.port, raw)
        if tokens := answered.values(TOKEN):
            self.given_out.append(tokens[0].decode())
        else:
            self.said[f"{what}: {method} {target}"] = repr(answered.fields).encode() + answered.body
        return answered

    def ask(self, role: str, method: str, target: str, body: object = None) -> Any:
        """Call with the key of a role; return the JSON that must come."""
        key = f"x-portkey-api-key: {SECRETS[f'key-{role}']}"
        sent = b"" if body is None else json.dumps(body).encode()
        answered = self.call("asked", method, target, key, body=sent)
        assert answered.status == 200, (method, target, answered.body)
        return json.loads(answered.body)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def house(start_gateway: StartGateway, upstream: UpstreamProcess, collector: Collector) -> House:
    provider = {"api_key": SECRETS["provider-key"], "headers": {"api-key": SECRETS["provider-header"]}}
    config = {
        "default_provider": "up",
        "logging": {"level": "debug"},
        "providers": {
            "up": {"base_url": f"{upstream.url}/v1", **provider},
            "redacted": {"base_url": f"{upstream.url}/v1", "payloads": "redacted", **provider},
            "off": {"base_url": f"{upstream.url}/v1", "payloads": "off", **provider},
            "down": {"base_url": f"http://127.0.0.1:{closed_port()}/v1", **provider},
        },
        "keys": [{"name": role, "key": SECRETS[f"key-{role}"], "role": role} for role in ROLES],
        "telemetry": {"otlp_endpoint": collector.url, "headers": {"x-key": SECRETS["telemetry-key"]}},
        "feedback": {"tokens": {"keys": [SECRETS["signing"], SECRETS["next-signing"]]}},
    }
    return House(start_gateway(config), collector)


def scripts(upstream: UpstreamProcess, *sent: str) -> Iterator[str]:
    """A plain answer, a stream, and for each credential that is sent an error that repeats it."""
    cookie = f"Set-Cookie: session={SECRETS['set-cookie']}".encode()
    reply = {"id": "chatcmpl-1", "model": "m", "choices": [], "usage": {"prompt_tokens": 1}}
    yield upstream.script(*answer(json.dumps(reply).encode(), cookie)).decode()
    events = chunk(DELTA) + chunk(b"data: [DONE]\n\n") + chunk(b"")
    stream = head(b"200 OK", EVENT_STREAM, cookie, b"Transfer-Encoding: chunked")
    yield upstream.script(READ, stream, send(events)).decode()
    for name in sent:
        error = {"error": {"message": f"Incorrect API key provided: {SECRETS[name]}"}}
        echo = f"X-Seen: {SECRETS[name]}".encode()
        yield upstream.script(*answer(json.dumps(error).encode(), echo, status=b"401 No")).decode()


def proxy_everything(house: House, upstream: UpstreamProcess) -> None:
    """Calls of each kind, with the gateway's key in each of its places, or with the caller's own keys beside it."""
    key = SECRETS["key-proxy"]
    trace = f"x-portkey-trace-id: {TRACE}"
    for script in scripts(upstream, "provider-header", "own-bearer", "own-x-api-key"):
        for provider in ("up", "redacted", "off"):
            target = f"/{provider}/chat/completions?key={SECRETS['query']}&access_token={SECRETS['query']}"
            house.call("own keys", "POST", target, KEY_FIELDS[0] + key, trace, script, *OWN, body=CHAT)
    for script in scripts(upstream, "provider-header", "provider-key"):
        for place in KEY_FIELDS:
            house.call("key", "POST", "/v1/chat/completions", place + key, trace, script, body=CHAT)
    for place in KEY_FIELDS:
        house.call("down", "POST", "/down/chat/completions", place + key, trace, body=CHAT)
        house.call("down", "POST", "/down/messages", place + key, trace, *OWN[3:], body=CHAT)
    host = f"x-portkey-custom-host: http://me:{SECRETS['userinfo']}@127.0.0.1:1/v1"
    house.call("custom host", "POST", "/v1/models", KEY_FIELDS[0] + key, host, body=CHAT)
    routing = f'x-portkey-config: {{"api_key": "{SECRETS["routing-config"]}"}}'
    house.call("config", "POST", "/v1/models", KEY_FIELDS[0] + key, routing, body=CHAT)
    house.call("nobody", "POST", f"/nobody/v1?key={SECRETS['query']}", KEY_FIELDS[0] + key, body=CHAT)


def refuse_everything(house: House, paths: list[tuple[str, str]]) -> None:
    """Keys that are wrong, or whose role is, at every path of the gateway's and at proxied ones."""
    for method, path in [*paths, ("POST", "/down/chat/completions"), ("POST", "/nobody")]:
        for place in KEY_FIELDS:
            house.call("wrong key", method, path, place + SECRETS["wrong-key"], *OWN, body=b"{}")
            house.call("wrong body", method, path, place + SECRETS["key-feedback"], body=b"{")
        asked = f"{path}?key={SECRETS['own-path-query']}&api_key={SECRETS['own-path-query']}"
        house.call("query", method, asked, KEY_FIELDS[0] + SECRETS["key-admin"])
    for token in house.given_out[:2]:
        house.call("token", "GET", "/api/v1/requests", f"x-gateway-feedback-token: {token}")
        house.call("bad token", "POST", "/v1/feedback", f"x-gateway-feedback-token: {token}x", body=b"{}")


def vote_everywhere(house: House) -> None:
    vote = {"trace_id": TRACE, "value": 5}
    for role in ("feedback", "admin"):
        [feedback_id] = house.ask(role, "POST", "/v1/feedback", vote)["feedback_ids"]
        house.ask(role, "PUT", f"/v1/feedback/{feedback_id}", {"value": 3})
        house.ask(role, "POST", "/api/feedback", {"trace_id": TRACE, "feedback": {"rating": 4}})
    for token in house.given_out[:3]:
        house.call("vote", "POST", "/v1/feedback", f"x-gateway-feedback-token: {token}", body=b'{"value": 1}')
        house.call("vote", "POST", "/v1/feedback", f"Authorization: Bearer {token}", body=b'{"value": 1}')
        house.call("page", "GET", f"/f/{token}")
        form = "Content-Type: application/x-www-form-urlencoded"
        house.call("page", "POST", f"/f/{token}", form, body=b"vote=up&comment=fine")
    told = {
        "request": {
            "url": f"https://me:{SECRETS['told-userinfo']}@llm.test/v1/chat?key={SECRETS['told-query']}",
            "headers": {"Authorization": f"Bearer {SECRETS['told-header']}"},
            "body": {"model": "m"},
        },
        "response": {"body": {}, "headers": {"Set-Cookie": SECRETS["told-header"]}},
        "metadata": {"trace_id": TRACE},
    }
    house.ask("proxy", "POST", "/v1/logs", told)


def read_everything(house: House, paths: list[tuple[str, str]]) -> None:
    """Every documented question, about what there is."""
    [found] = house.ask("read", "GET", "/api/v1/requests?limit=1")["data"]
    named = {"request_id": found["request_id"], "log_id": found["request_id"], "trace_id": TRACE, "user": "u"}
    window = "&".join(f"{name}={quote(value)}" for name, value in WINDOW.items())
    for method, path in paths:
        if method == "GET":
            for name, value in named.items():
                path = path.replace(f"{{{name}}}", quote(value, safe=""))
            suffix = f"?{window}" if "analytics" in path else ""
            house.call("read", method, path + suffix, KEY_FIELDS[0] + SECRETS["key-read"])
    for path in ("/v1/request/query", "/v1/request/query-clickhouse"):
        house.ask("read", "POST", path, {"filter": "all", "limit": 1000})
    for path in (
        "/metrics",
        "/readyz",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/docs/feedback",
        "/f/style.css",
    ):
        house.call("page", "GET", path, KEY_FIELDS[0] + SECRETS["key-read"])


def export_everything(house: House) -> None:
    job = {"filters": WINDOW, "requested_data": ["id", "trace_id", "request", "response", "metadata"]}
    export_id = house.ask("read", "POST", "/v1/logs/exports", job)["id"]
    house.ask("read", "POST", f"/v1/logs/exports/{export_id}/start")
    eventually(lambda: house.ask("read", "GET", f"/v1/logs/exports/{export_id}")["status"] == "success")
    key = {"x-portkey-api-key": SECRETS["key-read"]}
    url = f"{house.gateway.url}/v1/logs/exports/{export_id}/download"
    link = httpx.get(url, headers=key).raise_for_status().json()["signed_url"]
    house.said["export"] = httpx.get(link).raise_for_status().content
    house.given_out += parse_qs(urlsplit(link).query)["signature"]


def run_commands(house: House) -> None:
    folder = house.gateway.folder
    made = run_gateway("keys", "create", "made", "--role", "read", "-c", "gateway.yaml", cwd=folder)
    house.given_out += [word for word in made.stdout.split() if word.startswith("gw-")]
    assert len(house.given_out[-1]) > 40
    house.call("made key", "GET", "/api/v1/requests", f"x-api-key: {house.given_out[-1]}")
    for arguments in (
        ("check",), ("doctor", "--offline"), ("keys", "list"), ("logs", "query"), ("logs", "tail"),
        ("logs", "query", "--json"), ("logs", "show", "chatcmpl-1"), ("feedback", "list"), ("audit",),
        ("backup", "copy.db"),
    ):  # fmt: skip
        done = run_gateway(*arguments, "-c", "gateway.yaml", cwd=folder)
        house.said[f"gateway {' '.join(arguments)}"] = (done.stdout + done.stderr).encode()


def fail_store(house: House, upstream: UpstreamProcess) -> Mapping[str, bytes]:
    """Have rows go beside the store; return what is on the disk then."""
    fill_disk(house.gateway)
    proxy_everything(house, upstream)
    vote = b'{"trace_id": "t", "value": 1}'
    house.call("full", "POST", "/v1/feedback", KEY_FIELDS[0] + SECRETS["key-feedback"], body=vote)
    house.call("full", "GET", "/readyz")
    written = written_files(house.gateway)
    empty_disk(house.gateway)
    eventually(lambda: httpx.get(f"{house.gateway.url}/readyz").status_code == 200)
    return written


def documented(house: House) -> list[tuple[str, str]]:
    """Method and path of every operation."""
    document = without_endless(httpx.get(f"{house.gateway.url}/openapi.json").json())
    return [(method.upper(), path) for path, operations in document["paths"].items() for method in operations]


def test_no_secret_is_said_or_written_whatever_happens_to_it(house: House, upstream: UpstreamProcess) -> None:
    paths = documented(house)
    proxy_everything(house, upstream)
    wait_until_interpreted(house.gateway.database)
    vote_everywhere(house)
    refuse_everything(house, paths)
    while_failing = dict(fail_store(house, upstream))
    wait_until_interpreted(house.gateway.database)
    run_commands(house)
    read_everything(house, paths)
    export_everything(house)
    house.gateway.stop()

    written = {**written_files(house.gateway), **unpacked_bodies(house.gateway)}
    secrets = [*SECRETS.values(), *house.given_out]
    assert len(house.given_out) > 10
    assert find_leaks(secrets, written) == []
    assert find_leaks(secrets, while_failing) == []
    assert find_leaks(secrets, house.said) == []
    told = {"spans and events": house.collector.raw}
    assert find_leaks(secrets, told) == []

    # The same search finds what is there, in each of the places.
    for places, least in ((written, 3), (while_failing, 2), (house.said, 8), (told, 1)):
        assert len(find_leaks([TRACE], places)) >= least, list(places)
    assert any(name.endswith(".seg") for name in while_failing)
    assert {"copy.db", "gateway.db", "gateway.log"} <= set(written)
    assert any(".exports/" in name for name in written)
