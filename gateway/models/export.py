"""A job that writes logged requests to a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ExportStatus(StrEnum):
    """How far a job has come."""

    DRAFT = "draft"
    """Described, but never started."""
    IN_PROGRESS = "in_progress"
    """To be carried out, or being so."""
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
    tenant: str | None = None
    """Whose rows it writes; None: those of all."""
    key_name: str | None = None
    exporter: str
    description: str = ""
    filters: Mapping[str, object]
    columns: tuple[str, ...]
    status: ExportStatus = ExportStatus.DRAFT
    last_seq: int | None = None
    """The newest row there was when it was started: what is logged later is not in it, however long it takes."""
    rows_total: int | None = None
    rows_done: int = 0
    file: str | None = None
    """Name of the finished file; None where there is none, or none any more."""
    error: str | None = None
    """Why it failed, for people."""
    owner: str | None = None
    """The runner that works on it, until `lease_until_us` at least; then it counts as dead."""
    lease_until_us: int | None = None
    created_at_us: int
    updated_at_us: int
