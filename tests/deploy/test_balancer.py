"""Two gateways on one PostgreSQL behind nginx, as `deploy/` has them: one dies under load, and nothing is lost."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.store import journal_root
from tests.conftest import StartGateway
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, wait_for_journal
from tests.postgres_server import PostgresServer

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
CALLERS = 4
CALLS = 60


@pytest.fixture
def nodes(start_gateway: StartGateway, postgres_url: str) -> list[RunningGateway]:
    config = {"storage": {"url": postgres_url}}
    return [start_gateway(config, arguments=("--demo",)) for _ in range(2)]


@pytest.fixture
def balancer(nodes: list[RunningGateway], tmp_path: Path) -> Iterator[str]:
    """The URL of an nginx that runs by our file, with these addresses in it."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    port = closed_port()
    text = (DEPLOY / "nginx.conf").read_text()
    for number, node in enumerate(nodes, 1):
        text = text.replace(f"gateway-{number}:8787", f"127.0.0.1:{node.port}")
    text, count = re.subn(r"listen 8787;", f"listen 127.0.0.1:{port};", text)
    assert count == 1
    file = tmp_path / "nginx.conf"
    file.write_text(f"daemon off;\npid {tmp_path}/nginx.pid;\nerror_log stderr;\n{text}")
    process = subprocess.Popen(
        [NGINX, "-p", str(tmp_path), "-e", "stderr", "-c", str(file)], stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _is_open(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(balancer: str, trace: str, *, stream: bool = False) -> httpx.Response:
    body = {"model": "demo-chat", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    return httpx.post(
        f"{balancer}/v1/chat/completions", json=body, headers={"x-portkey-trace-id": trace}, timeout=30
    )


def test_a_stream_comes_through_event_by_event(balancer: str) -> None:
    pieces = []
    body = {"model": "demo-chat", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with httpx.stream("POST", f"{balancer}/v1/chat/completions", json=body, timeout=30) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 3
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


def test_a_gateway_that_dies_under_load_takes_nothing_with_it_that_was_answered(
    balancer: str, nodes: list[RunningGateway], postgres_server: PostgresServer, postgres_url: str
) -> None:
    def call(caller: int) -> list[str]:
        answered = []
        for number in range(CALLS):
            trace = f"{caller}-{number}"
            if caller == 0 and number == CALLS // 3:
                nodes[0].kill()
            try:
                if ask(balancer, trace, stream=number % 5 == 0).status_code == 200:
                    answered.append(trace)
            except httpx.TransportError:
                continue  # it was in flight on the one that died
            vote = httpx.post(f"{balancer}/v1/feedback", json={"trace_id": trace, "value": 1}, timeout=30)
            assert vote.status_code in (200, 502)
        return answered

    with ThreadPoolExecutor(CALLERS) as pool:
        answered = [trace for traces in pool.map(call, range(CALLERS)) for trace in traces]
    # Each caller may lose what it had in flight, and no more.
    assert len(answered) >= CALLERS * (CALLS - 2)
    # What it had journaled is on its machine until it starts again.
    nodes[0].start()
    for node in nodes:
        wait_for_journal(journal_root(postgres_url, node.folder))
    stored = {row[0] for row in postgres_server.query(postgres_url, "SELECT trace_id FROM requests")}
    assert set(answered) - stored == set()
    unread = "SELECT 1 FROM requests WHERE interpreted_at_us IS NULL"
    assert postgres_server.query(postgres_url, unread) == []
