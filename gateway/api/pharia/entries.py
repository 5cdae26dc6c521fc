"""Entries in this dialect's words, whatever dialect they came in, and changes to them.

Each version that was written in this dialect holds the entry's whole body in `raw`, so that its feedback can
be shown as it was given. Versions of other dialects are shown by what their columns hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, RootModel, WithJsonSchema

from gateway import __version__
from gateway.domain.clock import rfc_3339
from gateway.domain.feedback import Feedback, Kind
from gateway.feedback import grade_of, read_change, read_feedback

DIALECT = "pharia"
"""What the dialect is called in rows."""

OUR_VERSION = f"v{__version__}"
"""What stands for the version of an API or of a page where the caller named none."""

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 in UTC, with microseconds."""


class Entry(BaseModel):
    """The latest version of an entry."""

    feedback_id: str
    trace_id: str = Field(description="The trace that it is about; while none is logged, the id as given.")
    app_id: str | None
    creation_date: str = Field(description="When it was given: UTC, six digits of a second, no offset.")
    api_version: str = Field(description="As it was given, else the gateway's.")
    ui_version: str = Field(description="As it was given, else the gateway's.")
    app_version: str | None
    feedback: dict[str, Any] = Field(
        description="As it was given; of entries that were written in another dialect, value, weight and texts."
    )
    user: str | None
    metadata: dict[str, Any]
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, entry: Feedback) -> Entry:
        body = _body_of(entry)
        created_at = rfc_3339(entry.created_at_us)
        return cls(
            feedback_id=entry.feedback_id,
            trace_id=entry.trace_id or entry.subject_id,
            app_id=entry.app_id,
            creation_date=created_at.removesuffix("Z"),
            api_version=_version_in(body, "api_version"),
            ui_version=_version_in(body, "ui_version"),
            app_version=entry.app_version,
            feedback=body["feedback"],
            user=entry.author,
            metadata=dict(entry.metadata),
            created_at=created_at,
            updated_at=rfc_3339(entry.updated_at_us),
        )


class Entries(RootModel[list[Entry]]):
    """Entries, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change to an entry. None leaves a field as it is; fields of the feedback replace those of their name."""

    feedback: dict[str, Any] | None
    app_id: str | None
    app_version: str | None
    raw: str

    def of(self, entry: Feedback) -> Feedback:
        """Return `entry` with this change made."""
        body = _body_of(entry)
        merged = {**body["feedback"], **(self.feedback or {})}
        names = {"app_id": self.app_id or entry.app_id, "app_version": self.app_version or entry.app_version}
        changed = replace(
            _with_feedback(entry, body["feedback"], self.feedback or {}),
            app_id=names["app_id"],
            app_version=names["app_version"],
        )
        whole = {**body, **names, "feedback": merged}
        return replace(changed, raw=orjson.dumps(whole).decode())


def _with_feedback(entry: Feedback, before: dict[str, Any], change: dict[str, Any]) -> Feedback:
    was, now = read_feedback(before), read_feedback({**before, **change})
    said = read_change(before, change)
    if said is not None:
        # What is said now counts, whatever else is still there.
        now = replace(now, verdict=said)
    changed = replace(
        entry,
        weight=now.weight,
        comment=now.comment,
        original_text=now.original_text,
        edited_text=now.edited_text,
        original_id=None,
    )
    is_as_before = now.kind == was.kind and now.verdict == was.verdict
    if is_as_before and (said is None or said.value == entry.value):
        # The score may have been made on the scale of another dialect, which nobody has judged anew.
        return changed
    verdict = now.verdict
    return replace(
        changed, kind=now.kind, value=verdict.value, score=verdict.score, grade=grade_of(verdict.score)
    )


def _body_of(entry: Feedback) -> dict[str, Any]:
    """The entry as this dialect would have been given it; `feedback` is always there."""
    if entry.dialect == DIALECT:
        body: dict[str, Any] = orjson.loads(entry.raw)
        return body
    return {"trace_id": entry.subject_id, "feedback": _feedback_of_columns(entry)}


def _version_in(body: dict[str, Any], name: str) -> str:
    given = body.get(name)
    return given if isinstance(given, str) else OUR_VERSION


def _feedback_of_columns(entry: Feedback) -> dict[str, Any]:
    is_original = entry.kind is Kind.ORIGINAL
    columns = {
        "type": "original_response" if is_original else None,
        "value": _plain(entry.value),
        "weight": _plain(entry.weight),
        "label": entry.label,
        "comment": entry.comment,
        "content" if is_original else "original_response": None if entry.original_id else entry.original_text,
        "user_edit": entry.edited_text,
    }
    return {name: value for name, value in columns.items() if value is not None}


def _plain(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number
