"""Exporter: what the exports of a dialect need of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.filter import Filter, Page
from gateway.query.requests import LoggedRequest


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that an export is to write: those on a page of what is found, the oldest first."""

    where: Filter
    page: Page


class Exporter(Protocol):
    """How a dialect reads its filters, and what it writes of a row."""

    @property
    def suffix(self) -> str:
        """How names of its files end, such as `jsonl`."""

    def select(self, filters: Mapping[str, object]) -> Selection:
        """Return which rows these filters mean. Raises BadInput that names the one to blame."""

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        """Tell whether any of these columns shows what was sent or answered."""

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        """Return what is written of a row. Its messages are None where no column needs them."""
