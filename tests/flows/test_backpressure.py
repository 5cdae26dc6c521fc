"""Slow readers make fast senders wait, and the gateway does not grow meanwhile."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from tests.gateway_fixtures import MIB
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, row, wait_for_row
from tests.raw_http import Connection, request
from tests.scripted_upstream import GONE, READ, UpstreamProcess, fill, filling_digest, head, note, wait

SIZE = 200 * MIB
FEW = 48 * MIB
"""More than all buffers between two sockets on this machine hold, and far less than the body."""


def test_a_caller_that_does_not_read_makes_the_provider_wait(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = upstream.name() + "-slow"
    script = upstream.script(READ, head(b"200 OK", b"Content-Length: %d" % SIZE), fill(SIZE))
    before, memory_before = upstream.sent_bytes(), _memory(gateway)
    with Connection(gateway.port, receive_buffer_bytes=65536) as caller:
        caller.send(request(b"GET", b"/v1/files/1/content", script, _traced(trace)))
        caller.head()
        eventually(lambda: _stands_still(upstream))
        assert upstream.sent_bytes() - before < FEW
        assert _memory(gateway) - memory_before < FEW
        digest = hashlib.sha256()
        for _ in range(SIZE // MIB):
            digest.update(caller.read(MIB))
    assert digest.hexdigest() == filling_digest(SIZE)
    assert _memory(gateway) - memory_before < FEW
    logged = row(gateway.database, trace)
    assert (logged["outcome"], logged["response_size"]) == ("complete", SIZE)


def test_a_provider_that_does_not_read_makes_the_caller_wait(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace, gate, started = (upstream.name() for _ in range(3))
    script = upstream.script(note(started), wait(gate), GONE)
    memory_before = _memory(gateway)
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/files", script, _traced(trace), b"Content-Length: %d" % SIZE))
        upstream.reached(started)
        assert caller.send_until_stuck(b"x" * MIB, 0.5) < FEW
        assert _memory(gateway) - memory_before < FEW
    upstream.open(gate)
    assert wait_for_row(gateway.database, trace)["outcome"] == "client_closed"


def _stands_still(upstream: UpstreamProcess) -> bool:
    """Whether the provider sends nothing for a while."""
    before = upstream.sent_bytes()
    time.sleep(0.25)
    return upstream.sent_bytes() == before


def _memory(gateway: RunningGateway) -> int:
    """Resident memory of the gateway's process in bytes."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def _traced(trace: str) -> bytes:
    return b"x-portkey-trace-id: " + trace.encode()
