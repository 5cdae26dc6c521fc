"""Receiver: who is told of feedback beside the traces, and what may come of it."""

from __future__ import annotations

from typing import Protocol

from gateway.telemetry.judgement import Judgement


class NotThere(Exception):
    """What is judged has not arrived, or not yet."""


class Unavailable(Exception):
    """The receiver takes nothing now.

    Args:
        retry_after_seconds: when it wants to be asked again; None if it does not say.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class Refused(Exception):
    """The receiver will not take this judgement."""


class Receiver(Protocol):
    """Takes judgements. The same one again changes nothing, and a later version takes the place of the earlier.

    Every method raises NotThere, Unavailable or Refused.
    """

    async def put(self, judgement: Judgement, *, is_first: bool) -> None:
        """Tell of a judgement, and whether there can be nothing of its id yet."""

    async def remove(self, judgement: Judgement) -> None:
        """Tell that it was withdrawn. One that is not known is removed already."""

    async def close(self) -> None:
        """Let go of the connections."""
