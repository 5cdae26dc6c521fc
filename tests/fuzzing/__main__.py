"""Run one target: `python -m tests.fuzzing TARGET [--seconds N] [--runs N] [FILE…]`; `all`: one after the other."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzzing.targets import TARGETS, seeds_of

FINDINGS = Path(".fuzzing")
LONGEST_INPUT_BYTES = 4096


def main() -> None:
    """Fuzz until something fails, which ends the process with another code than 0, or there is no more to do."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="how long; 60")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs at most")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0: another each time")
    parser.add_argument("--folder", type=Path, default=FINDINGS, help="where findings are kept; .fuzzing")
    parser.add_argument("files", nargs="*", help="try these inputs only")
    chosen = parser.parse_args()
    if chosen.target != "all":
        fuzz(chosen.target, chosen)
    codes = {name: fuzz_in_child(name, chosen) for name in TARGETS}
    sys.stdout.writelines(f"{name}: exit code {code}\n" for name, code in codes.items())
    sys.exit(any(codes.values()))


def fuzz(name: str, chosen: argparse.Namespace) -> NoReturn:
    """Fuzz one target, which ends the process."""
    corpus = chosen.folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={chosen.seconds}",
        f"-runs={chosen.runs}",
        f"-seed={chosen.seed}",
        f"-max_len={LONGEST_INPUT_BYTES}",
        f"-artifact_prefix={chosen.folder}/{name}-",
        "-print_final_stats=1",
    ]
    inputs = chosen.files or [str(corpus)]
    atheris.Setup([sys.argv[0], *options, *inputs], TARGETS[name])
    atheris.Fuzz()
    sys.exit()


def fuzz_in_child(name: str, chosen: argparse.Namespace) -> int:
    """Fuzz one target in a process of its own, which writes to NAME.log; return its exit code."""
    # Forked: to import the gateway with all its branches counted takes seconds.
    pid = os.fork()
    if pid == 0:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        log = os.open(chosen.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        fuzz(name, chosen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
