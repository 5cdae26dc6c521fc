"""Feedback of the demo data: what people and a model say of the planned requests, as each API takes it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from gateway.demo.content import read_setting
from gateway.demo.traffic import Api, DemoCall
from gateway.demo.wire_bodies import response_id
from gateway.models.request import DEMO_METADATA_KEY

_SEED = 20_260_102
_SECOND_US = 1_000_000

# How many traces have feedback, by team; people who test a version say more.
_COVERAGE = {"support": 0.16, "sales": 0.11, "legal": 0.1, "engineering": 0.08}
_STAGING_FACTOR = 1.8
_JUDGED_SHARE = 0.05
_JUDGE = "judge-gpt-4.1"
_SESSION_SHARE = 0.012
# How often people agree with how good an answer is.
_LIKED_IF_GOOD, _LIKED_IF_BAD = 0.97, 0.08

# Of apps that logged somewhere else.
_UNKNOWN_IDS = ("mobile-7f31", "mobile-7f3c", "mobile-8a02", "kiosk-114")


class FeedbackApi(StrEnum):
    """The form of feedback: values with weights, up or down, documents of any form, or named fields."""

    GRADES = "grades"
    RATINGS = "ratings"
    DOCUMENTS = "documents"
    NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFeedback:
    """One entry, to be sent to one of the APIs.

    Args:
        subject_id: a trace, request, response or session.
        trace_id: of a rating's request.
        value: what the author changes the value to a while later.
    """

    api: FeedbackApi
    subject_id: str
    trace_id: str
    author: str
    body: Mapping[str, object]
    given_at_us: int
    is_model: bool = False
    value: int | None = None
    is_withdrawn: bool = False


def plan_feedback(calls: Sequence[DemoCall], ends_at_us: int) -> list[DemoFeedback]:
    """Return the feedback that was given before `ends_at_us`, oldest first, then what waits for its request."""
    rng = random.Random(_SEED)
    by_trace = sorted(calls, key=lambda call: (call.trace_id, call.started_at_us))
    entries = [
        entry
        for _, trace in groupby(by_trace, key=lambda call: call.trace_id)
        for entry in _Trace(rng, list(trace)).entries()
    ]
    given = [entry for entry in entries if entry.given_at_us < ends_at_us]
    return [*sorted(given, key=lambda entry: entry.given_at_us), *_on_unknown_ids(rng, ends_at_us)]


def _on_unknown_ids(rng: random.Random, ends_at_us: int) -> Iterator[DemoFeedback]:
    for subject_id in _UNKNOWN_IDS:
        at_us = ends_at_us - int(rng.uniform(1, 90) * 3_600 * _SECOND_US)
        body = {
            "id": subject_id,
            "thumb": "down",
            "author": "dario.ito",
            "comment": "the answer came too late",
        }
        yield DemoFeedback(
            api=FeedbackApi.NATIVE,
            subject_id=subject_id,
            trace_id=subject_id,
            author="dario.ito",
            body=body | {"metadata": {DEMO_METADATA_KEY: True}},
            given_at_us=at_us,
        )


@dataclass(slots=True)
class _Trace:
    """What is said of one trace; people judge its last request."""

    rng: random.Random
    calls: list[DemoCall]
    call: DemoCall = field(init=False)

    def __post_init__(self) -> None:
        self.call = self.calls[-1]

    def entries(self) -> Iterator[DemoFeedback]:
        call, rng = self.call, self.rng
        if call.route.api is Api.EMBEDDINGS or call.turn.scenario.kind == "follow_up":
            return
        coverage = _COVERAGE[call.team]
        if call.metadata["_environment"] == "staging":
            coverage *= _STAGING_FACTOR
        if rng.random() < coverage:
            yield from self._by_person()
        if rng.random() < _JUDGED_SHARE and call.failure is None:
            yield self._by_model()
        if rng.random() < _SESSION_SHARE:
            stars = rng.choice((4, 5)) if call.turn.is_good else rng.choice((1, 2))
            yield self._native(call.session, {"rating": stars})

    def _by_person(self) -> Iterator[DemoFeedback]:
        is_liked = self.rng.random() < (_LIKED_IF_GOOD if self.call.turn.is_good else _LIKED_IF_BAD)
        if self.call.failure is not None:
            comment = self.rng.choice(read_setting().failure_comments[self.call.failure])
            yield self._native(self.call.trace_id, {"thumb": "down", "comment": comment})
            return
        forms = (self._grades, self._rating, self._document, self._stars, self._thumb)
        [form] = self.rng.choices(forms, (30, 20, 18, 16, 16))
        yield from form(is_liked)
        if not is_liked and not self.call.turn.is_good and self.rng.random() < 0.6:
            yield self._edit()

    def _grades(self, is_liked: bool) -> Iterator[DemoFeedback]:
        # Several measures of one answer come as several entries.
        for measure, weight in (("overall", 1.0), ("style", 0.5))[: self.rng.choice((1, 1, 2))]:
            value = self.rng.randint(5, 10) if is_liked else -self.rng.randint(3, 10)
            metadata = {"_user": self.call.user, "measure": measure, DEMO_METADATA_KEY: True}
            if measure == "overall" and (comment := self._comment(is_liked)):
                metadata["comment"] = comment
            body = {"trace_id": self.call.trace_id, "value": value, "weight": weight, "metadata": metadata}
            yield self._entry(FeedbackApi.GRADES, self.call.trace_id, body, changed=self._change(is_liked))

    def _change(self, is_liked: bool) -> int | None:
        return None if self.rng.random() > 0.12 else 8 if is_liked else 2

    def _rating(self, is_liked: bool) -> Iterator[DemoFeedback]:
        yield self._entry(FeedbackApi.RATINGS, self.call.request_id, {"rating": is_liked})

    def _document(self, is_liked: bool) -> Iterator[DemoFeedback]:
        said = {"type": "thumbs", "value": "thumbs_up" if is_liked else "thumbs_down"}
        yield self._documented(said | self._with_comment(is_liked))

    def _stars(self, is_liked: bool) -> Iterator[DemoFeedback]:
        stars = self.rng.choice((4, 5, 5)) if is_liked else self.rng.choice((1, 1, 2))
        yield self._native(self.call.trace_id, {"rating": stars, **self._with_comment(is_liked)})

    def _thumb(self, is_liked: bool) -> Iterator[DemoFeedback]:
        label = (
            "helpful" if is_liked else "other" if self.call.turn.is_good else self.call.turn.scenario.label
        )
        said = {"thumb": "up" if is_liked else "down", "label": label} | self._with_comment(is_liked)
        yield self._native(self._any_id(), said, is_withdrawn=self.rng.random() < 0.08)

    def _edit(self) -> DemoFeedback:
        turn = self.call.turn
        if self.rng.random() < 0.5:
            return self._documented({"original_response": turn.answer, "user_edit": turn.scenario.good})
        edit = {"original_text": turn.answer, "edited_text": turn.scenario.good}
        return self._native(self.call.trace_id, edit)

    def _any_id(self) -> str:
        # Gemini's answers and those that failed have no id that is looked up.
        ids = [self.call.trace_id, self.call.request_id]
        if self.call.route.api in (Api.CHAT, Api.MESSAGES, Api.RESPONSES):
            ids.append(response_id(self.call))
        return self.rng.choice(ids)

    def _by_model(self) -> DemoFeedback:
        middle = 0.7 if self.call.turn.is_good else -0.55
        score = round(max(-1.0, min(1.0, self.rng.gauss(middle, 0.25))), 2)
        body = {"id": self.call.request_id, "score": score, "author": _JUDGE}
        if score < 0 and not self.call.turn.is_good:
            body["comment"] = self.call.turn.scenario.why
        return self._entry(FeedbackApi.NATIVE, self.call.request_id, self._marked(body), is_model=True)

    def _comment(self, is_liked: bool) -> str | None:
        if is_liked:
            return self.rng.choice(read_setting().praise) if self.rng.random() < 0.3 else None
        if self.rng.random() > 0.85:
            return None
        turn = self.call.turn
        return self.rng.choice(read_setting().quibbles) if turn.is_good else turn.scenario.why

    def _with_comment(self, is_liked: bool) -> dict[str, str]:
        comment = self._comment(is_liked)
        return {"comment": comment} if comment else {}

    def _documented(self, said: Mapping[str, object]) -> DemoFeedback:
        app = {"app_id": f"{self.call.team}-assistant", "app_version": "1.4.0"}
        body = {"user": self.call.user, "trace_id": self.call.trace_id, **app, "feedback": said}
        return self._entry(FeedbackApi.DOCUMENTS, self.call.trace_id, self._marked(body))

    def _native(
        self, subject_id: str, said: Mapping[str, object], *, is_withdrawn: bool = False
    ) -> DemoFeedback:
        body = self._marked({"id": subject_id, "author": self.call.user, **said})
        return self._entry(FeedbackApi.NATIVE, subject_id, body, is_withdrawn=is_withdrawn)

    def _marked(self, body: Mapping[str, object]) -> dict[str, object]:
        return {**body, "metadata": {DEMO_METADATA_KEY: True}}

    def _entry(
        self,
        api: FeedbackApi,
        subject_id: str,
        body: Mapping[str, object],
        *,
        is_model: bool = False,
        changed: int | None = None,
        is_withdrawn: bool = False,
    ) -> DemoFeedback:
        # Most people react within minutes, a model at once.
        delay = 4 if is_model else self.rng.lognormvariate(4, 1.2)
        ended_at_us = self.call.started_at_us + self.call.duration_us
        return DemoFeedback(
            api=api,
            subject_id=subject_id,
            trace_id=self.call.trace_id,
            author=_JUDGE if is_model else self.call.user,
            body=body,
            given_at_us=ended_at_us + int(delay * _SECOND_US),
            is_model=is_model,
            value=changed,
            is_withdrawn=is_withdrawn,
        )
