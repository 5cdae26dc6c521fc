"""Gateways whose every transaction may be on another connection: PgBouncer, pooling by transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.store import journal_root
from tests.conftest import StartGateway
from tests.flows.promises import Promises, call_until
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, wait_for_journal
from tests.postgres_server import PostgresServer
from tests.scripted_upstream import UpstreamProcess

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
POOL_SIZE = 4
"""Fewer connections than one gateway alone would open."""

CALLERS = 4


@pytest.fixture(scope="module")
def upstream() -> Iterator[UpstreamProcess]:
    with UpstreamProcess() as process:
        yield process


@pytest.fixture
def pooled_url(postgres_url: str, postgres_server: PostgresServer) -> Iterator[str]:
    """The same database through PgBouncer."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    port, database = closed_port(), postgres_url.partition("@/")[2].partition("?")[0]
    file = postgres_server.folder / "pgbouncer.ini"
    file.write_text(f"""
[databases]
{database} = host={postgres_server.folder} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {POOL_SIZE}
""")
    file.chmod(0o644)
    process = subprocess.Popen(
        [PGBOUNCER, "--quiet", str(file)],
        user=postgres_server.system_user if os.geteuid() == 0 else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/{database}"
        eventually(lambda: answers(postgres_server, url))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(server: PostgresServer, url: str) -> bool:
    import psycopg

    try:
        return server.query(url, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def test_nothing_that_was_promised_is_lost_and_everything_can_be_asked(
    start_gateway: StartGateway,
    upstream: UpstreamProcess,
    pooled_url: str,
    postgres_url: str,
    postgres_server: PostgresServer,
) -> None:
    config = {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, "storage": {"url": pooled_url}}
    nodes: list[RunningGateway] = [start_gateway(config) for _ in range(2)]
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_until, over, nodes[number % 2], upstream, promises, f"caller-{number}")
            for number in range(CALLERS)
        ]
        eventually(lambda: len(promises.votes) > 100)
        for path in ("/api/v1/requests", "/api/v1/users", "/api/v1/aggregates?group_by=model", "/readyz"):
            httpx.get(nodes[0].url + path, timeout=30).raise_for_status()
        nodes[1].kill()
        nodes[1].start()
        eventually(lambda: len(promises.votes) > 200)
        over.set()
        for caller in callers:
            caller.result()
    for node in nodes:
        wait_for_journal(journal_root(pooled_url, node.folder))
    stored = {row[0] for row in postgres_server.query(postgres_url, "SELECT trace_id FROM requests")}
    assert set(promises.traces) - stored == set()
    joined = "SELECT feedback_id FROM feedback WHERE joined_at_us IS NOT NULL"
    assert set(promises.votes) - {row[0] for row in postgres_server.query(postgres_url, joined)} == set()
    for node in nodes:
        assert "ERROR" not in node.log().upper().replace("UPSTREAM_ERROR", "")
