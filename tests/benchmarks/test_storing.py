from __future__ import annotations

from pathlib import Path

from benchmarks.storing import REQUESTS, VOTES, measure_storing


def test_requests_and_feedback_are_written_alone_and_in_company(tmp_path: Path) -> None:
    rows = measure_storing(tmp_path / "stores", 0.05, lambda _: None)
    assert [(row.what, row.at_once) for row in rows] == [
        (REQUESTS, 1), (REQUESTS, 16), (REQUESTS, 64), (REQUESTS, 1000), (VOTES, 1), (VOTES, 64)
    ]  # fmt: skip
    assert all(row.per_second > 0 and row.cpu_us > 0 for row in rows)
