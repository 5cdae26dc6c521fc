"""Whatever dies, in whatever order: each row is stored once, and is never invisible after its answer.

A state machine of a node: workers that append, die and are replaced, an ingester that is killed at any call of the
store or change of a file, gateways that follow one another, and power failures, which take along all that was not
synced. `make proofs` tries many more examples.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.recording import ingester as ingester_module
from gateway.recording.ingester import Ingester
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.journal import encode_record
from gateway.store.journal_files import DONE_SUFFIX, GatewayJournal, SegmentWriter, gateway_folders
from tests.sqlite_file import create_database
from tests.store.samples import requests_of

from .conftest import PRICING
from .watched import chat

WORKERS = (0, 1)
SEGMENT_BYTES = 2_000
# Numbers that are drawn evenly, where integers are mostly small.
STEPS, CALLS = st.sampled_from(range(1, 6)), st.sampled_from(range(10))
# Begins the names of rows that the store refuses.
ODD = "odd"


class Killed(BaseException):
    """The process ends here."""


class Executioner:
    """Kills the ingester before or after one of its next calls."""

    def __init__(self) -> None:
        self._calls_left: int | None = None

    def order(self, calls: int) -> None:
        self._calls_left = calls

    def pardon(self) -> None:
        self._calls_left = None

    def look(self) -> None:
        if self._calls_left is not None:
            self._calls_left -= 1
            if self._calls_left < 0:
                self._calls_left = None
                raise Killed


class MortalStore:
    """A store whose caller may be killed before each call, and after it."""

    def __init__(self, store: Store, executioner: Executioner, on_sync: Callable[[], None]) -> None:
        self._store, self._executioner, self._on_sync = store, executioner, on_sync

    async def _call(self, name: str, *given: Any) -> Any:
        self._executioner.look()
        found = await getattr(self._store, name)(*given)
        if name == "sync_positions":
            self._on_sync()
        self._executioner.look()
        return found

    async def ingest(self, rows: Sequence[tuple[Exchange, Facts]], *given: Any) -> Any:
        if any(exchange.identity.request_id.startswith(ODD) for exchange, _ in rows):
            raise ValueError("nobody thought of this")
        return await self._call("ingest", rows, *given)

    async def journal_positions(self) -> Any:
        return await self._call("journal_positions")

    async def sync_positions(self, forgotten: Sequence[str] = ()) -> None:
        await self._call("sync_positions", forgotten)

    async def keys(self) -> Any:
        return await self._store.keys()


class Gateway:
    """The workers of a gateway, whose processes share its journal."""

    def __init__(self, root: Path, *, syncs: bool) -> None:
        self.journal = GatewayJournal.create(root)
        self.syncs = syncs
        self.writers = {worker: self.open_writer(worker) for worker in WORKERS}
        # What was published, by worker: names of rows and the position that their answers waited for.
        self.published: dict[int, list[tuple[str, int]]] = {worker: [] for worker in WORKERS}

    def open_writer(self, worker: int) -> SegmentWriter:
        return SegmentWriter(self.journal, worker, SEGMENT_BYTES, syncs=self.syncs)

    def kill_worker(self, worker: int) -> None:
        if (file := self.writers[worker]._file) is not None:
            os.close(file)
            self.writers[worker]._file = None

    def kill(self) -> None:
        for worker in WORKERS:
            self.kill_worker(worker)
        self.journal.close()


class Node(RuleBasedStateMachine):
    """A machine with gateways that follow one another, and a store."""

    @initialize(syncs=st.booleans())
    def begin(self, syncs: bool) -> None:
        self.syncs = syncs
        self.folder = Path(tempfile.mkdtemp(prefix="crashes-"))
        self.root = self.folder / "gateway.db.journal"
        self.database = self.folder / "gateway.db"
        create_database(self.database)
        self.runner = asyncio.Runner()
        self.executioner = Executioner()
        self.ingester: Ingester | None = None
        self.own: GatewayJournal | None = None
        self.names = iter(range(1_000_000))
        self.deleted: dict[Path, bytes] = {}
        # What the disk has of files, in bytes by their number, and of names in folders.
        self.synced_bytes: dict[int, int] = {}
        self.synced_names: set[Path] = set()
        # Rows that must be there once, in the order of their worker, and those that may be there.
        self.promised: list[list[str]] = []
        self.possible: set[str] = set()
        # Rows that an unsynced journal may have lost.
        self.lost: set[str] = set()
        self.patches: list[Any] = [
            mock.patch.object(ingester_module, "SCAN_SECONDS", 0.0),
            mock.patch.object(ingester_module, "GATHER_SECONDS", 0.0),
            mock.patch.object(ingester_module, "BATCH_ROWS", 3),
            mock.patch.object(os, "fdatasync", self._fdatasync()),
            mock.patch.object(os, "fsync", self._fsync()),
            mock.patch.object(Path, "unlink", self._unlink()),
            mock.patch.object(Path, "rename", self._rename()),
        ]
        for patch in self.patches:
            patch.start()
        self.store = self.runner.run(open_store(f"sqlite:///{self.database}"))
        self._snapshot()
        self.gateway = self._new_gateway()

    # workers

    @rule(worker=st.sampled_from(WORKERS), rows=st.integers(1, 4), size=st.sampled_from([0, 900, 3000]))
    def append(self, worker: int, rows: int, size: int) -> None:
        names = [f"row-{next(self.names):05}" for _ in range(rows)]
        self.gateway.writers[worker].append(
            [encode_record(chat(name, request_body=bytes(size))) for name in names]
        )
        position = self.gateway.journal.state.appended_of(worker)
        self.gateway.published[worker] += [(name, position) for name in names]

    @rule(worker=st.sampled_from(WORKERS), torn=st.booleans())
    def kill_worker_before_it_publishes(self, worker: int, torn: bool) -> None:
        """Its caller never got the end of the answer."""
        writer = self.gateway.writers[worker]
        if writer._file is not None:
            name = f"unpublished-{next(self.names):05}"
            record = b"".join(encode_record(chat(name)))
            os.write(writer._file, record[:-7] if torn else record)
            self.possible.add(name)
        self.kill_worker(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def kill_worker(self, worker: int) -> None:
        self.gateway.kill_worker(worker)
        self.gateway.writers[worker] = self.gateway.open_writer(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def end_segment(self, worker: int) -> None:
        self.gateway.writers[worker].close()

    @rule(with_ingester=st.booleans())
    def kill_gateway(self, with_ingester: bool) -> None:
        """Its ingester goes on until it finds that all others are gone, or is killed too."""
        if with_ingester:
            self.kill_ingester()
        self._end_gateway()
        if not with_ingester and self.ingester is not None:
            self.ingest(6)
            self.kill_ingester()
        self.gateway = self._new_gateway()

    @rule(worker=st.sampled_from(WORKERS), place=st.integers(0, 2))
    def append_a_row_that_no_store_takes(self, worker: int, place: int) -> None:
        names = [f"row-{next(self.names):05}" for _ in range(2)]
        odd = f"{ODD}-{next(self.names):05}"
        self.gateway.writers[worker].append(
            [encode_record(chat(name)) for name in (*names[:place], odd, *names[place:])]
        )
        position = self.gateway.journal.state.appended_of(worker)
        self.gateway.published[worker] += [(name, position) for name in names]

    # the ingester

    @rule(steps=STEPS)
    def ingest(self, steps: int) -> None:
        with suppress(Killed):
            self.runner.run(self._step(steps))

    @rule(steps=STEPS, calls=CALLS)
    def ingest_and_be_killed(self, steps: int, calls: int) -> None:
        self.executioner.order(calls)
        try:
            self.runner.run(self._step(steps))
        except Killed:
            self.kill_ingester()
        self.executioner.pardon()

    @rule(steps=STEPS, calls=CALLS, undeletes=st.booleans())
    def fail_power_while_it_ingests(self, steps: int, calls: int, undeletes: bool) -> None:
        for worker in WORKERS:
            self.kill_worker(worker)
        self.ingest_and_be_killed(steps, calls)
        self.fail_power(keeps_writes=False, undeletes=undeletes, forgets_state=False)

    @precondition(lambda self: self.ingester is not None)
    @rule()
    def kill_ingester(self) -> None:
        if self.ingester is None:
            return
        for reader in self.ingester._readers:
            reader.close_segments()
            if reader.journal is not self.own:
                reader.journal.close()
        assert self.own is not None
        self.own.close()
        self.ingester = self.own = None

    # the machine

    @rule(keeps_writes=st.booleans(), undeletes=st.booleans(), forgets_state=st.booleans())
    def fail_power(self, keeps_writes: bool, undeletes: bool, forgets_state: bool) -> None:
        """What was not synced is there or not; names that were deleted may be back."""
        self.kill_ingester()
        journal = self.gateway.journal.folder
        if not self.syncs and not keeps_writes:
            self.lost.update(name for rows in self.gateway.published.values() for name, _ in rows)
        self._end_gateway()
        self.runner.run(self.store.close())
        if not keeps_writes:
            self._restore()
        if undeletes:
            for path, content in self.deleted.items():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
        if forgets_state and (journal / "state").exists():
            (journal / "state").write_bytes(b"")
        if not keeps_writes:
            self._lose_unsynced()
            if not self.syncs:
                self.lost.update(name for rows in self.promised for name in rows)
        self.store = self.runner.run(open_store(f"sqlite:///{self.database}"))
        self._snapshot()
        self.gateway = self._new_gateway()

    @invariant()
    def what_counts_as_stored_is_stored(self) -> None:
        if not hasattr(self, "gateway"):
            return
        stored = set(self._stored())
        state = self.gateway.journal.state
        for worker, rows in self.gateway.published.items():
            ingested = state.ingested_of(worker)
            assert {name for name, position in rows if position <= ingested} <= stored

    def teardown(self) -> None:
        if not hasattr(self, "gateway"):
            return
        try:
            self._end_gateway()
            self.kill_ingester()
            self.runner.run(self._finish())
            self._check()
            assert gateway_folders(self.root) == []
            # Of a segment that the disk never had, the position stays.
            assert self.lost or self.runner.run(self.store.journal_positions()) == {}
        finally:
            self.runner.run(self.store.close())
            self.runner.close()
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.folder)

    def _check(self) -> None:
        stored = self._stored()
        assert len(set(stored)) == len(stored), "a row was stored twice"
        order = {name: place for place, name in enumerate(stored)}
        for rows in self.promised:
            kept = [name for name in rows if name not in self.lost or name in order]
            assert [name for name in kept if name not in order] == [], "a row was lost"
            assert [order[name] for name in kept] == sorted(order[name] for name in kept), (
                "rows changed places"
            )
        assert set(stored) <= {name for rows in self.promised for name in rows} | self.possible

    def _new_gateway(self) -> Gateway:
        return Gateway(self.root, syncs=self.syncs)

    def _end_gateway(self) -> None:
        self.promised += [[name for name, _ in rows] for rows in self.gateway.published.values()]
        self.gateway.published = {}
        self.gateway.kill()

    async def _step(self, steps: int) -> None:
        if self.ingester is None:
            self.own = GatewayJournal(self.gateway.journal.folder)
            assert self.own.try_own(of_dead_gateway=False)
            self.ingester = Ingester(self._mortal(), self.root, self.own, PRICING)
            await self.ingester._start_over()
        for _ in range(steps):
            await self.ingester._step()

    async def _finish(self) -> None:
        ingester = Ingester(self._mortal(), self.root, None, PRICING)
        ingester.finish()
        await asyncio.wait_for(ingester.run(), 20)

    def _mortal(self) -> Store:
        store: Any = MortalStore(self.store, self.executioner, self._snapshot)
        return store  # type: ignore[no-any-return]

    def _stored(self) -> list[str]:
        return [record.request_id for record in self.runner.run(requests_of(self.store))]

    def _files(self) -> list[Path]:
        return [self.folder / f"gateway.db{suffix}" for suffix in ("", "-wal")]

    def _snapshot(self) -> None:
        """Note what the disk has of the database."""
        self.synced = {path: path.read_bytes() for path in self._files() if path.exists()}

    def _restore(self) -> None:
        for path in (*self._files(), self.folder / "gateway.db-shm"):
            path.unlink(missing_ok=True)
        for path, content in self.synced.items():
            path.write_bytes(content)

    def _lose_unsynced(self) -> None:
        """Take from segments what was not synced; where the size was, zeros may stand in its place."""
        for path in self.root.glob("*/*.seg"):
            content, synced = path.read_bytes(), self.synced_bytes.get(path.stat().st_ino, 0)
            if path in self.synced_names:
                path.write_bytes(content[:synced] + bytes((len(content) - synced) // 2))
            else:
                path.unlink()

    def _fdatasync(self) -> Callable[[int], None]:
        def note(file: int) -> None:
            state = os.fstat(file)
            self.synced_bytes[state.st_ino] = state.st_size

        return note

    def _fsync(self) -> Callable[[int], None]:
        def note(folder: int) -> None:
            self.synced_names.update(Path(os.readlink(f"/proc/self/fd/{folder}")).iterdir())

        return note

    def _unlink(self) -> Callable[..., None]:
        machine, unlink = self, Path.unlink

        def mortal_unlink(path: Path, missing_ok: bool = False) -> None:
            if path.suffix == DONE_SUFFIX:
                machine.executioner.look()
                if path.exists():
                    # Its folder is not synced, so that it may be back.
                    machine.deleted[path] = path.read_bytes()
            unlink(path, missing_ok)

        return mortal_unlink

    def _rename(self) -> Callable[..., Path]:
        machine, rename = self, Path.rename

        def mortal_rename(path: Path, target: Path) -> Path:
            if target.suffix == DONE_SUFFIX:
                machine.executioner.look()
            return rename(path, target)

        return mortal_rename


def test_whatever_dies_each_row_is_stored_once_and_seen_after_its_answer() -> None:
    examples = int(os.environ.get("CRASH_EXAMPLES", "25"))
    run_state_machine_as_test(
        Node,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
