from __future__ import annotations

import time

from benchmarks.stopwatch import Stopwatch


def test_only_what_happens_inside_is_counted() -> None:
    watch, before = Stopwatch(), time.perf_counter()
    for _ in range(2):
        with watch:
            time.sleep(0.02)
        time.sleep(0.2)
    assert 0.04 <= watch.seconds <= time.perf_counter() - before - 0.4
    assert watch.cpu_seconds < watch.seconds
