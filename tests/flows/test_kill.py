"""kill -9 under load: what a caller was told is there afterwards."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.conftest import StartGateway
from tests.log_reader import eventually, query, wait_until_interpreted
from tests.raw_http import Broken, Connection
from tests.scripted_upstream import UpstreamProcess

from .promises import Promises, asking, call_and_vote, check_file, check_kept, write_scripts

CALLERS = 6
LOST_SECONDS = 0.5
"""Ten times what `durability: interval` promises: callers on a busy machine read what was sent long before."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_answered_before_kill_9_is_there_after_it(
    start_gateway: StartGateway, upstream: UpstreamProcess, seed: int
) -> None:
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    scripts = write_scripts(upstream, seed)
    promises = Promises()
    over = threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(_call_until, over, gateway.port, scripts, promises, f"{seed}-{number}")
            for number in range(CALLERS)
        ]
        calls = random.Random(seed).randrange(100, 200)
        eventually(lambda: len(promises.traces) > calls and len(promises.votes) > 20)
        gateway.kill()
        over.set()
        for caller in callers:
            caller.result()

    check_kept(asking(gateway), promises)
    check_file(gateway)
    gateway.start()
    wait_until_interpreted(gateway.database)
    check_kept(asking(gateway), promises)
    check_file(gateway)
    unread = "SELECT count(*) FROM requests WHERE model IS NOT 'm' AND outcome = 'complete'"
    assert query(gateway.database, unread)[0][0] == 0


def test_of_what_is_not_waited_for_only_the_last_moments_are_lost(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(
        {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, "storage": {"durability": "interval"}}
    )
    answered_at: dict[str, float] = {}
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(
                _call_until_killed, gateway.port, write_scripts(upstream, 1), answered_at, str(number)
            )
            for number in range(CALLERS)
        ]
        eventually(lambda: len(answered_at) > 200)
        gateway.kill()
        for caller in callers:
            caller.result()
    logged = {trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests")}
    lost = {trace: at for trace, at in answered_at.items() if trace not in logged}
    lost_seconds = max(answered_at.values()) - min(lost.values(), default=max(answered_at.values()))
    assert lost_seconds <= LOST_SECONDS


def _call_until_killed(port: int, scripts: list[bytes], answered_at: dict[str, float], name: str) -> None:
    promises = Promises()
    with suppress(Broken, ConnectionError), Connection(port) as connection:
        for number in range(1_000_000):
            call_and_vote(connection, scripts, promises, f"{name}-{number}", number)
            answered_at[f"{name}-{number}"] = time.monotonic()


def _call_until(
    over: threading.Event, port: int, scripts: list[bytes], promises: Promises, name: str
) -> None:
    """Call and vote until the gateway is gone, noting what was promised."""
    try:
        with Connection(port) as connection:
            for number in range(1_000_000):
                if over.is_set():
                    return
                call_and_vote(connection, scripts, promises, f"{name}-{number}", number)
    except (Broken, ConnectionError):
        assert over.wait(20), "the gateway broke a connection before it was killed"
