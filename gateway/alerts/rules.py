"""Rules: RuleService makes, changes and tries them; RuleRunner goes through requests and feedback for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import structlog

from gateway.alerts.declared import Declared, check_name, check_room, refuse_file, store_declared
from gateway.alerts.event_payloads import payload, request_data
from gateway.errors import BadInput, Conflict, GatewayError, NotFound, StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page
from gateway.models.principal import Principal
from gateway.models.request import RequestRecord
from gateway.models.rules import Rule, RuleCursor, RuleMatch
from gateway.models.webhooks import EventType, SettingSource
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.requests import NEWEST_FIRST
from gateway.store.base import Store

log = structlog.get_logger("gateway.alerts")

LOOK_SECONDS = 2.0
# Requests or changes that are gone through in one step.
PAGE_ROWS = 200
MAX_RULES = 100
MAX_DAYS = 36_500
_MAX_LABEL_CHARS = 128
# A dry run counts up to here, and shows so many requests.
MAX_COUNTED = 10_000
SHOWN_ROWS = 20
_SAMPLED_ROWS = 500
# Of lists alone: a rule acts once, whatever the time.
_TIMES = ("from", "to")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What a caller decides about a rule."""

    filters: Mapping[str, str]
    sample: float = 1.0
    label: str | None = None
    review: bool = False
    # The name or id of an endpoint.
    webhook: str | None = None
    # The name or id of a dataset that collects.
    dataset: str | None = None
    delete_after_days: int | None = None
    keep_days: int | None = None


DeclaredRule = Declared[RuleSettings]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a rule would have acted on: matching requests, at most `MAX_COUNTED`, and some in the sample."""

    matching: int
    is_more: bool
    sampled: int
    examples: tuple[RequestRecord, ...]


def check_rule(settings: RuleSettings) -> None:
    """Raise BadInput for what no rule can do."""
    for name in settings.filters:
        if name in _TIMES:
            fix = "A dry run and a backfill take a time of their own."
            raise BadInput("is no condition of a rule.", field=f"filters.{name}", hint=fix)
    REQUEST_FILTERS.to_filter(settings.filters.items())
    if not 0.0 < settings.sample <= 1.0:
        raise BadInput("must be above 0 and at most 1.", field="sample")
    delete, keep = settings.delete_after_days, settings.keep_days
    for name, days in (("delete_after_days", delete), ("keep_days", keep)):
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise BadInput(f"must be from 1 to {MAX_DAYS:,}.", field=name)
    if delete is not None and keep is not None and keep > delete:
        raise BadInput("must be at most delete_after_days.", field="keep_days")
    if settings.label is not None and not (0 < len(settings.label) <= _MAX_LABEL_CHARS):
        raise BadInput(f"must be 1 to {_MAX_LABEL_CHARS} characters.", field="label")
    actions = (settings.label, settings.webhook, settings.dataset, delete, keep)
    if all(action is None for action in actions) and not settings.review:
        hint = "Give it a label, review, webhook, dataset, delete_after_days or keep_days."
        raise BadInput("does nothing.", field="rule", hint=hint)


class RuleService:
    """Rules of the caller's tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, principal: Principal) -> list[tuple[Rule, int]]:
        """Return rules with the number of requests that they matched."""
        counts = await self._store.count_matches()
        return [(rule, counts.get(rule.rule_id, 0)) for rule in await self._store.rules(principal.tenant)]

    async def create(self, name: str, settings: RuleSettings, principal: Principal) -> Rule:
        """Make a rule, which acts on what comes from now on. Raises BadInput, Conflict."""
        check_name(name)
        check_rule(settings)
        check_room(await self._store.rules(principal.tenant), principal, MAX_RULES, "rule")
        content = await self._content(settings, principal.tenant)
        return await self._store.put_rule(Rule(tenant=principal.tenant, name=name, **content))

    async def change(self, rule_id: str, settings: RuleSettings, principal: Principal) -> Rule:
        """Replace what a rule does, as its next version, which acts on what comes from now on."""
        check_rule(settings)
        tenant = (await self._store.rule(rule_id, principal.tenant)).tenant
        content = await self._content(settings, tenant, principal)

        def apply(rule: Rule) -> Rule:
            refuse_file(rule, "rule")
            return _changed(rule, content)

        return await self._store.change_rule(rule_id, principal.tenant, apply)

    async def switch(self, rule_id: str, is_enabled: bool, principal: Principal) -> Rule:
        """Enable or disable a rule; what comes meanwhile is left to a backfill."""
        at_us = None if is_enabled else now_us()
        return await self._store.change_rule(
            rule_id, principal.tenant, lambda rule: replace(rule, disabled_at_us=at_us)
        )

    async def backfill(self, rule_id: str, from_us: int | None, principal: Principal) -> Rule:
        """Act on earlier requests too, from a time on, none twice. Raises Conflict while it does so."""

        def apply(rule: Rule) -> Rule:
            if rule.backfill_position is not None:
                raise Conflict("the rule is going through earlier requests already.", field="rule_id")
            if rule.disabled_at_us is not None:
                raise Conflict("the rule is disabled.", field="rule_id", hint="Enable it first.")
            end = rule.request_position
            return replace(rule, backfill_position=0, backfill_end=end, backfill_from_us=from_us)

        return await self._store.change_rule(rule_id, principal.tenant, apply)

    async def remove(self, rule_id: str, principal: Principal) -> None:
        refuse_file(await self._store.rule(rule_id, principal.tenant), "rule")
        await self._store.remove_rule(rule_id, principal.tenant)

    async def dry_run(self, settings: RuleSettings, from_us: int, principal: Principal) -> DryRun:
        """Say what a rule would have acted on since a time, without doing anything."""
        check_rule(settings)
        since = Comparison("started_at_us", Op.GE, from_us)
        where = AllOf((REQUEST_FILTERS.to_filter(settings.filters.items()), since))
        number = await self._store.count_requests(where, Page(MAX_COUNTED + 1), principal.tenant)
        found = await self._store.find_requests(where, NEWEST_FIRST, Page(_SAMPLED_ROWS), principal.tenant)
        # A new rule samples others, but as many.
        tried = Rule(tenant=None, name="", filters={}, sample=settings.sample)
        matching = min(number, MAX_COUNTED)
        sampled = round(matching * settings.sample)
        examples = tuple(record for record in found if tried.samples(record))[:SHOWN_ROWS]
        return DryRun(matching, number > MAX_COUNTED, sampled, examples)

    async def _content(
        self, settings: RuleSettings, tenant: str | None, principal: Principal | None = None
    ) -> dict[str, Any]:
        """Return the fields of a rule of a tenant that the settings mean. Raises BadInput."""
        content = {each.name: getattr(settings, each.name) for each in fields(settings)}
        webhook, dataset = content.pop("webhook"), content.pop("dataset")
        return {
            **content,
            "filters": dict(settings.filters),
            "webhook_id": await self._webhook_id(webhook, tenant, principal),
            "dataset_id": await self._dataset_id(dataset, tenant),
        }

    async def _dataset_id(self, named: str | None, tenant: str | None) -> str | None:
        if named is None:
            return None
        is_named = AnyOf((Comparison("name", Op.EQ, named), Comparison("dataset_id", Op.EQ, named)))
        for dataset in await self._store.find_datasets(is_named, NEWEST_FIRST, Page(100), None):
            # One of another tenant would hold what that tenant may not see.
            if dataset.tenant == tenant and dataset.is_collecting:
                return dataset.dataset_id
            if dataset.tenant == tenant:
                fault = f"the dataset {dataset.name!r} holds what its filters find."
                raise BadInput(fault, field="dataset", hint="Name one that was made to collect.")
        raise BadInput(f"no dataset of this tenant is named {named!r}.", field="dataset")

    async def _webhook_id(
        self, named: str | None, tenant: str | None, principal: Principal | None = None
    ) -> str | None:
        """Return the id of an endpoint for a rule of a tenant, which the caller, or else the tenant, sees."""
        if named is None:
            return None
        found = await self._store.webhooks(tenant if principal is None else principal.tenant)
        # The tenant's own goes before one for all of the same name.
        for webhook in sorted(found, key=lambda each: each.tenant != tenant):
            # To one of a tenant a rule for all would send the requests of others.
            if named in (webhook.name, webhook.webhook_id) and webhook.tenant in (None, tenant):
                return webhook.webhook_id
        raise BadInput(f"no webhook of this tenant is named {named!r}.", field="webhook")

    async def use_file(self, declared: Mapping[str, DeclaredRule]) -> dict[str, str]:
        """Make the stored rules of the file those that it declares; return by name why some could not be stored."""

        async def remove(rule: Rule) -> None:
            await self._store.remove_rule(rule.rule_id, None)

        async def store(name: str, each: DeclaredRule, current: Rule | None) -> None:
            content = await self._content(each.settings, each.tenant)
            if current is None:
                source = SettingSource.FILE
                await self._store.put_rule(Rule(tenant=each.tenant, name=name, source=source, **content))
            elif _changed(current, content) != current:
                await self._store.change_rule(current.rule_id, None, partial(_changed, content=content))

        return await store_declared(declared, await self._store.rules(None), remove, store)


def _changed(rule: Rule, content: Mapping[str, Any]) -> Rule:
    after = replace(rule, **content)
    if after == rule:
        return rule
    # A backfill of the version before would mix the two.
    return replace(after, version=rule.version + 1, backfill_position=None, updated_at_us=now_us())


class RuleRunner:
    """Goes through requests and feedback for all rules; several processes may, and each step counts once."""

    def __init__(self, store: Store, service: RuleService) -> None:
        self._store = store
        self._service = service
        # Rules of the configuration file that are not stored yet; None: all are.
        self.declared: Mapping[str, DeclaredRule] | None = None
        self._failures: dict[str, str] = {}
        self._reported: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="rules")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("rules wait for the store", reason=str(error))
            except Exception:
                log.exception("rules could not be looked at; will be tried again")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Go through all that there is for now."""
        if (declared := self.declared) is not None:
            await self._store_declared(declared)
        rules = await self._store.busy_rules()
        for rule in rules:
            try:
                await self._go_through(rule)
            except NotFound:
                continue  # it was removed meanwhile
            except GatewayError as error:
                log.warning("a rule could not be applied", rule=rule.name, reason=str(error))
        if any(rule.delete_after_days is not None for rule in await self._store.rules(None)):
            await self._store.expire_matched(now_us())

    async def _store_declared(self, declared: Mapping[str, DeclaredRule]) -> None:
        failures = await self._service.use_file(declared)
        if not failures and self.declared is declared:
            self.declared = None
        # Tried again each time; only said where that does not help.
        if failures and failures == self._failures and failures != self._reported:
            log.warning("rules of the configuration file are not stored yet", reasons=failures)
            self._reported = failures
        self._failures = failures

    async def _go_through(self, rule: Rule) -> None:
        while await self._step(rule):
            rule = await self._store.rule(rule.rule_id, None)

    async def _step(self, rule: Rule) -> bool:
        """Act on the next page of what a rule has to go through; tell whether there was any."""
        after = rule.request_position
        position = await self._store.settled_requests(after, PAGE_ROWS, now_us())
        if position > after:
            return await self._apply(rule, RuleCursor.REQUESTS, position, _within(after, position))
        after = rule.feedback_position
        position, seqs = await self._store.changed_requests(after, PAGE_ROWS)
        if position > after:
            given = Comparison("seq", Op.IN, tuple(seqs)) if seqs else None
            return await self._apply(rule, RuleCursor.FEEDBACK, position, given)
        if rule.backfill_position is not None:
            after = rule.backfill_position
            position = min(after + PAGE_ROWS, rule.backfill_end or 0)
            since = Comparison("started_at_us", Op.GE, rule.backfill_from_us or 0)
            where = AllOf((_within(after, position), since))
            return await self._apply(rule, RuleCursor.BACKFILL, position, where)
        return False

    async def _apply(self, rule: Rule, cursor: RuleCursor, position: int, given: Filter | None) -> bool:
        found: Sequence[RequestRecord] = ()
        if given is not None:
            conditions = REQUEST_FILTERS.to_filter((name, str(text)) for name, text in rule.filters.items())
            found = await self._store.read_requests(AllOf((given, conditions)), PAGE_ROWS, rule.tenant)
        matches = [RuleMatch(record, _body(rule, record)) for record in found if rule.samples(record)]
        return await self._store.apply_rule(rule, cursor, position, matches, now_us())


def _within(after: int, position: int) -> Filter:
    return AllOf((Comparison("seq", Op.GT, after), Comparison("seq", Op.LE, position)))


def _body(rule: Rule, record: RequestRecord) -> str | None:
    if rule.webhook_id is None:
        return None
    about = {"rule": rule.name, "rule_version": rule.version}
    return payload(EventType.RULE_MATCHED, now_us(), {**about, "request": request_data(record, None)})
