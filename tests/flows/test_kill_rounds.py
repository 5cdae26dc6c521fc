"""Again and again kill -9 of whatever of a gateway there is, under load: nothing that was promised is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, wait_until_interpreted
from tests.scripted_upstream import UpstreamProcess

from .promises import Promises, call_until, check_kept, kill_tree, wait_for_more

CALLERS = 4
ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
"""How often; fifty times and more by hand."""
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


def kill_all(gateway: RunningGateway, _: random.Random) -> None:
    kill_tree(gateway)
    gateway.start()


KINDS: Mapping[Callable[[RunningGateway, random.Random], None], int] = {
    kill_a_worker: 4,
    kill_the_supervisor: 3,
    kill_all: 3,
}
"""What is killed, and how often of ten times."""


@pytest.mark.timeout(400)  # each round starts processes, which share the machine with other tests
def test_kill_9_again_and_again_loses_nothing_that_was_promised(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(
        {
            "server": {"workers": 2},
            "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
        }
    )
    chance = random.Random(50)
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_until, over, gateway, upstream, promises, f"caller-{number}")
            for number in range(CALLERS)
        ]
        try:
            for _ in range(ROUNDS):
                wait_for_more(promises.traces, CALLS_A_ROUND)
                time.sleep(chance.random() * LONGEST_ROUND_SECONDS)
                [kill] = chance.choices(list(KINDS), list(KINDS.values()))
                kill(gateway, chance)
        finally:
            over.set()
        for caller in callers:
            caller.result()
    kill_tree(gateway)
    assert len(promises.traces) >= CALLS_A_ROUND * ROUNDS
    assert len(promises.votes) > 5 * ROUNDS

    gateway.start()
    wait_until_interpreted(gateway.database)
    check_kept(gateway, promises)
