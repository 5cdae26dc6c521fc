"""AuditReader: what was done that only an admin may do, the newest first."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.models.audit import AuditEntry
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.store.base import Admin

NEWEST_ENTRIES_FIRST = Sort("at_us", descending=True, then=Sort("audit_id", descending=True))

AuditCursor = tuple[int, str]
"""Time and id of an entry, after which a slice begins."""


@dataclass(frozen=True, slots=True)
class AuditSlice:
    """Some of the entries found.

    Args:
        next_mark: after which the next slice begins; None where this one is the last.
    """

    entries: tuple[AuditEntry, ...]
    next_cursor: AuditCursor | None


class AuditReader:
    """Answers questions about the audit log. A tenant of None sees every entry, any other its own alone."""

    def __init__(self, store: Admin) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: AuditCursor | None, tenant: str | None
    ) -> AuditSlice:
        """Return the newest matching entries, or those that follow a mark."""
        found = await self._store.find_audit(
            AllOf((where, _after_cursor(after))), NEWEST_ENTRIES_FIRST, Page(limit + 1), tenant
        )
        entries = tuple(found[:limit])
        mark = (entries[-1].at_us, entries[-1].audit_id) if len(found) > limit else None
        return AuditSlice(entries, mark)


def _after_cursor(after: AuditCursor | None) -> Filter:
    if after is None:
        return AllOf()
    at_us, audit_id = after
    same_time = AllOf((Comparison("at_us", Op.EQ, at_us), Comparison("audit_id", Op.LT, audit_id)))
    return AnyOf((Comparison("at_us", Op.LT, at_us), same_time))
