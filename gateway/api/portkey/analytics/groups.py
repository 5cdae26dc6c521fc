"""Groups of requests that have a user, a model or a value of the metadata in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from gateway.api.portkey.analytics.figures import (
    cents,
    exact_cents,
    mean,
    tokens,
    weighted_feedback,
    with_exact,
)
from gateway.api.portkey.analytics.shapes import Exact, Group, Groups, Time
from gateway.api.portkey.values import TAGS, iso_time
from gateway.domain.aggregate import Cell, Question, UsageSums, VerdictSums
from gateway.domain.filter import Page
from gateway.store.figures import AggregateQueries


class UserGroup(Group):
    user: str
    requests: str = Field(description="How many requests name this user, in digits.")
    cost: str = Field(description="Cents that they cost: a decimal number, exact.")


class ModelGroup(Group):
    ai_model: str
    requests: str = Field(description="How many requests this model answered, in digits.")
    cost: str = Field(description="Cents that they cost: a decimal number, exact.")


class MetadataGroup(Group):
    metadata_value: str
    requests: int
    cost: int = Field(description="Cents that they cost.")
    cost_exact: Exact
    avg_tokens: int = Field(description="Tokens of one request, the mean.")
    avg_tokens_exact: Exact
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is nothing.")
    avg_weighted_feedback_exact: Exact
    requests_with_feedback: int
    last_seen: Time = Field(description="When the last of them started.")


UserGroups = Groups[UserGroup]
ModelGroups = Groups[ModelGroup]
MetadataGroups = Groups[MetadataGroup]


async def by_user(store: AggregateQueries, question: Question, page: Page) -> UserGroups:
    """Return the users that requests name."""
    ranked = await _ranked(store, replace(question, group_by="user"))
    return UserGroups(
        total=len(ranked),
        data=[
            UserGroup(user=str(cell.value), requests=str(usage.requests), cost=exact_cents(usage))
            for cell, usage in _on(page, ranked)
        ],
    )


async def by_model(store: AggregateQueries, question: Question, page: Page) -> ModelGroups:
    """Return the models that answered requests, or where none is known were asked for."""
    ranked = await _ranked(store, replace(question, group_by="any_model"))
    return ModelGroups(
        total=len(ranked),
        data=[
            ModelGroup(ai_model=str(cell.value), requests=str(usage.requests), cost=exact_cents(usage))
            for cell, usage in _on(page, ranked)
        ],
    )


async def by_metadata(store: AggregateQueries, question: Question, page: Page, key: str) -> MetadataGroups:
    """Return the values that requests have under a key of their metadata."""
    grouped = replace(question, group_by=TAGS.get(key, f"metadata.{key}"))
    ranked = await _ranked(store, grouped)
    verdicts = await store.verdicts(grouped)
    return MetadataGroups(
        total=len(ranked),
        data=[
            _metadata_group(cell, usage, verdicts.get(cell, VerdictSums()))
            for cell, usage in _on(page, ranked)
        ],
    )


def _metadata_group(cell: Cell, usage: UsageSums, verdicts: VerdictSums) -> MetadataGroup:
    return MetadataGroup(
        metadata_value=str(cell.value),
        requests=usage.requests,
        requests_with_feedback=verdicts.judged_requests,
        last_seen=iso_time(usage.last_started_at_us),
        **with_exact(
            cost=cents(usage),
            avg_tokens=mean(tokens(usage), usage.requests),
            avg_weighted_feedback=weighted_feedback(verdicts),
        ),
    )


async def _ranked(store: AggregateQueries, question: Question) -> list[tuple[Cell, UsageSums]]:
    usage = await store.usage(question)
    known = [(cell, sums) for cell, sums in usage.items() if cell.value is not None]
    return sorted(known, key=lambda group: (-group[1].requests, str(group[0].value)))


def _on(page: Page, ranked: Sequence[tuple[Cell, UsageSums]]) -> Sequence[tuple[Cell, UsageSums]]:
    return ranked[page.offset : page.offset + page.limit]
