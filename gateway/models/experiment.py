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
        source: whose feedback counts.
        chosen: the variant that ends it; None: it goes on.
        holdout: share of units that go on in an experiment with a chosen variant.
    """

    name: str
    version: str
    variants: tuple[str, ...]
    # Shares of the variants, which add up to 1.
    shares: tuple[float, ...]
    unit: Unit = Unit.USER
    goal: Goal = Goal.SCORE
    alpha: float = DEFAULT_ALPHA
    limits: Limits = field(default_factory=Limits)
    source: Source = Source.HUMAN
    chosen: str | None = None
    holdout: float = DEFAULT_HOLDOUT

    @property
    def label(self) -> str:
        """As rows have it."""
        return f"{self.name}@{self.version}"

    @property
    def ended_label(self) -> str:
        """Of rows of units for which it has ended, which are in no result."""
        return f"{self.label}:{self.chosen}"
