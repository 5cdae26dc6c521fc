from __future__ import annotations

from benchmarks.contestant import Contestant
from benchmarks.lineup import prepared
from benchmarks.processes import Failed


def refuse() -> None:
    raise Failed("`npm ci` failed: no network")


def test_who_cannot_be_installed_is_left_out_with_a_word() -> None:
    said: list[str] = []
    there, missing = Contestant("there", None), Contestant("missing", None, prepare=refuse)
    assert prepared([missing, there], said.append) == [there]
    assert said == ["missing is left out: `npm ci` failed: no network"]
