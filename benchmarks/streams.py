"""What a stream costs and how late its events come, from one stream to a thousand at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.calls import request_of
from benchmarks.lineup import Running, Say
from benchmarks.load import percentile
from benchmarks.upstream import Pace

LEVELS = (1, 10, 100, 1000)
"""How many streams there are at once."""

PACE = Pace(chunks=20, gap_ms=100)

_LEAST_STREAMS = 3
_WARM_UP_STREAMS = 10


@dataclass(frozen=True, slots=True)
class Streams:
    """So many streams at once through a contestant. First events are counted from the request, delays of events
    from when the upstream sent them."""

    at_once: int
    contestant: str
    cpu_us_an_event: float
    first_event_p50_us: float
    first_event_p99_us: float
    delay_p50_us: float
    delay_p99_us: float


def measure_streams(
    present: Sequence[Running], levels: Sequence[int], seconds: int, say: Say
) -> list[Streams]:
    """Start streams evenly, so that as many as a level says are under way; each level for some seconds.

    Contestants for which a level is too much are left out there.

    Raises:
        Failed: a request failed, or a contestant did.
    """
    for each in present:
        each.send(_request(each), connections=_WARM_UP_STREAMS, seconds=1, rate=_WARM_UP_STREAMS)
    rows: list[Streams] = []
    for level in levels:
        for each in present:
            if level * PACE.events_a_second > each.contestant.events_a_second:
                say(f"{level} streams, {each.name}: left out, they are too many for it")
                continue
            row = _measure(each, level, seconds)
            say(f"{level} streams, {each.name}: {row.cpu_us_an_event:.0f} CPU-µs an event")
            rows.append(row)
    return rows


def _request(each: Running) -> bytes:
    return request_of("sse", "streams", each.headers)


def _measure(each: Running, level: int, seconds: int) -> Streams:
    rate = level / PACE.seconds
    before = each.settle()
    answers = each.send(
        _request(each), connections=2 * level, seconds=max(seconds, _LEAST_STREAMS / rate), rate=rate
    )
    used = each.settle().cpu_seconds - before.cpu_seconds
    first_us = [answer.first_event_us for answer in answers]
    delays_us = [delay for answer in answers for delay in answer.delays_us]
    return Streams(
        at_once=level,
        contestant=each.name,
        cpu_us_an_event=used / len(answers) / PACE.events * 1e6,
        first_event_p50_us=percentile(first_us, 50),
        first_event_p99_us=percentile(first_us, 99),
        delay_p50_us=percentile(delays_us, 50),
        delay_p99_us=percentile(delays_us, 99),
    )
