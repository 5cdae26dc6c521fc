"""The upstream that everybody is measured in front of: `mock_upstream.c`, built where it is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.processes import Failed, Server, free_port

CHUNKS = 50
"""Chunks in a stream; with the usage and [DONE] behind them it has 52 events."""

GAP_MS = 5
_SOURCE = Path(__file__).with_name("mock_upstream.c")


def mock_upstream(folder: Path) -> tuple[Server, int]:
    """Build the upstream in `folder`; return it, not started yet, and its port.

    Raises:
        Failed: there is no C compiler, or it does not take the source.
    """
    program, port = folder / "mock_upstream", free_port()
    try:
        subprocess.run(
            ["cc", "-O2", "-o", str(program), str(_SOURCE)], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise Failed("cc is missing: the upstream is built from C") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"{_SOURCE} does not compile:\n{error.stderr}") from None
    command = [str(program), str(port), str(CHUNKS), str(GAP_MS)]
    return Server(command, port, folder / "upstream.log"), port
