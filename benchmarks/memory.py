"""Memory: does the gateway grow with the number of requests it has served?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.calls import request_of
from benchmarks.lineup import Running, Say
from benchmarks.processes import Failed

MARKS = (10_000, 50_000, 100_000)
"""After how many requests the memory is read."""

_CONNECTIONS = 16
_SLICE_SECONDS = 1
_MAX_SLICES = 900


@dataclass(frozen=True, slots=True)
class Reading:
    """Resident memory of all processes, and how many requests had been served by then."""

    requests: int
    rss_mib: float


def read_memory(gateway: Running, marks: Sequence[int], say: Say) -> list[Reading]:
    """Read the memory at the start, and each time that the requests served have passed a mark.

    Raises:
        Failed: it took longer than fifteen minutes, or a request failed.
    """
    assert gateway.server is not None
    readings = [_read(gateway, 0)]
    served = 0
    for number in range(_MAX_SLICES):
        if served >= marks[len(readings) - 1]:
            readings.append(_read(gateway, served))
            say(f"{served:,} requests: {readings[-1].rss_mib:.1f} MiB")
            if len(readings) > len(marks):
                return readings
        request = request_of("json", f"memory-{number}", gateway.headers)
        served += len(gateway.send(request, connections=_CONNECTIONS, seconds=_SLICE_SECONDS))
    raise Failed(f"only {served:,} requests were served in {_MAX_SLICES * _SLICE_SECONDS} s")


def _read(gateway: Running, served: int) -> Reading:
    assert gateway.server is not None
    return Reading(served, gateway.server.settle().rss_bytes / 2**20)
