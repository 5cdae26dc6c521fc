"""Progress: how far a command has come, on standard error, every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

PROGRESS_SECONDS = 5.0


class Progress:
    """Says how far a command has come, if it has not done so for a while."""

    def __init__(self) -> None:
        self._begun = self._told_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the command has run."""
        return time.monotonic() - self._begun

    def tell(self, line: Callable[[], str], done: int) -> None:
        """Say a line, and how many a second were done."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            click.echo(f"{line()}, {done / (now - self._begun):,.0f} a second", err=True)
