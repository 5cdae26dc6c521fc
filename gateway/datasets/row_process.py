"""RowProcess: a process beside this one that reads and prepares batches of a long export."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, BinaryIO

import structlog

from gateway.datasets.export_batches import (
    BatchPreparer,
    BatchReader,
    HelperLost,
    PreparedBatch,
    read_pseudonyms,
)
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.versions import FrozenRows, Judged
from gateway.models.datasets import DatasetVersion
from gateway.store.base import Store

log = structlog.get_logger("gateway.exports")

# Fewer take less time than a process to start.
HELPED_ROWS = 20_000

_LENGTH = Struct("<Q")
# Beside a gateway that serves: what the proxy leaves over.
_LOW_PRIORITY = 10
# Threads that allocate in arenas of their own keep twice the memory.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}

OpenStore = Callable[[], Awaitable[Store]]


@dataclass(frozen=True, slots=True)
class Helping:
    """How long exports get a process beside this one.

    Args:
        open_store: opens the same store there; can be pickled.
        is_alone: rows are prepared there only, at low priority, since this process serves.
    """

    open_store: OpenStore
    is_alone: bool


@dataclass(frozen=True, slots=True)
class _Task:
    """What the process is for; sent to it once."""

    open_store: OpenStore
    given: dict[str, str]
    tenant: str | None
    frozen: tuple[DatasetVersion, Judged] | None
    is_low: bool


class RowProcess(BatchPreparer):
    """A child that ends with its parent: its orders come through a pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, helping: Helping, query: ExportQuery, tenant: str | None, frozen: FrozenRows | None
    ) -> RowProcess | None:
        """Start a process; None where the system has no room for one, or no second core."""
        if (os.cpu_count() or 1) < 2:
            return None
        pinned = None if frozen is None else (frozen.version, frozen.judged)
        task = _Task(helping.open_store, dict(query.given), tenant, pinned, helping.is_alone)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **_ENVIRONMENT},
                # Ctrl-C is for the parent, which then ends it.
                start_new_session=True,
            )
        except OSError as error:
            log.warning("an export has no process beside this one", reason=str(error))
            return None
        started = cls(process)
        started._send(task)
        return started

    async def prepare(self, seqs: Sequence[int]) -> PreparedBatch:
        """Raises HelperLost."""
        assert self._process.stdout is not None
        try:
            self._send(list(seqs))
            [length] = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            reply = await self._process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            log.warning("the process beside an export has ended", reason=str(error))
            raise HelperLost from error
        batch: PreparedBatch = await asyncio.to_thread(pickle.loads, reply)
        return batch

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps(message))

    async def aclose(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def _receive(orders: BinaryIO) -> Any:
    try:
        return pickle.load(orders)
    except EOFError:
        return None


def _reply(replies: BinaryIO, batch: PreparedBatch) -> None:
    data = pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
    replies.write(_LENGTH.pack(len(data)))
    replies.write(data)
    replies.flush()


async def _serve(orders: BinaryIO, replies: BinaryIO) -> None:
    """Prepare what is asked for until the parent closes the pipe or dies."""
    task: _Task | None = _receive(orders)
    if task is None:
        return
    if task.is_low:
        os.nice(_LOW_PRIORITY)
    store = await task.open_store()
    try:
        frozen = None if task.frozen is None else FrozenRows(store, *task.frozen)
        pseudonym = await read_pseudonyms(store)
        reader = BatchReader(store, ExportQuery.read(task.given), task.tenant, pseudonym, frozen)
        while (seqs := await asyncio.to_thread(_receive, orders)) is not None:
            batch = await reader.prepare(seqs)
            await asyncio.to_thread(_reply, replies, batch)
    finally:
        await store.close()


def main() -> None:
    # What anything prints goes to the log, not between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asyncio.run(_serve(sys.stdin.buffer, replies))


if __name__ == "__main__":
    main()
