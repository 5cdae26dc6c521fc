"""A person asks to be forgotten: nothing of theirs is left in any file, and sums stay as they were."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer
from tests.storage_faults import empty_disk, fill_disk

CANARY = "ann-c4n4ry"


def test_what_a_person_asked_and_said_is_gone_from_every_file(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    for number in range(20):
        person = CANARY if number % 2 else "bob"
        ask(gateway, upstream, person, f"{person}-{number}")
        vote = {"trace_id": f"{person}-{number}", "value": 1, "metadata": {"_user": person, "note": person}}
        httpx.post(
            f"{gateway.url}/v1/feedback", json=vote, headers={"Idempotency-Key": f"{person}-{number}"}
        ).raise_for_status()
    before = totals(gateway)
    assert files_with(gateway, CANARY)

    erased = httpx.delete(f"{gateway.url}/api/v1/users/{CANARY}", timeout=30).raise_for_status().json()
    assert erased == {"requests": 10, "feedback": 10, "dry_run": False}
    assert httpx.get(f"{gateway.url}/api/v1/users/{CANARY}").status_code == 404
    assert totals(gateway) == before

    compacted = run_gateway("compact", cwd=gateway.folder)
    assert compacted.returncode == 0, compacted.stderr
    assert files_with(gateway, CANARY) == []
    ask(gateway, upstream, "bob", "afterwards")
    assert len(query(gateway.database, 'SELECT 1 FROM requests WHERE "user" = ?', "bob")) == 11


def test_nobody_is_erased_while_rows_wait_beside_the_store(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    ask(gateway, upstream, CANARY, "before")
    fill_disk(gateway)
    ask(gateway, upstream, CANARY, "waiting")

    refused = httpx.delete(f"{gateway.url}/api/v1/users/{CANARY}", timeout=30)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "cannot be used" in refused.json()["error"]["message"]

    empty_disk(gateway)
    eventually(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
    erased = httpx.delete(f"{gateway.url}/api/v1/users/{CANARY}", timeout=30).raise_for_status().json()
    assert erased["requests"] == 2


def ask(gateway: RunningGateway, upstream: UpstreamProcess, person: str, trace: str) -> None:
    """Ask something under a trace id; question, answer, path and metadata name the person."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"I am {person}"}]}).encode()
    reply = json.dumps(
        {"id": f"chatcmpl-{trace}", "model": "m", "choices": [{"message": {"content": f"Hello {person}"}}]}
    ).encode()
    metadata = json.dumps({"_user": person, "_session": f"chat-{person}", "mail": f"{person}@example.org"})
    answered = call(
        gateway.port,
        request(
            b"POST",
            f"/v1/chat/completions?who={person}".encode(),
            upstream.script(*answer(reply)),
            b"x-portkey-trace-id: " + trace.encode(),
            b"x-portkey-metadata: " + metadata.encode(),
            body=body,
        ),
    )
    assert answered.status == 200, answered.body


def totals(gateway: RunningGateway) -> tuple[int, object]:
    [row] = httpx.get(f"{gateway.url}/api/v1/aggregates").raise_for_status().json()["data"]
    return row["requests"], row["cost"]


def files_with(gateway: RunningGateway, text: str) -> list[str]:
    files = filter(Path.is_file, gateway.folder.rglob("*"))
    return [path.name for path in files if text.encode() in path.read_bytes()]
