"""Export jobs, which write logged requests to a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ExportStatus(StrEnum):
    # Never started.
    DRAFT = "draft"
    # Waiting or running.
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version of a job. Times are microseconds since the epoch."""

    export_id: str
    version: int = 1
    # None: rows of all.
    tenant: str | None = None
    key_name: str | None = None
    exporter: str
    description: str = ""
    filters: Mapping[str, object]
    columns: tuple[str, ...]
    status: ExportStatus = ExportStatus.DRAFT
    # The newest row at its start: later ones are left out, however long it takes.
    last_seq: int | None = None
    rows_total: int | None = None
    rows_done: int = 0
    file: str | None = None
    error: str | None = None
    # The runner at work on it; counts as dead after `lease_until_us`.
    owner: str | None = None
    lease_until_us: int | None = None
    created_at_us: int
    updated_at_us: int
    # Where a killed job goes on, if its format allows; empty before anything was written.
    checkpoint: Mapping[str, object] = field(default_factory=dict)
