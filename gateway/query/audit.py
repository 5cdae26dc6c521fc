"""AuditReader: page through the audit log, newest first."""

from dataclasses import dataclass

from gateway.models.audit import AuditEntry
from gateway.models.filters import AllOf, Filter, Op, Page, Sort
from gateway.query.filters import after_cursor
from gateway.store.base import Admin

NEWEST_ENTRIES_FIRST = Sort("at_us", descending=True, then=Sort("audit_id", descending=True))

# Time and id of the last entry of the page before.
AuditCursor = tuple[int, str]


@dataclass(frozen=True, slots=True)
class AuditSlice:
    entries: tuple[AuditEntry, ...]
    next_cursor: AuditCursor | None


class AuditReader:
    def __init__(self, store: Admin) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: AuditCursor | None, tenant: str | None
    ) -> AuditSlice:
        following = AllOf((where, after_cursor(after, "at_us", "audit_id", Op.LT)))
        found = await self._store.find_audit(following, NEWEST_ENTRIES_FIRST, Page(limit + 1), tenant)
        entries = tuple(found[:limit])
        cursor = (entries[-1].at_us, entries[-1].audit_id) if len(found) > limit else None
        return AuditSlice(entries, cursor)
