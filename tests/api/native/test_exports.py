"""Exports over HTTP: streams, refusals, jobs with links, tenants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.datasets.export_rows import ExportReader
from gateway.datasets.files import ExportFiles, ExportLinks
from gateway.datasets.format_exporter import NATIVE, FormatExporter
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.datasets.services import ExportServices
from gateway.datasets.versions import DatasetService
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.api.api_server import Serve
from tests.api.native.conftest import PRINCIPALS, key
from tests.api.native.served import face_over
from tests.store.samples import exchange, feedback


@pytest.fixture
async def readers(store: Store) -> ExportReader:
    return ExportReader(store)


@pytest.fixture
async def url(store: Store, serve: Serve, readers: ExportReader, tmp_path: Path) -> AsyncIterator[str]:
    files, exporter = ExportFiles(tmp_path / "exports"), FormatExporter()
    runner = ExportRunner(store, files, {NATIVE: exporter})
    jobs = ExportJobs(store, files, runner, NATIVE, exporter)
    exports = ExportServices(readers, jobs, ExportLinks(store), DatasetService(store))
    runner.start()
    yield await serve(face_over(store, exports=exports), principals=PRINCIPALS, store=store)
    await runner.close()


@pytest.fixture
async def filled(store: Store) -> None:
    seqs = await store.append([exchange(f"{n}", f"t{n}", tenant="ab"[n % 2]) for n in range(10)])
    await store.annotate([(seq, Facts(model="m")) for seq in seqs], 1)
    await store.put_feedback([feedback("f", "t0", tenant="a", value=-1.0, score=-1.0)])


def ids(text: str) -> list[str]:
    return [json.loads(line)["request_id"] for line in text.splitlines()]


async def test_an_export_is_a_download_of_what_the_filters_and_the_key_allow(
    client: httpx.AsyncClient, filled: None
) -> None:
    reply = await client.get("/api/v1/export", params={"format": "jsonl"})
    assert ids(reply.text) == [str(number) for number in range(10)]
    assert reply.headers["content-type"] == "application/jsonl"
    assert reply.headers["content-disposition"].startswith('attachment; filename="jsonl-')
    assert reply.headers["cache-control"] == "no-store"
    bad = await client.get("/api/v1/export", params={"format": "jsonl", "rating": "bad"})
    assert ids(bad.text) == ["0"]
    of_b = await client.get("/api/v1/export", params={"format": "jsonl"}, headers=key("reader-b"))
    assert ids(of_b.text) == ["1", "3", "5", "7", "9"]
    assert (await client.get("/api/v1/export?format=csv", headers=key("app"))).status_code == 403
    head = await client.head("/api/v1/export", params={"format": "csv", "model": "none"})
    assert (head.status_code, head.text) == (200, "")


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("", 400, "format"),
        ("format=xml", 400, "format"),
        ("format=csv&nope=1", 400, "nope"),
        ("format=csv&people=", 400, "people"),
        ("format=csv&limit=1&limit=2", 400, "limit"),
        ("format=jsonl&texts=maybe", 400, "texts"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    client: httpx.AsyncClient, filled: None, query: str, status: int, field: str
) -> None:
    reply = await client.get(f"/api/v1/export?{query}")
    assert (reply.status_code, reply.json()["error"]["field"]) == (status, field)


async def test_too_many_rows_are_refused_with_the_way_to_a_job(
    client: httpx.AsyncClient, filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.native.exports.MAX_ROWS", 9)
    reply = await client.get("/api/v1/export?format=csv")
    assert reply.status_code == 413
    assert "/api/v1/exports" in reply.json()["error"]["message"]
    assert len((await client.get("/api/v1/export?format=csv&limit=9")).text.splitlines()) == 10


async def test_a_caller_who_leaves_ends_the_export(
    client: httpx.AsyncClient, store: Store, readers: ExportReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that neither socket takes it all.
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 200_000}]}).encode()
    rows = [exchange(f"{n}", request_body=body, request_size=len(body)) for n in range(400)]
    seqs = await store.append(rows)
    await store.annotate([(seq, Facts()) for seq in seqs], 1)
    async with client.stream("GET", "/api/v1/export?format=jsonl") as reply:
        async for _ in reply.aiter_bytes(1024):
            break
        assert readers._number == 1
    for _ in range(1000):
        if not readers._number:
            break
        await asyncio.sleep(0.005)
    assert readers._number == 0
    assert len(ids((await client.get("/api/v1/export?format=jsonl")).text)) == 400


async def make(client: httpx.AsyncClient, who: str = "reader", **body: Any) -> dict[str, Any]:
    reply = await client.post("/api/v1/exports", json=body, headers=key(who))
    job: dict[str, Any] = reply.raise_for_status().json()
    while job["status"] == "in_progress":
        await asyncio.sleep(0.005)
        shown = await client.get(f"/api/v1/exports/{job['export_id']}", headers=key(who))
        job = shown.raise_for_status().json()
    return job


async def test_a_job_writes_a_file_behind_a_signed_link_of_one_tenant(
    client: httpx.AsyncClient, url: str, filled: None
) -> None:
    job = await make(
        client, "reader-a", format="csv", filters={"model": "m"}, options={"texts": False}, min_people=0
    )
    assert (job["status"], job["rows_total"], job["rows_done"], job["written"]) == ("success", 5, 5, 5)
    assert job["format"] == "csv"
    async with httpx.AsyncClient(trust_env=False) as stranger:
        file = await stranger.get(job["download_url"])
        lines = file.text.splitlines()
        assert (len(lines), "question" in lines[0]) == (6, False)
        assert file.headers["content-disposition"] == f'attachment; filename="{job["export_id"]}.csv"'
        part = await stranger.get(job["download_url"], headers={"Range": "bytes=0-2"})
        assert (part.status_code, part.text) == (206, "seq")
        forged = job["download_url"][:-1] + ("0" if job["download_url"][-1] != "0" else "1")
        assert (await stranger.get(forged)).status_code == 403
        assert (await stranger.get(f"{url}/api/v1/exports/{job['export_id']}/file")).status_code == 403
    path = f"/api/v1/exports/{job['export_id']}"
    assert (await client.get(path, headers=key("reader-b"))).status_code == 404
    assert (await client.post(f"{path}/cancel", headers=key("reader-b"))).status_code == 404
    assert (await client.get("/api/v1/exports", headers=key("reader-b"))).json() == {"data": [], "total": 0}
    assert (await client.get("/api/v1/exports")).json()["total"] == 1
    assert (await client.post(f"{path}/cancel")).status_code == 409


@pytest.mark.parametrize("name", ["..%2F..%2Fgateway.db", "%2Fetc%2Fpasswd", "x%00"])
async def test_no_path_leads_to_other_files(client: httpx.AsyncClient, filled: None, name: str) -> None:
    for path in (name, f"{name}/file?expires=99999999999&signature=00", f"{name}/cancel"):
        reply = await client.request("POST" if "cancel" in path else "GET", f"/api/v1/exports/{path}")
        assert reply.status_code in (400, 403, 404), path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "format"),
        ({"format": "../../x"}, "format"),
        ({"format": "csv", "filters": {"nope": 1}}, "nope"),
        ({"format": "csv", "filters": {"limit": 1}}, "filters.limit"),
        ({"format": "csv", "options": {"limit": 1}}, "options.limit"),
        ({"format": "csv", "limit": 0}, "limit"),
        ({"format": "csv", "filters": {"from": "never"}}, "from"),
        ({"format": "csv", "name": "x"}, "name"),
        ({"format": "csv", "filters": {"user": None}}, "filters.user"),
    ],
)
async def test_a_job_that_cannot_be_done_is_not_made(
    client: httpx.AsyncClient, filled: None, body: dict[str, Any], field: str
) -> None:
    reply = await client.post("/api/v1/exports", json=body)
    assert (reply.status_code, reply.json()["error"]["field"]) == (400, field)
    assert (await client.get("/api/v1/exports")).json()["total"] == 0


async def test_numbers_of_a_job_keep_all_their_digits(client: httpx.AsyncClient, filled: None) -> None:
    filters = {"metadata.big": 1234567.5, "metadata.whole": 2.0, "metadata.small": 1e-7}
    body = {"format": "csv", "filters": filters, "min_weight": 0.12345678}
    reply = await client.post("/api/v1/exports", json=body)
    assert reply.status_code == 200, reply.text
    query = reply.json()["query"]
    del query["all_in_trace"], query["min_people"]
    expected = {"metadata.big": "1234567.5", "metadata.whole": "2.0", "metadata.small": "1e-7"}
    assert query == {**expected, "min_weight": "0.12345678"}


async def test_an_unknown_job_is_told_by_the_name_of_its_parameter(client: httpx.AsyncClient) -> None:
    reply = await client.get("/api/v1/exports/nope")
    assert (reply.status_code, reply.json()["error"]["field"]) == (404, "export_id")


async def test_a_name_that_several_tenants_use_is_told_apart_by_ids(client: httpx.AsyncClient) -> None:
    ids = []
    for who in ("admin-a", "admin-b"):
        reply = await client.post("/api/v1/datasets", json={"name": "bad"}, headers=key(who))
        ids.append(reply.raise_for_status().json()["dataset_id"])
    reply = await client.get("/api/v1/datasets/bad", headers=key("admin"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "conflict")
    assert reply.json()["error"]["message"].endswith(f"Use an id: {ids[0]}, {ids[1]}.")
    for path, status in ((ids[0], 404), (ids[1], 200), ("bad", 200)):
        assert (await client.get(f"/api/v1/datasets/{path}", headers=key("admin-b"))).status_code == status
    # A name that is another tenant's id does not hide what has the id.
    await client.post("/api/v1/datasets", json={"name": ids[1]}, headers=key("admin-a"))
    shown = await client.get(f"/api/v1/datasets/{ids[1]}", headers=key("admin"))
    assert shown.json()["tenant"] == "b"
