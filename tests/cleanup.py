"""Runs a command and removes a folder once its standard input ends: what tests started ends with them, even where
they are killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def at_end(command: Sequence[str], folder: Path, user: str | None = None) -> subprocess.Popen[bytes]:
    """Begin the process that waits. It acts when its `stdin` is closed, or when this process is gone.

    Args:
        command: what stops a server.
        folder: what is removed after that.
        user: of the command; None: that of the tests.
    """
    return subprocess.Popen(
        [sys.executable, __file__, user or "", str(folder), *command],
        stdin=subprocess.PIPE,
        # Ctrl-C goes to all processes of a terminal's group; this one must outlive it.
        start_new_session=True,
    )


def _main(user: str, folder: str, *command: str) -> None:
    sys.stdin.buffer.read()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, user=user or None, check=False, **quiet)  # type: ignore[call-overload]
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
