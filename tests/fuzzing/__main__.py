"""Run one target: `python -m tests.fuzzing TARGET [--seconds N] [--runs N] [FILE…]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzzing.targets import TARGETS, seeds_of

FINDINGS = Path(".fuzzing")
LONGEST_INPUT_BYTES = 4096


def main() -> None:
    """Fuzz until something fails, which ends the process with another code than 0, or there is no more to do."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long; 60")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs at most")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0: another each time")
    parser.add_argument("--folder", type=Path, default=FINDINGS, help="where findings are kept; .fuzzing")
    parser.add_argument("files", nargs="*", help="try these inputs only")
    chosen = parser.parse_args()
    corpus = chosen.folder / chosen.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(chosen.target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={chosen.seconds}",
        f"-runs={chosen.runs}",
        f"-seed={chosen.seed}",
        f"-max_len={LONGEST_INPUT_BYTES}",
        f"-artifact_prefix={chosen.folder}/{chosen.target}-",
        "-print_final_stats=1",
    ]
    inputs = chosen.files or [str(corpus)]
    atheris.Setup([sys.argv[0], *options, *inputs], TARGETS[chosen.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
