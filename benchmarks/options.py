"""What can be said on the command line."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.calls import Kind
from benchmarks.compare import Case
from benchmarks.contestant import Contestant
from benchmarks.contestants import CONTESTANTS, gateway
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.tasks import TASKS

ALL = "all"
"""The task of carrying out every task but long ones."""

_KINDS: tuple[Kind, ...] = ("json", "sse", "feedback")


def plan_of(chosen: argparse.Namespace) -> Plan:
    """Return the plan that was chosen, with what was asked for besides."""
    plan = QUICK if chosen.quick else FULL
    rounds = plan.rounds
    if chosen.rounds:
        rounds = replace(rounds, count=chosen.rounds)
    if chosen.seconds:
        plan, rounds = replace(plan, seconds=chosen.seconds), replace(rounds, seconds=chosen.seconds)
    given = {
        name: value
        for name in ("contestants", "cases", "levels", "sizes", "marks", "rows", "times")
        if (value := getattr(chosen, name)) is not None
    }
    plan = replace(plan, rounds=rounds, **given)
    if chosen.cases:
        plan = replace(plan, profiled=[case for case in chosen.cases if case.kind != "feedback"])
    if chosen.minutes:
        plan = replace(plan, soak_seconds=chosen.minutes * 60)
    if chosen.workers > 1:
        plan = replace(plan, contestants=[*plan.contestants, gateway(chosen.workers)])
    return plan


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    tasks = "; ".join(f"{name}: {task.about}" for name, task in TASKS.items())
    reader = argparse.ArgumentParser(
        prog="python -m benchmarks", description=f"Measure what requests and votes cost. Tasks: {tasks}."
    )
    reader.add_argument(
        "task", nargs="?", choices=(ALL, *TASKS), default=ALL, metavar="TASK", help="default: all"
    )
    reader.add_argument(
        "--quick", action="store_true", help="a little of everything: minutes instead of a quarter of an hour"
    )
    reader.add_argument(
        "--contestants", type=_contestants, metavar="NAME,…",
        help="who is compared: " + ", ".join(contestant.name for contestant in CONTESTANTS),
    )  # fmt: skip
    reader.add_argument(
        "--workers", type=int, default=1, metavar="N", help="also compare the gateway with so many processes"
    )
    reader.add_argument(
        "--cases", type=_cases, metavar="KIND:CONNECTIONS,…",
        help="loads to compare, and but for feedback to profile, under: " + ", ".join(map(str, FULL.cases)),
    )  # fmt: skip
    reader.add_argument(
        "--rounds", type=int, metavar="N", help="rounds that count, where contestants take turns"
    )
    reader.add_argument(
        "--seconds", type=int, metavar="N", help="length of a round, and of each other measurement"
    )
    reader.add_argument("--levels", type=_numbers, metavar="N,…", help="numbers of streams at once")
    reader.add_argument("--sizes", type=_numbers, metavar="N,…", help="lengths of bodies in bytes")
    reader.add_argument("--marks", type=_numbers, metavar="N,…", help="requests after which memory is read")
    reader.add_argument("--rows", type=int, metavar="N", help="requests in the month that is asked about")
    reader.add_argument("--times", type=int, metavar="N", help="how often each question is asked")
    reader.add_argument("--minutes", type=float, metavar="N", help="length of a soak")
    reader.add_argument(
        "--write",
        type=_document,
        metavar="FILE",
        help="put the tables into this document, and charts into charts/ beside it",
    )
    return reader


def _document(text: str) -> Path:
    if not (document := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return document


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
    for kind in _KINDS:
        if kind == text:
            return kind
    raise argparse.ArgumentTypeError(f"kinds are {', '.join(_KINDS)}")


def _numbers(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(","))
