"""Replays: logged conversations that were sent again to another target, and how the two answers compare."""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from gateway.models.exchange import NO_OPT_OUT, Outcome
from gateway.models.filters import AllOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.models.ids import content_id
from gateway.models.request import NANOUSD_PER_USD, Payload, RequestRecord
from gateway.models.route import MIRROR_OF
from gateway.query.feedback import feedback_on_request, list_feedback
from gateway.query.requests import conversation_of
from gateway.query.statistics import ALPHA, Estimate, student_quantile
from gateway.store.base import Queries
from gateway.wire.endpoints import ENDPOINTS

# In the metadata of a request that was sent again: the replay's name, and the request and the row that it repeats.
RUN_KEY, REQUEST_KEY, ROW_KEY = "replay", "replay_of", "replay_row"

PAGE_ROWS = 1000
_GROUPS_AT_ONCE = 200
_OLDEST_FIRST = Sort("seq", descending=False)
_MODEL_ENDPOINTS = frozenset(each.name for each in ENDPOINTS if each.operation is not None)
# Longer texts are cut before they are compared.
_MAX_WORDS = 2_000

METHOD = (
    "Each difference is that of two answers to the same request, answer minus original. Intervals are 95 %, by"
    " Student's t with standard errors that are robust to requests of one session being alike."
)


@dataclass(frozen=True, slots=True)
class Replayable:
    """A conversation whose requests are sent again in this order."""

    name: str
    requests: tuple[RequestRecord, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A request and its repetition; nearness to what a person made of the answer is from 0 to 1."""

    original: RequestRecord
    answer: RequestRecord
    nearness: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How the answers differ from the originals in one measure: the means of both, and their difference."""

    measure: str
    unit: str
    pairs: int
    original: float
    answer: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class ReplayComparison:
    """A replay beside its originals.

    Args:
        failed: requests whose repetition has no good answer.
    """

    run: str
    pairs: int
    failed: int
    differences: tuple[PairedDifference, ...]
    method: str = field(default=METHOD)


def replay_id(run: str, row: int) -> str:
    """Return the id of the request that repeats a row: the same one whenever the replay goes on."""
    return content_id(f"{run}\0{row}".encode())


def is_answered(record: RequestRecord) -> bool:
    return record.outcome is Outcome.COMPLETE and record.status is not None and record.status < 400


def why_not_replayable(payload: Payload | None) -> str | None:
    """Return why a request cannot be sent again; None where it can."""
    if payload is None or not payload.request_body:
        return "its body was not kept"
    if payload.request_truncated:
        return "only the beginning of its body was kept"
    return None if payload.opt_out == NO_OPT_OUT else "its caller left out its body"


class ReplayReader:
    """Finds what a replay sends and what came of it."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def conversations(self, where: Filter, limit: int | None = None) -> list[Replayable]:
        """Return the conversations of matching requests, whole, the earliest first.

        Args:
            limit: of requests; a conversation is in it whole or not at all.
        """
        groups: dict[tuple[str | None, str, bool], list[RequestRecord]] = {}
        async for record in self._rows(where):
            groups.setdefault(_group_of(record), [])
        sessions = [name for _, name, is_session in groups if is_session]
        traces = [name for _, name, is_session in groups if not is_session]
        for column, names in (("session", sessions), ("trace_id", traces)):
            for start in range(0, len(names), _GROUPS_AT_ONCE):
                part = Comparison(column, Op.IN, tuple(names[start : start + _GROUPS_AT_ONCE]))
                async for record in self._rows(part):
                    if (own := groups.get(_group_of(record))) is not None:
                        own.append(record)
        found = [Replayable(key[1], _in_order(rows)) for key, rows in groups.items() if rows]
        found.sort(key=lambda each: each.requests[0].started_at_us)
        return _limited(found, limit)

    async def _rows(self, where: Filter) -> AsyncIterator[RequestRecord]:
        """Yield good answers of models that repeat no other request."""
        own = [Comparison(f"metadata.{key}", Op.EQ, None) for key in (RUN_KEY, MIRROR_OF)]
        async for record in self._walk(AllOf((where, *own))):
            if record.method == "POST" and record.endpoint in _MODEL_ENDPOINTS and is_answered(record):
                yield record

    async def _walk(self, where: Filter) -> AsyncIterator[RequestRecord]:
        last = 0
        while True:
            following = AllOf((where, Comparison("seq", Op.GT, last)))
            rows = await self._store.find_requests(following, _OLDEST_FIRST, Page(PAGE_ROWS), None)
            for record in rows:
                yield record
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1].seq

    async def answers(self, run: str) -> dict[int, RequestRecord]:
        """Return the rows of a replay by the row that each repeats: the good one, else the latest."""
        found: dict[int, RequestRecord] = {}
        async for record in self._walk(Comparison(f"metadata.{RUN_KEY}", Op.EQ, run)):
            row = record.metadata.get(ROW_KEY)
            if isinstance(row, int) and not (row in found and is_answered(found[row])):
                found[row] = record
        return found

    async def spent_nanousd(self, run: str) -> int:
        """Return what all attempts of a replay have cost."""
        where = Comparison(f"metadata.{RUN_KEY}", Op.EQ, run)
        return sum([record.cost_nanousd or 0 async for record in self._walk(where)])

    async def rows_of(self, request_id: str) -> list[RequestRecord]:
        """Return the rows of a request, one for each attempt, the latest first; none while it is not stored."""
        where = Comparison("request_id", Op.EQ, request_id)
        return await self._store.find_requests(where, Sort(), Page(PAGE_ROWS), None)

    async def compare(self, run: str) -> ReplayComparison:
        """Compare the answers of a replay with their originals."""
        answers = await self.answers(run)
        return await self._compare(run, "seq", answers)

    async def compare_mirror(self, route: str, where: Filter) -> ReplayComparison:
        """Compare the answers of a route's mirror to matching requests with what their callers got."""
        is_mirrored = Not(Comparison(f"metadata.{MIRROR_OF}", Op.EQ, None))
        own = AllOf((where, Comparison("route", Op.EQ, route), is_mirrored))
        answers = {str(record.metadata[MIRROR_OF]): record async for record in self._walk(own)}
        return await self._compare(route, "request_id", answers)

    async def _compare(
        self, name: str, column: str, answers: Mapping[int, RequestRecord] | Mapping[str, RequestRecord]
    ) -> ReplayComparison:
        good = {key: answer for key, answer in answers.items() if is_answered(answer)}
        pairs = [pair async for pair in self._pairs(column, good)]
        measured = (measure(pairs) for measure in _MEASURES)
        differences = tuple(each for each in measured if each is not None)
        return ReplayComparison(name, len(pairs), len(answers) - len(good), differences)

    async def _pairs(self, column: str, answers: Mapping[Any, RequestRecord]) -> AsyncIterator[Pair]:
        """Yield answers with their originals, by the value of a column of these."""
        keys = sorted(answers)
        for start in range(0, len(keys), _GROUPS_AT_ONCE):
            where = Comparison(column, Op.IN, tuple(keys[start : start + _GROUPS_AT_ONCE]))
            originals = {getattr(record, column): record async for record in self._walk(where)}
            judged = await self._store.feedback_summaries([record.seq for record in originals.values()])
            for key, original in originals.items():
                answer = answers[key]
                near = await self._nearness(original, answer) if original.seq in judged else None
                yield Pair(original, answer, near)

    async def _nearness(self, original: RequestRecord, answer: RequestRecord) -> tuple[float, float] | None:
        entries = await list_feedback(self._store, feedback_on_request(original), None)
        edited = next((each.edited_text for each in reversed(entries) if each.edited_text), None)
        if edited is None:
            return None
        payloads = await self._store.payloads([original.seq, answer.seq])
        texts = [conversation_of(each, payloads.get(each.seq)).answer for each in (original, answer)]
        return nearness(texts[0], edited), nearness(texts[1], edited)


def nearness(text: str, wanted: str) -> float:
    """Return the share of words that two texts have in common, in order: 1 for the same words."""
    words = (text.split()[:_MAX_WORDS], wanted.split()[:_MAX_WORDS])
    return SequenceMatcher(None, *words, autojunk=False).ratio()


def _group_of(record: RequestRecord) -> tuple[str | None, str, bool]:
    if record.session is not None:
        return record.tenant, record.session, True
    return record.tenant, record.trace_id, False


def _in_order(rows: Iterable[RequestRecord]) -> tuple[RequestRecord, ...]:
    # Of the attempts and tries of one request the last one was answered.
    latest = {(row.trace_id, row.request_id): row for row in sorted(rows, key=lambda row: row.seq)}
    return tuple(sorted(latest.values(), key=lambda row: (row.started_at_us, row.seq)))


def _limited(found: Sequence[Replayable], limit: int | None) -> list[Replayable]:
    if limit is None:
        return list(found)
    kept: list[Replayable] = []
    for each in found:
        if len(each.requests) <= limit:
            kept.append(each)
            limit -= len(each.requests)
    return kept


def paired_difference(
    measure: str, unit: str, values: Sequence[tuple[str, float, float]]
) -> PairedDifference | None:
    """Return the mean of answer minus original with its 95 % interval; None of nothing.

    Source: A. C. Cameron, D. L. Miller, A Practitioner's Guide to Cluster-Robust Inference, 2015, section II.

    Args:
        values: for each pair its session, the original's value and the answer's.
    """
    if not values:
        return None
    n = len(values)
    original = math.fsum(before for _, before, _ in values) / n
    answer = math.fsum(after for _, _, after in values) / n
    mean = math.fsum(after - before for _, before, after in values) / n
    errors: dict[str, float] = {}
    for session, before, after in values:
        errors[session] = errors.get(session, 0.0) + (after - before - mean)
    groups = len(errors)
    if groups < 2:
        return PairedDifference(measure, unit, n, original, answer, Estimate(mean, None, None))
    variance = groups / (groups - 1) * math.fsum(error * error for error in errors.values()) / (n * n)
    margin = student_quantile(1 - ALPHA / 2, groups - 1) * math.sqrt(variance)
    return PairedDifference(measure, unit, n, original, answer, Estimate(mean, mean - margin, mean + margin))


_Value = Callable[[RequestRecord], float | None]


def _measure(name: str, unit: str, value: _Value) -> Callable[[Sequence[Pair]], PairedDifference | None]:
    def measure(pairs: Sequence[Pair]) -> PairedDifference | None:
        both = [
            (pair.original.session or pair.original.trace_id, before, after)
            for pair in pairs
            if (before := value(pair.original)) is not None and (after := value(pair.answer)) is not None
        ]
        return paired_difference(name, unit, both)

    return measure


def _nearness_difference(pairs: Sequence[Pair]) -> PairedDifference | None:
    near = [
        (pair.original.session or pair.original.trace_id, *pair.nearness) for pair in pairs if pair.nearness
    ]
    return paired_difference("nearness to edits", "", near)


def _cost(record: RequestRecord) -> float | None:
    return None if record.cost_nanousd is None else record.cost_nanousd / NANOUSD_PER_USD


def _first_byte_ms(record: RequestRecord) -> float | None:
    return (
        None if record.first_byte_at_us is None else (record.first_byte_at_us - record.started_at_us) / 1000
    )


_MEASURES = (
    _measure("cost", "USD", _cost),
    _measure("latency", "ms", lambda record: (record.ended_at_us - record.started_at_us) / 1000),
    _measure("time to first byte", "ms", _first_byte_ms),
    _measure("length", "tokens", lambda record: record.completion_tokens),
    _nearness_difference,
)
