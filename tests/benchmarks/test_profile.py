from __future__ import annotations

from benchmarks.profile import read_samples, summary

FOLDED = [
    "thread (7): MainThread;run (app.py:1);read (wire.py:5) 3",
    "thread (7): MainThread;run (app.py:2);read (wire.py:9) 1",
    "thread (7): MainThread;run (app.py:2) 1",
    "thread (8): writer;Writer._take (gateway/store/sqlite/store.py:154) 90",
]


def test_samples_of_one_function_are_added_up_whatever_line_it_was_at() -> None:
    main = read_samples(FOLDED)[7]
    assert main.own == {"read (wire.py)": 4, "run (app.py)": 1}
    assert main.inclusive == {"read (wire.py)": 4, "run (app.py)": 5}


def test_waiting_for_work_is_no_work() -> None:
    assert 8 not in read_samples(FOLDED)


def test_the_cpu_of_a_thread_is_spread_over_its_functions() -> None:
    lines = summary(read_samples(FOLDED), {7: 100.0, 8: 50.0}).splitlines()
    assert lines[0] == "150 CPU-µs a request in all threads"
    assert "    80.0    80.0  read (wire.py)" in lines
    assert "   100.0    20.0  run (app.py)" in lines
