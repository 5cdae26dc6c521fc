"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.locks import FileLock

ROOT = Path(__file__).parents[2]

HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from gateway.store.locks import FileLock

lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(3600)
"""


def test_one_at_a_time_has_it(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.close()
    assert first.try_acquire()
    first.close()


def test_who_waits_has_it_when_it_is_let_go(tmp_path: Path) -> None:
    holder, waiter = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    holder.acquire()
    has_it = threading.Event()

    def wait() -> None:
        waiter.acquire()
        has_it.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not has_it.wait(0.05)
    holder.release()
    assert has_it.wait(10)
    thread.join()
    holder.close()
    waiter.close()


def test_the_kernel_takes_it_back_from_a_process_that_is_killed(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD_FOR_EVER, str(tmp_path / "lock")]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        assert not lock.try_acquire()
        holder.kill()
        holder.wait()
    assert lock.try_acquire()
    lock.close()


def test_only_the_owner_may_open_the_file(tmp_path: Path) -> None:
    FileLock(tmp_path / "lock").close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"missing/lock cannot be used: no such file"):
        FileLock(tmp_path / "missing" / "lock")
