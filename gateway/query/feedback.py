"""Feedback on requests: by a request's own id, and what is appended to it from its trace and its session.

An entry about a trace or a session is about each of its requests, and counts in figures for one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import TooLarge
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.store.base import Queries

OLDEST_FEEDBACK_FIRST = Sort("created_at_us", descending=False)

MAX_FEEDBACK = 10_000
"""Most entries read at a time; more than that on one request or trace is refused, never cut."""


@dataclass(frozen=True, slots=True)
class RelatedFeedback:
    """What was said of some requests, the oldest first.

    Args:
        entries: all that is about any of them.
        counted: those of them that count for one of the requests.
    """

    entries: tuple[Feedback, ...]
    counted: tuple[Feedback, ...]


def feedback_on_request(record: RequestRecord) -> Filter:
    """Return what holds of the feedback on a request: by its id, or on its trace or its session as a whole."""
    by_id = AllOf(
        (Comparison("request_id", Op.EQ, record.request_id), Comparison("trace_id", Op.EQ, record.trace_id))
    )
    of_trace = AllOf(
        (Comparison("target", Op.EQ, Target.TRACE), Comparison("trace_id", Op.EQ, record.trace_id))
    )
    ways = [by_id, of_trace]
    if record.session is not None:
        ways.append(
            AllOf((Comparison("target", Op.EQ, Target.SESSION), Comparison("session", Op.EQ, record.session)))
        )
    return AllOf((Comparison("tenant", Op.EQ, record.tenant), AnyOf(tuple(ways))))


async def list_feedback(store: Queries, where: Filter, tenant: str | None) -> tuple[Feedback, ...]:
    """Return all matching entries, the oldest first. Raises TooLarge above `MAX_FEEDBACK`."""
    found = await store.find_feedback(where, OLDEST_FEEDBACK_FIRST, Page(MAX_FEEDBACK + 1), tenant)
    if len(found) > MAX_FEEDBACK:
        raise TooLarge(f"there are more than {MAX_FEEDBACK:,} feedback entries on it.")
    return tuple(found)


async def list_feedback_on_requests(
    store: Queries, records: Sequence[RequestRecord], own: Filter, tenant: str | None
) -> RelatedFeedback:
    """Return the feedback on requests of a trace or a session. Raises TooLarge above `MAX_FEEDBACK`.

    Args:
        own: what holds of entries that count besides those that do for one of the requests.
    """
    seqs = tuple(record.seq for record in records)
    counted = await list_feedback(store, AnyOf((own, Comparison("request_seq", Op.IN, seqs))), tenant)
    groups: set[_Group] = {(record.tenant, Target.TRACE, record.trace_id) for record in records}
    groups |= {(record.tenant, Target.SESSION, record.session) for record in records if record.session}
    appended = await list_feedback(
        store, AnyOf((_on_groups(Target.TRACE, groups), _on_groups(Target.SESSION, groups))), tenant
    )
    entries = {entry.feedback_id: entry for entry in counted}
    entries |= {entry.feedback_id: entry for entry in appended if _group_of(entry) in groups}
    in_order = sorted(entries.values(), key=lambda entry: entry.created_at_us)
    return RelatedFeedback(tuple(in_order), counted)


_Group = tuple[str | None, Target, str | None]


def _on_groups(target: Target, groups: set[_Group]) -> Filter:
    names = tuple(dict.fromkeys(name for _, kind, name in groups if kind is target))
    field = "session" if target is Target.SESSION else "trace_id"
    return AllOf((Comparison("target", Op.EQ, target), Comparison(field, Op.IN, names)))


def _group_of(entry: Feedback) -> _Group:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.tenant, entry.target, name
