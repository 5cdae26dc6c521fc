"""The programs in C, built where they are needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.processes import Failed


def compiled(source: Path, folder: Path) -> Path:
    """Compile a program into `folder`, and return where it is.

    Raises:
        Failed: there is no C compiler, or it does not take the source.
    """
    program = folder / source.stem
    try:
        subprocess.run(
            ["cc", "-O2", "-o", str(program), str(source)], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise Failed(f"cc is missing: {source.name} is built with it") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"{source} does not compile:\n{error.stderr}") from None
    return program
