"""AuditReader: what was done that only an admin may do, the newest first."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.audit import AuditEntry
from gateway.domain.filter import All, Any, Filter, Is, Op, Page, Sort
from gateway.store.administration import AuditStore

NEWEST_FIRST = Sort("at_us", descending=True, then=Sort("audit_id", descending=True))

Mark = tuple[int, str]
"""Time and id of an entry, after which a slice begins."""


@dataclass(frozen=True, slots=True)
class AuditSlice:
    """Some of the entries found.

    Args:
        next_mark: after which the next slice begins; None where this one is the last.
    """

    entries: tuple[AuditEntry, ...]
    next_mark: Mark | None


class AuditReader:
    """Answers questions about the audit log. A tenant of None sees every entry, any other its own alone."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def find(self, where: Filter, limit: int, after: Mark | None, tenant: str | None) -> AuditSlice:
        """Return the newest matching entries, or those that follow a mark."""
        found = await self._store.find_audit(
            All((where, _following(after))), NEWEST_FIRST, Page(limit + 1), tenant
        )
        entries = tuple(found[:limit])
        mark = (entries[-1].at_us, entries[-1].audit_id) if len(found) > limit else None
        return AuditSlice(entries, mark)


def _following(after: Mark | None) -> Filter:
    if after is None:
        return All()
    at_us, audit_id = after
    same_time = All((Is("at_us", Op.EQ, at_us), Is("audit_id", Op.LT, audit_id)))
    return Any((Is("at_us", Op.LT, at_us), same_time))
