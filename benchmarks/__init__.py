"""What a request costs: this gateway and others between the same load and the same upstream.

`python -m benchmarks` compares, `… memory` looks for growth, `… profile` tells where the gateway's time goes. Here
belongs what measures from outside, through sockets and /proc; it imports nothing of the gateway. Needs Linux, a C
compiler, wrk, and nginx to compare with.

A further contestant is one more entry in `contestants.py`, a further load one more function in `load.lua`.
"""
