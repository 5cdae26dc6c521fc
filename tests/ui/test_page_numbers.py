"""Numbers on the pages are those of the API, written as the pages write them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway.query.overview import TABLE_ROWS
from gateway.ui import formats
from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, ask_api, signed_in

# Whole days, so that nothing is added while the pages are read.
TODAY = datetime.now(UTC).date()
DAYS = {"from": str(TODAY - timedelta(days=6)), "to": str(TODAY - timedelta(days=1))}
MIN_ROWS = 3


class Tables(HTMLParser):
    """Texts of the cells of a page's tables, and of its tiles by their names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tiles: dict[str, str] = {}
        self._tile: list[str] | None = None
        self._is_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._is_cell = True
        elif tag == "a" and ("class", "tile") in attrs:
            self._tile = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._is_cell = False
        elif tag == "a" and self._tile is not None:
            self.tiles[self._tile[0]], self._tile = self._tile[1], None

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()
        elif self._tile is not None and data.strip():
            self._tile.append(data.strip())

    def row(self, name: str) -> list[str]:
        """Cells of the first row that begins with this one."""
        return next(row[1:] for row in self.rows if row and row[0] == name)


@pytest.fixture(scope="module")
def admin(demo_pages: RunningGateway) -> Iterator[httpx.Client]:
    with signed_in(demo_pages, ADMIN_KEY) as client:
        yield client


def read_page(client: httpx.Client, name: str, **params: str) -> Tables:
    return Tables(client.get(f"/ui/{name}", params={**DAYS, **params}).raise_for_status().text)


def aggregates(gateway: RunningGateway, **params: str) -> list[dict[str, Any]]:
    query = urlencode({**DAYS, "limit": "100", **params})
    found: list[dict[str, Any]] = ask_api(gateway, f"/api/v1/aggregates?{query}")["data"]
    return found


def tokens_of(row: dict[str, Any]) -> int:
    found: int = row["tokens"]["prompt"] + row["tokens"]["completion"]
    return found


def milliseconds(value: float) -> str:
    return formats.duration(value * 1000)


def score_of(row: dict[str, Any]) -> str:
    score = row["feedback"]["mean_score"]
    return "–" if score is None else formats.signed(score["value"])


def without_sign(text: str) -> str:
    return text.lstrip("▲▼● ")


def test_the_overview_shows_what_the_api_says(admin: httpx.Client, demo_pages: RunningGateway) -> None:
    page = read_page(admin, "overview")
    [total] = aggregates(demo_pages)
    assert total["requests"] > 100
    assert page.tiles == {
        "requests": formats.count(total["requests"]),
        "errors": formats.percent(total["error_rate"]),
        "cost": formats.money(total["cost"]["nanousd"]),
        "tokens": formats.count(tokens_of(total)),
        "p95 duration": milliseconds(total["latency_ms"]["p95"]),
        "mean score": score_of(total),
    }
    for field in ("model", "prompt"):
        groups = [row for row in aggregates(demo_pages, group_by=field) if row["group"] is not None]
        assert len(groups) >= MIN_ROWS
        # Of groups that are as large as the first one that is left out, any may be shown.
        least = groups[TABLE_ROWS]["requests"] if len(groups) > TABLE_ROWS else 0
        for row in (each for each in groups if each["requests"] > least):
            requests, _, errors, p50, p95, cost, score, entries = page.row(row["group"])
            assert requests == formats.count(row["requests"])
            assert errors == formats.percent(row["error_rate"])
            assert (p50, p95) == tuple(milliseconds(row["latency_ms"][each]) for each in ("p50", "p95"))
            assert cost == formats.money(row["cost"]["nanousd"])
            assert without_sign(score) == score_of(row)
            assert entries == formats.count(row["feedback"]["count"])


def test_users_show_what_the_api_says(admin: httpx.Client, demo_pages: RunningGateway) -> None:
    page = read_page(admin, "users", sort="requests")
    groups = [row for row in aggregates(demo_pages, group_by="user") if row["group"] is not None][:40]
    assert len(groups) >= MIN_ROWS
    for row in groups:
        _, requests, errors, tokens, cost, duration, score, entries, _ = page.row(row["group"])
        assert (requests, errors) == (formats.count(row["requests"]), formats.count(row["errors"]))
        assert (tokens, cost) == (formats.count(tokens_of(row)), formats.money(row["cost"]["nanousd"]))
        assert duration == milliseconds(row["latency_ms"]["mean"])
        assert (without_sign(score) or "–") == score_of(row)
        assert entries == formats.count(row["feedback"]["count"])


def test_compared_groups_show_what_the_api_says(admin: httpx.Client, demo_pages: RunningGateway) -> None:
    page = read_page(admin, "compare", by="prompt_version")
    groups = {row["group"]: row for row in aggregates(demo_pages, group_by="prompt_version")}
    versions = page.row("prompt_version")
    assert len(versions) >= 2
    rows = [groups[version] for version in versions]
    assert page.row("requests") == [formats.count(row["requests"]) for row in rows]
    assert page.row("cost in all") == [formats.money(row["cost"]["nanousd"]) for row in rows]
    assert page.row("coverage") == [formats.percent(row["coverage"]) for row in rows]
    assert page.row("p50 · p95 duration") == [
        f"{milliseconds(row['latency_ms']['p50'])} · {milliseconds(row['latency_ms']['p95'])}" for row in rows
    ]
    api = ask_api(demo_pages, f"/api/v1/compare?{urlencode({**DAYS, 'by': 'prompt_version'})}")
    assert page.row("p50 · p95 to first byte") == [
        f"{milliseconds(arm['first_byte_latency_ms']['p50'])} · {milliseconds(arm['first_byte_latency_ms']['p95'])}"
        for arm in api["arms"]
    ]
    assert [cell.split(" [")[0] for cell in page.row("error rate")] == [
        formats.percent(row["error_rate"]) for row in rows
    ]


def test_a_list_counts_and_exports_what_it_lists(admin: httpx.Client, demo_pages: RunningGateway) -> None:
    [total] = aggregates(demo_pages)
    exported = admin.get("/ui/requests.csv", params={**DAYS, "format": "csv"}).raise_for_status().text
    listed = admin.get("/ui/requests", params=DAYS).text
    assert f"of {formats.count(total['requests'])}" in listed or formats.count(total["requests"]) in listed
    assert len(exported.splitlines()) == total["requests"] + 1
