"""Each target holds for inputs that coverage leads to; longer runs are made by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing.targets import TARGETS, seeds_of

ROOT = Path(__file__).parents[2]
RUNS = 2_000

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no build for this machine"
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_what_it_begins_with(name: str) -> None:
    for seed in seeds_of(name):
        TARGETS[name](seed)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_thousands_of_inputs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzzing", name, "--runs", str(RUNS), "--seed", "1"]
    fuzzing = subprocess.run(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert fuzzing.returncode == 0, fuzzing.stderr[-4000:]
    assert f"number_of_executed_units: {RUNS}" in fuzzing.stderr.replace("stat::", "")
