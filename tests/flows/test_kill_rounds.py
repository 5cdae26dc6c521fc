"""Again and again kill -9 of whatever of a gateway there is, under load: nothing that was promised is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, wait_for_journal
from tests.postgres_server import PostgresServer
from tests.scripted_upstream import UpstreamProcess

from .promises import Ask, Promises, asking, call_until, check_file, check_kept, kill_tree, wait_for_more

CALLERS = 4
ROUNDS = {"sqlite": 10, "postgres": 3}
"""How often; as often as `KILL_ROUNDS` says: `make proofs`."""
CALLS_A_ROUND = 20
"""Answered before the next kill, which comes up to so much later."""
LONGEST_ROUND_SECONDS = 0.4


def kill_a_worker(gateway: RunningGateway, chance: random.Random) -> None:
    """Its place is taken again after a pause, which other kills do not wait for."""
    eventually(gateway.workers)
    os.kill(chance.choice(gateway.workers()), signal.SIGKILL)


def kill_the_supervisor(gateway: RunningGateway, _: random.Random) -> None:
    """Its workers finish what they have in hand while the next gateway begins on the same database."""
    gateway.kill()
    gateway.start()


def kill_the_ingester(gateway: RunningGateway, _: random.Random) -> None:
    """Wherever it is: between two transactions, in one, or while it deletes a segment."""
    eventually(gateway.ingester)
    if (pid := gateway.ingester()) is not None:
        os.kill(pid, signal.SIGKILL)


def kill_all(gateway: RunningGateway, _: random.Random) -> None:
    kill_tree(gateway)
    gateway.start()


KINDS: Mapping[Callable[[RunningGateway, random.Random], None], int] = {
    kill_a_worker: 3,
    kill_the_ingester: 3,
    kill_the_supervisor: 2,
    kill_all: 2,
}
"""What is killed, and how often of ten times."""


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a store."""
    return {} if request.param == "sqlite" else {"url": request.getfixturevalue("postgres_url")}


def asking_server(server: PostgresServer, url: str, folder: Path) -> Ask:
    def ask(sql: str) -> list[tuple[Any, ...]]:
        for root in folder.glob("*/*.journal"):
            wait_for_journal(root)
        return server.query(url, sql)

    return ask


@pytest.mark.timeout(3600)  # each round starts processes, which share the machine with other tests
def test_kill_9_again_and_again_loses_nothing_that_was_promised(
    start_gateway: StartGateway,
    upstream: UpstreamProcess,
    storage: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    gateway = start_gateway(
        {
            "server": {"workers": 2},
            "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
            "storage": storage,
        }
    )
    ask = asking(gateway)
    if storage:
        ask = asking_server(request.getfixturevalue("postgres_server"), storage["url"], tmp_path)
    rounds = int(os.environ.get("KILL_ROUNDS", ROUNDS["postgres" if storage else "sqlite"]))
    chance = random.Random(50)
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_until, over, gateway, upstream, promises, f"caller-{number}")
            for number in range(CALLERS)
        ]
        try:
            for _ in range(rounds):
                wait_for_more(promises.traces, CALLS_A_ROUND)
                time.sleep(chance.random() * LONGEST_ROUND_SECONDS)
                [kill] = chance.choices(list(KINDS), list(KINDS.values()))
                kill(gateway, chance)
        finally:
            over.set()
        for caller in callers:
            caller.result()
    kill_tree(gateway)
    assert len(promises.traces) >= CALLS_A_ROUND * rounds
    assert len(promises.votes) > 5 * rounds

    gateway.start()
    check_kept(ask, promises)
    if not storage:
        check_file(gateway)
