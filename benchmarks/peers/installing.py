"""Installing a contestant once, beside the file that says which version is wanted."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import Failed

INSTALL_SECONDS = 600


def install(commands: Sequence[Sequence[str]], wanted: Path, stamp: Path) -> None:
    """Run the commands that install what `wanted` names, unless they were since it changed.

    Args:
        stamp: a file that is made when all is installed, among what is installed.

    Raises:
        Failed: a command is missing, did not succeed, or took longer than ten minutes.
    """
    if stamp.exists() and stamp.stat().st_mtime >= wanted.stat().st_mtime:
        return
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except FileNotFoundError:
            raise Failed(f"{command[0]} is missing") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"`{' '.join(command)}` took longer than {INSTALL_SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            last = (error.stderr or error.stdout).strip().splitlines()[-1:]
            raise Failed(f"`{' '.join(command)}` failed: {''.join(last)}") from None
    stamp.touch()
