"""What requests and votes cost: this gateway and others between the same load and the same upstream.

`python -m benchmarks` measures everything, `… TASK` one thing; `tasks.py` says what there is. Gateways are measured
from outside, through sockets and /proc; only the store is also measured, and filled, through its own seam. Needs
Linux and a C compiler; nginx, npm and pip for those to compare with.

A further contestant is a module in `peers` and an entry in `contestants.py`. A further figure is a module that
returns rows, with a task in `tasks.py`, a table in `tables.py` and a section in benchmarks/results/performance.md.
"""
