"""Load: closed-loop callers made by wrk, each of which sends its next request when it has its answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.processes import Failed

Kind = Literal["json", "sse", "feedback"]

_SCRIPT = Path(__file__).with_name("load.lua")
_PATHS: dict[Kind, str] = {
    "json": "/v1/chat/completions",
    "sse": "/v1/chat/completions",
    "feedback": "/v1/feedback",
}
_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Load:
    """What callers saw: whole answers, the time from sending a request to the end of its answer, and failures."""

    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    errors: int


def make_load(
    kind: Kind,
    port: int,
    connections: int,
    seconds: int,
    run: str,
    *,
    headers: Sequence[str] = (),
    known: int = 0,
) -> Load:
    """Send requests of a kind for some seconds.

    Args:
        run: part of every trace id. For feedback: the run whose requests it is about.
        known: for feedback, how many requests that run had.

    Raises:
        Failed: wrk is missing, or a request failed or was not answered with 2xx or 3xx.
    """
    url = f"http://127.0.0.1:{port}{_PATHS[kind]}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(_SCRIPT)]
    command += [part for header in headers for part in ("-H", header)]
    command += [url, "--", kind, run, str(known)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS)
    except FileNotFoundError:
        raise Failed("wrk is missing (Debian: apt install wrk)") from None
    load = _read_result(done.stdout)
    if load is None or load.errors or not load.requests:
        raise Failed(f"the load on {url} went wrong: {load}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return load


def _read_result(output: str) -> Load | None:
    for line in output.splitlines():
        if line.startswith("result "):
            return Load(**json.loads(line.removeprefix("result ")))
    return None
