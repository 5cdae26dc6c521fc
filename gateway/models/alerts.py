"""Alerts: rules on measures of requests and feedback, their state by group, and the events that they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Begins the ids of rules of the configuration file, which no API can change.
FILE_PREFIX = "file-"

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


class Measure(StrEnum):
    """What a rule watches."""

    MEAN_SCORE = "mean_score"
    NEGATIVE_SHARE = "negative_share"
    COVERAGE = "coverage"
    ERROR_RATE = "error_rate"
    LATENCY_P95 = "latency_p95"
    FIRST_BYTE = "first_byte"
    COST = "cost"
    CACHE_HIT_SHARE = "cache_hit_share"
    REQUESTS = "requests"
    ORPHANED_FEEDBACK = "orphaned_feedback"


class Direction(StrEnum):
    """The side of the threshold that is bad."""

    ABOVE = "above"
    BELOW = "below"


class AlertTest(StrEnum):
    """`sequential`: the data must exclude the threshold, however often one looks; `none`: compare the value."""

    SEQUENTIAL = "sequential"
    NONE = "none"


class NoDataMode(StrEnum):
    """What fewer requests or people than `min_count` mean."""

    OK = "ok"
    ALERT = "alert"
    KEEP = "keep"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertStatus(StrEnum):
    OK = "ok"
    FIRING = "firing"
    NO_DATA = "no_data"


class EventKind(StrEnum):
    FIRED = "fired"
    RESOLVED = "resolved"
    RENOTIFIED = "renotified"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One version of a rule. Times are microseconds."""

    alert_id: str
    version: int = 1
    # Whose requests it watches; None: those of all.
    tenant: str | None = None
    name: str
    description: str = ""
    severity: Severity = Severity.WARNING
    measure: Measure
    # Texts by the names of filters, as lists of requests have them.
    filters: Mapping[str, object]
    # Each value is watched on its own.
    group_by: str | None = None
    direction: Direction
    threshold: float
    window_us: int
    # How long after a request started it counts, so that what comes late is in.
    settle_us: int
    min_count: int
    test: AlertTest
    no_data: NoDataMode = NoDataMode.KEEP
    # Pause between reminders; None: none are sent.
    renotify_us: int | None = None
    is_enabled: bool = True
    # Key that wrote this version.
    key_name: str | None = None
    created_at_us: int = 0
    updated_at_us: int = 0

    @property
    def is_from_file(self) -> bool:
        return self.alert_id.startswith(FILE_PREFIX)

    @property
    def interval_us(self) -> int:
        """Pause between two looks: a sixtieth of the window, from a minute to an hour."""
        return min(max(self.window_us // 60, MINUTE_US), HOUR_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """Where a rule stands for one group. Times are microseconds since the epoch."""

    alert_id: str
    # Of the rule at that look.
    group_by: str | None = None
    # Text of the value of `group_by`; empty without it.
    group_value: str = ""
    tenant: str | None = None
    status: AlertStatus
    # When it came into this status.
    since_us: int
    value: float | None = None
    # 95 % interval of the value at this look.
    low: float | None = None
    high: float | None = None
    # Requests, or people where scores are measured.
    sample: int = 0
    # Of a sequential test: the part of the evidence that is needed, as logarithms; fires at 1.
    evidence: float | None = None
    checked_at_us: int
    # Of the last event that was no resolution.
    notified_at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """Something that people should hear of."""

    # Position in this store, in the order in which events were stored; 0 of one that is not yet.
    seq: int = 0
    event_id: str
    alert_id: str
    tenant: str | None = None
    name: str
    severity: Severity
    kind: EventKind
    group_by: str | None = None
    group_value: str = ""
    at_us: int
    measure: Measure
    direction: Direction
    threshold: float
    window_us: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    sample: int = 0
    message: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCheck:
    """The turn of one process to look at a rule; `run` tells it from every other turn."""

    alert_id: str
    run: int
    next_at_us: int = 0
    # Another process may take the turn after this.
    lease_until_us: int = 0
    # Of the last look.
    groups_left_out: int = 0
    error: str | None = None
