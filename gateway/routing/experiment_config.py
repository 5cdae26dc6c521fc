"""The `experiment` of a route: YAML to an Experiment."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import BadInput
from gateway.models import experiment as experiments
from gateway.models.experiment import Experiment, Goal, Limits, Unit
from gateway.models.feedback import Source
from gateway.routing.config_faults import first_fault

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Limits(_Strict):
    error_rate: float | None = Field(default=None, ge=0, le=1)
    p95_ms: float | None = Field(default=None, gt=0)
    cost_usd: float | None = Field(default=None, gt=0)


class _Experiment(_Strict):
    version: int | _Name = 1
    unit: Unit = Unit.USER
    goal: Goal = Goal.SCORE
    alpha: float = Field(experiments.DEFAULT_ALPHA, ge=0.001, le=0.2)
    guardrails: _Limits = Field(default_factory=_Limits)
    source: Source = Source.HUMAN
    chosen: _Name | None = None
    holdout: float = Field(experiments.DEFAULT_HOLDOUT, ge=0, le=0.5)
    variants: tuple[dict[str, Any], ...]


class _Variant(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: _Name
    weight: float = Field(1.0, gt=0)


def parse_experiment(given: object, name: str, field: str) -> tuple[Experiment, Sequence[dict[str, Any]]]:
    """Return an experiment, and the configs of its variants. Raises BadInput by the path of what is wrong."""
    if not isinstance(given, dict):
        raise BadInput("must be an object.", field=field)
    try:
        settings = _Experiment.model_validate(given)
    except ValidationError as error:
        raise first_fault(error, field) from None
    place = f"{field}.variants"
    if not experiments.MIN_VARIANTS <= len(settings.variants) <= experiments.MAX_VARIANTS:
        counts = f"{experiments.MIN_VARIANTS} to {experiments.MAX_VARIANTS}"
        raise BadInput(f"must be {counts} variants; got {len(settings.variants)}.", field=place)
    variants = [_parse_variant(each, f"{place}[{at}]") for at, each in enumerate(settings.variants)]
    names = tuple(each.name for each in variants)
    if len(set(names)) < len(names):
        raise BadInput("two variants have the same name.", field=place, hint="Rows name the variant.")
    if settings.chosen is not None and settings.chosen not in names:
        hint = f"Its variants are: {', '.join(names)}."
        raise BadInput(f"no variant is called {settings.chosen!r}.", field=f"{field}.chosen", hint=hint)
    total = sum(each.weight for each in variants)
    experiment = Experiment(
        name=name,
        version=str(settings.version),
        variants=names,
        shares=tuple(each.weight / total for each in variants),
        unit=settings.unit,
        goal=settings.goal,
        alpha=settings.alpha,
        limits=Limits(**settings.guardrails.model_dump()),
        source=settings.source,
        chosen=settings.chosen,
        holdout=settings.holdout,
    )
    return experiment, settings.variants


def _parse_variant(given: dict[str, Any], field: str) -> _Variant:
    try:
        return _Variant.model_validate(given)
    except ValidationError as error:
        raise first_fault(error, field) from None
