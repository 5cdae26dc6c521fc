"""What a caller may get wrong in an export: each a 4xx that names the field, and makes or changes no job."""

from __future__ import annotations

import pytest

from gateway.models.filters import NO_FILTER

from .logs_served import LogsServed
from .served import as_bytes, complaint

GOOD: dict[str, object] = {"filters": {}, "requested_data": ["id"]}

BAD_FILTERS: list[tuple[dict[str, object], str]] = [
    ({"filters": None}, "filters: must be an object; got null."),
    ({"filters": []}, "filters: must be an object; got an array."),
    ({"filters": {"metadata": {"a": "\0"}}}, "filters: must not hold the character U+0000"),
    ({"filters": {"timestamp": {"gte": 1}}}, "filters.timestamp: is not a known filter. Allowed: time_of"),
    ({"filters": {"cost_min": "x"}}, 'filters.cost_min: must be a number from 0 to 100,000,000,000; got "x".'),
    ({"filters": {"metadata": {"a": {}}}}, "filters.metadata: holds an object under 'a'"),
    ({"filters": {"page_size": 50_001}}, "filters.page_size: must be a number from 1 to 50,000; got 50001."),
    ({"filters": {"current_page": -1}}, "filters.current_page: must be a number from 0"),
    ({"filters": {"trace_id": ",".join(["t"] * 1001)}}, "filters.trace_id: must be a string of up to 1,000"),
    ({"filters": {"metadata": {str(n): "" for n in range(500)}}}, "filter: a filter may be 20 levels deep"),
]  # fmt: skip

BAD_COLUMNS: list[tuple[dict[str, object], str]] = [
    ({"requested_data": None}, "requested_data: must be an array of one or more columns; got null."),
    ({"requested_data": []}, "requested_data: must be an array of one or more columns; got an array."),
    ({"requested_data": "id"}, "requested_data: must be an array of one or more columns"),
    (
        {"requested_data": ["id", "idd"]},
        'requested_data: holds "idd", which is not a column; allowed: id, trace_id,',
    ),
    ({"requested_data": [5]}, "requested_data: holds 5, which is not a column"),
    ({"requested_data": [["id"]]}, "requested_data: holds an array, which is not a column"),
]

BAD_DESCRIPTIONS: list[tuple[dict[str, object], str]] = [
    ({"description": 5}, "description: must be a string of at most 1,000 characters; got 5."),
    ({"description": "x" * 1001}, "description: must be a string of at most 1,000 characters"),
    ({"description": "\0"}, "description: must be a string"),
]

BAD_BODIES = [
    (b"", "body: is empty"),
    (b"[]", "body: must be an object; got an array."),
    (b"{}", "filters: is missing."),
    (as_bytes({"filters": {}}), "requested_data: is missing."),
    (as_bytes({"requested_data": ["id"]}), "filters: is missing."),
    (as_bytes(GOOD | {"filters": {"cost_min": 1}}).replace(b"1}", b"NaN}"), "filters.cost_min: must be a finite"),
]  # fmt: skip

CREATING = [
    *[(as_bytes(GOOD | fields), problem) for fields, problem in BAD_FILTERS + BAD_COLUMNS + BAD_DESCRIPTIONS],
    *BAD_BODIES,
]
CHANGING = [
    *[(as_bytes(GOOD | fields), problem) for fields, problem in BAD_FILTERS + BAD_COLUMNS[1:]],
    *[case for case in BAD_BODIES if "requested_data" not in case[1]],
]


@pytest.mark.parametrize(("body", "problem"), CREATING, ids=[problem[:50] for _, problem in CREATING])
async def test_no_job_is_made_of_what_is_wrong(logs: LogsServed, body: bytes, problem: str) -> None:
    reply = await logs.create(body)
    assert reply.status_code == 400
    assert complaint(reply).startswith(problem)
    assert await logs.store.count_exports(NO_FILTER, None) == 0


@pytest.mark.parametrize(("body", "problem"), CHANGING, ids=[problem[:50] for _, problem in CHANGING])
async def test_no_job_is_changed_by_what_is_wrong(logs: LogsServed, body: bytes, problem: str) -> None:
    path = f"/logs/exports/{await logs.made(['id'])}"
    before = (await logs.client.get(path)).json()
    reply = await logs.client.put(path, content=body)
    assert reply.status_code == 400
    assert complaint(reply).startswith(problem)
    assert (await logs.client.get(path)).json() == before


@pytest.mark.parametrize("export_id", ["x", "01a21160-961c-7e09-a217-8edc6868b844", "..%2F..", "*", "%00"])
async def test_a_job_that_is_not_there_is_not_found_by_any_path(logs: LogsServed, export_id: str) -> None:
    path = f"/logs/exports/{export_id}"
    for method, target in (
        ("GET", path), ("PUT", path), ("POST", f"{path}/start"), ("POST", f"{path}/cancel"),
        ("GET", f"{path}/download"),
    ):  # fmt: skip
        reply = await logs.client.request(method, target, json=GOOD)
        assert reply.status_code == 404, target
        complaint(reply)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("page_size=0", "page_size: must be a number from 1 to 1,000; got"),
        ("page_size=1001", "page_size: must be a number from 1 to 1,000"),
        ("page_size=", "page_size: must be a number"),
        ("current_page=-1", "current_page: must be a number from 0"),
        ("current_page=x", "current_page: must be a number"),
    ],
)
async def test_a_list_has_pages(logs: LogsServed, query: str, problem: str) -> None:
    reply = await logs.client.get(f"/logs/exports?{query}")
    assert reply.status_code == 400
    assert complaint(reply).startswith(problem)


async def test_a_description_that_is_too_long_for_any_body_is_refused(logs: LogsServed) -> None:
    reply = await logs.create(GOOD | {"description": "x" * (17 * 1024 * 1024)})
    assert reply.status_code == 413
    complaint(reply)
