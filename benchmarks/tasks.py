"""What can be measured: each task makes the rows of one table or two."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import mixed_load, slow_streams, streams
from benchmarks.alerts import measure_alerts
from benchmarks.bodies import measure_bodies
from benchmarks.compare import added, compare
from benchmarks.contestant import Contestant
from benchmarks.contestants import DIRECT, GATEWAY
from benchmarks.copying import measure_copying
from benchmarks.experiments import measure_experiments
from benchmarks.exports import measure_exports
from benchmarks.half_rate import measure_half_rate
from benchmarks.lineup import Running, Say, running, warm_up
from benchmarks.memory import read_memory
from benchmarks.million import measure_million
from benchmarks.outages import measure_outages
from benchmarks.pages import measure_pages, measure_tail
from benchmarks.partitions import measure_partitions
from benchmarks.plan import Plan
from benchmarks.postgres_server import postgres_server
from benchmarks.profile import profile
from benchmarks.questions import ask_all
from benchmarks.replays import measure_replays
from benchmarks.searches import measure_searches
from benchmarks.slow_streams import measure_slow_streams
from benchmarks.soak import soak
from benchmarks.storing import measure_storing
from benchmarks.streams import measure_streams
from benchmarks.upstream import BRISK, Pace
from benchmarks.vitals import trends_of
from benchmarks.webhooks import measure_webhooks

Results = dict[str, Sequence[Any]]
"""Rows by the name of the section that shows them; `tables.TABLES` knows how."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something to measure.

    Args:
        about: what is found out, for people.
        measure: does it, with a folder of its own that is not there yet.
        is_long: it is done only where it is asked for by its name.
    """

    about: str
    measure: Callable[[Plan, Path, Say], Results]
    is_long: bool = False


def _compare(plan: Plan, folder: Path, say: Say) -> Results:
    with _warm(plan.contestants, plan, folder) as present:
        rows = compare(present, plan.cases, plan.rounds, say)
    return {"comparison": rows, "added": added(rows)}


def _half_rate(plan: Plan, folder: Path, say: Say) -> Results:
    with _warm([DIRECT, *_others(plan)], plan, folder) as (direct, *others):
        return {"half-rate": measure_half_rate(direct, others, plan.rounds, say)}


def _streams(plan: Plan, folder: Path, say: Say) -> Results:
    with _warm(plan.contestants, plan, folder, streams.PACE) as present:
        return {"streams": measure_streams(present, plan.levels, plan.seconds, say)}


def _slow_streams(plan: Plan, folder: Path, say: Say) -> Results:
    with _warm(plan.contestants, plan, folder, slow_streams.PACE) as present:
        return {"slow-streams": measure_slow_streams(present, say)}


def _bodies(plan: Plan, folder: Path, say: Say) -> Results:
    with _warm(_others(plan), plan, folder) as present:
        return {"bodies": measure_bodies(present, plan.sizes, plan.seconds, say)}


def _storing(plan: Plan, folder: Path, say: Say) -> Results:
    return {"storing": measure_storing(folder, plan.seconds / 2, say)}


def _copying(plan: Plan, folder: Path, say: Say) -> Results:
    return {"copying": measure_copying(folder, plan.copied, say)}


def _million(plan: Plan, folder: Path, say: Say) -> Results:
    return {"million": measure_million(folder, plan.seconds * 5, say)}


def _partitions(plan: Plan, folder: Path, say: Say) -> Results:
    return {"partitions": measure_partitions(folder, say)}


def _questions(plan: Plan, folder: Path, say: Say) -> Results:
    growth, answers = ask_all(folder, plan.rows, plan.times, say)
    return {"growth": growth, "questions": answers}


def _server_questions(plan: Plan, folder: Path, say: Say) -> Results:
    with tempfile.TemporaryDirectory(prefix="pg") as place, postgres_server(Path(place)) as server:
        growth, answers = ask_all(folder, plan.rows, plan.times, say, server.new_database())
    return {"server-growth": growth, "server-questions": answers}


def _searches(plan: Plan, folder: Path, say: Say) -> Results:
    return {"searches": measure_searches(folder, plan.searched, say)}


def _pages(plan: Plan, folder: Path, say: Say) -> Results:
    return {
        "pages": measure_pages(plan.rows, plan.times, say),
        "tail": measure_tail(folder, plan.seconds * 5, say),
    }


def _alerts(plan: Plan, folder: Path, say: Say) -> Results:
    false_alarms, missed = measure_alerts(plan.alert_years, say)
    return {"alerts-false": false_alarms, "alerts-missed": missed}


def _replays(plan: Plan, folder: Path, say: Say) -> Results:
    return {"replays": measure_replays(folder, say)}


def _webhooks(plan: Plan, folder: Path, say: Say) -> Results:
    return {"webhooks": measure_webhooks(folder, say)}


def _outages(plan: Plan, folder: Path, say: Say) -> Results:
    return {"outages": measure_outages(folder, plan.soak_seconds / 2, say)}


def _exports(plan: Plan, folder: Path, say: Say) -> Results:
    return {"exports": measure_exports(folder, plan.rows, say)}


def _memory(plan: Plan, folder: Path, say: Say) -> Results:
    with running([GATEWAY], folder) as (gateway,):
        return {"memory": read_memory(gateway, plan.marks, say)}


def _profile(plan: Plan, folder: Path, say: Say) -> Results:
    with running([GATEWAY], folder) as (gateway,):
        return {"profile": [profile(gateway, case, plan.seconds, say) for case in plan.profiled]}


def _soak(plan: Plan, folder: Path, say: Say) -> Results:
    with running([GATEWAY], folder, mixed_load.PACE) as (gateway,):
        found = soak(gateway, folder / GATEWAY.name / "gateway.db", plan.soak_seconds, say)
    return {
        "soak": [found.before, *found.looks, found.after],
        "soak-trends": trends_of(found.looks),
        "soak-kept": found.kept,
    }


@contextmanager
def _warm(
    contestants: Sequence[Contestant], plan: Plan, folder: Path, pace: Pace = BRISK
) -> Iterator[list[Running]]:
    with running(contestants, folder, pace) as present:
        warm_up(present, plan.warm_up_seconds)
        yield present


def _others(plan: Plan) -> list[Contestant]:
    return [contestant for contestant in plan.contestants if contestant is not DIRECT]


def _experiments(plan: Plan, folder: Path, say: Say) -> Results:
    false, true = measure_experiments(say)
    return {"experiments-false": false, "experiments-true": true}


TASKS = {
    "compare": Task("everybody under every load", _compare),
    "half-rate": Task("what is added when half as busy as can be", _half_rate),
    "streams": Task("what an event costs and how late it is, with 1 … 1,000 streams at once", _streams),
    "slow-streams": Task("memory and stalls with 1,000 slow streams at once", _slow_streams),
    "bodies": Task("what a request costs by its length", _bodies),
    "storing": Task("what the store takes without HTTP", _storing),
    "copying": Task("what the store in PostgreSQL takes, beside plain COPY", _copying, is_long=True),
    "million": Task("what a million requests cost with each store", _million, is_long=True),
    "partitions": Task("how long PostgreSQL looks for ids in partitions", _partitions, is_long=True),
    "questions": Task("writing and asking as the store grows to a month of requests", _questions),
    "server-questions": Task("the same with PostgreSQL", _server_questions, is_long=True),
    "searches": Task("what searches leave behind that nobody waits for", _searches, is_long=True),
    "pages": Task("how long each page takes beside a month of requests", _pages, is_long=True),
    "alerts": Task("how often alerts fire falsely, and what they miss", _alerts, is_long=True),
    "replays": Task("whether a replay that is killed answers every request once", _replays, is_long=True),
    "webhooks": Task("what requests cost while 10,000 messages to webhooks wait", _webhooks, is_long=True),
    "outages": Task("what becomes of requests while the store is away for minutes", _outages, is_long=True),
    "exports": Task("how long files of a month of requests take, and what memory", _exports, is_long=True),
    "experiments": Task(
        "how often an experiment calls a false winner, and what true ones take", _experiments, is_long=True
    ),
    "memory": Task("whether memory grows with the requests served", _memory),
    "profile": Task("which functions the gateway's time goes to", _profile),
    "soak": Task(
        "whether anything grows or is lost in ten minutes of everything at once", _soak, is_long=True
    ),
}
