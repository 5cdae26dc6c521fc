"""Each target holds for inputs that coverage leads to; longer runs are made by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Fuzzed:
    """What all targets came to, and the folder in which each has its log."""

    output: str
    folder: Path


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Fuzzed:
    folder = tmp_path_factory.mktemp("fuzzed")
    command = [sys.executable, "-m", "tests.fuzzing", "all", "--runs", str(RUNS), "--seed", "1"]
    run = subprocess.run(
        [*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    return Fuzzed(run.stdout + run.stderr, folder)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_thousands_of_inputs(fuzzed: Fuzzed, name: str) -> None:
    assert (fuzzed.folder / f"{name}.log").is_file(), fuzzed.output[-4000:]
    said = (fuzzed.folder / f"{name}.log").read_text(errors="replace")
    assert f"{name}: exit code 0" in fuzzed.output.splitlines(), said[-4000:]
    assert f"number_of_executed_units: {RUNS}" in said.replace("stat::", "")
