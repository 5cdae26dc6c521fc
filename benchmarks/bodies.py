"""What a request costs by the length of its body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.calls import chat_of, chat_request
from benchmarks.lineup import Running, Say
from benchmarks.load import percentile

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Lengths of bodies in bytes."""

_CONNECTIONS = 16
_MOST_A_SECOND = 50
_MOST_BYTES_A_SECOND = 10_000_000
_WARM_UP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Body:
    """Requests of one length through a contestant, at a rate that leaves it time."""

    size: int
    contestant: str
    cpu_us: float
    p50_us: float


def measure_bodies(present: Sequence[Running], sizes: Sequence[int], seconds: int, say: Say) -> list[Body]:
    """Send chats of each length for some seconds, at most fifty and at most ten megabytes a second.

    Raises:
        Failed: a request failed, or a contestant did.
    """
    rows = []
    for size in sizes:
        chat = chat_of(size)
        for each in present:
            row = _measure(each, size, chat, seconds)
            say(f"{size:,} bytes, {each.name}: {row.cpu_us:,.0f} CPU-µs")
            rows.append(row)
    return rows


def _measure(each: Running, size: int, chat: bytes, seconds: int) -> Body:
    request = chat_request(chat, f"body-{size}", each.headers)
    rate = min(_MOST_A_SECOND, _MOST_BYTES_A_SECOND / size)
    each.send(request, connections=1, seconds=_WARM_UP_SECONDS)
    before = each.settle()
    answers = each.send(request, connections=_CONNECTIONS, seconds=seconds, rate=rate)
    used = each.settle().cpu_seconds - before.cpu_seconds
    return Body(size, each.name, used / len(answers) * 1e6, percentile((one.took_us for one in answers), 50))
