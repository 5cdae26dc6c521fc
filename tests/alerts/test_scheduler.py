"""The scheduler: what it finds is told once, whichever process looks, and whatever dies."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

import pytest

from gateway.alerts import scheduler as scheduling
from gateway.alerts.definition import AlertService, AlertView, build_rule
from gateway.alerts.preview import preview_rule
from gateway.alerts.scheduler import AlertScheduler
from gateway.errors import Conflict, NotFound
from gateway.models.alerts import FILE_PREFIX, AlertEvent, AlertStatus, EventKind
from gateway.models.principal import Principal, Role
from gateway.store.base import Store
from tests.alerts.conftest import HOUR_US, MINUTE_US, START_US
from tests.alerts.receiver import Receiver
from tests.alerts.webhook_fixtures import Webhooks
from tests.store.samples import exchange, feedback

OPS = Principal("ops", frozenset({Role.ADMIN}))
ERRORS = {"name": "errors", "measure": "error_rate", "above": 0.05, "group_by": "prompt", "settle": "0s"}
FAILING_US = START_US + HOUR_US


def tell(events: Sequence[AlertEvent]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.group_value, (event.at_us - START_US) // MINUTE_US) for event in events]


async def view_of(service: AlertService, name: str = "errors") -> AlertView:
    return await service.find(name, None)


async def look(scheduler: AlertScheduler, first: int, last: int) -> None:
    for minute in range(first, last):
        await scheduler.run_due(START_US + minute * MINUTE_US)


async def test_a_group_fires_and_ends_and_the_preview_says_the_same(filled: Store) -> None:
    service = AlertService(filled)
    scheduler = AlertScheduler(filled, service)
    told: list[AlertEvent] = []
    scheduler.on_event.append(told.append)
    rule = await service.create(ERRORS, OPS)
    await look(scheduler, 58, 72)
    [fired] = told
    assert (fired.kind, fired.group_value) == (EventKind.FIRED, "bad")
    # Found after eight of sixteen failed.
    assert 62 <= (fired.at_us - START_US) // MINUTE_US <= 66
    statuses = {state.group_value: state.status for state in (await view_of(service)).states}
    assert statuses == {"bad": AlertStatus.FIRING, "good": AlertStatus.OK}
    # Long after the last request there is no data, which changes nothing by default.
    await look(scheduler, 300, 301)
    assert [state.status for state in (await view_of(service)).states] == [AlertStatus.FIRING]
    events = await service.events(None, 10)
    assert tell(events) == tell(told)
    preview = await preview_rule(filled, rule, START_US + 72 * MINUTE_US, 1)
    assert preview.step_us == MINUTE_US
    assert tell(preview.events) == tell(told)
    assert preview.firing_us == {"bad": 72 * MINUTE_US - (fired.at_us - START_US) + MINUTE_US}


async def test_a_plain_rule_looks_at_the_window_as_it_is(filled: Store) -> None:
    service = AlertService(filled)
    scheduler = AlertScheduler(filled, service)
    fields = {**ERRORS, "group_by": None, "test": "none", "window": "10m", "where": {"prompt": "bad"}}
    rule = await service.create({**fields, "above": 0.2}, OPS)
    await look(scheduler, 55, 140)
    events = list(reversed(await service.events(None, 10)))
    # Above a fifth with the fifth failing minute of ten, and below `min_count` after the requests ended.
    assert tell(events) == [("fired", "", 65)]
    [state] = (await view_of(service)).states
    assert (state.sample, state.status) == (0, AlertStatus.FIRING)
    preview = await preview_rule(filled, rule, START_US + 139 * MINUTE_US, 1)
    assert tell(preview.events) == [("fired", "", 65)]


async def test_tenants_have_rules_of_their_own_requests(filled: Store) -> None:
    service = AlertService(filled)
    south = Principal("s", frozenset({Role.ADMIN}), "south")
    north = Principal("n", frozenset({Role.ADMIN}), "north")
    for principal in (south, north):
        await service.create({**ERRORS, "group_by": None}, principal)
    await look(AlertScheduler(filled, service), 110, 111)
    assert [view.states[0].status for view in await service.list("south")] == [AlertStatus.OK]
    assert [view.states[0].status for view in await service.list("north")] == [AlertStatus.FIRING]
    assert len(await service.list(None)) == 2
    with pytest.raises(Conflict, match="several alerts have this name"):
        await service.find("errors", None)
    assert await service.events("south", 10) == []
    [of_north] = await service.list("north")
    for attempt in (service.delete(of_north.rule.alert_id, "south"), service.find("errors", "west")):
        with pytest.raises(NotFound):
            await attempt


async def test_groups_do_not_outlive_the_tenant_or_the_field_of_a_rule(filled: Store) -> None:
    service = AlertService(filled, (build_rule(ERRORS, f"{FILE_PREFIX}errors", "north"),))
    scheduler = AlertScheduler(filled, service)
    stored = await service.create(ERRORS, Principal("n", frozenset({Role.ADMIN}), "north"))
    await look(scheduler, 110, 111)
    for view in await service.list("north"):
        assert ("bad", AlertStatus.FIRING) in [(state.group_value, state.status) for state in view.states]
    by_provider = {**ERRORS, "group_by": "provider"}
    for fields, tenant in ((by_provider, "north"), (ERRORS, "south")):
        service.file_rules = (build_rule(fields, f"{FILE_PREFIX}errors", tenant),)
        assert (await service.find(f"{FILE_PREFIX}errors", tenant)).states == ()
    await service.change(stored.alert_id, by_provider, OPS)
    assert (await service.find(stored.alert_id, None)).states == ()
    await look(scheduler, 111, 112)
    assert "bad" not in [state.group_value for view in await service.list(None) for state in view.states]
    assert await service.events("south", 10) == []


async def test_people_and_waiting_feedback_are_measured(store: Store) -> None:
    at_us = {"created_at_us": START_US, "updated_at_us": START_US}
    entries = [feedback(f"f-{n}", f"t-{n}", author=f"p{n}", score=-1.0, **at_us) for n in range(40)]
    await store.put_feedback([*entries, *(feedback(f"w-{n}", "nowhere", **at_us) for n in range(3))])
    await store.append([exchange(f"r-{n}", f"t-{n}", started_at_us=START_US) for n in range(40)])
    service = AlertService(store)
    await service.create({"name": "score", "measure": "mean_score", "below": 0}, OPS)
    await service.create({"name": "waiting", "measure": "orphaned_feedback", "above": 2}, OPS)
    await look(AlertScheduler(store, service), 119, 120)
    score, waiting = [await view_of(service, name) for name in ("score", "waiting")]
    assert [(state.status, state.value, state.sample) for state in score.states] == [
        (AlertStatus.FIRING, -1.0, 40)
    ]
    assert [(state.status, state.value) for state in waiting.states] == [(AlertStatus.FIRING, 3.0)]


async def test_rules_of_the_file_are_looked_at_and_not_changed(filled: Store) -> None:
    service = AlertService(filled, (build_rule(ERRORS, "file-errors", None),))
    await look(AlertScheduler(filled, service), 110, 111)
    assert len((await view_of(service)).states) == 2
    for attempt in (service.delete("file-errors", None), service.change("errors", ERRORS, OPS)):
        with pytest.raises(Conflict, match="of the configuration file"):
            await attempt


async def test_a_look_that_takes_too_long_says_so_and_waits(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = AlertService(filled)
    await service.create(ERRORS, OPS)
    monkeypatch.setattr(scheduling, "EVALUATION_SECONDS", 0.0)
    await look(AlertScheduler(filled, service), 110, 111)
    check = (await view_of(service)).check
    assert check is not None
    assert check.error == "took longer than 0 s"
    assert check.next_at_us == START_US + 121 * MINUTE_US
    monkeypatch.undo()
    await look(AlertScheduler(filled, service), 121, 122)
    check = (await view_of(service)).check
    assert check is not None
    assert check.error is None


async def begin(url: str) -> Process:
    arguments = ("-m", "tests.alerts.looking", url, str(FAILING_US - MINUTE_US), "12")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begins\n"
    return process


async def test_several_processes_tell_once_and_one_that_is_killed_is_not_missed(
    filled: Store, store_url: str
) -> None:
    service = AlertService(filled)
    for name in ("one", "two"):
        await service.create({**ERRORS, "name": name}, OPS)
    processes = await asyncio.gather(*(begin(store_url) for _ in range(3)))
    processes[0].send_signal(signal.SIGKILL)
    outputs = [(await process.communicate())[0].decode().splitlines() for process in processes]
    events = await service.events(None, 100)
    assert sorted(event.name for event in events) == ["one", "two"]
    assert all(tell([event])[0][:2] == ("fired", "bad") for event in events)
    # Whoever stored an event told of it, and nobody else; the killed one may have stored some before its end.
    lines = [line for output in outputs[1:] for line in output]
    by_survivors = [line.removeprefix("told ") for line in lines if line.startswith("told ")]
    assert len(set(by_survivors)) == len(by_survivors)
    assert set(by_survivors) <= {event.event_id for event in events}


async def test_what_fires_is_sent_to_webhooks_of_its_tenant(filled: Store) -> None:
    service = AlertService(filled)
    webhooks = Webhooks(filled)
    with Receiver() as receiver:
        for path, tenant in (("/all", None), ("/other", "other")):
            await webhooks.create(receiver.url + path, "alert.fired", tenant=tenant)
        rule = await service.create(ERRORS, OPS)
        await look(AlertScheduler(filled, service), 58, 72)
        await webhooks.deliver()
        await webhooks.runner.close()
        [message] = receiver.messages
        [event] = await service.events(None, 10)
    data = message.json["data"]
    assert (message.path, message.type, data["alert_id"]) == ("/all", "alert.fired", rule.alert_id)
    assert (data["kind"], data["group_value"], data["value"]) == ("fired", "bad", event.value)
