"""Exports of a month of requests: time and memory of each format, and a job that is killed in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any
from uuid import UUID

import httpx

from benchmarks.filling import Month, fill, vote
from benchmarks.lineup import Say
from benchmarks.processes import Failed, Server, free_port
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Kind
from gateway.store import open_store

FORMATS = ("jsonl", "csv", "parquet", "sft", "kto", "dpo")
_EDITS = 20_000
_BATCH = 1_000
_LOOK_SECONDS = 0.1
_GATEWAY = (sys.executable, "-m", "gateway")


@dataclass(frozen=True, slots=True)
class ExportFigures:
    """What one file took.

    Args:
        peak_mib: highest memory of all processes together, each page shared by several counted once.
    """

    what: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    size_bytes: int


def measure_exports(folder: Path, rows: int, say: Say) -> list[ExportFigures]:
    """Export a month of requests in each format. Raises Failed where a job that was killed has another file."""
    folder.mkdir(parents=True)
    store, month = folder / "gateway.db", Month(rows, now_us())
    asyncio.run(_fill(f"sqlite:///{store}", month, say))
    return export_all(store, folder, rows, FORMATS, say)


def export_all(store: Path, folder: Path, rows: int, formats: Sequence[str], say: Say) -> list[ExportFigures]:
    """Export a store that is there, and once by a job, which is kept in it."""
    figures = []
    for name in formats:
        file = folder / f"whole.{name}"
        figures.append(export_once(store, name, file))
        say(str(figures[-1]))
        if name == "jsonl":
            with file.open("rb") as whole:
                expected = hashlib.file_digest(whole, "sha256").digest()
            found, digest = export_killed(store, name, folder, rows)
            if digest != expected:
                raise Failed("the job that was killed has another file")
            figures.append(found)
            say(str(found))
        file.unlink()
    return figures


async def _fill(url: str, month: Month, say: Say) -> None:
    """Fill a store; some of the answers are edited, so that there are pairs."""
    await fill(url, month, say)
    store, dice = await open_store(url), Random(2)
    try:
        # Votes of even numbers are on requests.
        edits = [_edited(vote(month, dice, 0), dice) for _ in range(min(_EDITS, month.requests // 50))]
        for first in range(0, len(edits), _BATCH):
            await store.put_feedback(edits[first : first + _BATCH])
    finally:
        await store.close()


def _edited(entry: Feedback, dice: Random) -> Feedback:
    return replace(
        entry,
        feedback_id=str(UUID(int=dice.getrandbits(128), version=4)),
        kind=Kind.EDIT,
        metric=None,
        value=None,
        score=None,
        grade=None,
        edited_text=dice.randbytes(150).hex(),
    )


def export_once(store: Path, name: str, file: Path) -> ExportFigures:
    """Export everything by the command. Raises Failed."""
    arguments = [*_GATEWAY, "export", "-f", name, "-o", str(file), "--storage", f"sqlite:///{store}"]
    before, started, peak_kib = getrusage(RUSAGE_CHILDREN), time.monotonic(), 0
    with subprocess.Popen(arguments) as process:
        while process.poll() is None:
            peak_kib = max(peak_kib, sum(map(_memory_kib, _family(process.pid))))
            time.sleep(_LOOK_SECONDS)
    if process.returncode:
        raise Failed(f"the export as {name} ended with {process.returncode}")
    seconds, after = time.monotonic() - started, getrusage(RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return ExportFigures(name, seconds, cpu_seconds, peak_kib / 1024, file.stat().st_size)


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, as far as they live."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                yield from _family(int(child))
        except OSError:
            continue


def _memory_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def export_killed(store: Path, name: str, folder: Path, rows: int) -> tuple[ExportFigures, bytes]:
    """Export by a job whose gateway is killed in the middle; return also the SHA-256 of its file."""
    started = time.monotonic()
    with _serving(store, folder) as (server, url):
        job = httpx.post(f"{url}/api/v1/exports", json={"format": name}, timeout=60).raise_for_status().json()
        half = _wait(f"{url}/api/v1/exports/{job['export_id']}", lambda shown: shown["rows_done"] > rows // 2)
        os.kill(server.pid, signal.SIGKILL)
    with _serving(store, folder) as (server, url):
        path = f"{url}/api/v1/exports/{job['export_id']}"
        again = _wait(path, lambda shown: shown["rows_done"] > 0)
        if again["rows_done"] < half["rows_done"] // 2:
            raise Failed(f"the job began anew: {again['rows_done']:,} after {half['rows_done']:,}")
        done = _wait(path, lambda shown: shown["status"] != "in_progress")
        if done["status"] != "success" or done["rows_done"] != rows:
            raise Failed(f"the job ended as {done}")
        size_bytes, digest = _download(done["download_url"])
        seconds, peak_mib = time.monotonic() - started, _peak_mib(server.pid)
        cpu_seconds = server.usage().cpu_seconds
    return ExportFigures(f"{name}, job killed halfway", seconds, cpu_seconds, peak_mib, size_bytes), digest


def _serving(store: Path, folder: Path) -> _Serving:
    port = free_port()
    config = folder / "gateway.yaml"
    config.write_text("providers: {none: {base_url: 'http://127.0.0.1:9/v1'}}\n")
    command = [*_GATEWAY, "serve", "-c", str(config), "--port", str(port), "--storage", f"sqlite:///{store}"]
    return _Serving(Server(command, port, folder / "gateway.log"), f"http://127.0.0.1:{port}")


@dataclass(frozen=True, slots=True)
class _Serving:
    server: Server
    url: str

    def __enter__(self) -> tuple[Server, str]:
        return self.server.__enter__(), self.url

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def _wait(url: str, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        shown: dict[str, Any] = httpx.get(url, timeout=60).raise_for_status().json()
        if is_enough(shown) or shown["status"] not in ("in_progress", "success"):
            return shown
        time.sleep(_LOOK_SECONDS)


def _download(url: str) -> tuple[int, bytes]:
    digest, size_bytes = hashlib.sha256(), 0
    with httpx.stream("GET", url, timeout=60) as reply:
        for data in reply.raise_for_status().iter_bytes():
            digest.update(data)
            size_bytes += len(data)
    return size_bytes, digest.digest()


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
