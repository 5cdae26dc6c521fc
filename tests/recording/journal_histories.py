"""Random histories of journals: workers, ingesters, questions, feedback, kills and power failures, in any order.

Usage: python -m tests.recording.journal_histories HISTORIES [SEED]
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.errors import StoreUnavailable
from gateway.recording import ingester
from gateway.recording.freshness import Freshness
from gateway.recording.ingester import Ingester
from gateway.store import journal_state, open_store
from gateway.store.base import Store
from gateway.store.journal import encode_record
from gateway.store.journal_files import GatewayJournal, SegmentWriter, gateway_folders, sync_folder
from tests import power_failure
from tests.recording.conftest import PRICING
from tests.recording.watched import chat
from tests.sqlite_file import create_database
from tests.store.samples import feedback, requests_of

SEGMENT_BYTES = 4096
STEPS = 30
LONG_ENOUGH = 5.0
LARGEST = 5000


MANY_POINTS = 40
"""Of an ingester that starts, stores some rows and deletes their segments, about."""


class Killed(BaseException):
    """The process ends here, and nothing after this point is done."""


class KillableIngester(Ingester):
    """Lets go of its files as the system does for a process that is killed."""

    is_killed = False

    def _close(self) -> None:
        if not self.is_killed:
            super()._close()
            return
        if self._own is not None:
            self._loop.remove_reader(self._own.journal.wake_file)
        for reader in self._readers:
            reader.close_segments()
            if reader is not self._own:
                reader.journal.close()


class Interruptions:
    """Counts the points of an ingester's work where it may be killed, or the store may fail."""

    def __init__(self) -> None:
        self.kill_in: int | None = None
        self.failures: list[int] = []

    def pass_point(self) -> None:
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                self.kill_in = None
                raise Killed
        if self.failures:
            self.failures[0] -= 1
            if self.failures[0] < 0:
                self.failures.pop(0)
                raise StoreUnavailable("the store is away.")


class InterruptedStore:
    """Passes calls on to a store, if nothing comes between."""

    def __init__(self, store: Store, interruptions: Interruptions) -> None:
        self._store = store
        self._interruptions = interruptions

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def interrupted(*given: object) -> object:
            self._interruptions.pass_point()
            result = await call(*given)
            self._interruptions.pass_point()
            return result

        return interrupted


@dataclass
class Gateway:
    """The processes of a gateway that runs."""

    name: str
    journal: GatewayJournal
    freshness: Freshness
    syncs: bool
    writers: dict[int, SegmentWriter] = field(default_factory=dict)
    own: GatewayJournal | None = None
    ingester: KillableIngester | None = None
    ingesting: asyncio.Task[None] | None = None


@dataclass(frozen=True)
class Row:
    """A row whose caller has its answer."""

    slot: tuple[str, int]
    syncs: bool
    segment: Path


class JournalHistories(RuleBasedStateMachine):
    """Each row is stored once, in order, and no question that comes after an answer misses it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="histories-"))
        self.lives = 0
        self.names = 0
        self.chance = random.Random(0)
        self.gateways: list[Gateway] = []
        self.answered: dict[str, Row] = {}
        # Rows without an answer, which may be stored or not.
        self.unanswered: set[str] = set()
        self.votes: dict[str, str] = {}
        self.interruptions = Interruptions()
        ingester.sync_folder = self._sync_folder  # type: ignore[attr-defined]
        self.base = self.place / "life-0"
        self.base.mkdir()
        create_database(self.base / "gateway.db")
        if power_failure.is_preloaded():
            power_failure.keep_synced_files_in(self.place / "kept-0")
            power_failure.sync_tree(self.base)
        self._open()
        _set_boot_number(0)

    def _open(self) -> None:
        self.root = self.base / "gateway.db.journal"
        self.store = self.runner.run(open_store(f"sqlite:///{self.base}/gateway.db"))

    def _sync_folder(self, folder: Path) -> None:
        self.interruptions.pass_point()
        sync_folder(folder)
        self.interruptions.pass_point()

    def _new_name(self, what: str) -> str:
        self.names += 1
        return f"{what}-{self.names:05}"

    def _pick(self, number: int) -> Gateway:
        return self.gateways[number % len(self.gateways)]

    def _writer(self, gateway: Gateway, worker: int) -> SegmentWriter:
        if worker not in gateway.writers:
            writer = SegmentWriter(gateway.journal, worker, SEGMENT_BYTES, syncs=gateway.syncs)
            gateway.writers[worker] = writer
        return gateway.writers[worker]

    # what goes on

    @precondition(lambda self: len(self.gateways) < 2)
    @rule(syncs=st.booleans())
    def start_gateway(self, syncs: bool) -> None:
        journal = GatewayJournal.create(self.root)
        fresh = Freshness(self.root, journal, 0.01)
        self.gateways.append(Gateway(self._new_name("gateway"), journal, fresh, syncs))

    @precondition(lambda self: self.gateways)
    @rule(
        number=st.integers(0, 1),
        worker=st.integers(0, 1),
        sizes=st.lists(st.integers(0, LARGEST), min_size=1, max_size=3),
    )
    def append(self, number: int, worker: int, sizes: Sequence[int]) -> None:
        gateway = self._pick(number)
        writer = self._writer(gateway, worker)
        names = [self._new_name("row") for _ in sizes]
        writer.append([_record(name, size) for name, size in zip(names, sizes, strict=True)])
        path = gateway.journal.folder / f"{worker}-{writer._number}.seg"
        self.answered |= {name: Row((gateway.name, worker), gateway.syncs, path) for name in names}

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1), worker=st.integers(0, 1))
    def end_segment(self, number: int, worker: int) -> None:
        self._writer(self._pick(number), worker).close()

    @precondition(lambda self: self.gateways)
    @rule(
        number=st.integers(0, 1), worker=st.integers(0, 1), whole=st.integers(0, 2), torn=st.integers(0, 200)
    )
    def kill_worker(self, number: int, worker: int, whole: int, torn: int) -> None:
        """Some of its records are whole and not published, one may be torn."""
        gateway = self._pick(number)
        writer = self._writer(gateway, worker)
        if writer._file is not None:
            for name in (self._new_name("row") for _ in range(whole)):
                self.unanswered.add(name)
                os.write(writer._file, b"".join(_record(name, 10)))
            os.write(writer._file, b"".join(_record(self._new_name("torn"), 10))[:torn])
        del gateway.writers[worker]
        _let_go_of(writer)

    # When an ingester is killed is up to the loop: no precondition may depend on it.

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1), kill_in=st.none() | st.integers(0, MANY_POINTS))
    def start_ingester(self, number: int, kill_in: int | None) -> None:
        gateway = self._pick(number)
        if gateway.ingester is None:
            self.runner.run(self._start_ingester(gateway))
        self._ingest_until_killed(kill_in)

    async def _start_ingester(self, gateway: Gateway) -> None:
        gateway.own = GatewayJournal(gateway.journal.folder)
        store = cast(Store, InterruptedStore(self.store, self.interruptions))
        gateway.ingester = KillableIngester(store, self.root, gateway.own, PRICING)
        gateway.ingesting = asyncio.create_task(gateway.ingester.run())

    @precondition(lambda self: self.gateways)
    @rule(kill_in=st.none() | st.integers(0, MANY_POINTS), failures=st.lists(st.integers(0, 10), max_size=2))
    def ingest(self, kill_in: int | None, failures: list[int]) -> None:
        self.interruptions.failures = failures
        self._ingest_until_killed(kill_in)
        self.interruptions.failures = []

    def _ingest_until_killed(self, kill_in: int | None) -> None:
        self.interruptions.kill_in = kill_in

        async def ingest() -> None:
            ends_at = asyncio.get_running_loop().time() + 0.01
            while asyncio.get_running_loop().time() < ends_at:
                await asyncio.sleep(0.001)
                await self._bury()

        self.runner.run(ingest())
        self.interruptions.kill_in = None

    async def _bury(self) -> None:
        for gateway in self.gateways:
            if gateway.ingesting is not None and gateway.ingesting.done():
                error = gateway.ingesting.exception()
                assert isinstance(error, Killed), error
                await self._kill_ingester(gateway)

    async def _kill_ingester(self, gateway: Gateway) -> None:
        if gateway.ingesting is None:
            return
        assert gateway.ingester is not None
        assert gateway.own is not None
        gateway.ingester.is_killed = True
        gateway.ingesting.cancel()
        await asyncio.gather(gateway.ingesting, return_exceptions=True)
        # What it had begun to write ends before anything else is written.
        await self.store.sync_positions()
        gateway.own.close()
        gateway.own = gateway.ingester = gateway.ingesting = None

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1))
    def kill_ingester(self, number: int) -> None:
        self.runner.run(self._kill_ingester(self._pick(number)))

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1))
    def kill_gateway(self, number: int) -> None:
        self._kill_gateway(self._pick(number))

    def _kill_gateway(self, gateway: Gateway) -> None:
        self.gateways.remove(gateway)
        for writer in gateway.writers.values():
            _let_go_of(writer)
        self.runner.run(self._kill_ingester(gateway))
        gateway.freshness.close()
        gateway.journal.close()

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1), kill_in=st.none() | st.integers(0, MANY_POINTS))
    def stop_gateway(self, number: int, kill_in: int | None) -> None:
        """In order: its ingester stores what there is; if it is killed meanwhile, that waits."""
        gateway = self._pick(number)
        if gateway.ingester is None:
            self._kill_gateway(gateway)
            return
        for writer in gateway.writers.values():
            writer.close()
        assert gateway.ingester is not None
        assert gateway.ingesting is not None
        gateway.ingester.finish()
        self.interruptions.kill_in = kill_in
        finished = asyncio.wait([gateway.ingesting], timeout=LONG_ENOUGH)
        assert self.runner.run(finished)[0], "the ingester does not finish"
        self.interruptions.kill_in = None
        if gateway.ingesting.exception() is None and not gateway.journal.segments():
            gateway.journal.remove()
        self._kill_gateway(gateway)

    @rule(number=st.integers(0, 10_000))
    def give_feedback(self, number: int) -> None:
        request_id = f"row-{number % (self.names + 1):05}"
        name = self._new_name("vote")
        self.runner.run(self.store.put_feedback([feedback(name, request_id)]))
        self.votes[name] = request_id

    @precondition(lambda self: power_failure.is_preloaded())
    @rule(number=st.integers(0, 2**32))
    def fail_power(self, number: int) -> None:
        gone = [name for name, row in self.answered.items() if _is_deleted(row.segment)]
        self.lives += 1
        _set_boot_number(self.lives)
        base = self.place / f"life-{self.lives}"
        kept = self.place / f"kept-{self.lives - 1}"
        chance = random.Random(number)
        power_failure.restore_after_failure(self.base, kept, base, chance)
        for gateway in list(self.gateways):
            self._kill_gateway(gateway)
        self.runner.run(self.store.close())
        power_failure.keep_synced_files_in(self.place / f"kept-{self.lives}")
        power_failure.sync_tree(base)
        self.base = base
        self._open()
        survivors = {name for name, row in self.answered.items() if row.syncs} | set(gone)
        self.unanswered |= self.answered.keys() - survivors
        self.answered = {
            name: self._moved(self.answered[name]) for name in self.answered if name in survivors
        }

    def _moved(self, row: Row) -> Row:
        return Row(row.slot, row.syncs, self.root / row.segment.parent.name / row.segment.name)

    # what must hold

    @precondition(lambda self: self.gateways)
    @rule(number=st.integers(0, 1))
    def ask(self, number: int) -> None:
        """What came before the question is seen, or its answer says that something may be missing."""
        self._ask(self._pick(number).freshness)

    @rule()
    def ask_by_command(self) -> None:
        fresh = Freshness(self.root, None, 0.01)
        self._ask(fresh)
        fresh.close()

    def _ask(self, fresh: Freshness) -> None:
        is_served = self.gateways and all(each.ingester for each in self.gateways)
        fresh._max_wait_seconds = LONG_ENOUGH if is_served else 0.01
        behind_ms = self.runner.run(fresh.wait())
        assert not (is_served and behind_ms), "rows wait though nothing holds them up"
        stored = self._stored()
        if not behind_ms:
            assert not self.answered.keys() - set(stored), "answered rows are invisible"

    def _stored(self) -> list[str]:
        stored = [record.request_id for record in self.runner.run(requests_of(self.store))]
        doubled = [name for name, count in Counter(stored).items() if count > 1]
        assert not doubled, f"stored more than once: {doubled}"
        return stored

    def teardown(self) -> None:
        try:
            for gateway in list(self.gateways):
                self._kill_gateway(gateway)
            self.start_gateway(syncs=False)
            self.start_ingester(0, None)
            self.ask(0)
            self.stop_gateway(0, None)
            self._check_all()
        finally:
            for gateway in list(self.gateways):
                self._kill_gateway(gateway)
            self.runner.run(self.store.close())
            self.runner.close()
            power_failure.remove_tree(self.place)

    def _check_all(self) -> None:
        stored = self._stored()
        assert not self.answered.keys() - set(stored), "answered rows are lost"
        assert not set(stored) - self.answered.keys() - self.unanswered, "rows came from nowhere"
        places = {name: place for place, name in enumerate(stored)}
        for slot in {row.slot for row in self.answered.values()}:
            order = [places[name] for name, row in self.answered.items() if row.slot == slot]
            assert order == sorted(order), f"the rows of {slot} are out of order"
        left = [str(path) for folder in gateway_folders(self.root) for path in [folder, *folder.iterdir()]]
        assert not left, f"files are left: {left}"
        # Those of segments that a power failure took stay.
        assert self.lives or self.runner.run(self.store.journal_positions()) == {}
        self._check_feedback(set(stored))

    def _check_feedback(self, stored: set[str]) -> None:
        given = self.runner.run(_feedback_in(self.store))
        assert given.keys() == self.votes.keys(), "feedback is lost or came from nowhere"
        unjoined = [name for name, is_joined in given.items() if not is_joined and self.votes[name] in stored]
        assert not unjoined, "feedback has not found its request"


async def _feedback_in(store: Any) -> dict[str, bool]:
    rows = await store._primary.fetch_all("SELECT feedback_id, joined_at_us IS NOT NULL FROM feedback")
    return {name: bool(is_joined) for name, is_joined in rows}


def _set_boot_number(number: int) -> None:
    journal_state.boot_number = lambda: 7 + number  # type: ignore[assignment]


def _record(name: str, size: int) -> list[bytes]:
    return encode_record(chat(name, request_body=bytes(size), request_size=size))


def _let_go_of(writer: SegmentWriter) -> None:
    if writer._file is not None:
        os.close(writer._file)
        writer._file = None


def _is_deleted(segment: Path) -> bool:
    return not segment.exists() and not segment.with_suffix(".done").exists()


def hurry() -> None:
    """Have nothing wait for long, and nothing logged."""
    for name in ("RETRY_SECONDS", "SCAN_SECONDS", "GATHER_SECONDS", "_LOCK_SECONDS"):
        setattr(ingester, name, 0.001)
    structlog.configure(processors=[_drop])


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


def run_histories(histories: int, start: int) -> None:
    """Run so many histories. Raises AssertionError for the shortest that does not keep what is promised."""
    hurry()
    machine = seed(start)(JournalHistories)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if "-q" in sys.argv else [Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
        ),
    )


if __name__ == "__main__":
    run_histories(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
