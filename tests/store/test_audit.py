"""The audit log of a store: it grows, and nothing in it changes but how an action ended, once."""

from __future__ import annotations

from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.store.base import Store

NEWEST_FIRST = Sort("at_us", descending=True)


def entry(number: int = 1, tenant: str | None = None) -> AuditEntry:
    return AuditEntry(
        audit_id=f"audit-{number}", at_us=number, actor="ops", via=AuditChannel.API, tenant=tenant,
        action="DELETE /api/v1/feedback/{feedback_id}", target=f"/api/v1/feedback/{number}",
    )  # fmt: skip


async def entries(store: Store, tenant: str | None = None) -> list[AuditEntry]:
    return await store.find_audit(NO_FILTER, NEWEST_FIRST, Page(100), tenant)


async def test_an_entry_is_kept_as_it_is(store: Store) -> None:
    bare = AuditEntry(actor=None, via=AuditChannel.COMMAND, action="compact")
    await store.begin_audit(bare)
    assert await entries(store) == [bare]


async def test_how_an_action_ended_is_noted_once(store: Store) -> None:
    await store.begin_audit(entry())
    await store.end_audit("audit-1", "200")
    await store.end_audit("audit-1", "500")
    await store.end_audit("audit-2", "200")
    assert [found.outcome for found in await entries(store)] == ["200"]


async def test_a_tenant_sees_what_was_done_in_its_name(store: Store) -> None:
    for number, tenant in enumerate([None, "north", "south"]):
        await store.begin_audit(entry(number, tenant))
    assert [found.audit_id for found in await entries(store)] == ["audit-2", "audit-1", "audit-0"]
    assert [found.audit_id for found in await entries(store, "north")] == ["audit-1"]


async def test_it_is_searched_by_any_field(store: Store) -> None:
    for number in range(3):
        await store.begin_audit(entry(number))
    found = await store.find_audit(
        Comparison("target", Op.EQ, "/api/v1/feedback/1"), NEWEST_FIRST, Page(9), None
    )
    assert found == [entry(1)]


async def test_retention_leaves_it_alone(store: Store) -> None:
    await store.begin_audit(entry())
    await store.expire(10**18)
    assert await entries(store) == [entry()]
