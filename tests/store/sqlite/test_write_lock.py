"""Turns at a file, and how long they may be waited for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from gateway.store.locks import WriteLock


def test_patience_is_spent_only_while_a_turn_is_waited_for(tmp_path: Path) -> None:
    one, other = WriteLock(tmp_path / "gateway.db", 60.0), WriteLock(tmp_path / "gateway.db", 60.0)
    one.acquire()
    assert one.wait_left() == other.wait_left() == 60.0
    waiting = threading.Thread(target=other.acquire)
    waiting.start()
    while (left := other.wait_left()) == 60.0:
        pass
    time.sleep(0.01)
    assert other.wait_left() < left - 0.005
    assert one.wait_left() == 60.0
    one.release()
    waiting.join()
    assert other.wait_left() == 60.0
    other.release()
    one.close()
    other.close()


def test_the_lock_lies_beside_the_database(tmp_path: Path) -> None:
    WriteLock(tmp_path / "gateway.db", 1.0).close()
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db.lock"]
