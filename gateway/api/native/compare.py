"""`/api/v1/compare`: groups of requests side by side, and one sentence on what can be said of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.metrics import (
    GROUP_PATTERN,
    CostFigures,
    EstimateShape,
    LatencyFigures,
    TimeRangeParams,
    TokenFigures,
    first_byte_figures,
    latency_figures,
    parse_group_field,
    ratio,
)
from gateway.errors import BadInput
from gateway.models.feedback import Source
from gateway.models.filters import Scalar
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD
from gateway.query import compare as query
from gateway.query.metrics import GROUP_FIELDS
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import one_of, parsed_by


def _parse_arms(texts: object) -> tuple[str, ...]:
    arms = tuple(texts) if isinstance(texts, tuple) else (str(texts),)
    if not query.MIN_ARMS <= len(arms) <= query.MAX_ARMS or len(set(arms)) < len(arms) or not all(arms):
        raise ValueError(
            f"must be given {query.MIN_ARMS} to {query.MAX_ARMS} times, with different values: arm=A&arm=B"
        )
    return arms


_Arms = Annotated[
    tuple[str, ...],
    parsed_by(
        _parse_arms,
        type="array",
        items={"type": "string"},
        minItems=query.MIN_ARMS,
        maxItems=query.MAX_ARMS,
    ),
]


class CompareParams(TimeRangeParams):
    by: Annotated[str, parsed_by(parse_group_field, type="string", pattern=f"^{GROUP_PATTERN}$")] = Field(
        description=f"What the arms differ in: {', '.join(GROUP_FIELDS)}, metadata.KEY."
    )
    arm: _Arms | None = Field(
        None,
        description=f"A value of it; give it {query.MIN_ARMS} to {query.MAX_ARMS} times; a comma is"
        f" part of the value. Without any, the"
        f" {query.BIGGEST_ARMS} values with most requests are compared.",
    )
    source: Annotated[str, one_of(Source)] = Field(Source.HUMAN, description="Whose feedback counts.")

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> Self:
        # `arm` is given several times.
        pairs = list(query)
        arms = tuple(text for name, text in pairs if name == "arm")
        parsed = super().parse([pair for pair in pairs if pair[0] != "arm"])
        return cls.read({**dict(pairs), "arm": arms}) if arms else parsed

    def values(self) -> list[Scalar]:
        """Return the values of the arms. Raises BadInput."""
        try:
            return [query.arm_value(self.by, text) for text in self.arm or ()]
        except ValueError as error:
            raise BadInput(f"{error}.", field="arm") from None


class ArmCost(CostFigures):
    usd_per_request: float | None = Field(description="`usd` / `priced_requests`.")


class ArmShape(Schema):
    """One of the groups of requests."""

    arm: Scalar
    filters: dict[str, str] | None = Field(
        description="Parameters with which `/api/v1/requests` lists its requests; null where no filter does."
    )
    requests: int
    errors: int
    error_rate: EstimateShape | None = Field(description="`errors` / `requests`.")
    people: int = Field(description="Different authors of feedback with a score.")
    entries: int = Field(description="Scores of theirs; of a person on a request, the latest counts.")
    mean_score: EstimateShape | None = Field(
        description="Mean over people of each one's own mean, from -1 to 1, so that nobody counts twice."
    )
    share_positive: EstimateShape | None = Field(
        description="Mean over people of the share of their scores that are positive."
    )
    coverage: float | None = Field(
        description="Share of requests with at least one entry that counts for them."
    )
    cost: ArmCost
    tokens: TokenFigures
    latency_ms: LatencyFigures | None
    first_byte_ms: float | None = Field(description="Mean, of requests with a response.")
    first_byte_latency_ms: LatencyFigures | None = Field(
        description="The same with percentiles; null where there are no responses."
    )

    @classmethod
    def of(cls, arm: query.Arm, filters: dict[str, str] | None) -> ArmShape:
        usage, cost = arm.usage, CostFigures.of(arm.usage)
        per_request = ratio(usage.cost_nanousd / NANOUSD_PER_USD, usage.priced)
        return cls(
            arm=arm.value,
            filters=filters,
            requests=usage.requests,
            errors=usage.errors,
            error_rate=EstimateShape.of(arm.error_rate),
            people=len(arm.people),
            entries=arm.entries,
            mean_score=EstimateShape.of(arm.mean_score),
            share_positive=EstimateShape.of(arm.share_positive),
            coverage=None if arm.coverage is None else arm.coverage.value,
            cost=ArmCost(**cost.model_dump(), usd_per_request=per_request),
            tokens=TokenFigures.of(usage),
            latency_ms=latency_figures(usage, arm.latencies),
            first_byte_ms=ratio(usage.first_byte_us / 1000, usage.answered),
            first_byte_latency_ms=first_byte_figures(usage, arm.first_bytes),
        )


class PairShape(Schema):
    """Two arms with enough people, the one with the higher score first."""

    arm: Scalar
    other: Scalar
    difference: EstimateShape = Field(description="Score of `arm` minus that of `other`, from -2 to 2.")
    p_value: float = Field(description="Corrected for the number of pairs.")
    is_different: bool = Field(description="Whether the scores differ more than by chance.")
    more_people_needed: int | None = Field(
        description="About how many more would show this difference; null where it is shown, or is too small for"
        " any number."
    )

    @classmethod
    def of(cls, pair: query.Pair) -> PairShape:
        difference = pair.difference
        return cls(
            arm=pair.arm.value,
            other=pair.other.value,
            difference=EstimateShape(value=difference.value, low=difference.low, high=difference.high),
            p_value=pair.p_value,
            is_different=pair.is_different,
            more_people_needed=pair.more_people_needed,
        )


class CompareReply(Schema):
    summary: str = Field(description="What can be said, and what not.")
    warnings: list[str] = Field(description="What may be wrong with it, and which intervals are missing.")
    arms: list[ArmShape] = Field(description="In the order of `arm`, else the one with most requests first.")
    pairs: list[PairShape] = Field(description="Of the arms with enough people.")
    method: str = Field(description="How scores, intervals and claims come about.")
    unknown_keys: responses.UnknownKeys


class CompareEndpoints:
    def __init__(self, compare: query.CompareReader) -> None:
        self._compare = compare

    @Endpoint(
        "GET",
        "/api/v1/compare",
        Role.READ,
        "Compare groups of requests",
        reply=CompareReply,
        failures=(400, 413, 503, 504),
        example=Example(query={"by": "prompt_version", "from": "7d"}),
    )
    async def _show(self, request: web.Request, principal: Principal, params: CompareParams) -> web.Response:
        """Of the requests that match all filters, by the values of a field: usage, what people say, and whether
        they like one more than another."""
        asked = replace(params.metrics_query(principal.tenant), group_by=params.by)
        found = await self._compare.compare(asked, params.values(), Source(params.source))
        reply = CompareReply(
            summary=found.summary,
            warnings=list(found.warnings),
            arms=[ArmShape.of(arm, params.row_filters(**{params.by: arm.name})) for arm in found.arms],
            pairs=[PairShape.of(pair) for pair in found.pairs],
            method=query.METHOD,
            unknown_keys=list(found.unknown_keys),
        )
        return responses.json_response(reply)
