"""A few random histories of journals with kills and power failures; `make proofs` runs many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.power_failure import compile_library

ROOT = Path(__file__).parents[2]

HISTORIES = int(os.environ.get("HISTORIES", "8"))


def test_in_any_history_each_row_is_stored_once_and_seen_by_whoever_asks_after_its_answer(
    tmp_path: Path,
) -> None:
    library = compile_library(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.recording.journal_histories", str(HISTORIES)],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
