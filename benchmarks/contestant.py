"""What can be put between the load and the upstream."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CommandOf = Callable[[Path, int, int], list[str]]
"""(folder, port, upstream's port) → the command that serves on that port, in the foreground. What it needs besides
is written into the folder first."""


def _nothing() -> None:
    """What a contestant needs that is there already."""


def _no_headers(upstream_port: int) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something to put between the load and the upstream.

    Args:
        name: what it is called in tables and on the command line.
        command_of: how it is started; None for nothing at all, the load then goes to the upstream itself.
        prepare: installs what is missing. Raises Failed where that cannot be had; the contestant is then left out.
        environment: what its process finds in its environment besides.
        headers_of: from the upstream's port to the header lines that its callers have to send.
        events_a_second: of streams, how many it is asked for at most; more would only measure its queue.
        logs: whether it keeps requests and answers.
        takes_feedback: whether feedback can be posted to /v1/feedback.
    """

    name: str
    command_of: CommandOf | None
    prepare: Callable[[], None] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)
    headers_of: Callable[[int], tuple[str, ...]] = _no_headers
    events_a_second: float = math.inf
    logs: bool = False
    takes_feedback: bool = False
