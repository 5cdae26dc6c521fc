"""One look at a time: numbers, series, tables and what needs attention, each as the metrics say alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.models.clock import now_us
from gateway.models.exchange import Outcome
from gateway.models.feedback import Target
from gateway.models.filters import Comparison, Op
from gateway.models.metrics import DAY_US, HOUR_US, MetricsQuery
from gateway.models.request import Cost, Facts, Usage
from gateway.query.overview import Attention, AttentionItem, Overview, OverviewReader, series_interval_us
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback

MINUTE_US = HOUR_US // 60


@pytest.mark.parametrize(
    "minutes", [24, 59, 60, 61, 90, 360, 1440, 7 * 1440, 30 * 1440, 400 * 1440, 10**6, 10**7]
)
def test_a_series_has_some_twenty_to_sixty_points(minutes: int) -> None:
    length_us = minutes * MINUTE_US
    interval_us = series_interval_us(length_us)
    assert 24 <= length_us / interval_us <= 60
    # Hours and days are summed up beforehand.
    if minutes >= 1440:
        assert interval_us % HOUR_US == 0


@pytest.fixture
async def overview(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> Overview:
    """Of a day, with something of everything in its last hour, and one request on the day before."""
    now = now_us()
    cut = {"outcome": Outcome.CLIENT_CLOSED}
    stream = {"response_headers": ((b"content-type", b"text/event-stream"),)}
    told: list[tuple[dict[str, Any], Facts]] = [
        ({}, Facts(model="m", usage=Usage(20_000, 10, 5_000), cost=Cost(100, "v"))),
        (cut, Facts(model="m", usage=Usage(100, 20), cost=Cost(50, "v"))),
        (stream, Facts(model="m")),
        ({"status": 502, "outcome": Outcome.UPSTREAM_ERROR}, Facts(requested_model="m")),
        ({"status": 429}, Facts(requested_model="n")),
        ({"started_at_us": now - 30 * HOUR_US}, Facts(model="m", cost=Cost(7, "v"))),
    ]
    seqs = await store.append(
        [
            make_exchange(
                f"r{n}",
                metadata={"_prompt": "greet"},
                **{"started_at_us": now - 10 * MINUTE_US, "ended_at_us": now - 9 * MINUTE_US, **given},
            )
            for n, (given, _) in enumerate(told)
        ]
    )
    await store.annotate([(seq, facts) for seq, (_, facts) in zip(seqs, told, strict=True)], now)
    thumbs = [
        make_feedback(
            f"r{n % 2}", target=Target.REQUEST, value=n % 2, grade=n % 2, score=n % 2 / 10, key_name="app"
        )
        for n in range(6)
    ]
    await store.put_feedback([*thumbs, make_feedback("lost", score=1.0, value=10.0, grade=10.0)])
    return await OverviewReader(store).read(MetricsQuery(now - DAY_US, now + HOUR_US))


async def test_numbers_are_beside_those_of_the_period_before(overview: Overview) -> None:
    total, before = overview.total, overview.before
    assert (total.usage.requests, total.usage.errors, total.usage.cost_nanousd) == (5, 2, 150)
    assert (before.usage.requests, before.usage.cost_nanousd) == (1, 7)
    assert total.feedback_sums.entries == 6
    assert sum(total.latencies.values()) == 5


async def test_a_series_has_every_interval(overview: Overview) -> None:
    assert overview.interval_us == HOUR_US
    starts = [point.starts_at_us for point in overview.points]
    assert starts == list(range(starts[0], starts[-1] + 1, HOUR_US))
    assert 24 <= len(starts) <= 25
    assert sum(point.figures.usage.requests for point in overview.points) == 5


async def test_tables_are_by_model_and_prompt(overview: Overview) -> None:
    assert [(part.cell.value, part.usage.requests) for part in overview.by_model] == [("m", 4), ("n", 1)]
    assert [(part.cell.value, part.usage.requests) for part in overview.by_prompt] == [("greet", 5)]


def items(overview: Overview, kind: Attention) -> list[AttentionItem]:
    return [item for item in overview.attention if item.kind is kind]


async def test_what_needs_attention_is_named_with_the_filter_of_its_rows(overview: Overview) -> None:
    [discarded] = items(overview, Attention.TOKENS_DISCARDED)
    assert (discarded.count, discarded.tokens, discarded.cost_nanousd) == (1, 120, 50)
    assert discarded.conditions == {"outcome": "client_closed"}
    [streams] = items(overview, Attention.STREAMS_WITHOUT_USAGE)
    assert (streams.count, streams.share) == (1, 1.0)
    assert {
        (item.count, tuple(item.conditions.items())) for item in items(overview, Attention.RECENT_ERRORS)
    } == {
        (1, (("outcome", "upstream_error"), ("status", "502"))),
        (1, (("outcome", "complete"), ("status", "429"))),
    }
    [cached] = items(overview, Attention.CACHE_SHARE)
    assert cached.share == pytest.approx(5_000 / 20_100)
    assert cached.conditions == {"model": "m"}
    [waiting] = items(overview, Attention.FEEDBACK_WAITING)
    assert (waiting.count, waiting.ids, waiting.conditions) == (1, ("lost",), {"is_joined": "false"})
    [misread] = items(overview, Attention.THUMBS_MISREAD)
    assert (misread.count, misread.conditions) == (6, {"key_name": "app"})


async def test_within_too_short_a_time_the_latest_part_is_looked_at(
    store: Store, make_exchange: MakeExchange
) -> None:
    now = now_us()
    starts = [now - 2 * MINUTE_US, now - 3 * MINUTE_US, now - 5 * HOUR_US]
    await store.append([make_exchange(started_at_us=start, ended_at_us=start) for start in starts])
    asked = MetricsQuery(now - DAY_US, now)
    whole = await OverviewReader(store).read(asked, 60)
    assert (whole.total.usage.requests, whole.partial) == (3, None)
    latest = await OverviewReader(store).read(asked, 1e-6)
    assert latest.partial is not None
    assert now - DAY_US < (latest.partial.covers_from_us or 0) == latest.from_us < now
    assert latest.total == (await OverviewReader(store).read(replace(asked, from_us=latest.from_us))).total


async def test_of_an_empty_store_there_is_an_overview_too(store: Store) -> None:
    now = now_us()
    found = await OverviewReader(store).read(MetricsQuery(0, now))
    assert (found.total.usage.requests, found.attention, found.by_model) == (0, (), ())
    assert 24 <= len(found.points) <= 60


async def test_of_years_the_days_with_requests_are_shown(store: Store, make_exchange: MakeExchange) -> None:
    now = now_us()
    await store.append([make_exchange(started_at_us=now - 40 * DAY_US, ended_at_us=now - 40 * DAY_US)])
    found = await OverviewReader(store).read(MetricsQuery(now - 3000 * DAY_US, now))
    assert (found.interval_us, found.total.usage.requests) == (DAY_US, 1)
    assert 40 <= len(found.points) <= 42
    nothing = Comparison("provider", Op.EQ, "nobody")
    none = await OverviewReader(store).read(MetricsQuery(now - 3000 * DAY_US, now, nothing))
    assert none.total.usage.requests == 0
