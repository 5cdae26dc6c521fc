"""Whatever only an admin may do leaves a line: by call or by command, done or refused."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

KEYS = [
    {"name": "app", "key": "app-key", "role": ["proxy", "feedback", "read"]},
    {"name": "ops", "key": "ops-key", "role": "admin"},
    {"name": "north-ops", "key": "north-key", "role": ["admin"], "tenant": "north"},
]


def headers(key: str) -> dict[str, str]:
    return {"x-portkey-api-key": key}


@pytest.fixture
def gateway(start_gateway: StartGateway) -> RunningGateway:
    return start_gateway({"keys": KEYS}, arguments=("--demo",))


@pytest.fixture
def ops(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers=headers("ops-key"), timeout=30) as client:
        yield client


def audit(client: httpx.Client, **parameters: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (
        client.get("/api/v1/audit", params=parameters).raise_for_status().json()["data"]
    )
    return data


def vote(gateway: RunningGateway, key: str = "app-key") -> str:
    given = httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "t", "value": 1}, headers=headers(key))
    feedback_id: str = given.raise_for_status().json()["feedback_ids"][0]
    return feedback_id


def test_a_change_that_only_an_admin_may_make_is_audited(gateway: RunningGateway, ops: httpx.Client) -> None:
    feedback_id = vote(gateway)
    assert ops.delete(f"/api/v1/feedback/{feedback_id}").status_code == 200
    assert ops.delete(f"/api/feedback/{feedback_id}").status_code == 404
    gone, done = audit(ops)
    assert done.pop("audit_id") < gone.pop("audit_id")
    assert done.pop("at") <= gone.pop("at")
    common = {"actor": "ops", "via": "api", "tenant": None}
    assert done == common | {
        "action": "DELETE /api/v1/feedback/{feedback_id}",
        "target": f"/api/v1/feedback/{feedback_id}",
        "outcome": "200",
    }
    assert gone == common | {
        "action": "DELETE /api/feedback/{feedback_id}",
        "target": f"/api/feedback/{feedback_id}",
        "outcome": "404",
    }


def test_what_others_do_and_what_is_read_is_not(gateway: RunningGateway, ops: httpx.Client) -> None:
    vote(gateway)
    ops.get("/api/v1/requests").raise_for_status()
    assert httpx.delete(f"{gateway.url}/api/v1/users/ann", headers=headers("app-key")).status_code == 403
    assert audit(ops) == []


def test_who_was_erased_is_not_said(gateway: RunningGateway, ops: httpx.Client) -> None:
    for path in ("/api/v1/users/ann-c4n4ry", "/api/v1/feedback?author=ann-c4n4ry"):
        ops.delete(path).raise_for_status()
    ops.delete("/api/v1/users/ann-c4n4ry?dry_run=true").raise_for_status()
    assert [(row["action"], row["target"]) for row in audit(ops)] == [
        ("DELETE /api/v1/users/{user}", "dry_run=true"),
        ("DELETE /api/v1/feedback", None),
        ("DELETE /api/v1/users/{user}", None),
    ]
    assert "c4n4ry" not in json.dumps([dict(row) for row in query(gateway.database, "SELECT * FROM audit")])


def test_commands_are_audited(gateway: RunningGateway, ops: httpx.Client) -> None:
    store = ("--storage", f"sqlite:///{gateway.database}")
    for command in (("keys", "create", "ci", "--role", "read"), ("keys", "revoke", "nobody"), ("compact",)):
        run_gateway(*command, *store, cwd=gateway.folder)
    found = audit(ops, via="command")
    assert [(row["action"], row["target"], row["outcome"]) for row in found] == [
        ("compact", None, "done"),
        ("keys revoke", "nobody", "404"),
        ("keys create", "ci", "done"),
    ]
    assert all(row["actor"] for row in found)
    table = run_gateway("audit", "--action", "keys create", *store, cwd=gateway.folder).stdout.splitlines()
    assert len(table) == 2
    assert all(word in table[1] for word in ("command", "keys create", "ci", "done"))
    lines = run_gateway("audit", "--json", *store, cwd=gateway.folder).stdout.splitlines()
    assert [json.loads(line) for line in lines] == found


def test_it_is_read_slice_by_slice(gateway: RunningGateway, ops: httpx.Client) -> None:
    for number in range(5):
        ops.delete(f"/api/v1/feedback/{number}")
    targets, cursor = [], None
    while True:
        parameters = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        reply = ops.get("/api/v1/audit", params=parameters).raise_for_status().json()
        targets += [row["target"] for row in reply["data"]]
        cursor = reply["next_cursor"]
        if cursor is None:
            break
    assert targets == [f"/api/v1/feedback/{number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"via": "post"}, "via"),
        ({"from": "soon"}, "from"),
        ({"metadata.a": "b"}, "metadata.a"),
        ({"cursor": "1"}, "cursor"),
    ],
)
def test_a_search_that_is_none_is_refused(ops: httpx.Client, parameters: dict[str, str], field: str) -> None:
    refused = ops.get("/api/v1/audit", params=parameters)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)


def test_a_tenant_s_admin_sees_what_was_done_in_its_name(gateway: RunningGateway, ops: httpx.Client) -> None:
    ops.delete("/api/v1/users/ann")
    with httpx.Client(base_url=gateway.url, headers=headers("north-key")) as north:
        north.delete("/api/v1/users/bob")
        assert [(row["actor"], row["tenant"]) for row in audit(north)] == [("north-ops", "north")]
    assert [row["actor"] for row in audit(ops)] == ["north-ops", "ops"]
    assert [row["actor"] for row in audit(ops, actor="ops")] == ["ops"]


def test_what_cannot_be_written_down_is_not_done(gateway: RunningGateway, ops: httpx.Client) -> None:
    feedback_id = vote(gateway)
    size = gateway.database.with_name("gateway.db-wal").stat().st_size
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    refused = ops.delete(f"/api/v1/feedback/{feedback_id}")
    assert refused.status_code == 503
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eventually(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
    assert ops.get(f"/api/v1/feedback/{feedback_id}").json()["deleted_at"] is None
    assert ops.delete(f"/api/v1/feedback/{feedback_id}").status_code == 200
