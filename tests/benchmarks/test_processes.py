from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import Failed, Server, cpu_seconds, free_port, tree_of

PARENT = """
import socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
"""


def is_running(pid: int) -> bool:
    """Tell whether a process runs; an orphan that has ended may wait in the table for its new parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_is_ended_with_what_it_started(tmp_path: Path) -> None:
    port = free_port()
    with Server([sys.executable, "-c", PARENT, str(port)], port, tmp_path / "log") as server:
        pids = tree_of(server.pid)
        assert len(pids) == 2
        assert server.usage().rss_bytes > 0
    assert not any(map(is_running, pids))


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(Failed, match="no such thing"), Server(command, port, tmp_path / "log"):
        pass


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no-such-program is missing"):
        Server(["no-such-program"], free_port(), tmp_path / "log").__enter__()


BUSY = """
import socket, sys, threading, time
def work():
    while time.thread_time() < 0.2: pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listener.accept()
listener.accept()
"""


def test_the_time_of_threads_that_have_ended_is_counted(tmp_path: Path) -> None:
    port = free_port()
    with Server([sys.executable, "-c", BUSY, str(port)], port, tmp_path / "log") as server:
        assert 0.2 <= server.settle().cpu_seconds < 2


def test_a_process_that_has_gone_uses_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert cpu_seconds(done.pid) == 0
