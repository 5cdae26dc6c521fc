"""What a list offers beside its rows: columns, a count, an export, values to filter by."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.datasets.registry import FORMATS
from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, TENANT_KEY, ask_api, signed_in

WEEK = {"from": "7d"}


@pytest.fixture(scope="module")
def admin(demo_pages: RunningGateway) -> Iterator[httpx.Client]:
    with signed_in(demo_pages, ADMIN_KEY) as client:
        yield client


def titles(html: str) -> list[str]:
    return re.findall(r"<th[^>]*>([^<]+)</th>", html)


def test_columns_are_those_of_the_url(admin: httpx.Client) -> None:
    page = admin.get("/ui/requests", params={"columns": "cost,metadata.team,status"}).text
    assert titles(page) == ["Time", "Cost", "team", "Status"]
    assert re.search(r'<td class="clip">(support|legal|sales|engineering)</td>', page)
    added = admin.get("/ui/requests", params={"columns": "cost", "column": "team"}, follow_redirects=True)
    assert added.url.params["columns"] == "time,cost,metadata.team"
    refused = admin.get("/ui/requests", params={"columns": "cost,nonsense"})
    assert refused.status_code == 400
    assert "nonsense" in refused.text


def test_counts_and_exports_are_of_what_the_sentence_says(
    demo_pages: RunningGateway, admin: httpx.Client
) -> None:
    for path, name in (("/ui/requests", "requests"), ("/ui/feedback", "feedback")):
        filters = {"rating": "bad", **WEEK}
        exported = admin.get(f"{path}.csv", params={**filters, "format": "csv"})
        assert exported.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(exported.text)))
        listed = ask_api(demo_pages, f"/api/v1/{name}?rating=bad&from=7d&limit=100")["data"]
        assert len(rows) == len(listed) > 0
        page = admin.get(path, params=filters).text
        assert re.search(rf'<span class="counted">{len(rows):,}( entries)?</span>', page)
        assert f'href="{path}.csv?format=csv&amp;' in page


@pytest.mark.parametrize("name", ["requests", "feedback", "sessions", "users"])
def test_each_list_is_exported_with_its_filters_as_requests_with_their_feedback(
    demo_pages: RunningGateway, admin: httpx.Client, name: str
) -> None:
    page = admin.get(f"/ui/{name}", params={"rating": "bad", **WEEK}).text
    links = [html.unescape(link) for link in re.findall(r'href="(/ui/export\?[^"]*)"', page)]
    assert [httpx.URL(link).params["format"] for link in links] == list(FORMATS)
    lines = admin.get(links[0]).raise_for_status().text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows
    assert all(any((entry["score"] or 0) < 0 for entry in row["feedback"]) for row in rows)
    with httpx.Client(base_url=demo_pages.url, trust_env=False) as stranger:
        assert stranger.get(links[0]).status_code == 303
    with signed_in(demo_pages, TENANT_KEY) as tenant:
        assert tenant.get(links[0]).text == ""


def test_an_export_needs_a_sign_in_and_is_of_one_tenant(demo_pages: RunningGateway) -> None:
    with httpx.Client(base_url=demo_pages.url, trust_env=False) as stranger:
        assert stranger.get("/ui/requests.csv?format=csv").status_code == 303
    with signed_in(demo_pages, TENANT_KEY) as tenant:
        assert len(tenant.get("/ui/requests.csv", params={"format": "csv"}).text.splitlines()) == 1
        assert tenant.get("/ui/values", params={"field": "metadata.team"}).json() == []


def test_values_of_a_field_are_offered(admin: httpx.Client) -> None:
    assert set(admin.get("/ui/values", params={"field": "metadata.team"}).json()) == {
        *("support", "legal", "sales", "engineering")
    }
    assert admin.get("/ui/values", params={"field": "request_id"}).json() == []


def test_a_filter_is_added_by_its_name_or_by_a_metadata_key(admin: httpx.Client) -> None:
    page = admin.get("/ui/requests", params={"add": "metadata.", "key": "team", "value": "legal"}).text
    assert "team is legal" in page
    assert admin.get("/ui/requests", params={"add": "metadata.", "value": "legal"}).status_code == 400


def test_a_tenant_without_rows_is_told_how_to_begin(demo_pages: RunningGateway, admin: httpx.Client) -> None:
    with signed_in(demo_pages, TENANT_KEY) as tenant:
        for path in (
            "/ui/feedback",
            "/ui/requests",
            "/ui/sessions",
            "/ui/users",
            "/ui/compare",
            "/ui/overview",
        ):
            page = tenant.get(path, follow_redirects=True).text
            assert "Nothing is logged yet" in page, path
            assert f"curl -i {demo_pages.url}/v1/chat/completions" in page, path
    assert "No feedback matches" in admin.get("/ui/feedback?comment=zzzz").text
