"""Graphs of what requests took, and of who sent them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from gateway.api.portkey.analytics.figures import cents, latency_ms, mean, rounded, tokens, with_exact
from gateway.api.portkey.analytics.shapes import At, Exact, Graph, Mean, MeanAt, Total, TotalGraph
from gateway.api.portkey.analytics.views import View, points, total_graph
from gateway.api.portkey.values import iso_time
from gateway.domain.aggregate import Question, UsageSums, percentile_ms
from gateway.domain.filter import All, Is, Op
from gateway.query import Figures
from gateway.query.timelines import latencies_over_time, usage_over_time, values_over_time
from gateway.store.figures import AggregateQueries


class Cost(Mean):
    """Cents: of all requests, and the mean of one."""

    total: int
    total_exact: Exact


class CostAt(Cost, At):
    pass


class Latency(Mean):
    """Milliseconds from the arrival of a request to the end of its answer."""

    p50: int = Field(description="What half of the requests did not exceed.")
    p90: int
    p99: int


class LatencyAt(Latency, At):
    pass


class Tokens(Mean, Total):
    """Tokens of prompts and completions: of all requests, and the mean of one."""


class TokensAt(Tokens, At):
    pass


class UserRequests(Mean, Total):
    """Requests that name a user: how many, and the mean of a user."""

    unique: int = Field(description="How many users there are.")


CostGraph = Graph[Cost, CostAt]
LatencyGraph = Graph[Latency, LatencyAt]
TokensGraph = Graph[Tokens, TokensAt]
UserRequestsGraph = Graph[UserRequests, MeanAt]


async def _draw_requests(store: AggregateQueries, question: Question) -> TotalGraph:
    return total_graph(await usage_over_time(store, question), lambda usage: usage.requests)


async def _draw_cost(store: AggregateQueries, question: Question) -> CostGraph:
    usage = await usage_over_time(store, question)
    return CostGraph(summary=Cost(**_cost(usage.whole)), data_points=points(CostAt, usage, _cost))


async def _draw_latency(store: AggregateQueries, question: Question) -> LatencyGraph:
    figures = await latencies_over_time(store, question)
    return LatencyGraph(
        summary=Latency(**_latency(figures.whole)), data_points=points(LatencyAt, figures, _latency)
    )


async def _draw_tokens(store: AggregateQueries, question: Question) -> TokensGraph:
    usage = await usage_over_time(store, question)
    return TokensGraph(summary=Tokens(**_tokens(usage.whole)), data_points=points(TokensAt, usage, _tokens))


async def _draw_users(store: AggregateQueries, question: Question) -> TotalGraph:
    return total_graph(await values_over_time(store, question, "user"), lambda number: number)


async def _draw_requests_of_users(store: AggregateQueries, question: Question) -> UserRequestsGraph:
    with_user = replace(question, where=All((question.where, Is("user", Op.NE, None))))
    usage = await usage_over_time(store, with_user)
    users = await values_over_time(store, question, "user")
    users_at = {piece.starts_at_us: piece.figures for piece in users.pieces}
    return UserRequestsGraph(
        summary=UserRequests(
            total=usage.whole.requests,
            unique=users.whole,
            **with_exact(avg=mean(usage.whole.requests, users.whole)),
        ),
        data_points=[
            MeanAt(
                timestamp=iso_time(piece.starts_at_us),
                **with_exact(avg=mean(piece.figures.requests, users_at.get(piece.starts_at_us, 0))),
            )
            for piece in usage.pieces
        ],
    )


def _cost(usage: UsageSums) -> dict[str, Any]:
    return with_exact(total=cents(usage), avg=mean(cents(usage), usage.requests))


def _latency(figures: Figures) -> dict[str, Any]:
    percentiles = {f"p{n}": rounded(percentile_ms(figures.latencies, n / 100) or 0) for n in (50, 90, 99)}
    return {**with_exact(avg=latency_ms(figures.usage)), **percentiles}


def _tokens(usage: UsageSums) -> dict[str, Any]:
    total = tokens(usage)
    return {"total": total, **with_exact(avg=mean(total, usage.requests))}


VIEWS = (
    View("graphs/requests", "Requests over time", "All that were logged.", TotalGraph, _draw_requests),
    View(
        "graphs/cost", "Cost over time",
        "In cents. A request whose cost is not known counts as one that cost nothing.",
        CostGraph, _draw_cost,
    ),
    View(
        "graphs/latency", "Latency over time",
        "Percentiles are read from classes of durations, each less than 1.6 % wide.",
        LatencyGraph, _draw_latency,
    ),
    View("graphs/tokens", "Tokens over time", "Those of prompts and completions.", TokensGraph, _draw_tokens),
    View("graphs/users", "Users over time", "Whoever is named as `_user`.", TotalGraph, _draw_users),
    View(
        "graphs/users/requests", "Requests of a user over time",
        "The mean of the users that there are in a piece of time.",
        UserRequestsGraph, _draw_requests_of_users,
    ),
)  # fmt: skip
