"""`/api/v1/experiments`: what can be said of the variants of a route."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.metrics import EstimateShape
from gateway.experiments.confidence import METHOD
from gateway.experiments.reader import ExperimentReader
from gateway.experiments.results import Contrast, ExperimentResult, VariantResult
from gateway.models.experiment import Goal, Unit
from gateway.models.feedback import Source
from gateway.models.principal import Principal, Role
from gateway.web.endpoint import Endpoint, Example, Schema


class VariantShape(Schema):
    """One variant; requests are those that were assigned to it."""

    variant: str
    share: float = Field(description="Of units, as configured.")
    requests: int
    errors: int
    crossed: int = Field(description="Requests that another target than its first answered.")
    units: int | None = Field(description="Different ones with a request; null where units are traces.")
    people: int = Field(description="Who gave a score.")
    judged_requests: int
    goal: EstimateShape | None = Field(description="With an interval that holds at every look.")
    over_limits: list[str] = Field(description="Guardrails that it passes, for which it cannot win.")

    @classmethod
    def of(cls, found: VariantResult) -> VariantShape:
        arm = found.sums.arm
        return cls(
            variant=found.name,
            share=found.share,
            requests=arm.usage.requests,
            errors=arm.usage.errors,
            crossed=found.sums.crossed,
            units=found.sums.units,
            people=found.people,
            judged_requests=arm.feedback_sums.judged_requests,
            goal=EstimateShape.of(found.estimate),
            over_limits=list(found.over_limits),
        )


class ContrastShape(Schema):
    """The leader against another variant."""

    other: str
    difference: EstimateShape = Field(description="With an interval that holds at every look.")
    evidence: float = Field(
        description="Part of the evidence that is needed; from 1 on the leader is better."
    )
    is_shown: bool
    more_people_needed: int | None = Field(
        description="About how many show a difference as it is now; null where it is shown, or too small."
    )

    @classmethod
    def of(cls, found: Contrast) -> ContrastShape:
        return cls(
            other=found.other,
            difference=EstimateShape(
                value=found.difference.value, low=found.difference.low, high=found.difference.high
            ),
            evidence=found.evidence,
            is_shown=found.is_shown,
            more_people_needed=found.more_people,
        )


class ExperimentShape(Schema):
    """An experiment's version of now."""

    name: str
    version: str
    unit: Unit
    goal: Goal
    source: Source = Field(description="Whose feedback counts.")
    alpha: float = Field(description="Most probability of ever calling a false winner.")
    summary: str = Field(description="What can be said, and what not yet.")
    warnings: list[str]
    leader: str | None
    winner: str | None
    variants: list[VariantShape]
    contrasts: list[ContrastShape]
    method: str

    @classmethod
    def of(cls, found: ExperimentResult) -> ExperimentShape:
        experiment = found.experiment
        return cls(
            name=experiment.name,
            version=experiment.version,
            unit=experiment.unit,
            goal=experiment.goal,
            source=experiment.source,
            alpha=experiment.alpha,
            summary=found.summary,
            warnings=list(found.warnings),
            leader=found.leader,
            winner=found.winner,
            variants=[VariantShape.of(each) for each in found.variants],
            contrasts=[ContrastShape.of(each) for each in found.contrasts],
            method=METHOD,
        )


class ExperimentListReply(Schema):
    data: list[ExperimentShape]


class ExperimentEndpoints:
    def __init__(self, experiments: ExperimentReader) -> None:
        self._experiments = experiments

    @Endpoint(
        "GET",
        "/api/v1/experiments",
        Role.READ,
        "List experiments",
        failures=(413, 503, 504),
        example=Example(),
    )
    async def _list(self, request: web.Request, principal: Principal) -> ExperimentListReply:
        """Those of the configuration, with what can be said of their variants."""
        found = await self._experiments.read_all(principal.tenant)
        return ExperimentListReply(data=[ExperimentShape.of(each) for each in found])

    @Endpoint(
        "GET",
        "/api/v1/experiments/{name}",
        Role.READ,
        "Show an experiment",
        failures=(404, 413, 503, 504),
        example=Example(path={"name": "tone"}),
    )
    async def _show(self, request: web.Request, principal: Principal) -> ExperimentShape:
        """Who is better, whether that is certain, and what may be wrong with it."""
        return ExperimentShape.of(await self._experiments.read(request.match_info["name"], principal.tenant))
