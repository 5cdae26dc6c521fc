"""Reports: what changed is said with its interval, and nothing that may be chance; files load nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from gateway.alerts.reports import to_html, to_markdown
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.query.report import Report, ReportReader
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

WEEK_US = 7 * DAY_US
START_US = 19_000 * DAY_US
PEOPLE = 40
HOSTILE = "a|b <script>alert(1)</script> [x](http://evil.example)"


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """Two weeks of two prompts; in the second one people like `new` less, and a third of its requests fail."""
    opened = await open_store(sqlite_url)
    requests, entries = [], []
    for week in (0, 1):
        for prompt in ("old", "new"):
            for n in range(PEOPLE):
                name = f"{prompt}-{week}-{n}"
                at = START_US + week * WEEK_US + n * 1_000_000
                fails = week == 1 and prompt == "new" and n % 3 == 0
                requests.append(
                    exchange(
                        name, f"t-{name}", metadata={"_prompt": prompt}, started_at_us=at, ended_at_us=at + 9_000,
                        status=500 if fails else 200,
                    )
                )  # fmt: skip
                is_bad = n % 4 == 0 or (week == 1 and prompt == "new" and n % 8 != 1)
                entries.append(
                    feedback(
                        f"f-{name}", f"t-{name}", author=f"p{n}", score=-1.0 if is_bad else 1.0, created_at_us=at,
                        updated_at_us=at, comment=HOSTILE if is_bad else None,
                    )
                )  # fmt: skip
    await opened.put_feedback(entries)
    await opened.append(requests)
    yield opened
    await opened.close()


@pytest.fixture
async def report(store: Store) -> Report:
    query = MetricsQuery(START_US + WEEK_US, START_US + 2 * WEEK_US)
    return await ReportReader(store).read(query)


async def test_a_change_beyond_chance_is_found_and_another_is_not(report: Report) -> None:
    by_prompt = {change.value: change for change in report.changes["prompt"]}
    new, old = by_prompt["new"], by_prompt["old"]
    assert new.score is not None
    assert (new.is_real, old.is_real) == (True, False)
    # From 30 of 40 liked to 5 of 40.
    assert new.score.value == pytest.approx(-0.75 - 0.5)
    assert new.score.low < -1 < new.score.high < 0
    assert new.error_rate is not None
    assert new.error_rate.value == pytest.approx(14 / 40)
    # As Newcombe's method 10 gives for 14 of 40 against 0 of 40.
    assert (new.error_rate.low, new.error_rate.high) == pytest.approx((0.1943, 0.5049), abs=0.0001)
    assert [(field, change.value) for field, change in report.real_changes] == [
        ("prompt", "new"),
        *([("model", None)] if report.changes["model"][0].is_real else []),
        *([("organisation", None)] if report.changes["organisation"][0].is_real else []),
    ]
    assert len(report.disliked) == 10
    assert all(answer.summary.score.weighted_mean == -1 for answer in report.disliked)
    assert report.disliked[0].comment == HOSTILE


async def test_files_say_the_same_and_do_what_strangers_wrote_no_favour(report: Report) -> None:
    markdown, html = to_markdown(report), to_html(report)
    sentence = "prompt new is liked less than before: -1.25 ["
    assert sentence in html
    assert sentence in markdown.replace("\\", "")
    assert "prompt new fails more often than before" in markdown
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;script>" in markdown
    assert "<script" not in markdown
    assert r"a\|b" in markdown
    assert html.count("<svg") == 4
    loads = re.findall(r"""(?:src|href)=["'](?!#)[^"']*|url\([^)]*\)|@import[^;]*""", html)
    assert loads == []


async def test_tenants_and_filters_hold(store: Store) -> None:
    query = MetricsQuery(START_US + WEEK_US, START_US + 2 * WEEK_US, tenant="elsewhere")
    found = await ReportReader(store).read(query)
    assert found.overview.total.usage.requests == 0
    assert (found.disliked, found.real_changes) == ((), [])
    assert "No prompt, model or group" in to_markdown(found)
