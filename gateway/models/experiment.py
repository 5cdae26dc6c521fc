"""Experiments: variants of a route that are compared by what people say of their answers."""

from dataclasses import field
from enum import StrEnum

from gateway.models.exchange import value_class
from gateway.models.feedback import Source

DEFAULT_ALPHA = 0.05
DEFAULT_HOLDOUT = 0.1

MIN_VARIANTS, MAX_VARIANTS = 2, 8


class Unit(StrEnum):
    """What keeps its variant."""

    USER = "user"
    SESSION = "session"
    TRACE = "trace"


# Of a request without the unit that is asked for, the next one is taken.
NARROWER_UNITS = {
    Unit.USER: (Unit.USER, Unit.SESSION, Unit.TRACE),
    Unit.SESSION: (Unit.SESSION, Unit.TRACE),
    Unit.TRACE: (Unit.TRACE,),
}


class Goal(StrEnum):
    """What of a person's scores is compared: their mean, or the share that is positive."""

    SCORE = "score"
    SHARE_POSITIVE = "share_positive"


class ExperimentMode(StrEnum):
    """Whether the split stays, or ends with the winner."""

    FIXED = "fixed"
    BEST_ARM = "best_arm"


@value_class(kw_only=True)
class Limits:
    """What a variant may not pass to win; None: no limit."""

    error_rate: float | None = None
    p95_ms: float | None = None
    # A request.
    cost_usd: float | None = None


@value_class(kw_only=True)
class Experiment:
    """What is compared, and how.

    Args:
        variants: their names.
        alpha: most probability of ever calling a variant the winner that is not better than all others.
        holdout: share of units that keep their variant once there is a winner.
        source: whose feedback counts.
    """

    name: str
    version: str
    variants: tuple[str, ...]
    # Shares of the variants, which add up to 1.
    shares: tuple[float, ...]
    unit: Unit = Unit.USER
    goal: Goal = Goal.SCORE
    mode: ExperimentMode = ExperimentMode.FIXED
    alpha: float = DEFAULT_ALPHA
    holdout: float = DEFAULT_HOLDOUT
    limits: Limits = field(default_factory=Limits)
    source: Source = Source.HUMAN

    @property
    def label(self) -> str:
        """As rows have it."""
        return f"{self.name}@{self.version}"
