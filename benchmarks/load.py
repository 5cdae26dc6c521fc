"""Load: the same request over and over, sent by `load.c`; and what came of it."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.compiling import compiled
from benchmarks.processes import Failed

NUMBER = b"##########"
"""Stands in a request for the request's number."""

_SOURCE = Path(__file__).with_name("load.c")
_GRACE_SECONDS = 60
_MANY = 1_000_000_000


class Answer(NamedTuple):
    """What came of one request: a tuple, as there are hundreds of thousands a second of them.

    Args:
        at_us: when it was whole, from the start of the load.
        took_us: from when the request was sent, or at a fixed rate was due, to then.
        first_event_us: from when it was sent or due to the first event; 0 if there was none.
        size: bytes, head and framing included.
        delays_us: for each event, from when the upstream sent it to when it was read.
    """

    at_us: int
    took_us: int
    first_event_us: int
    size: int
    delays_us: tuple[int, ...]


class Loader:
    """The program that makes the load, which is built in a folder."""

    def __init__(self, folder: Path) -> None:
        self._program = compiled(_SOURCE, folder)

    def send(
        self,
        request: bytes,
        port: int,
        *,
        connections: int,
        seconds: float,
        rate: float = 0,
        numbers: int | None = None,
    ) -> list[Answer]:
        """Send a request for some seconds, and wait for what is still to be answered then.

        Args:
            rate: how many are due a second; 0: each connection sends its next when it has its answer.
            numbers: how many numbers there are to put into it; None: they do not end.

        Raises:
            Failed: an answer was not 200, or not whole, or was missing a minute after the last request.
        """
        command = [str(self._program), *map(str, (port, connections, rate, seconds, numbers or _MANY))]
        try:
            done = subprocess.run(
                command, input=request, capture_output=True, timeout=seconds + _GRACE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"answers from port {port} were missing after {_GRACE_SECONDS} s") from None
        if done.returncode:
            raise Failed(f"the load on port {port} went wrong: {done.stderr.decode().strip()}")
        return read_answers(done.stdout.splitlines())


def read_answers(lines: Iterable[bytes]) -> list[Answer]:
    """Read what the program wrote.

    Raises:
        Failed: there was nothing, or an answer was not 200.
    """
    answers = []
    for line in lines:
        status, at_us, took_us, first_event_us, size, *delays_us = map(int, line.split())
        if status != 200:
            raise Failed(f"a request was answered with {status}")
        answers.append(Answer(at_us, took_us, first_event_us, size, tuple(delays_us)))
    if not answers:
        raise Failed("there were no answers")
    return answers


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many per cent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]
