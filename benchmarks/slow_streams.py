"""A thousand slow streams at once: what each holds in memory, and the longest that an event was kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from benchmarks.calls import request_of
from benchmarks.lineup import Running, Say
from benchmarks.load import percentile
from benchmarks.upstream import Pace

PACE = Pace(chunks=8, gap_ms=1000)
STREAMS = 1000

_STARTED_A_SECOND = 250
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SlowStreams:
    """Slow streams through a contestant, all at once.

    Args:
        kib_a_stream: by how much its memory grew at most, for each stream.
        logged_kib_a_stream: how much of that is request and answer, kept to be logged; 0 where nothing is.
        longest_us: the longest that an event was under way.
    """

    contestant: str
    kib_a_stream: float
    logged_kib_a_stream: float
    delay_p99_us: float
    longest_us: float

    @property
    def kib_beyond(self) -> float:
        """What a stream holds besides what is to be logged of it."""
        return self.kib_a_stream - self.logged_kib_a_stream


def measure_slow_streams(present: Sequence[Running], say: Say) -> list[SlowStreams]:
    """Have everybody serve the streams, one after the other, but those for whom they are too many.

    Raises:
        Failed: a request failed, or a contestant did.
    """
    rows = []
    for each in present:
        if STREAMS * PACE.events_a_second > each.contestant.events_a_second:
            say(f"slow streams, {each.name}: left out, they are too many for it")
            continue
        row = _measure(each)
        say(
            f"slow streams, {each.name}: {row.kib_beyond:.1f} KiB each, longest {row.longest_us / 1000:.1f} ms"
        )
        rows.append(row)
    return rows


def _measure(each: Running) -> SlowStreams:
    request = request_of("sse", "slow", each.headers)
    before = each.settle().rss_bytes
    most = before
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(
            each.send,
            request,
            connections=STREAMS,
            seconds=STREAMS / _STARTED_A_SECOND,
            rate=_STARTED_A_SECOND,
        )
        while each.server and not sent.done():
            most = max(most, each.server.usage().rss_bytes)
            wait([sent], _LOOK_SECONDS)
        answers = sent.result()
    logged = len(request) + statistics.mean(answer.size for answer in answers)
    delays_us = [delay for answer in answers for delay in answer.delays_us]
    return SlowStreams(
        contestant=each.name,
        kib_a_stream=(most - before) / STREAMS / 1024,
        logged_kib_a_stream=logged / 1024 if each.contestant.logs else 0.0,
        delay_p99_us=percentile(delays_us, 99),
        longest_us=max(delays_us),
    )
