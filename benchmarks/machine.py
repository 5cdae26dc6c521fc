"""On what machine and with which versions figures were made."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.peers import litellm, portkey

LIBRARIES = ("aiohttp", "uvloop", "httptools", "orjson", "zstandard")


def facts() -> dict[str, str]:
    """Return what somebody would need to know to make the figures again, by its name."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        "sqlite": sqlite3.sqlite_version,
        "nginx": _first_number(["nginx", "-v"]),
        "portkey": f"{portkey.version()}, node {_first_number(['node', '--version'])}",
        "litellm": litellm.version(),
    }


def _commit() -> str:
    root = Path(__file__).resolve().parent
    commit = _output(["git", "-C", str(root), "rev-parse", "--short", "HEAD"]).strip()
    is_changed = bool(_output(["git", "-C", str(root), "status", "--porcelain", "--", "../gateway"]).strip())
    return f"{commit or 'unknown'}{' with changes' if is_changed else ''}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _first_number(command: Sequence[str]) -> str:
    found = re.search(r"\d+(\.\d+)+", _output(command))
    return found[0] if found else "missing"


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
