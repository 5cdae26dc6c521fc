"""Feedback beside a logged request: entries in the shape in which they were given, with their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.shapes import to_votes
from gateway.domain.exchange import Exchange
from gateway.domain.feedback import Feedback
from gateway.domain.ids import content_id
from gateway.domain.principal import Principal
from gateway.errors import BadInput
from gateway.feedback import NewFeedback, Scale
from gateway.feedback.past import past_entry
from gateway.web.exported import ExportedRow, TimeUs, read_row, written
from gateway.web.validation import shown


class GivenAt(ExportedRow):
    """When an entry was given, if that is known."""

    created_at: TimeUs | None = None


def read_votes(
    feedback: object, exchange: Exchange, importer: Principal, scale: Scale
) -> tuple[Feedback, ...]:
    """Return the entries in the `feedback` of a row: one, or a list; about its trace if they name no other.

    One without an id gets the same one each time.

    Raises:
        BadInput: an entry is not what could have been given; names the field.
    """
    listed = feedback if isinstance(feedback, list) else [] if feedback is None else [feedback]
    entries = [_about(entry, exchange.identity.trace_id, place) for place, entry in enumerate(listed)]
    try:
        votes = to_votes(entries, scale) if entries else []
    except BadInput as error:
        within = (error.field or "").removeprefix("body")
        raise BadInput(error.message, field=f"feedback{within}", hint=error.hint) from None
    return tuple(
        past_entry(_named(vote, place, exchange), importer, DIALECT, _given_at_us(entry, place, exchange))
        for place, (vote, entry) in enumerate(zip(votes, entries, strict=True))
    )


def _about(entry: object, trace_id: str, place: int) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise BadInput(f"must be an object; got {shown(entry)}.", field=f"feedback[{place}]")
    return {"trace_id": trace_id, **entry}


def _named(vote: NewFeedback, place: int, exchange: Exchange) -> NewFeedback:
    if vote.feedback_id is not None:
        return vote
    content = [exchange.tenant, exchange.identity.request_id, place, vote.raw]
    return replace(vote, feedback_id=content_id(written(content, "feedback")))


def _given_at_us(entry: Mapping[str, object], place: int, exchange: Exchange) -> int:
    return read_row(GivenAt, entry, f"feedback[{place}]").created_at or exchange.ended_at_us
