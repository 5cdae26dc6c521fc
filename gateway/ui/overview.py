"""The page of the overview: numbers with their change, four charts, two tables, and what needs attention."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import Markup

from gateway.models.clock import format_rfc3339, to_datetime
from gateway.models.filters import Page
from gateway.models.metrics import DAY_US, MetricsQuery, percentile_us
from gateway.models.principal import Principal, Role
from gateway.query.filters import FEEDBACK_FILTERS, METRICS_FILTERS
from gateway.query.metrics import GROUP_FIELDS, Bucket, GroupMetrics, MetricsOrder, MetricsPage, MetricsReader
from gateway.query.overview import AttentionItem, Overview, OverviewReader
from gateway.query.statistics import mean_score
from gateway.ui import formats
from gateway.ui.charts import Chart, Series, draw
from gateway.ui.filters import PageQuery
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint, base_url

GROUP_ROWS = 50
# A field that nobody asked for yet is counted as far as this time goes.
GROUP_SECONDS = 0.8
_MOST_REQUESTS_FIRST = MetricsOrder("requests")

FEEDBACK_PAGE, REQUESTS_PAGE = "/ui/feedback", "/ui/requests"


# From here a growth is no longer written in percent, or as a multiple.
_TIMES, _MOST_TIMES = 3, 10
_PERIODS = {
    "15m": "the 15 minutes before",
    "1h": "the hour before",
    "24h": "the 24 hours before",
    "7d": "the 7 days before",
    "30d": "the 30 days before",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its change to the period before.

    Args:
        formula: what the number is of.
        is_good: whether the change is for the better; None where it is neither.
        url: page with the rows behind it.
    """

    name: str
    value: str
    formula: str
    url: str
    change: str = ""
    is_good: bool | None = None
    interval: str = ""


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart with its legend."""

    title: str
    legend: Sequence[tuple[str, int]]
    svg: Markup | None


class OverviewPages:
    def __init__(self, pages: Pages, overview: OverviewReader, metrics: MetricsReader) -> None:
        self._pages = pages
        self._overview = overview
        self._metrics = metrics

    @Endpoint("GET", "/ui/overview", Role.READ, "The page of the overview", failures=(400, 413, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, METRICS_FILTERS, own=("by", "then"))
        start, end = query.times_us()
        # The times stand beside the filter, for the sums that are kept by hour and day.
        where = METRICS_FILTERS.to_filter(query.filters.items())
        asked = MetricsQuery(start, end, where, tenant=principal.tenant)
        found, groups = await asyncio.gather(self._overview.read(asked), self._groups(asked, query))
        # Drawing takes long, and other callers' streams share the event loop.
        charts = await asyncio.to_thread(lambda: list(_draw_charts(found, query)))
        values = {
            "query": query,
            "overview": found,
            "is_empty": not found.total.usage.requests,
            "groups": groups,
            "tiles": list(_tiles(found, query)),
            "period_before": _PERIODS.get(query.since if query.until is None else "", "the period before"),
            "charts": charts,
            "attention": [(item, _attention_url(item)) for item in found.attention if item.is_urgent],
            "unknown_keys": found.unknown_keys,
            "mean_score": mean_score,
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "overview.html", values)

    async def _groups(self, asked: MetricsQuery, query: PageQuery) -> MetricsPage | None:
        """Return the metrics by the one or two fields that the reader chose."""
        by, then = query.params.get("by"), query.params.get("then")
        if by is None:
            return None
        first, second = (None if name is None else GROUP_FIELDS.get(name, name) for name in (by, then))
        grouped = replace(asked, group_by=first, then_by=None if second == first else second)
        return await self._metrics.find(grouped, _MOST_REQUESTS_FIRST, Page(GROUP_ROWS), GROUP_SECONDS)


def _tiles(found: Overview, query: PageQuery) -> Iterator[Tile]:
    now, before = found.total, found.before
    rows = query.url(path=REQUESTS_PAGE)
    yield _tile("requests", now, before, lambda each: each.usage.requests, formats.count, "rows", rows)
    yield _tile(
        "errors",
        now,
        before,
        lambda each: each.usage.errors / each.usage.requests if each.usage.requests else None,
        formats.percent,
        "share of requests with a status from 400 on or without an answer",
        query.url({"outcome": "upstream_error"}, REQUESTS_PAGE),
        is_less_better=True,
    )
    yield _tile(
        "cost",
        now,
        before,
        lambda each: each.usage.cost_nanousd,
        formats.money,
        "sum where a price is known",
        rows,
    )
    yield _tile(
        "tokens",
        now,
        before,
        lambda each: each.usage.prompt_tokens + each.usage.completion_tokens,
        formats.count,
        "prompt and completion tokens",
        rows,
    )
    yield _tile(
        "p95 duration",
        now,
        before,
        lambda each: percentile_us(each.latencies, 0.95),
        formats.duration,
        "95 % of requests ended within this time",
        rows,
        is_less_better=True,
    )
    score = mean_score(now.feedback_sums)
    tile = _tile(
        "mean score",
        now,
        before,
        lambda each: None if (found := mean_score(each.feedback_sums)) is None else found.value,
        formats.signed,
        "sum of weight × score over sum of weights, from −1 to 1, with its 95 % interval",
        query.url({"has_feedback": "true"}, REQUESTS_PAGE),
        is_less_better=False,
    )
    yield tile if score is None else replace(tile, interval=formats.interval(score.low, score.high))


def _tile(
    name: str,
    now: GroupMetrics,
    before: GroupMetrics,
    measure: Callable[[GroupMetrics], float | None],
    write: Callable[[float | None], str],
    formula: str,
    url: str,
    *,
    is_less_better: bool | None = None,
) -> Tile:
    value, earlier = measure(now), measure(before)
    change, is_good = "", None
    if value is not None and earlier is not None and before.usage.requests:
        is_amount = is_less_better is None
        change = _describe_change(value, earlier, write, is_amount=is_amount)
        if not is_amount and value != earlier:
            is_good = (value < earlier) is is_less_better
    return Tile(name, write(value), formula, url, change, is_good)


def _describe_change(
    value: float, earlier: float, write: Callable[[float | None], str], *, is_amount: bool
) -> str:
    """Write how a value differs from the one before: amounts in percent, others by the earlier value."""
    if write(value) == write(earlier):
        return "the same as in"
    ratio = value / earlier if earlier else _MOST_TIMES
    if not is_amount or ratio >= _MOST_TIMES:
        return f"{'up' if value > earlier else 'down'} from {write(earlier)} in"
    if ratio >= _TIMES:
        return f"{ratio:.0f} times that of"
    return f"{formats.percent(abs(ratio - 1))} {'more' if ratio > 1 else 'less'} than in"


def _draw_charts(found: Overview, query: PageQuery) -> Iterator[DrawnChart]:
    usage = [point.figures.usage for point in found.points]
    scores = [mean_score(point.figures.feedback_sums) for point in found.points]
    labels = [_label(point.starts_at_us, found.interval_us) for point in found.points]

    def chart(
        title: str,
        write: Callable[[float | None], str],
        *series: Series,
        page: str = REQUESTS_PAGE,
        bounds: tuple[float, float] | None = None,
    ) -> DrawnChart:
        links = [_period_url(query, point, found.interval_us, page) for point in found.points]
        drawn = Chart(title, labels, series, links, write, bounds)
        svg = None if drawn.is_empty else draw(drawn)
        return DrawnChart(title, [(each.name, each.color) for each in series], svg)

    yield chart(
        "Requests",
        formats.count,
        Series("requests", [each.requests for each in usage], 0),
        Series("errors", [each.errors for each in usage], 1),
    )
    yield chart(
        "Duration",
        formats.duration,
        Series("p95", [percentile_us(point.figures.latencies, 0.95) for point in found.points], 1),
        Series("p50", [percentile_us(point.figures.latencies, 0.5) for point in found.points], 0),
        Series("mean to first byte", [_first_byte_us(point) for point in found.points], 2),
    )
    yield chart("Cost", formats.money, Series("cost", [each.cost_nanousd for each in usage], 0))
    yield chart(
        "Mean score",
        formats.signed,
        Series(
            "score with its 95 % interval",
            [None if each is None else each.value for each in scores],
            0,
            [
                None if each is None or each.low is None or each.high is None else (each.low, each.high)
                for each in scores
            ],
        ),
        page=FEEDBACK_PAGE,
        bounds=(-1.0, 1.0),
    )


def _first_byte_us(point: Bucket[GroupMetrics]) -> float | None:
    usage = point.figures.usage
    return usage.first_byte_us / usage.answered if usage.answered else None


def _label(starts_at_us: int, interval_us: int) -> str:
    at = to_datetime(starts_at_us)
    day = f"{at.day} {at:%b}"
    return day if interval_us >= DAY_US else f"{day} {at:%H:%M}"


def _period_url(query: PageQuery, point: Bucket[GroupMetrics], interval_us: int, page: str) -> str:
    start, end = point.starts_at_us, point.starts_at_us + interval_us
    times = {"from": format_rfc3339(start, "seconds"), "to": format_rfc3339(end, "seconds")}
    return query.url(times, page)


def _attention_url(item: AttentionItem) -> str:
    page, schema = (
        (FEEDBACK_PAGE, FEEDBACK_FILTERS) if item.is_of_feedback else (REQUESTS_PAGE, METRICS_FILTERS)
    )
    since = "all" if item.since_us is None else format_rfc3339(item.since_us, "seconds")
    return PageQuery(page, schema, item.conditions, since).url()
