"""The command line: `python -m benchmarks [compare|memory|profile|questions]`."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.compare import CASES, Case, Rounds, compare, running
from benchmarks.contestants import CONTESTANTS, GATEWAY, Contestant
from benchmarks.load import Kind
from benchmarks.memory import MARKS, read_memory
from benchmarks.processes import Failed, ended_in_order
from benchmarks.profile import profile
from benchmarks.questions import ask_all

KINDS: tuple[Kind, ...] = ("json", "sse", "feedback")
DEFAULT = Rounds()


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit code."""
    chosen = _parser().parse_args(arguments)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    tasks = {"compare": _compare, "memory": _memory, "profile": _profile, "questions": _questions}
    try:
        with ended_in_order(), tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            tasks[chosen.task](chosen, Path(folder), command)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _compare(chosen: argparse.Namespace, folder: Path, command: str) -> None:
    facts = machine.facts()
    rounds = Rounds(chosen.rounds, chosen.seconds)
    with running(chosen.contestants, folder) as present:
        rows = compare(present, chosen.cases, rounds, _say)
    table = report.comparison_table(rows)
    print(table)
    _say(f"saved as {report.save('comparison', facts, rows)}")
    _write(chosen.write, "comparison", f"{table}\n\n`{command}`\n\n{report.facts_table(facts)}")


def _memory(chosen: argparse.Namespace, folder: Path, command: str) -> None:
    facts = machine.facts()
    with running([GATEWAY], folder) as (gateway,):
        readings = read_memory(gateway, chosen.marks, _say)
    table = report.memory_table(readings)
    print(table)
    _say(f"saved as {report.save('memory', facts, readings)}")
    _write(chosen.write, "memory", f"{table}\n\n`{command}`, {facts['date']}, commit {facts['commit']}")


def _profile(chosen: argparse.Namespace, folder: Path, command: str) -> None:
    with running([GATEWAY], folder) as (gateway,):
        for case in (case for case in chosen.cases if case.kind != "feedback"):
            raw = report.RESULTS / f"profile-{case.kind}-{case.connections}.folded"
            print(f"{command}: {case}\n\n{profile(gateway, case, chosen.seconds, raw)}\n")
            _say(f"samples are in {raw}")


def _questions(chosen: argparse.Namespace, folder: Path, command: str) -> None:
    facts = machine.facts()
    answers = ask_all(folder, chosen.rows, chosen.times, _say)
    table = report.questions_table(answers)
    print(table)
    _say(f"saved as {report.save('questions', facts, answers)}")
    _write(chosen.write, "questions", f"{table}\n\n`{command}`, {facts['date']}, commit {facts['commit']}")


def _write(document: Path | None, section: str, content: str) -> None:
    if document is not None:
        document.write_text(report.replace_section(document.read_text(), section, content))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what a request costs.")
    parser.add_argument(
        "task", nargs="?", choices=("compare", "memory", "profile", "questions"), default="compare",
        help="compare contestants (default), watch the gateway's memory, profile it, or ask it about a month",
    )  # fmt: skip
    parser.add_argument(
        "--contestants", type=_contestants, default=list(CONTESTANTS), metavar="NAME,…",
        help="who is compared: " + ", ".join(contestant.name for contestant in CONTESTANTS),
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=_cases, default=list(CASES), metavar="KIND:CONNECTIONS,…",
        help="loads to compare, or but for feedback to profile, under: " + ", ".join(map(str, CASES)),
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=DEFAULT.count, help="rounds that count, for each case")
    parser.add_argument("--seconds", type=int, default=DEFAULT.seconds, help="length of a round")
    parser.add_argument(
        "--marks", type=_marks, default=MARKS, metavar="N,…", help="requests after which memory is read"
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="requests in the month that is asked about"
    )
    parser.add_argument("--times", type=int, default=15, help="how often each question is asked")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into this document")
    return parser


def _contestants(text: str) -> list[Contestant]:
    by_name = {contestant.name: contestant for contestant in CONTESTANTS}
    names = text.split(",")
    if unknown := [name for name in names if name not in by_name]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def _cases(text: str) -> list[Case]:
    pairs = [part.partition(":") for part in text.split(",")]
    return [Case(_kind(kind), int(connections)) for kind, _, connections in pairs]


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if kind == text:
            return kind
    raise argparse.ArgumentTypeError(f"kinds are {', '.join(KINDS)}")


def _marks(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
