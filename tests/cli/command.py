"""The command line as its users have it: a process with its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.fork_server import start

COMMAND = (sys.executable, "-m", "gateway")
SECONDS = 30


def run_gateway(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, forked from a process that has loaded the gateway; `COMMAND` starts one whole."""
    if environment and "PYTHONPATH" in environment:
        # It decides about what was loaded already.
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=plain_environment(environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    with tempfile.TemporaryFile() as errors:
        process = start(arguments, cwd, plain_environment(environment), errors)
        with process.stdout:
            output = process.stdout.read()
        code = process.wait(SECONDS)
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, code, output, errors.read().decode())


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what a developer may have set for a gateway of theirs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, **(more or {})}
