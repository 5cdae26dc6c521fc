"""Alerts in a store of each kind: versions of rules, one turn at a time, and a look stored whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Conflict
from gateway.models.alerts import (
    AlertCheck,
    AlertEvent,
    AlertRule,
    AlertState,
    AlertStatus,
    AlertTest,
    Direction,
    EventKind,
    Measure,
    Severity,
)
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store.base import Store

MINUTE_US = 60_000_000
RULE = AlertRule(
    alert_id="a-1", tenant="north", name="errors", measure=Measure.ERROR_RATE, filters={"model": "gpt-4o"},
    group_by="prompt", direction=Direction.ABOVE, threshold=0.05, window_us=60 * MINUTE_US, settle_us=0,
    min_count=20, test=AlertTest.SEQUENTIAL, renotify_us=None, created_at_us=5, updated_at_us=5,
)  # fmt: skip
STATE = AlertState(
    alert_id="a-1", group_by="prompt", group_value="p", tenant="north", status=AlertStatus.FIRING, since_us=7,
    value=0.25, low=0.1, high=0.4, sample=40, evidence=1.5, checked_at_us=9, notified_at_us=7,
)  # fmt: skip
EVENT = AlertEvent(
    event_id="e-1", alert_id="a-1", tenant="north", name="errors", severity=Severity.CRITICAL, kind=EventKind.FIRED,
    group_by="prompt", group_value="p", at_us=7, measure=Measure.ERROR_RATE, direction=Direction.ABOVE,
    threshold=0.05, window_us=60 * MINUTE_US, value=0.25, sample=40, message="too many",
)  # fmt: skip


async def rules(store: Store, tenant: str | None = None) -> list[AlertRule]:
    return await store.find_alerts(NO_FILTER, Sort(descending=False), Page(10), tenant)


async def events(store: Store, tenant: str | None = None) -> list[AlertEvent]:
    return await store.find_alert_events(NO_FILTER, Sort(), Page(10), tenant)


async def test_a_rule_follows_its_version_and_a_name_is_taken_once_in_a_tenant(store: Store) -> None:
    await store.put_alert(RULE)
    with pytest.raises(Conflict, match="the name 'errors' is taken by another alert"):
        await store.put_alert(replace(RULE, alert_id="a-2"))
    await store.put_alert(replace(RULE, alert_id="a-2", tenant=None))
    changed = replace(RULE, version=2, threshold=0.1, is_enabled=False, renotify_us=MINUTE_US)
    await store.put_alert(changed)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await store.put_alert(replace(RULE, version=2))
    assert await rules(store, "north") == [changed]
    assert [rule.alert_id for rule in await rules(store)] == ["a-1", "a-2"]
    assert await rules(store, "south") == []
    assert await store.delete_alert("a-1") is True
    assert await store.delete_alert("a-1") is False


async def test_one_of_many_takes_the_turn_and_a_lost_turn_stores_nothing(store: Store) -> None:
    await store.put_alert(RULE)
    taken = await asyncio.gather(*(store.claim_alert_check("a-1", 100, 200) for _ in range(8)))
    [first] = [check for check in taken if check is not None]
    # Its process dies; another one takes over once the lease has ended, and the first comes back.
    assert await store.claim_alert_check("a-1", 199, 300) is None
    second = await store.claim_alert_check("a-1", 200, 300)
    assert second is not None
    assert await store.finish_alert_check(replace(first, next_at_us=400), [STATE], [EVENT]) is None
    assert (await store.alert_states(["a-1"]), await events(store)) == ([], [])
    done = replace(second, next_at_us=400, groups_left_out=2)
    [stored] = await store.finish_alert_check(done, [STATE], [EVENT]) or []
    assert stored == replace(EVENT, seq=stored.seq)
    assert stored.seq > 0
    assert await store.finish_alert_check(replace(done, run=done.run - 1), [], []) is None
    assert await store.alert_states(["a-1", "other"]) == [STATE]
    assert await events(store, "north") == [stored]
    assert await events(store, "south") == []
    assert await store.alert_checks() == {"a-1": replace(done, lease_until_us=0)}
    assert await store.claim_alert_check("a-1", 399, 500) is None
    await store.delete_alert("a-1")
    assert await store.claim_alert_check("a-1", 400, 500) is None
    assert await store.claim_alert_check("file-x", 400, 500) is not None


async def test_a_change_of_the_rule_ends_a_look_that_is_under_way_and_a_failed_one_keeps_states(
    store: Store,
) -> None:
    await store.put_alert(RULE)
    check = await store.claim_alert_check("a-1", 100, 200)
    assert check is not None
    await store.finish_alert_check(replace(check, next_at_us=300), [STATE], [])
    check = await store.claim_alert_check("a-1", 300, 400)
    assert check is not None
    await store.put_alert(replace(RULE, version=2, threshold=0.5))
    assert await store.finish_alert_check(check, [], [EVENT]) is None
    # It is due at once.
    check = await store.claim_alert_check("a-1", 301, 400)
    assert check is not None
    assert await store.finish_alert_check(replace(check, error="too slow"), None, ()) == []
    assert await store.alert_states(["a-1"]) == [STATE]
    assert (await store.alert_checks())["a-1"] == AlertCheck(alert_id="a-1", run=check.run, error="too slow")


async def test_old_events_and_states_go_with_what_they_are_about(store: Store) -> None:
    await store.copy_alert_history(
        [STATE, replace(STATE, group_value="q", checked_at_us=900)],
        [EVENT, EVENT, replace(EVENT, event_id="e-2", at_us=900)],
    )
    assert [event.event_id for event in await store.alert_events_after(0, 10)] == ["e-1", "e-2"]
    await store.expire(500)
    assert [event.event_id for event in await events(store)] == ["e-2"]
    assert [state.group_value for state in await store.alert_states(["a-1"])] == ["q"]
