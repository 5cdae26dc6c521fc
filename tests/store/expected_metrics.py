"""Questions about many requests answered the plain way, to hold the SQL against."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.models.exchange import Outcome, is_model_call
from gateway.models.feedback import Feedback, Source, Target
from gateway.models.filters import Scalar
from gateway.models.metrics import (
    GRADE_FIELD,
    FeedbackSums,
    GroupKey,
    Measure,
    MetricsQuery,
    PersonSums,
    UsageSums,
    latency_class,
)
from gateway.models.request import RequestRecord
from tests.store.expected_filters import as_text, matches, value_of

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """All that there is."""

    requests: Sequence[RequestRecord]
    feedback: Sequence[Feedback]

    def usage(self, question: MetricsQuery) -> dict[GroupKey, UsageSums]:
        return {cell: _usage(found) for cell, found in self._parts(question).items()}

    def latencies(
        self, question: MetricsQuery, measure: Measure = Measure.DURATION
    ) -> dict[GroupKey, dict[int, int]]:
        counted = {
            cell: Counter(latency_class(max(took // 1000, 0)) for r in found for took in _took_us(r, measure))
            for cell, found in self._parts(question).items()
        }
        return {cell: dict(classes) for cell, classes in counted.items() if classes}

    def people(self, question: MetricsQuery, source: Source) -> dict[Scalar, dict[str, PersonSums]]:
        latest: dict[tuple[int, str], tuple[Feedback, RequestRecord]] = {}
        for entry in sorted(self.feedback, key=lambda each: each.updated_at_us):
            is_rating = entry.score is not None and entry.weight > 0 and entry.source is source
            if not is_rating or entry.joined_at_us is None or entry.deleted_at_us is not None:
                continue
            if (request := self.counts_for(entry)) is not None and _is_meant(request, question):
                person = entry.author or request.user or request.request_id
                latest[request.seq, person] = entry, request
        people: dict[Scalar, dict[str, list[Feedback]]] = defaultdict(lambda: defaultdict(list))
        for (_, person), (entry, request) in latest.items():
            people[_cell(request, question).value][person].append(entry)
        return {
            value: {person: _person_sums(found) for person, found in group.items()}
            for value, group in people.items()
        }

    def count_groups(self, question: MetricsQuery) -> dict[GroupKey, int]:
        return dict(Counter(GroupKey(c.starts_at_us) for c in self._parts(question) if c.value is not None))

    def feedback_sums(self, question: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        judged = [
            (entry, request)
            for entry in self.feedback
            if entry.joined_at_us is not None and entry.deleted_at_us is None
            if (request := self.counts_for(entry)) is not None and _is_meant(request, question)
        ]
        cells = _split(judged, lambda pair: _cell(pair[1], question, pair[0]))
        return {cell: _verdicts(found) for cell, found in cells.items()}

    def _parts(self, question: MetricsQuery) -> dict[GroupKey, list[RequestRecord]]:
        meant = [request for request in self.requests if _is_meant(request, question)]
        return _split(meant, lambda request: _cell(request, question))

    def counts_for(self, entry: Feedback) -> RequestRecord | None:
        own = [request for request in self.requests if request.tenant == entry.tenant]
        if entry.target is Target.REQUEST:
            ids = entry.trace_id, entry.request_id
            tries = (r for r in own if (r.trace_id, r.request_id) == ids)
            return max(tries, key=lambda r: r.seq, default=None)
        is_session = entry.target is Target.SESSION
        group = [
            r for r in own if (r.session == entry.session if is_session else r.trace_id == entry.trace_id)
        ]
        group.sort(key=lambda r: (r.started_at_us, r.seq))
        before = [request for request in group if request.started_at_us <= entry.created_at_us]
        return before[-1] if before else next(iter(group), None)


def _split(things: Iterable[T], cell_of: Callable[[T], GroupKey]) -> dict[GroupKey, list[T]]:
    parts: dict[GroupKey, list[T]] = defaultdict(list)
    for thing in things:
        parts[cell_of(thing)].append(thing)
    return dict(parts)


def _is_meant(request: RequestRecord, question: MetricsQuery) -> bool:
    is_in_time = question.from_us <= request.started_at_us < question.to_us
    return is_in_time and question.tenant in (None, request.tenant) and matches(request, question.where)


def _cell(request: RequestRecord, question: MetricsQuery, entry: Feedback | None = None) -> GroupKey:
    width = question.bucket_us
    offset = question.bucket_offset_us
    start = None if width is None else (request.started_at_us - offset) // width * width + offset
    return GroupKey(
        start, _value(request, question.group_by, entry), _value(request, question.then_by, entry)
    )


def _value(request: RequestRecord, field: str | None, entry: Feedback | None) -> Scalar:
    if field is None:
        return None
    if field == GRADE_FIELD:
        return entry.grade if entry is not None else None
    found = value_of(request, field)
    if not field.startswith("metadata."):
        assert isinstance(found, Scalar)
        return found
    return as_text(found)


def _duration_us(request: RequestRecord) -> int:
    return request.ended_at_us - request.started_at_us


def _took_us(request: RequestRecord, measure: Measure) -> list[int]:
    first = request.first_byte_at_us
    if measure is Measure.FIRST_BYTE:
        return [] if first is None else [first - request.started_at_us]
    return [_duration_us(request)]


def _person_sums(entries: Sequence[Feedback]) -> PersonSums:
    scores = [(entry.weight, entry.score or 0.0) for entry in entries]
    return PersonSums(
        entries=len(entries),
        positive=sum(((entry.score or 0) if entry.grade is None else entry.grade) > 0 for entry in entries),
        unsigned=sum(entry.author is None for entry in entries),
        weight=sum(weight for weight, _ in scores),
        weighted_score=sum(weight * score for weight, score in scores),
    )


def _is_error(request: RequestRecord) -> bool:
    if not is_model_call(request.method, request.endpoint):
        return False
    has_failed = request.outcome not in (Outcome.COMPLETE, Outcome.CLIENT_CLOSED)
    return has_failed or (request.status is not None and request.status >= 400)


def _usage(found: Sequence[RequestRecord]) -> UsageSums:
    answered = [(r.first_byte_at_us, r.started_at_us) for r in found if r.first_byte_at_us is not None]
    return UsageSums(
        requests=len(found),
        errors=sum(map(_is_error, found)),
        prompt_tokens=sum(r.prompt_tokens or 0 for r in found),
        completion_tokens=sum(r.completion_tokens or 0 for r in found),
        cached_tokens=sum(r.cached_tokens or 0 for r in found),
        tokens_counted=sum(r.prompt_tokens is not None or r.completion_tokens is not None for r in found),
        cost_nanousd=sum(r.cost_nanousd or 0 for r in found),
        priced=sum(r.cost_nanousd is not None for r in found),
        duration_us=sum(map(_duration_us, found)),
        first_byte_us=sum(first - start for first, start in answered),
        answered=len(answered),
        last_started_at_us=max(r.started_at_us for r in found),
    )


def _verdicts(found: Sequence[tuple[Feedback, RequestRecord]]) -> FeedbackSums:
    scored = [(entry.weight, entry.score, entry.grade) for entry, _ in found if entry.score is not None]
    return FeedbackSums(
        entries=len(found),
        judged_requests=len({request.seq for _, request in found}),
        scored=len(scored),
        positive=sum(grade is not None and grade > 0 for _, _, grade in scored),
        weight=sum(w for w, _, _ in scored),
        weight_squared=sum(w * w for w, _, _ in scored),
        weighted_score=sum(w * s for w, s, _ in scored),
        squared_weighted_score=sum(w * w * s for w, s, _ in scored),
        squared_weighted_square=sum(w * w * s * s for w, s, _ in scored),
        weighted_grade=sum(entry.weight * entry.grade for entry, _ in found if entry.grade is not None),
    )
