"""The upstream that everybody is measured in front of: `mock_upstream.c`, built where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import compiled
from benchmarks.processes import Server, free_port

_SOURCE = Path(__file__).with_name("mock_upstream.c")


@dataclass(frozen=True, slots=True)
class Pace:
    """How streams come: so many chunks, so many milliseconds apart."""

    chunks: int
    gap_ms: int

    @property
    def events(self) -> int:
        """Events in a stream: behind the chunks come the usage and [DONE]."""
        return self.chunks + 2

    @property
    def events_a_second(self) -> float:
        """How many events come in a second."""
        return 1000 / self.gap_ms

    @property
    def seconds(self) -> float:
        """How long a stream takes."""
        return (self.events - 1) * self.gap_ms / 1000


BRISK = Pace(chunks=50, gap_ms=5)
"""What is compared: streams that give a gateway much to do."""


def mock_upstream(folder: Path, pace: Pace = BRISK) -> tuple[Server, int]:
    """Build the upstream in `folder`; return it, not started yet, and its port.

    Raises:
        Failed: there is no C compiler, or it does not take the source.
    """
    program, port = compiled(_SOURCE, folder), free_port()
    command = [str(program), str(port), str(pace.chunks), str(pace.gap_ms)]
    return Server(command, port, folder / "upstream.log"), port
