"""Running an example as a user would: a process of its own, told by its environment where the gateway is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.demo_gateway import GATEWAY_KEY
from tests.gateway_process import RunningGateway

EXAMPLES = Path(__file__).parents[2] / "examples"

PATIENCE_SECONDS = 60


def run_example(gateway: RunningGateway, *command: str) -> str:
    """Run a command in the folder of the examples and return what it printed; it must succeed."""
    done = subprocess.run(
        command,
        cwd=EXAMPLES,
        env=environment(gateway),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(gateway: RunningGateway) -> dict[str, str]:
    """Return the environment that tells an example which gateway to use."""
    return {**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": GATEWAY_KEY}


def told(output: str, label: str) -> str:
    """Return what an example printed after a label, on the only line that begins with it."""
    [line] = [line for line in output.splitlines() if line.split(" ")[0] == label]
    return line.removeprefix(label).strip()
