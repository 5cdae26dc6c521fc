"""What a supervisor and its workers say to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config.models import Config
from gateway.domain.figures import Figures


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker, first of all: what to serve, and as whom.

    Args:
        number: the worker's place.
        config: what the gateway was started with.
        reloaded: what it was told last to take over.
        inherited: what was counted by those who had the place before.
        listeners: file descriptors of the sockets of each place.
    """

    number: int
    config: Config
    reloaded: Config
    inherited: Figures
    listeners: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Serving:
    """From a worker: callers are let in."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """From a worker: no callers are let in any more; what is in flight ends."""


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: why it ends."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Reload:
    """To a worker: take over a configuration, which was found good."""

    config: Config


@dataclass(frozen=True, slots=True)
class Cover:
    """To a worker: let in callers of another place too, where nobody does."""

    number: int


@dataclass(frozen=True, slots=True)
class Uncover:
    """To a worker: the other place has a worker again."""

    number: int


@dataclass(frozen=True, slots=True)
class Count:
    """To a worker: tell your figures now."""


@dataclass(frozen=True, slots=True)
class Counted:
    """From a worker: its figures."""

    figures: Figures


@dataclass(frozen=True, slots=True)
class AskOthers:
    """From a worker: what are the figures of the others?"""

    question: int


@dataclass(frozen=True, slots=True)
class OthersCounted:
    """To a worker: the answer to its question."""

    question: int
    figures: Sequence[Figures]


Message = (
    Begin
    | Serving
    | Leaving
    | Failed
    | Reload
    | Cover
    | Uncover
    | Count
    | Counted
    | AskOthers
    | OthersCounted
)
