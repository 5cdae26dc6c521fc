"""Fuzzing by coverage: bytes that nobody thought of, steered to where the code has not been yet.

    python -m tests.fuzzing TARGET [--seconds N] [--runs N] [FILE…]

Runs a target of `targets.py` until it fails or the time is over; with FILES, only on these. What it finds is kept
in `.fuzzing/TARGET/`, which later runs begin with, and an input that fails beside it. Such an input becomes a test
of its own where the code is tested.
"""
