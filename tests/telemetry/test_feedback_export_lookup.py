"""What an entry is about and what of it may be told, by what each kind of store has of its requests."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.exchange import Identity, LoggingOptOut, PayloadPolicy
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.store.base import Store
from gateway.telemetry.attributes import otel_span_id, otel_trace_id
from gateway.telemetry.feedback_export import Annotation, AnnotationLookup, SubjectMissing, build_annotation
from tests.store.conftest import store, store_url
from tests.store.samples import exchange, feedback

__all__ = ["store", "store_url"]

WORDS = {"comment": "too long", "label": "verbose"}
ON_TRACE: dict[str, Any] = {"trace_id": "trace-1", "joined_at_us": 1}


async def find(store: Store, entry: Feedback, *, has_text: bool = True) -> Annotation | None:
    found = await AnnotationLookup(store, has_text=has_text).find(entry)
    return found and found[0]


async def given(store: Store, **entry: Any) -> Feedback:
    """Return feedback that is stored."""
    made = feedback(**entry)
    await store.put_feedback([made])
    return made


async def test_words_are_told_of_requests_that_are_all_kept_whole(store: Store) -> None:
    entry = await given(store, **ON_TRACE, **WORDS)
    assert ((await find(store, entry)) or entry).comment is None
    await store.append([exchange("a"), exchange("b")])
    told = await find(store, entry)
    assert told is not None
    assert (told.comment, told.label, told.score) == ("too long", "verbose", 0.5)
    silent = await find(store, entry, has_text=False)
    assert silent is not None
    assert (silent.comment, silent.label) == (None, "positive")


@pytest.mark.parametrize(
    "kept",
    [
        {"payloads": PayloadPolicy.REDACTED},
        {"payloads": PayloadPolicy.OFF},
        {"opt_out": LoggingOptOut(request=True)},
        {"opt_out": LoggingOptOut(response=True)},
    ],
)
async def test_no_word_is_told_where_one_of_them_is_not(store: Store, kept: dict[str, Any]) -> None:
    await store.append([exchange("a"), exchange("b", **kept)])
    told = await find(store, await given(store, **ON_TRACE, **WORDS))
    assert told is not None
    assert (told.comment, told.label) == (None, "positive")


async def test_a_request_is_told_by_its_span_and_a_session_by_its_first_trace(store: Store) -> None:
    identity = Identity("a", "trace-1", span_id="plan", metadata={"_session": "talk"})
    later = exchange("b", "trace-2", metadata={"_session": "talk"}, started_at_us=1_700_000_009_000_000)
    await store.append([later, exchange(identity=identity)])
    about_request = await given(store, **ON_TRACE, target=Target.REQUEST, request_id="a")
    about_session = await given(
        store, feedback_id="f-2", subject_id="talk", target=Target.SESSION, session="talk", joined_at_us=1
    )
    trace = otel_trace_id("trace-1")
    on_request, on_session = await find(store, about_request), await find(store, about_session)
    assert on_request is not None
    assert on_session is not None
    assert (on_request.span_id, on_request.session) == (f"{otel_span_id(trace, 'plan'):016x}", None)
    assert (on_session.span_id, on_session.session) == (None, "talk")
    assert on_request.trace_id == on_session.trace_id == f"{trace:032x}"


async def test_what_waits_for_its_request_waits_here_too_until_it_is_joined(store: Store) -> None:
    waiting = await given(store, subject_id="a", target=Target.REQUEST)
    with pytest.raises(SubjectMissing):
        await find(store, waiting)
    await store.append([exchange("a")])
    told = await find(store, waiting)
    assert told is not None
    assert told.span_id is not None


async def test_nothing_is_told_of_what_is_erased_or_no_feedback_or_went_elsewhere(store: Store) -> None:
    assert await find(store, feedback("never-stored", **ON_TRACE)) is None
    original = await given(store, kind=Kind.ORIGINAL, score=None, **ON_TRACE)
    assert await find(store, original) is None
    await store.append([exchange("a", "trace-2", path="https://api.example.com/v1/chat")])
    elsewhere = await given(store, feedback_id="f-2", trace_id="trace-2", joined_at_us=1)
    assert await find(store, elsewhere) is None


async def test_what_was_deleted_for_good_is_withdrawn(store: Store) -> None:
    found = await AnnotationLookup(store, has_text=False).find(feedback(**ON_TRACE, deleted_at_us=2))
    assert found is not None
    assert found[1] is True


@pytest.mark.parametrize(
    ("source", "annotator"),
    [(Source.HUMAN, "HUMAN"), (Source.IMPLICIT, "HUMAN"), (Source.MODEL, "LLM"), (Source.CODE, "CODE")],
)
def test_who_gave_it_is_told(source: Source, annotator: str) -> None:
    entry = feedback(source=source, metric="tone", score=None, **ON_TRACE)
    told = build_annotation(entry, "trace-1", None, has_text=False)
    assert (told.annotator, told.name, told.label) == (annotator, "tone", "rating")
