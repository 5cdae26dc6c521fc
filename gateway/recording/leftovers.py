"""Leftovers: rows without facts, and files, that an earlier version or a backup left."""

import asyncio
from collections.abc import Callable
from glob import escape
from pathlib import Path

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.recording.interpreter import CostCalculator
from gateway.store.base import RequestLog
from gateway.store.journal import JournalEntry, read_file
from gateway.store.locks import FileLock, sibling_path

log = structlog.get_logger("gateway.recording")

BATCH_ROWS = 256
RETRY_SECONDS = 5.0


class Leftovers:
    """Takes in, once, what an earlier version or a restored backup left.

    Args:
        database: path that the names of the files begin with.
    """

    def __init__(self, store: RequestLog, database: Path, pricing: CostCalculator) -> None:
        self._store = store
        self._database = database
        self._pricing = pricing

    async def take_in(self) -> None:
        """Store rows of old files, and read the facts of rows without; wait while the store fails."""
        while True:
            try:
                await self._store_files()
                await self._read_rows()
                return
            except StoreUnavailable as error:
                log.warning("rows of an earlier version wait", reason=str(error))
            except Exception:
                log.exception("rows of an earlier version cannot be taken in")
            await asyncio.sleep(RETRY_SECONDS)

    async def _store_files(self) -> None:
        for path in sorted(self._database.parent.glob(f"{escape(self._database.name)}.spill*")):
            if _is_in_use(self._database, path):
                continue
            rows = 0
            for batch in read_file(path):
                missing = await asyncio.to_thread(self._with_facts, batch)
                # Those that were stored before an earlier try was broken off are left out.
                rows += await self._store.append_missing(missing, now_us())
            path.unlink()
            log.warning("rows of a file of an earlier version are stored", rows=rows)

    def _with_facts(self, batch: list[JournalEntry]) -> list[tuple[Exchange, Facts | None]]:
        return [(entry.exchange, self._pricing.read_facts(entry.exchange)) for entry in batch]

    async def _read_rows(self) -> None:
        read: Callable[[Exchange], Facts] = self._pricing.read_facts
        while found := await self._store.uninterpreted(BATCH_ROWS):
            facts = [(seq, read(exchange)) for seq, exchange in found]
            await self._store.annotate(facts, now_us())


def _is_in_use(database: Path, path: Path) -> bool:
    # A gateway of the earlier version may still run.
    number = path.name.rpartition(".spill")[2].removeprefix(".") or "0"
    if not number.isdecimal() or not sibling_path(database, f".lock.{number}").exists():
        return False
    lock = FileLock(sibling_path(database, f".lock.{number}"))
    try:
        return not lock.try_acquire()
    finally:
        lock.close()
