"""Rules in a store of each kind: what matches is acted on once, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.alerts import rules
from gateway.alerts.rules import RuleRunner, RuleService, RuleSettings, check_rule
from gateway.datasets.versions import DatasetService
from gateway.errors import BadInput, Conflict, NotFound
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import Comparison, Op, Page
from gateway.models.metrics import DAY_US
from gateway.models.request import ErasureScope, RequestRecord
from gateway.models.rules import Rule, RuleCursor
from gateway.query.filters import REQUEST_FILTERS
from gateway.store.base import Store
from tests.alerts.receiver import Receiver
from tests.alerts.webhook_fixtures import Webhooks, admin, receiver, store, store_url, webhooks
from tests.store.samples import FACTS, OLDEST_FIRST, exchange, feedback

__all__ = ["receiver", "store", "store_url", "webhooks"]


async def log_requests(store: Store, *request_ids: str, tenant: str | None = None, days: int = 0) -> None:
    started_at_us = now_us() - days * DAY_US
    rows = [
        exchange(each, f"trace-{each}", tenant=tenant, started_at_us=started_at_us) for each in request_ids
    ]
    await store.annotate([(seq, FACTS) for seq in await store.append(rows)], now_us())


async def rate(store: Store, request_id: str, score: float, version: int = 1) -> None:
    at_us = now_us()
    await store.put_feedback(
        [
            feedback(
                f"rating-{request_id}", request_id, target=Target.REQUEST, score=score, value=score * 10,
                version=version, created_at_us=at_us, updated_at_us=at_us,
            )
        ]
    )  # fmt: skip


async def labels(store: Store) -> list[Feedback]:
    where = Comparison("dialect", Op.EQ, "rule")
    return await store.find_feedback(where, OLDEST_FIRST, Page(500), None)


async def matching(store: Store, tenant: str | None = None, **filters: str) -> list[RequestRecord]:
    where = REQUEST_FILTERS.to_filter(filters.items())
    return await store.find_requests(where, OLDEST_FIRST, Page(500), tenant)


@pytest.fixture
def service(store: Store) -> RuleService:
    return RuleService(store)


@pytest.fixture
def runner(store: Store, service: RuleService) -> RuleRunner:
    return RuleRunner(store, service)


async def test_a_request_is_acted_on_once_as_soon_as_feedback_makes_it_match(
    store: Store, service: RuleService, runner: RuleRunner
) -> None:
    await log_requests(store, "before")
    await rate(store, "before", -1.0)
    settings = RuleSettings(filters={"rating": "bad"}, label="look-at", review=True)
    rule = await service.create("disliked", settings, admin())
    await log_requests(store, "a", "b")
    await runner.look()
    assert await labels(store) == []
    await rate(store, "a", -1.0)
    await rate(store, "b", 1.0)
    await runner.look()
    await rate(store, "a", -0.5, version=2)
    await runner.look()
    [label] = await labels(store)
    assert (label.label, label.source, label.request_id, label.metadata) == (
        "look-at",
        "code",
        "a",
        {"rule": "disliked", "rule_version": 1},
    )
    for name in ("rule", "review_rule"):
        assert [each.request_id for each in await matching(store, **{name: "disliked"})] == ["a"]
    # Of earlier requests only if asked.
    await service.backfill(rule.rule_id, None, admin())
    with pytest.raises(Conflict, match="already"):
        await service.backfill(rule.rule_id, None, admin())
    await runner.look()
    assert [each.request_id for each in await labels(store)] == ["a", "before"]
    assert (await service.find(admin()))[0][1] == 2
    # The next version acts anew, on what comes.
    await service.change(rule.rule_id, replace(settings, label="again"), admin())
    await rate(store, "a", -1.0, version=3)
    await runner.look()
    assert [(each.label, each.request_id) for each in await labels(store)][2:] == [("again", "a")]


async def test_a_step_that_another_process_took_is_not_taken_again(
    store: Store, service: RuleService, runner: RuleRunner
) -> None:
    rule = await service.create("all", RuleSettings(filters={}, label="seen"), admin())
    await log_requests(store, "a")
    await runner.look()
    assert not await store.apply_rule(rule, RuleCursor.REQUESTS, 10**6, [], now_us())
    await log_requests(store, "b")
    await runner.look()
    assert [each.request_id for each in await labels(store)] == ["a", "b"]


async def test_a_rule_of_a_tenant_sees_and_sends_its_requests_only(
    store: Store, service: RuleService, runner: RuleRunner, webhooks: Webhooks, receiver: Receiver
) -> None:
    await webhooks.create(f"{receiver.url}/north", "export.done", tenant="north", name="north")
    settings = RuleSettings(filters={"model": "gpt-4o-2024-08-06"}, webhook="north")
    with pytest.raises(BadInput, match="no webhook of this tenant"):
        await service.create("everybody's", settings, admin())
    await service.create("of north", settings, admin("north"))
    await log_requests(store, "a", tenant="north")
    await log_requests(store, "b", tenant="south")
    await runner.look()
    await webhooks.deliver()
    [message] = receiver.messages
    assert message.type == "rule.matched"
    assert message.json["data"]["rule"] == "of north"
    assert message.json["data"]["request"]["request_id"] == "a"
    assert await service.find(admin("south")) == []


async def test_an_admin_of_all_changes_a_tenants_rule_with_its_webhook(
    store: Store,
    service: RuleService,
    webhooks: Webhooks,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for tenant in (None, "south", "north"):
        await webhooks.create(f"{receiver.url}/{tenant}", "export.done", tenant=tenant, name="hook")
    monkeypatch.setattr(rules, "MAX_RULES", 1)
    rule = await service.create("of north", RuleSettings(filters={}, webhook="hook"), admin("north"))
    changed = await service.change(
        rule.rule_id, RuleSettings(filters={"model": "m"}, webhook="hook"), admin()
    )
    assert (changed.version, changed.webhook_id) == (2, rule.webhook_id)
    # What one tenant has leaves room for others.
    for each in (None, "south"):
        await service.create("own", RuleSettings(filters={}, review=True), admin(each))
    with pytest.raises(Conflict, match="as many as may be"):
        await service.create("second", RuleSettings(filters={}, review=True), admin())


async def test_requests_that_a_rule_keeps_less_long_are_deleted_for_good(
    store: Store, service: RuleService, runner: RuleRunner
) -> None:
    await log_requests(store, "old", "other", days=9)
    await rate(store, "old", -1.0)
    settings = RuleSettings(filters={"request_id": "old"}, delete_after_days=8)
    rule = await service.create("short", settings, admin())
    await log_requests(store, "young")
    await service.backfill(rule.rule_id, None, admin())
    await runner.look()
    assert [each.request_id for each in await matching(store)] == ["other", "young"]
    assert await store.feedback_by_ids(["rating-old"]) == []


async def test_what_a_rule_keeps_outlives_retention_with_its_bodies_and_what_another_rule_says(
    store: Store, service: RuleService, runner: RuleRunner
) -> None:
    # PostgreSQL drops the bodies of a day at once.
    await store.create_partitions(now_us() - 9 * DAY_US)
    await log_requests(store, "kept", "other", days=9)
    keep = RuleSettings(filters={"request_id": "kept"}, keep_days=12)
    delete = RuleSettings(filters={}, delete_after_days=8)
    rules_of = [await service.create(*each, admin()) for each in (("keep", keep), ("delete", delete))]
    for rule in rules_of:
        await service.backfill(rule.rule_id, None, admin())
    for left in (["kept"], []):
        await runner.look()
        await store.expire(now_us() - 5 * DAY_US)
        assert [each.request_id for each in await matching(store)] == left
        for record in await matching(store):
            payload = await store.payload(record.seq)
            assert payload is not None
            assert payload.request_body == exchange("kept").request_body
        if left:
            # With the rule its promise goes.
            await service.remove(rules_of[0].rule_id, admin())


async def test_a_datasets_next_version_has_what_a_rule_added_to_it(
    store: Store, service: RuleService, runner: RuleRunner
) -> None:
    datasets = DatasetService(store)
    for tenant in ("north", "south"):
        await datasets.create("gold", {}, "", admin(tenant), is_collecting=True)
    gold = await datasets.create("gold", {"model": FACTS.model or ""}, "", admin(), is_collecting=True)
    await datasets.create("plain", {}, "", admin())
    for name, fault in (("plain", "holds what its filters find"), ("none", "no dataset of this tenant")):
        with pytest.raises(BadInput, match=fault):
            await service.create("x", RuleSettings(filters={}, dataset=name), admin())
    settings = RuleSettings(filters={"rating": "good"}, dataset="gold")
    await service.create("good", settings, admin())
    await log_requests(store, "a", "b", "c", tenant="north")
    await runner.look()
    with pytest.raises(NotFound, match="no request matches"):
        await datasets.freeze("gold", admin())
    for request_id in ("c", "a"):
        await rate(store, request_id, 1.0)
    await runner.look()
    # It stays in, though it would not match any more.
    await rate(store, "c", -1.0, version=2)
    await runner.look()
    assert [each.request_id for each in await matching(store, added_to=gold.dataset_id)] == ["a", "c"]
    version = await datasets.freeze(gold.dataset_id, admin())
    assert (version.rows, version.filters["added_to"]) == (2, gold.dataset_id)
    # What one tenant's rule adds is in no other's dataset of that name.
    for tenant in ("north", "south"):
        with pytest.raises(NotFound, match="no request matches"):
            await datasets.freeze("gold", admin(tenant))
    changed = await datasets.update("gold", admin(), filters={"model": "no-such"})
    assert changed.is_collecting
    [record] = await matching(store, request_id="a")
    await store.erase(ErasureScope((record.seq,), (), ()), now_us())
    assert len(await matching(store, added_to="gold")) == 1
    await datasets.delete(gold.dataset_id, admin())
    assert await matching(store, added_to="gold") == []


async def test_a_dry_run_counts_and_does_nothing(store: Store, service: RuleService) -> None:
    await log_requests(store, *(f"r-{number}" for number in range(40)))
    await log_requests(store, "old", days=3)
    settings = RuleSettings(filters={}, sample=0.5, label="x")
    found = await service.dry_run(settings, now_us() - DAY_US, admin())
    assert (found.matching, found.is_more, found.sampled) == (40, False, 20)
    assert 5 <= len(found.examples) <= 20
    assert await labels(store) == []


def test_the_sample_is_the_same_each_time_and_of_the_right_size() -> None:
    rule = Rule(tenant=None, name="x", filters={}, sample=0.1)
    records = [RecordStub(seq, f"r-{seq}") for seq in range(5000)]
    taken = [rule.samples(each) for each in records]  # type: ignore[arg-type]
    assert taken == [rule.samples(each) for each in records]  # type: ignore[arg-type]
    # Five standard deviations.
    assert abs(sum(taken) - 500) < 106


class RecordStub:
    def __init__(self, seq: int, request_id: str) -> None:
        self.seq, self.request_id = seq, request_id


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (RuleSettings(filters={}), "rule"),
        (RuleSettings(filters={"from": "7d"}, label="x"), "filters.from"),
        (RuleSettings(filters={"nothing": "x"}, label="x"), "nothing"),
        (RuleSettings(filters={}, label="x", sample=0), "sample"),
        (RuleSettings(filters={}, delete_after_days=0), "delete_after_days"),
        (RuleSettings(filters={}, delete_after_days=3, keep_days=4), "keep_days"),
    ],
)
def test_rules_that_are_refused(settings: RuleSettings, field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        check_rule(settings)
    assert refusal.value.field == field
