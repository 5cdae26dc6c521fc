"""Portkey's exports over HTTP: what a caller sees of a job from its draft to its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.api.portkey.exports import COLUMNS
from gateway.models.exchange import Identity
from gateway.models.request import Cost, Facts, Usage
from tests.store.samples import exchange

from .logs_served import LOG, LogsServed
from .served import as_headers, complaint

FACTS = Facts(model="gpt-4o", usage=Usage(3, 4), cost=Cost(12_500_000, "test"))


async def fill(logs: LogsServed, count: int, **given: Any) -> None:
    seqs = await logs.store.append([exchange(str(number), **given) for number in range(count)])
    await logs.store.annotate([(seq, FACTS) for seq in seqs], 1)


async def test_every_column_of_portkeys_is_written_under_its_name(logs: LogsServed) -> None:
    identity = Identity("a", "trace-1", metadata={"_prompt": "greet", "n": [1]})
    body = b'{\r\n  "model": "gpt-4o",\n  "n": 1.0}'
    await fill(logs, 1, identity=identity, request_body=body, request_size=len(body))
    [row] = await logs.exported(list(COLUMNS))
    assert list(row.items()) == [
        ("id", "a"),
        ("trace_id", "trace-1"),
        ("created_at", "2023-11-14T22:13:20.000Z"),
        ("request", {"model": "gpt-4o", "n": 1.0}),
        ("response", {"id": "chatcmpl-1"}),
        ("is_success", True),
        ("ai_org", "openai"),
        ("ai_model", "gpt-4o"),
        ("req_units", 3),
        ("res_units", 4),
        ("total_units", 7),
        ("request_url", "https://openai.test/v1/chat/completions"),
        ("cost", 1.25),
        ("cost_currency", "USD"),
        ("response_time", 250),
        ("response_status_code", 200),
        ("mode", "single"),
        ("config", None),
        ("prompt_slug", "greet"),
        ("metadata", {"_prompt": "greet", "n": [1]}),
        ("feedback", []),
    ]


async def test_only_what_is_asked_for_is_written_in_the_order_in_which_it_is_asked_for(
    logs: LogsServed,
) -> None:
    await fill(logs, 3)
    rows = await logs.exported(["ai_model", "id", "ai_model"], {"trace_id": "trace-1"})
    assert [list(row.items()) for row in rows] == [[("ai_model", "gpt-4o"), ("id", str(n))] for n in range(3)]
    assert await logs.exported(["id"], {"ai_model": "other"}) == []


async def test_logs_that_were_told_of_are_exported_like_all_others(logs: LogsServed) -> None:
    [log_id] = await logs.log(LOG)
    [row] = await logs.exported(["id", "request", "response", "request_url"])
    assert row["id"] == log_id
    assert (row["request"], row["response"]) == (LOG["request"]["body"], LOG["response"]["body"])
    assert row["request_url"] == LOG["request"]["url"]


async def test_a_large_selection_is_exported_page_by_page(logs: LogsServed) -> None:
    await fill(logs, 10)
    pages = [await logs.exported(["id"], {"page_size": 4, "current_page": page}) for page in range(4)]
    assert [[row["id"] for row in page] for page in pages] == [list("0123"), list("4567"), list("89"), []]


async def test_a_job_is_shown_from_its_draft_to_its_end(logs: LogsServed) -> None:
    await fill(logs, 3)
    filters = {"status_code": "200", "metadata": {}}
    created = await logs.create(
        {"filters": filters, "requested_data": ["id"], "description": "für Ann", "workspace_id": "any"}
    )
    export_id = created.json()["id"]
    assert created.json() == {"id": export_id, "total": 3, "object": "export"}

    draft = (await logs.client.get(f"/logs/exports/{export_id}")).json()
    assert UUID(export_id).version == 7
    assert (draft["status"], draft["description"], draft["progress"]) == ("draft", "für Ann", 0)
    assert (draft["filters"], draft["requested_data"]) == (filters, ["id"])
    assert (draft["total_records"], draft["rows_done"], draft["error"]) == (3, 0, None)
    assert (draft["tenant"], draft["key_name"], draft["object"]) == (None, "all", "export")

    done = await logs.finished(export_id)
    assert (done["status"], done["rows_done"], done["progress"]) == ("success", 3, 1)
    assert done["created_at"] == draft["created_at"] < done["last_updated_at"]


async def test_those_who_have_no_uuid_are_shown_by_one_that_is_always_the_same(logs: LogsServed) -> None:
    shown = [
        (await logs.client.get(f"/logs/exports/{await logs.made(['id'], x_portkey_api_key=key)}")).json()
        for key in ("north-key", "north-key", "south-key", "all-key")
    ]
    organisations = [str(UUID(export["organisation_id"])) for export in shown]
    assert organisations[0] == organisations[1] != organisations[2]
    assert organisations[3] == str(UUID(int=0))
    assert [export["workspace_id"] for export in shown] == organisations
    assert len({UUID(export["created_by"]) for export in shown}) == 3


async def test_a_job_is_described_anew_and_is_a_draft_again(logs: LogsServed) -> None:
    await fill(logs, 3)
    export_id = await logs.made(["id"])
    await logs.finished(export_id)
    path = f"/logs/exports/{export_id}"

    changed = await logs.client.put(path, json={"filters": {"page_size": 2}, "export_id": export_id})
    assert changed.json() == {"id": export_id, "total": 2, "object": "export"}
    shown = (await logs.client.get(path)).json()
    assert (shown["status"], shown["filters"], shown["requested_data"]) == ("draft", {"page_size": 2}, ["id"])
    assert (await logs.client.get(f"{path}/download")).status_code == 409

    await logs.client.put(path, json={"filters": {}, "requested_data": ["trace_id"]})
    assert (await logs.finished(export_id))["requested_data"] == ["trace_id"]


async def test_jobs_are_listed_the_newest_first(logs: LogsServed) -> None:
    made = [await logs.made(["id"]) for _ in range(3)]
    listed = (await logs.client.get("/logs/exports", params={"workspace_id": "any"})).json()
    assert (listed["object"], listed["total"]) == ("list", 3)
    assert [export["id"] for export in listed["data"]] == made[::-1]
    page = (await logs.client.get("/logs/exports?page_size=2&current_page=1")).json()
    assert ([export["id"] for export in page["data"]], page["total"]) == (made[:1], 3)
    assert (await logs.client.get("/logs/exports/")).json() == listed


async def test_a_cancelled_job_is_stopped_at_once(logs: LogsServed) -> None:
    await logs.store.append([exchange("not interpreted, so that the export waits for it")])
    export_id = await logs.made(["id"])
    path = f"/logs/exports/{export_id}"
    started = await logs.client.post(f"{path}/start")
    assert started.json() == {"message": f"Export {export_id} started", "object": "export"}
    again = await logs.client.post(f"{path}/start")
    assert (again.status_code, complaint(again)) == (
        409,
        f"export {export_id} is in progress. Cancel it first.",
    )
    cancelled = await logs.client.post(f"{path}/cancel")
    assert cancelled.json() == {"message": f"Export {export_id} cancelled", "object": "export"}
    assert (await logs.client.get(path)).json()["status"] == "stopped"
    refused = await logs.client.post(f"{path}/cancel")
    assert (refused.status_code, complaint(refused)) == (
        409, f"export {export_id} is not in progress: it is stopped.",
    )  # fmt: skip


async def test_tenants_export_their_own_rows_and_see_their_own_jobs(logs: LogsServed) -> None:
    await fill(logs, 2, tenant="north")
    await fill(logs, 3, tenant="south")
    for key, count in (("north-key", 2), ("south-key", 3), ("read-key", 5)):
        assert len(await logs.exported(["id"], x_portkey_api_key=key)) == count
    export_id = await logs.made(["id"], x_portkey_api_key="north-key")
    path = f"/logs/exports/{export_id}"
    for method, target in (
        ("GET", path), ("PUT", path), ("POST", f"{path}/start"), ("POST", f"{path}/cancel"),
        ("GET", f"{path}/download"),
    ):  # fmt: skip
        reply = await logs.client.request(
            method, target, json={"filters": {}}, headers={"x-portkey-api-key": "south-key"}
        )
        assert (reply.status_code, complaint(reply)) == (
            404, f"exportId: no export has the id '{export_id}'.",
        )  # fmt: skip
    listed = await logs.client.get("/logs/exports", headers={"x-portkey-api-key": "south-key"})
    assert [export["tenant"] for export in listed.json()["data"]] == ["south"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/logs/exports"),
        ("GET", "/logs/exports"),
        ("GET", "/logs/exports/x"),
        ("PUT", "/logs/exports/x"),
        ("POST", "/logs/exports/x/start"),
        ("POST", "/logs/exports/x/cancel"),
        ("GET", "/logs/exports/x/download"),
    ],
)
async def test_exports_take_the_role_of_those_who_read(logs: LogsServed, method: str, path: str) -> None:
    statuses = {
        key: (
            await logs.client.request(method, path, json={}, headers={"x-portkey-api-key": key})
        ).status_code
        for key in ("proxy-key", "vote-key", "wrong-key")
    }
    assert statuses == {"proxy-key": 403, "vote-key": 403, "wrong-key": 401}


async def link(logs: LogsServed, **headers: str) -> str:
    export_id = await logs.made(["id"])
    await logs.finished(export_id)
    reply = await logs.client.get(f"/logs/exports/{export_id}/download", headers=as_headers(headers))
    assert reply.headers["cache-control"] == "no-store"
    signed_url: str = reply.json()["signed_url"]
    return signed_url


async def test_a_link_downloads_the_file_without_a_key_also_in_parts(logs: LogsServed) -> None:
    await fill(logs, 3)
    url = await link(logs)
    async with httpx.AsyncClient(trust_env=False) as stranger:
        whole = await stranger.get(url)
        part = await stranger.get(url, headers={"Range": "bytes=11-20"})
    assert [json.loads(line) for line in whole.text.splitlines()] == [
        {"id": str(number)} for number in range(3)
    ]
    assert whole.headers["content-type"] == "application/jsonl"
    assert whole.headers["content-disposition"].startswith('attachment; filename="')
    assert (whole.headers["cache-control"], whole.headers["x-content-type-options"]) == (
        "no-store",
        "nosniff",
    )
    assert (part.status_code, part.text) == (206, '{"id":"1"}')


async def test_a_link_that_was_not_made_here_opens_nothing(logs: LogsServed) -> None:
    url = await link(logs)
    other = await logs.made(["id"])
    path, _, query = url.partition("?")
    async with httpx.AsyncClient(trust_env=False) as stranger:
        for wrong in (
            path,
            f"{path}?{query}0",
            f"{path}?signature=a&{query}",
            f"{url[:40]}",
            url.replace("expires=1", "expires=2"),
        ):
            reply = await stranger.get(wrong, headers={"x-portkey-api-key": "all-key"})
            assert reply.status_code in (403, 404), wrong
        reply = await stranger.get(f"{logs.url}/logs/exports/{other}/file?{query}")
        assert (reply.status_code, complaint(reply)) == (
            403, "signature: this link is not valid. Ask for the download again.",
        )  # fmt: skip


async def test_a_link_leads_to_where_the_caller_found_the_gateway(logs: LogsServed) -> None:
    assert (await link(logs)).startswith(f"{logs.url}/logs/exports/")
    outside = await link(logs, Host="gateway.test", X_Forwarded_Proto="https")
    assert outside.startswith("https://gateway.test/v1/logs/exports/")


async def test_a_file_that_is_gone_is_said_to_be(logs: LogsServed) -> None:
    url = await link(logs)
    remove_all(logs.folder)
    reply = await logs.client.get(url)
    assert reply.status_code == 404
    assert complaint(reply).endswith("is gone; files are kept for 7 days. Start the export again.")


def remove_all(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


async def test_paths_below_exports_are_never_taken_for_logs(logs: LogsServed) -> None:
    for method, path in (
        ("GET", "/logs/exports/x/start"),
        ("GET", "/logs/exports/x/y/z"),
        ("DELETE", "/logs/exports/x"),
    ):
        reply = await logs.client.request(method, path)
        assert reply.status_code in (404, 405)
        assert "no request has" not in complaint(reply)
