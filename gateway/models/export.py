"""A job that writes logged requests to a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ExportStatus(StrEnum):
    """How far a job has come."""

    # Described, but never started.
    DRAFT = "draft"
    # To be carried out, or being so.
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version of a job. Times are microseconds since the epoch.

    `filters` and `columns` are in the words of the dialect that `exporter` names.
    """

    export_id: str
    version: int = 1
    # Whose rows it writes; None: those of all.
    tenant: str | None = None
    key_name: str | None = None
    exporter: str
    description: str = ""
    filters: Mapping[str, object]
    columns: tuple[str, ...]
    status: ExportStatus = ExportStatus.DRAFT
    # The newest row there was when it was started: what is logged later is not in it, however long it takes.
    last_seq: int | None = None
    rows_total: int | None = None
    rows_done: int = 0
    # Name of the finished file; None where there is none, or none any more.
    file: str | None = None
    # Why it failed, for people.
    error: str | None = None
    # The runner that works on it, until `lease_until_us` at least; then it counts as dead.
    owner: str | None = None
    lease_until_us: int | None = None
    created_at_us: int
    updated_at_us: int
