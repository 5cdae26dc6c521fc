"""Rules: which requests, and how many of them, are labelled, reviewed, sent on, collected or kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.clock import now_us
from gateway.models.ids import new_id
from gateway.models.metrics import DAY_US
from gateway.models.request import RequestRecord
from gateway.models.webhooks import SettingSource


class RuleCursor(StrEnum):
    """What a rule goes through, each to a position of its own."""

    REQUESTS = "request_position"
    # A request can come to match when feedback on it is given.
    FEEDBACK = "feedback_position"
    BACKFILL = "backfill_position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A filter, a sample and actions. Times are microseconds since the epoch."""

    rule_id: str = field(default_factory=lambda: f"rule_{new_id()}")
    # Whose requests it is for; None: those of all.
    tenant: str | None
    name: str
    # One more with each change of what it does; each version acts once on a request.
    version: int = 1
    # Conditions on requests, as their list takes them.
    filters: Mapping[str, object]
    # Share of the matching requests.
    sample: float = 1.0
    # Actions; a rule has at least one.
    label: str | None = None
    review: bool = False
    webhook_id: str | None = None
    delete_after_days: int | None = None
    # Of a dataset that collects what rules add.
    dataset_id: str | None = None
    # Retention leaves the request alone so long; goes before every `delete_after_days`.
    keep_days: int | None = None
    source: SettingSource = SettingSource.STORE
    disabled_at_us: int | None = None
    request_position: int = 0
    feedback_position: int = 0
    # From where to where earlier requests are gone through; None: they are not.
    backfill_position: int | None = None
    backfill_end: int | None = None
    backfill_from_us: int | None = None
    created_at_us: int = field(default_factory=now_us)
    updated_at_us: int = field(default_factory=now_us)

    def samples(self, record: RequestRecord) -> bool:
        """Tell whether a request is in the sample, always the same for one request."""
        if self.sample >= 1.0:
            return True
        digest = hashlib.sha256(f"{self.rule_id}\0{record.request_id}\0{record.seq}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.sample * 2**64

    def delete_at_us(self, record: RequestRecord) -> int | None:
        return _days_after_end_us(record, self.delete_after_days)

    def keep_until_us(self, record: RequestRecord) -> int | None:
        return _days_after_end_us(record, self.keep_days)


def _days_after_end_us(record: RequestRecord, days: int | None) -> int | None:
    return None if days is None else record.ended_at_us + days * DAY_US


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A request that a rule is to act on; `body` is the message to its webhook."""

    record: RequestRecord
    body: str | None
