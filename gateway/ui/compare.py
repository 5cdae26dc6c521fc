"""Pages that compare: groups of requests by prompt, version, model, any metadata key; variants of experiments."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.errors import BadInput
from gateway.experiments.confidence import METHOD
from gateway.experiments.reader import ExperimentReader
from gateway.models.feedback import Source
from gateway.models.metrics import MetricsQuery
from gateway.models.principal import Principal, Role
from gateway.query.compare import ComparedArms, CompareReader, arm_value
from gateway.query.filters import METRICS_FILTERS
from gateway.query.metrics import GROUP_FIELDS
from gateway.query.statistics import Estimate
from gateway.ui.filters import PageQuery
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint, base_url

# What is offered to compare by; any other field or metadata key may be typed.
DIMENSIONS = ("prompt_version", "prompt", "model", "provider", "user", "environment", "metadata.team")
DEFAULT_DIMENSION = "model"
_MAX_ARMS = 8


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value and its interval on an axis from 0 to 100, and as numbers."""

    estimate: Estimate
    at: float
    low: float
    high: float


class ComparePages:
    def __init__(self, pages: Pages, reader: CompareReader) -> None:
        self._pages = pages
        self._reader = reader

    @Endpoint("GET", "/ui/compare", Role.READ, "The page that compares", failures=(400, 413, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, METRICS_FILTERS, own=("by", "arms", "source"), since="30d")
        by = query.params.get("by", DEFAULT_DIMENSION)
        names = read_names(query.params.get("arms", ""))
        compared = await self._compare(query, by, names, principal)
        values = {
            "query": query,
            "by": by,
            "dimensions": DIMENSIONS,
            "chosen": write_names(names),
            "compared": compared,
            "is_empty": not compared.arms,
            "score_axis": _axis(arm.mean_score for arm in compared.arms),
            "positive_axis": _axis((arm.share_positive for arm in compared.arms), 0.0, 1.0),
            "error_axis": _axis((arm.error_rate for arm in compared.arms), 0.0, None),
            "whisker": _whisker,
            "unknown_keys": compared.unknown_keys,
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "compare.html", values)

    async def _compare(
        self, query: PageQuery, by: str, names: list[str], principal: Principal
    ) -> ComparedArms:
        if len(names) > _MAX_ARMS:
            raise BadInput(f"may name {_MAX_ARMS} values; got {len(names)}.", field="arms")
        start, end = query.times_us()
        where = METRICS_FILTERS.to_filter(query.filters.items())
        try:
            arms = [arm_value(by, name) for name in names]
        except ValueError as error:
            raise BadInput(str(error), field="arms") from None
        asked = MetricsQuery(start, end, where, group_by=GROUP_FIELDS.get(by, by), tenant=principal.tenant)
        return await self._reader.compare(asked, arms, Source.HUMAN)


class ExperimentPages:
    def __init__(self, pages: Pages, reader: ExperimentReader) -> None:
        self._pages = pages
        self._reader = reader

    @Endpoint("GET", "/ui/experiments", Role.READ, "The page of experiments", failures=(413, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        values = {"results": await self._reader.read_all(principal.tenant), "method": METHOD}
        return await self._pages.render(request, principal, "experiments.html", values)


def read_names(text: str) -> list[str]:
    try:
        # Quoted as in CSV, since a value may contain a comma.
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error:
        raise BadInput(
            'has a quote that does not end; a value with a comma is written as "a, b", a quote in it twice.',
            field="arms",
        ) from None
    return [name for row in rows for each in row if (name := each.strip())]


def write_names(names: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue() if names else ""


def _axis(
    estimates: Iterable[Estimate | None], low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """Return the ends of an axis that holds all values with their intervals."""
    ends = [end for each in estimates if each is not None for end in (each.low, each.value, each.high)]
    known = [end for end in ends if end is not None] or [0.0, 1.0]
    start = min(known) if low is None else low
    end = max(known) if high is None else high
    return start, end if end > start else start + 1


def _whisker(estimate: Estimate | None, axis: tuple[float, float]) -> Whisker | None:
    if estimate is None:
        return None
    start, end = axis

    def place(value: float) -> float:
        return round(100 * (value - start) / (end - start), 2)

    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return Whisker(estimate, place(estimate.value), place(low), place(high))
