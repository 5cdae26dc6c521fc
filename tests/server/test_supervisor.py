"""Several workers under a supervisor: real processes that are killed, reloaded and stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.server.child_process import MAX_PAUSE_SECONDS, STABLE_UPTIME_SECONDS, RestartBackoff
from gateway.store.journal_files import GatewayJournal, gateway_folders
from tests.cli.command import COMMAND, plain_environment, run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway, is_alive
from tests.log_reader import eventually, read_metrics
from tests.raw_http import Connection, call, request

CALLS = 40
HEALTH = request(b"GET", b"/healthz")
MODELS = request(b"GET", b"/v1/models")


def config(workers: int = 2, **sections: Any) -> dict[str, Any]:
    """A configuration whose only provider cannot be reached."""
    providers = {"up": {"base_url": "http://127.0.0.1:1/v1"}}
    return {"server": {"workers": workers}, "providers": providers, **sections}


def wait_until_all_serve(gateway: RunningGateway, workers: int = 2) -> None:
    eventually(lambda: read_metrics(gateway.url)["gateway_workers"] == workers)


def statuses(gateway: RunningGateway, data: bytes = HEALTH) -> Counter[int]:
    """What callers are answered who come one after the other, each on a connection of its own."""
    return Counter(call(gateway.port, data).status for _ in range(CALLS))


def shares(gateway: RunningGateway) -> dict[int, int]:
    """How many rows each worker has journaled."""
    [folder] = gateway_folders(gateway.database.with_name("gateway.db.journal"))
    journal = GatewayJournal(folder)
    counts = journal.state.rows_appended()
    journal.close()
    return {worker: count for worker, count in enumerate(counts) if count}


def test_every_worker_has_its_share(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(3))
    assert len(gateway.workers()) == 3
    for _ in range(3):
        assert statuses(gateway, MODELS) == {502: CALLS}
    assert sum(shares(gateway).values()) == 3 * CALLS
    assert min(shares(gateway)[number] for number in range(3)) > CALLS / 4


def test_figures_are_those_of_all_whichever_worker_is_asked(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    statuses(gateway, MODELS)

    def counted() -> float:
        return sum(
            value for name, value in read_metrics(gateway.url).items() if "gateway_requests_total" in name
        )

    eventually(lambda: counted() == CALLS)
    for _ in range(20):
        assert counted() == CALLS
        assert read_metrics(gateway.url)["gateway_workers"] == 2
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
        assert {counted() for _ in range(20)} == {CALLS}
        wait_until_all_serve(gateway)
    assert {counted() for _ in range(20)} == {CALLS}
    assert read_metrics(gateway.url)["gateway_worker_starts_total"] == 4


def test_nobody_is_turned_away_while_a_worker_cannot_live(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    doomed, staying = gateway.workers()
    over = threading.Event()

    def kill_all_but_one() -> None:
        while not over.is_set():
            for pid in gateway.workers():
                if pid != staying:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_all_but_one)
    killer.start()
    try:
        eventually(lambda: "pause_seconds" in gateway.log())
        for _ in range(3):
            assert statuses(gateway) == {200: CALLS}
        eventually(lambda: gateway.log().count("worker ended and is replaced") >= 4)
    finally:
        over.set()
        killer.join()
    pauses = [float(found) for found in re.findall(r'"pause_seconds": ([0-9.]+)', gateway.log())]
    assert pauses[:4] == [0.0, 0.5, 1.0, 2.0]
    wait_until_all_serve(gateway)
    assert doomed not in gateway.workers()
    assert statuses(gateway) == {200: CALLS}


def test_callers_wait_for_the_next_worker_when_all_are_dead(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
    assert statuses(gateway) == {200: CALLS}


def test_a_worker_that_is_told_to_stop_finishes_and_is_replaced(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    leaving, _ = gateway.workers()
    os.kill(leaving, signal.SIGTERM)
    assert statuses(gateway) == {200: CALLS}
    eventually(lambda: leaving not in gateway.workers())
    wait_until_all_serve(gateway)
    assert "a worker ended with exit code 0" in gateway.log()


def test_a_reload_reaches_every_worker_and_those_that_come_later(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    assert statuses(gateway, request(b"GET", b"/added/models")) == {404: CALLS}
    added = {"base_url": "http://127.0.0.1:2/v1"}
    gateway.write_config({**config(), "providers": {**config()["providers"], "added": added}})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: gateway.log().count("configuration reloaded") == 2)
    assert statuses(gateway, request(b"GET", b"/added/models")) == {502: CALLS}
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until_all_serve(gateway)
    assert statuses(gateway, request(b"GET", b"/added/models")) == {502: CALLS}


@pytest.mark.parametrize(
    "provider",
    [{"base_url": "ftp://nowhere"}, {"base_url": "http://127.0.0.1:1/v1", "ca_file": "/does/not/exist.pem"}],
)
def test_a_configuration_that_cannot_be_used_reaches_no_worker(
    start_gateway: StartGateway, provider: dict[str, str]
) -> None:
    gateway = start_gateway(config())
    workers = gateway.workers()
    gateway.write_config({**config(), "providers": {"up": provider}})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "configuration not reloaded" in gateway.log())
    assert statuses(gateway, MODELS) == {502: CALLS}
    assert gateway.workers() == workers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_together(start_gateway: StartGateway, number: signal.Signals) -> None:
    gateway = start_gateway(config())
    workers = gateway.workers()
    with Connection(gateway.port) as idle:
        assert idle.call(HEALTH).status == 200
        gateway.signal(number)
        assert idle.to_end() == b""
    assert gateway.wait() == 0
    assert [pid for pid in workers if is_alive(pid)] == []
    assert gateway.log().count('"stopped"') == 3
    assert "Traceback" not in gateway.log()


def test_workers_end_when_their_supervisor_is_killed(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    workers = gateway.workers()
    gateway.kill()
    eventually(lambda: not any(is_alive(pid) for pid in workers))
    assert gateway.log().count('"stopped"') == 2


def test_the_url_is_printed_once_when_all_serve(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--demo", "--workers", "3", "--port", "0"]
    environment = {**plain_environment(), "GATEWAY__LOGGING__LEVEL": "error"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        serving = read_metrics(url)["gateway_workers"]
        process.terminate()
        rest = process.stdout.read()
    assert serving == 3
    assert process.returncode == 0
    assert "listening on" not in rest


def test_the_demo_works_with_several_workers(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(), arguments=("--demo",))
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
    replies = [
        # Callers wait while the workers are replaced, which takes long on a busy machine.
        httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": "demo", "messages": []}, timeout=30)
        for _ in range(10)
    ]
    assert {reply.headers["x-portkey-provider"] for reply in replies} == {"demo"}


def test_a_port_in_use_is_one_line_and_exit_code_1(tmp_path: Path, start_gateway: StartGateway) -> None:
    gateway = start_gateway(config())
    failed = run_gateway("serve", "--workers", "2", "--port", str(gateway.port), cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr == (
        f"error: cannot listen on 127.0.0.1, port {gateway.port}: address already in use. "
        "Stop what listens there, or take another port: --port\n"
    )


def test_a_store_that_cannot_be_used_stops_all_with_its_error(tmp_path: Path) -> None:
    url = "sqlite:///no/such/folder/gateway.db"
    failed = run_gateway("serve", "--workers", "3", "--port", "0", "--storage", url, cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stdout == ""
    (line,) = (line for line in failed.stderr.splitlines() if not line.startswith("{"))
    assert line.startswith("error: ")
    assert "no/such/folder" in line


def test_an_open_address_without_keys_is_bad_configuration(tmp_path: Path) -> None:
    refused = run_gateway("serve", "--workers", "2", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert refused.returncode == 2
    assert "keys" in refused.stderr.splitlines()[-1]


def test_a_worker_that_is_killed_before_all_serve_stops_all(tmp_path: Path) -> None:
    gateway = RunningGateway(tmp_path, config())
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(gateway.start)
        eventually(lambda: len(gateway.workers()) == 2)
        os.kill(gateway.workers()[0], signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"error: a worker was killed by signal 9\."):
            starting.result()
    assert gateway.wait() == 1


def test_the_first_to_die_is_replaced_at_once() -> None:
    assert RestartBackoff().next_pause(0.1) == 0.0


def test_pauses_grow_while_workers_die_young_up_to_a_longest() -> None:
    backoff = RestartBackoff()
    assert [backoff.next_pause(1.0) for _ in range(6)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert [backoff.next_pause(1.0) for _ in range(2000)][-1] == MAX_PAUSE_SECONDS


def test_after_a_long_life_all_is_forgotten() -> None:
    backoff = RestartBackoff()
    for _ in range(5):
        backoff.next_pause(1.0)
    assert [backoff.next_pause(STABLE_UPTIME_SECONDS), backoff.next_pause(1.0)] == [0.0, 0.5]
