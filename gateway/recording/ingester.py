"""Ingester: moves rows from the journal into the store, with their facts, each exactly once."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import structlog

from gateway.errors import Conflict, StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, was_proxied
from gateway.models.quota import Quota, QuotaUsage, Unit
from gateway.models.request import Facts
from gateway.recording.interpreter import CostCalculator
from gateway.recording.journal_reader import JournalReader, OpenSegment
from gateway.store.base import Admin, JournalPosition, Store
from gateway.store.journal import JournalEntry, Record, decode_record
from gateway.store.journal_files import (
    DONE_SUFFIX,
    GatewayJournal,
    Segment,
    done_files,
    gateway_folders,
    sync_folder,
)

log = structlog.get_logger("gateway.recording")

# Rows of one transaction.
BATCH_ROWS = 1000
BATCH_BYTES = 8 * 1024 * 1024

# Under load rows gather for so long: large transactions cost less a row. A lone row does not wait.
GATHER_SECONDS = 0.05

# How old what is known of the limits of keys may be.
KEY_SECONDS = 2.0

# How often the journals of gateways that are gone are looked for, and segments that are over.
SCAN_SECONDS = 1.0

RETRY_SECONDS = 0.25
MAX_RETRY_SECONDS = 2.0

# Called once for each exchange that was stored. Must not raise.
Observer = Callable[[Exchange, Facts], None]


@dataclass(frozen=True, slots=True)
class _Record:
    source: OpenSegment
    owner: JournalReader
    end: int
    name: str
    ended_at_us: int


@dataclass(frozen=True, slots=True)
class _Row(_Record):
    exchange: Exchange
    facts: Facts


@dataclass(frozen=True, slots=True)
class _Unreadable(_Record):
    """A record that is whole, but of a later version, say."""

    reason: str


class QuotaAccounting:
    """What stored requests use of the quotas of their keys.

    Args:
        configured: the limits of keys of the configuration, by name.
    """

    def __init__(self, store: Admin, configured: Mapping[str, Sequence[Quota]]) -> None:
        self._store = store
        self._configured = configured
        self._limits: Mapping[str, Sequence[Quota]] = {}
        self._refresh_at = 0.0
        self._has_used = False

    async def refresh(self, names: Collection[str]) -> None:
        """Read the limits of keys made at run time, if one of these is unknown or time is over."""
        loop_time = asyncio.get_running_loop().time()
        if not names or (loop_time < self._refresh_at and self._limits.keys() >= set(names)):
            return
        stored = {key.name: key.limits for key in await self._store.keys() if key.revoked_at_us is None}
        # Names without a limit too, so that they are not looked up each time.
        self._limits = {**dict.fromkeys(names, ()), **stored, **self._configured}
        self._refresh_at = loop_time + KEY_SECONDS

    def usage_of(self, exchange: Exchange, facts: Facts) -> list[QuotaUsage]:
        limits = self._limits.get(exchange.key_name or "", ())
        if not limits or exchange.key_name is None or not was_proxied(exchange.path):
            return []
        # An answer from the cache has used none.
        tokens = 0
        if not exchange.is_from_cache:
            tokens = (facts.usage.prompt_tokens or 0) + (facts.usage.completion_tokens or 0)
        used = {Unit.TOKENS: tokens, Unit.USD: 0 if facts.cost is None else facts.cost.nanousd}
        usage = [
            QuotaUsage(
                exchange.key_name, each.unit, each.window, each.window.start_us(exchange.ended_at_us), amount
            )
            for each in limits
            if (amount := used.get(each.unit, 0))
        ]
        self._has_used = self._has_used or bool(usage)
        return usage

    def take_used(self) -> bool:
        """Tell whether anything was used since the last call."""
        has_used, self._has_used = self._has_used, False
        return has_used


class Ingester:
    """Stores what the gateways of a node have journaled: its own one, and those that are gone.

    Args:
        own: the journal of the gateway that this ingester belongs to; None: only what is left of others.
        on_usage: called after usage of a quota was stored.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        own: GatewayJournal | None,
        pricing: CostCalculator,
        observers: Sequence[Observer] = (),
        quotas: QuotaAccounting | None = None,
        on_usage: Callable[[], None] = lambda: None,
    ) -> None:
        self.rejected = 0
        self._damaged_before = 0
        self._store = store
        self._root = root
        self._pricing = pricing
        self._observers = tuple(observers)
        self._quotas = quotas or QuotaAccounting(store, {})
        self._on_usage = on_usage
        self._own = None if own is None else JournalReader(own, is_dead=False)
        self._readers = [] if self._own is None else [self._own]
        self._finished: list[tuple[JournalReader, Segment]] = []
        self._wakeup = asyncio.Event()
        self._is_finishing = False
        self._scan_at = 0.0
        self._retry_seconds = RETRY_SECONDS
        self._idle_rounds = 0
        self._loop = asyncio.get_running_loop()

    @property
    def damaged(self) -> int:
        """How many damaged records were passed over."""
        return self._damaged_before + sum(reader.damaged for reader in self._readers)

    def finish(self) -> None:
        """Store what is journaled, and return from `run`; nothing is appended any more."""
        self._is_finishing = True
        if self._own is not None:
            self._own.is_dead = True
        self._scan_at = 0.0
        self._wakeup.set()

    async def run(self) -> None:
        """Ingest until `finish` was called and everything is stored, or cannot be stored soon."""
        if self._own is not None:
            # Its predecessor may be ending.
            while not self._own.journal.try_own(of_dead_gateway=False):
                await self._wait(_LOCK_SECONDS)
            self._loop.add_reader(self._own.journal.wake_file, self._on_wake, self._own.journal)
        try:
            is_over = await self._start_over()
            while not is_over:
                is_over = await self._step()
        finally:
            self._close()

    async def _step(self) -> bool:
        """Store the next rows, or wait for some; tell whether all is done."""
        try:
            if self._loop.time() >= self._scan_at:
                await self._scan()
            if self._finished:
                await self._delete_finished()
            if records := self._read():
                self._idle_rounds = 0
                await self._store_records(records)
                self._recovered()
                if len(records) < BATCH_ROWS and not self._is_finishing:
                    await self._wait(GATHER_SECONDS)
                return False
            self._recovered()
        except (StoreUnavailable, Conflict) as error:
            return await self._retry_later(error)
        except Exception as error:
            log.exception("rows could not be ingested; will be tried again")
            return await self._retry_later(error)
        if self._is_finishing:
            return await self._is_all_done()
        await self._sleep()
        return False

    async def _is_all_done(self) -> bool:
        await self._scan()
        if all(reader.is_empty for reader in self._readers) and not self._finished:
            return True
        # A segment may still be written to, for a moment.
        await self._wait(_LOCK_SECONDS)
        return False

    # reading

    def _read(self) -> list[_Row | _Unreadable]:
        rows: list[_Row | _Unreadable] = []
        size = 0
        for reader in self._readers:
            for used, records in reader.read(BATCH_ROWS - len(rows), BATCH_BYTES - size):
                size += sum(len(record.payload) for record in records)
                rows += [self._interpret(reader, used, record) for record in records]
        return rows

    def _interpret(self, reader: JournalReader, used: OpenSegment, record: Record) -> _Row | _Unreadable:
        try:
            entry = decode_record(record.payload)
        except Exception as error:
            return _Unreadable(used, reader, record.end, f"{used.segment.name}:{record.end}", 0, repr(error))
        exchange = entry.exchange
        name, ended_at_us = exchange.identity.request_id, exchange.ended_at_us
        return _Row(used, reader, record.end, name, ended_at_us, exchange, self._facts(entry))

    def _facts(self, entry: JournalEntry) -> Facts:
        if entry.facts is None:
            return self._pricing.read_facts(entry.exchange)
        return self._pricing.with_cost(entry.exchange, entry.facts)

    # storing

    async def _store_records(self, records: Sequence[_Row | _Unreadable]) -> None:
        rows: list[_Row] = []
        for record in records:
            if isinstance(record, _Row):
                rows.append(record)
                continue
            # In order, as the position goes on from record to record.
            await self._ingest(rows)
            rows = []
            log.error("a record cannot be read; is it of a later version?", reason=record.reason)
            await self._reject(record)
        await self._ingest(rows)

    async def _ingest(self, rows: Sequence[_Row]) -> None:
        if not rows:
            return
        await self._quotas.refresh({row.exchange.key_name for row in rows if row.exchange.key_name})
        try:
            counted = await self._store.ingest(
                [(row.exchange, row.facts) for row in rows], _position(rows), now_us(), self._quotas.usage_of
            )
        except (StoreUnavailable, Conflict):
            raise
        except Exception as error:
            if len(rows) == 1:
                log.error("a row cannot be stored", request_id=rows[0].name, reason=repr(error))
                await self._reject(rows[0])
                return
            # One row must not hold up the others.
            middle = len(rows) // 2
            await self._ingest(rows[:middle])
            await self._ingest(rows[middle:])
            return
        self._note_stored(rows)
        self._notify(rows, [facts for _, facts in counted])

    async def _reject(self, row: _Record) -> None:
        # Kept in a file beside the segments.
        payload = os.pread(row.source.file, row.end - row.source.stored_to, row.source.stored_to)
        with (self._root / "rejected").open("ab") as file:
            file.write(payload)
        await self._store.ingest([], _position([row]), now_us())
        self.rejected += 1
        self._note_stored([row])

    def _note_stored(self, rows: Sequence[_Record]) -> None:
        for used, group in _by_segment(rows):
            group[-1].owner.note_stored(used, group[-1].end, len(group), group[-1].ended_at_us)

    def _notify(self, rows: Sequence[_Row], counted: Sequence[Facts]) -> None:
        for row, facts in zip(rows, counted, strict=True):
            exchange = row.exchange if facts.outcome is None else replace(row.exchange, outcome=facts.outcome)
            for observe in self._observers:
                observe(exchange, facts)
        if self._quotas.take_used():
            self._on_usage()

    async def _delete_finished(self) -> None:
        """Delete segments that the store has on the disk."""
        segments = [segment for _, segment in self._finished]
        await self._store.sync_positions()
        for segment in segments:
            # Under another name first: with its position forgotten it would be read again.
            with contextlib.suppress(FileNotFoundError):
                segment.path.rename(segment.path.with_suffix(DONE_SUFFIX))
        for folder in {segment.path.parent for segment in segments}:
            sync_folder(folder)
        await self._store.sync_positions([segment.name for segment in segments])
        for reader, segment in self._finished:
            done = segment.path.with_suffix(DONE_SUFFIX)
            reader.journal.state.note_deleted(segment.worker, done.stat().st_size if done.exists() else 0)
            done.unlink(missing_ok=True)
        self._finished.clear()

    # other gateways, starts and failures

    async def _scan(self) -> None:
        self._scan_at = self._loop.time() + SCAN_SECONDS
        if self._own is not None and not self._own.is_dead and not self._own.journal.is_alive():
            self.finish()
        await self._adopt()
        for reader in list(self._readers):
            reader.mark_final()
            self._finished += [(reader, segment) for segment in reader.take_finished()]
            if reader is not self._own and reader.is_empty and not self._finished:
                self._readers.remove(reader)
                self._damaged_before += reader.damaged
                reader.journal.remove()
                reader.journal.close()

    async def _adopt(self) -> None:
        known = {reader.journal.folder for reader in self._readers}
        for folder in gateway_folders(self._root):
            if folder in known:
                continue
            journal = GatewayJournal(folder, repairs=True)
            if not journal.try_own(of_dead_gateway=True):
                journal.close()
                continue
            journal.repair_state()
            reader = JournalReader(journal, is_dead=True)
            # That the store failed when it ended says nothing about now.
            journal.state.failing_since_us = 0
            try:
                await self._forget_done(folder)
                reader.start_over(await self._store.journal_positions())
            except BaseException:
                journal.close()
                raise
            # Its rows are older than those of a gateway that runs.
            self._readers.insert(0, reader)

    async def _forget_done(self, folder: Path) -> None:
        if done := done_files(folder):
            await self._store.sync_positions([f"{folder.name}/{each.stem}" for each in done])
            for each in done:
                each.unlink(missing_ok=True)

    async def _start_over(self) -> bool:
        """Read on from what the store has; tell whether that is not known, and is not waited for."""
        while True:
            try:
                positions = await self._store.journal_positions()
                for reader in self._readers:
                    await self._forget_done(reader.journal.folder)
                    reader.start_over(positions)
                self._finished.clear()
                return False
            except StoreUnavailable as error:
                if await self._pause(error):
                    return True

    async def _retry_later(self, error: Exception) -> bool:
        if await self._pause(error):
            return True
        # What was not confirmed may be stored all the same.
        return await self._start_over()

    async def _pause(self, error: Exception) -> bool:
        """Wait before a new try; tell whether it is not worth while, since all shall end."""
        if not isinstance(error, Conflict):
            self._note_failure(error)
        if self._is_finishing:
            log.warning("rows stay in the journal for the next start", reason=str(error))
            return True
        self._wakeup.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._retry_seconds):
                await asyncio.Event().wait()
        self._retry_seconds = min(self._retry_seconds * 2, MAX_RETRY_SECONDS)
        return False

    def _note_failure(self, error: Exception) -> None:
        states = [reader.journal.state for reader in self._readers]
        if self._own is not None and not self._own.journal.state.failing_since_us:
            log.error("store failed; rows wait in the journal", reason=str(error) or repr(error))
        for state in states:
            state.failing_since_us = state.failing_since_us or now_us()

    def _recovered(self) -> None:
        self._retry_seconds = RETRY_SECONDS
        for reader in self._readers:
            if reader.journal.state.failing_since_us:
                reader.journal.state.failing_since_us = 0
                log.warning("store takes rows again")

    # waiting

    def _on_wake(self, journal: GatewayJournal) -> None:
        journal.clear_wake()
        self._wakeup.set()

    async def _wait(self, seconds: float) -> None:
        # Ended early by who asks a question and waits for its rows.
        self._wakeup.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wakeup.wait()

    async def _sleep(self) -> None:
        if self._own is None:
            await self._wait(SCAN_SECONDS)
            return
        state = self._own.journal.state
        self._wakeup.clear()
        state.is_asleep = True
        # Rows that came since they were looked for are read at once; what is said to be there and is not, later.
        self._idle_rounds = 0 if state.is_caught_up() else self._idle_rounds + 1
        if not 0 < self._idle_rounds < _MAX_IDLE_ROUNDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._scan_at - self._loop.time())):
                    await self._wakeup.wait()
        state.is_asleep = False

    def _close(self) -> None:
        if self._own is not None:
            self._loop.remove_reader(self._own.journal.wake_file)
        for reader in self._readers:
            reader.close_segments()
            if reader.is_dead and not reader.journal.segments():
                reader.journal.remove()
            if reader is not self._own:
                reader.journal.close()


_LOCK_SECONDS = 0.05

_MAX_IDLE_ROUNDS = 3


def _by_segment(rows: Sequence[_Record]) -> Iterator[tuple[OpenSegment, list[_Record]]]:
    for used, group in groupby(rows, lambda row: row.source):
        yield used, list(group)


def _position(rows: Sequence[_Record]) -> JournalPosition:
    after = {used.segment.name: group[-1].end for used, group in _by_segment(rows)}
    return JournalPosition({row.source.segment.name: row.source.stored_to for row in rows}, after)
