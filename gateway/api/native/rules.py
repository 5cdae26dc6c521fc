"""`/api/v1/rules`: what happens by itself to requests that match; dry run and backfill."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.alerts.rules import MAX_COUNTED, DryRun, RuleService, RuleSettings
from gateway.api.native.schemas import LoggedRow, Time, format_time
from gateway.errors import BadInput
from gateway.models.clock import now_us, parse_time_us
from gateway.models.feedback import NO_FEEDBACK
from gateway.models.metrics import DAY_US
from gateway.models.principal import Principal, Role
from gateway.models.rules import Rule
from gateway.models.webhooks import SettingSource
from gateway.web.bodies import read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema

_PATH = "/api/v1/rules/{rule_id:[^/]+}"
_DRY_RUN_DAYS = 7
_EXAMPLE = {"filters": {"rating": "bad"}, "sample": 0.5, "label": "look-at", "review": True}

Filters = Annotated[
    dict[str, str],
    Field(description="Conditions on requests, as `GET /api/v1/requests` takes them, without those on time."),
]


class RuleInput(BaseModel):
    """What a rule does: to a share of the requests that match, at least one action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: Filters
    sample: float = Field(1.0, description="Share of the matching requests, above 0 and at most 1.")
    label: str | None = Field(None, description="Feedback with this label and the source `code`.")
    review: bool = Field(False, description="Put up for review: reviewers filter by `review_rule=NAME`.")
    webhook: str | None = Field(
        None, description="Name or id of a webhook that gets a `rule.matched`, whatever it subscribes to."
    )
    dataset: str | None = Field(
        None, description="Name or id of a dataset made with `collect`, whose next version has the request."
    )
    delete_after_days: int | None = Field(None, description="Delete the request so many days after its end.")
    keep_days: int | None = Field(
        None,
        description="Keep the request so many days after its end, whatever `storage.retention_days` and other "
        "rules say.",
    )

    def settings(self) -> RuleSettings:
        return RuleSettings(**self.model_dump(include=set(RuleInput.model_fields)))


class NewRuleInput(RuleInput):
    name: str = Field(description="1 to 128 characters; it stays.")


class DryRunInput(RuleInput):
    from_: str | None = Field(None, alias="from", description="Since when; by default the last 7 days.")


class RuleSwitchInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(description="What comes while it is disabled is left to a backfill.")


class BackfillInput(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    from_: str | None = Field(None, alias="from", description="Since when; by default all requests.")


class RuleShape(Schema):
    """A rule."""

    rule_id: str
    name: str
    version: int = Field(description="One more with each change; each version acts once on a request.")
    tenant: str | None
    source: SettingSource
    enabled: bool
    filters: dict[str, str]
    sample: float
    label: str | None
    review: bool
    webhook_id: str | None
    dataset_id: str | None
    delete_after_days: int | None
    keep_days: int | None
    matched: int = Field(description="Requests that it acted on.")
    backfilling: bool = Field(description="Whether it is going through earlier requests.")
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, rule: Rule, matched: int = 0) -> RuleShape:
        return cls(
            rule_id=rule.rule_id, name=rule.name, version=rule.version, tenant=rule.tenant, source=rule.source,
            enabled=rule.disabled_at_us is None, filters={key: str(text) for key, text in rule.filters.items()},
            sample=rule.sample, label=rule.label, review=rule.review, webhook_id=rule.webhook_id,
            dataset_id=rule.dataset_id, delete_after_days=rule.delete_after_days, keep_days=rule.keep_days,
            matched=matched,
            backfilling=rule.backfill_position is not None, created_at=format_time(rule.created_at_us) or "",
            updated_at=format_time(rule.updated_at_us) or "",
        )  # fmt: skip


class RuleListReply(Schema):
    data: list[RuleShape] = Field(description="By name.")


class DryRunReply(Schema):
    matching: int = Field(description=f"Requests that match, counted up to {MAX_COUNTED:,}.")
    more: bool = Field(description="Whether there are more.")
    sampled: int = Field(description="About how many of those a rule would act on.")
    examples: list[LoggedRow] = Field(description="Newest first, at most 20, sampled as a rule samples.")

    @classmethod
    def of(cls, found: DryRun) -> DryRunReply:
        rows = [LoggedRow.of(record, NO_FEEDBACK) for record in found.examples]
        return cls(matching=found.matching, more=found.is_more, sampled=found.sampled, examples=rows)


class RuleEndpoints:
    def __init__(self, rules: RuleService, max_body_bytes: int) -> None:
        self._rules = rules
        self._max_body_bytes = max_body_bytes

    @Endpoint("GET", "/api/v1/rules", Role.ADMIN, "List rules", failures=(503,))
    async def _list(self, request: web.Request, principal: Principal) -> RuleListReply:
        """Rules of the configuration file and of the store. An admin of a tenant sees that tenant's."""
        found = await self._rules.find(principal)
        return RuleListReply(data=[RuleShape.of(rule, matched) for rule, matched in found])

    @Endpoint(
        "POST",
        "/api/v1/rules",
        Role.ADMIN,
        "Make a rule",
        body=NewRuleInput,
        failures=(400, 409),
        example=Example(body={"name": "disliked", **_EXAMPLE}),
    )
    async def _create(self, request: web.Request, principal: Principal) -> RuleShape:
        """It acts on requests that are logged, and on those that feedback is given on, from now on."""
        given = validate_body(NewRuleInput, await self._read(request))
        return RuleShape.of(await self._rules.create(given.name, given.settings(), principal))

    @Endpoint(
        "POST",
        "/api/v1/rules/dry-run",
        Role.ADMIN,
        "Try a rule on past requests",
        body=DryRunInput,
        failures=(400, 503, 504),
        example=Example(body={"from": "7d", **_EXAMPLE}),
    )
    async def _dry_run(self, request: web.Request, principal: Principal) -> DryRunReply:
        """Says what it would have acted on, and does nothing."""
        given = validate_body(DryRunInput, await self._read(request))
        from_us = _read_time(given.from_)
        since_us = now_us() - _DRY_RUN_DAYS * DAY_US if from_us is None else from_us
        return DryRunReply.of(await self._rules.dry_run(given.settings(), since_us, principal))

    @Endpoint(
        "PUT",
        _PATH,
        Role.ADMIN,
        "Change what a rule does",
        body=RuleInput,
        failures=(400, 404, 409),
        example=Example(body=_EXAMPLE),
    )
    async def _change(self, request: web.Request, principal: Principal) -> RuleShape:
        """As its next version, which acts on what comes from now on."""
        given = validate_body(RuleInput, await self._read(request))
        changed = await self._rules.change(request.match_info["rule_id"], given.settings(), principal)
        return RuleShape.of(changed)

    @Endpoint(
        "PATCH",
        _PATH,
        Role.ADMIN,
        "Enable or disable a rule",
        body=RuleSwitchInput,
        failures=(400, 404),
        example=Example(body={"enabled": True}),
    )
    async def _switch(self, request: web.Request, principal: Principal) -> RuleShape:
        given = validate_body(RuleSwitchInput, await self._read(request))
        return RuleShape.of(await self._rules.switch(request.match_info["rule_id"], given.enabled, principal))

    @Endpoint(
        "POST",
        f"{_PATH}/backfill",
        Role.ADMIN,
        "Apply a rule to earlier requests",
        body=BackfillInput,
        failures=(400, 404, 409),
        example=Example(body={"from": "30d"}),
    )
    async def _backfill(self, request: web.Request, principal: Principal) -> RuleShape:
        """In the background, oldest first; to no request twice."""
        given = validate_body(BackfillInput, await self._read(request))
        from_us = _read_time(given.from_)
        return RuleShape.of(await self._rules.backfill(request.match_info["rule_id"], from_us, principal))

    @Endpoint("DELETE", _PATH, Role.ADMIN, "Remove a rule", failures=(404, 409))
    async def _remove(self, request: web.Request, principal: Principal) -> RuleListReply:
        """What it did stays; deletions that are still to come do not. Returns the other rules."""
        await self._rules.remove(request.match_info["rule_id"], principal)
        return await self._list(request, principal)

    async def _read(self, request: web.Request) -> object:
        return await read_json(request, self._max_body_bytes)


def _read_time(text: str | None) -> int | None:
    try:
        return None if text is None else parse_time_us(text)
    except ValueError as error:
        raise BadInput(str(error), field="from") from None
