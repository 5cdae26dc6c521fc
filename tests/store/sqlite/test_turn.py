"""Turns at a file, and how long they may be waited for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from gateway.store.sqlite.turn import Turn


def test_patience_is_spent_only_while_a_turn_is_waited_for(tmp_path: Path) -> None:
    one, other = Turn(tmp_path / "gateway.db", 60.0), Turn(tmp_path / "gateway.db", 60.0)
    one.take()
    assert one.patience_left() == other.patience_left() == 60.0
    waiting = threading.Thread(target=other.take)
    waiting.start()
    while (left := other.patience_left()) == 60.0:
        pass
    time.sleep(0.01)
    assert other.patience_left() < left - 0.005
    assert one.patience_left() == 60.0
    one.end()
    waiting.join()
    assert other.patience_left() == 60.0
    other.end()
    one.close()
    other.close()


def test_the_lock_lies_beside_the_database(tmp_path: Path) -> None:
    Turn(tmp_path / "gateway.db", 1.0).close()
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db.lock"]
