"""Feedback as tracing SDKs give it: a value of any type under a name, on ids of several spellings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID

from gateway.feedback.payloads import (
    MAX_NUMBER,
    NewFeedback,
    Scale,
    fraction_scale,
    thumb_scale,
    to_grade,
)
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.models.filters import AllOf, AnyOf, Comparison, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.store.base import FeedbackStore

# Where metadata says who gave something, the first that it has.
AUTHOR_KEYS = ("_user", "user_id", "userId", "user", "author")
SOURCE_KEY = "source"


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A value by its type: a truth or number, a text, or something else.

    Args:
        scale: None: unknown.
    """

    number: float | None = None
    scale: Scale | None = None
    label: str | None = None
    other: object = None

    def kind(self, source: Source, comment: str | None, edited_text: str | None) -> Kind:
        if edited_text is not None:
            return Kind.EDIT
        if self.number is None:
            return Kind.COMMENT if comment and self.label is None else Kind.CUSTOM
        # A judge or a program rates one aspect; what people say is about the whole.
        if source is not Source.HUMAN:
            return Kind.SCORE
        return Kind.THUMB if self.scale is thumb_scale else Kind.RATING


def read_value(value: object, bounds: tuple[float, float] | None = None) -> NamedValue:
    """Read a value: true and false are 1 and -1; a number is from bad to good within `bounds`, else from 0 to 1."""
    if isinstance(value, bool):
        return NamedValue(float(value), thumb_scale)
    if isinstance(value, int | float) and abs(value) < MAX_NUMBER:
        return NamedValue(float(value), _scale_within(float(value), bounds))
    return NamedValue(label=value or None) if isinstance(value, str) else NamedValue(other=value)


def _scale_within(value: float, bounds: tuple[float, float] | None) -> Scale | None:
    if bounds is None:
        return fraction_scale if 0 <= value <= 1 else None
    least, most = bounds
    if not least <= value <= most or least == most:
        return None
    return lambda number: fraction_scale((number - least) / (most - least))


def text_of(value: object) -> str | None:
    """Return a corrected answer as text: a string, the only string of an object, blocks of text, else as JSON."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(only := next(iter(value.values())), str):
        return only or None
    if isinstance(value, list) and value and all(isinstance(block, dict) for block in value):
        texts = [block.get("text") for block in value]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts)) or None
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False)


def author_in(metadata: Mapping[str, object]) -> str | None:
    texts = (metadata.get(key) for key in AUTHOR_KEYS)
    return next((text for text in texts if isinstance(text, str) and text), None)


def source_in(metadata: Mapping[str, object]) -> Source:
    given = metadata.get(SOURCE_KEY)
    return next((each for each in (Source.MODEL, Source.CODE) if each == given), Source.HUMAN)


@dataclass(frozen=True, slots=True)
class SubjectNames:
    """Ids that feedback may be on, the most exact first; what is named by none of them is waited for by the last.

    Args:
        span: in one of these traces; its request is looked for first.
        field: path in the body, for errors.
    """

    ids: Sequence[str]
    span: str | None = None
    target: Target = Target.TRACE
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFeedback:
    """An entry of an SDK, whose subject is not looked up yet."""

    subject: SubjectNames
    name: str
    value: NamedValue = NamedValue()
    comment: str | None = None
    edited_text: str | None = None
    author: str | None = None
    source: Source = Source.HUMAN
    metadata: Mapping[str, object] = field(default_factory=dict)
    raw: str
    feedback_id: str | None = None

    def given_by(self, principal: Principal) -> Self:
        """Return it as its giver may give it: bearers of feedback tokens are people, and choose no id."""
        if principal.scope is not None:
            return replace(self, source=Source.HUMAN, feedback_id=None)
        if self.author is None and self.source is Source.HUMAN and Role.REVIEW in principal.roles:
            return replace(self, author=principal.name)
        return self

    def on(self, subject_id: str, target: Target) -> NewFeedback:
        value, other = self.value, self.value.other
        return NewFeedback(
            subject_id=subject_id,
            subject_field=self.subject.field,
            target=target,
            kind=value.kind(self.source, self.comment, self.edited_text),
            metric=self.name,
            value=value.number,
            scale=value.scale,
            label=value.label,
            comment=self.comment,
            edited_text=self.edited_text,
            author=self.author,
            source=self.source,
            metadata=self.metadata if other is None else {**self.metadata, "value": other},
            raw=self.raw,
            feedback_id=self.feedback_id,
        )


# Without value and author, which are more than a field.
_RESTATED = ("kind", "metric", "label", "comment", "edited_text", "source", "metadata")


def restate(entry: Feedback, before: NamedFeedback, after: NamedFeedback) -> Feedback:
    """Return an entry with what differs between two readings of it.

    Args:
        before: the entry as this API shows it, which may know less of it than the API that it came by.
    """
    old, new = (item.on(entry.subject_id, entry.target) for item in (before, after))
    changed: dict[str, Any] = {
        name: getattr(new, name) for name in _RESTATED if getattr(new, name) != getattr(old, name)
    }
    if (new.value, new.score) != (old.value, old.score):
        changed |= {"value": new.value, "score": new.score, "grade": to_grade(new.score)}
    if new.author is not None and new.author != old.author:
        changed["author"] = new.author
    return replace(entry, raw=new.raw, **changed)


async def find_named_subjects(
    store: FeedbackStore, items: Sequence[NamedFeedback], principal: Principal
) -> list[NewFeedback]:
    """Put each entry on the first of its ids under which something is logged, else on the last."""
    names = {name: None for item in items if item.subject.target is Target.TRACE for name in item.subject.ids}
    logged = await store.resolve(list(names), principal.tenant) if names else {}
    found = []
    for item in (each.given_by(principal) for each in items):
        subject = item.subject
        request_id = await _request_in_span(store, subject, principal) if subject.span else None
        if request_id is not None:
            found.append(item.on(request_id, Target.REQUEST))
            continue
        last = subject.ids[-1]
        chosen = next((name for name in subject.ids if logged.get(name)), last)
        found.append(item.on(chosen, subject.target))
    return found


async def _request_in_span(store: FeedbackStore, subject: SubjectNames, principal: Principal) -> str | None:
    # A request that a span's own call made carries the span as its parent.
    is_in_span = AnyOf(tuple(Comparison(name, Op.EQ, subject.span) for name in ("span_id", "parent_span_id")))
    is_in_trace = Comparison("trace_id", Op.IN, tuple(subject.ids))
    where = AllOf((is_in_trace, AnyOf((is_in_span, Comparison("request_id", Op.EQ, subject.span)))))
    records = await store.find_requests(where, Sort(), Page(2), principal.tenant)
    return records[0].request_id if len(records) == 1 else None


def spellings(trace_id: str) -> tuple[str, ...]:
    """Return an id of 32 hex digits as it is, and with the hyphens of a UUID; the latter first."""
    try:
        dashed = str(UUID(hex=trace_id)) if len(trace_id) == 32 else trace_id
    except ValueError:
        return (trace_id,)
    return tuple(dict.fromkeys((dashed, trace_id)))
