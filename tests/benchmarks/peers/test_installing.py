from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.peers.installing import install
from benchmarks.processes import Failed


def appending(file: Path) -> list[str]:
    return [sys.executable, "-c", f"open({str(file)!r}, 'a').write('x')"]


def test_what_is_wanted_is_installed_once_until_it_changes(tmp_path: Path) -> None:
    wanted, stamp, runs = tmp_path / "lock", tmp_path / "stamp", tmp_path / "runs"
    wanted.touch()
    for _ in range(2):
        install([appending(runs)], wanted, stamp)
    assert runs.read_text() == "x"
    later = stamp.stat().st_mtime + 10
    os.utime(wanted, (later, later))
    install([appending(runs)], wanted, stamp)
    assert runs.read_text() == "xx"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no-such-program"], "no-such-program is missing"),
        ([sys.executable, "-c", "import sys; sys.exit('first\\nno network')"], "failed: no network$"),
    ],
)
def test_what_cannot_be_installed_says_why_and_is_tried_again(
    command: list[str], reason: str, tmp_path: Path
) -> None:
    wanted, stamp = tmp_path / "lock", tmp_path / "stamp"
    wanted.touch()
    with pytest.raises(Failed, match=reason):
        install([command], wanted, stamp)
    assert not stamp.exists()
