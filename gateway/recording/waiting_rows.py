"""What ids of feedback name among the requests that are journaled and not stored yet."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from gateway.models.exchange import Exchange, Outcome
from gateway.models.feedback import MAX_CANDIDATES, Subject, Target
from gateway.models.request import Facts
from gateway.recording.freshness import Freshness
from gateway.recording.interpreter import read_facts_safely
from gateway.store.base import FeedbackStore
from gateway.store.journal import RecordReader, decode_record
from gateway.store.journal_files import GatewayJournal, segment_path
from gateway.store.journal_state import split_position

# Beyond it an id waits for its request, as one that comes early.
MAX_SCANNED_BYTES = 64 * 1024 * 1024

_BLOCK_ROWS = 1000
_BLOCK_BYTES = 1024 * 1024
_FIRST_FAILURE = 400


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a segment that the store does not have."""

    path: Path
    start: int
    end: int | None


class SubjectLookup:
    """A store that also finds in the journal what ids name."""

    def __init__(self, store: FeedbackStore, freshness: Freshness) -> None:
        self._store = store
        self._freshness = freshness

    @classmethod
    def over(cls, store: FeedbackStore, freshness: Freshness) -> FeedbackStore:
        return cast(FeedbackStore, cls(store, freshness))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        """Return what ids name in the store, else in the journal."""
        # Taken before the store is asked, so that a row which is stored meanwhile is not missed.
        parts = [part for journal in self._freshness.waiting_journals() for part in _waiting_parts(journal)]
        found = await self._store.resolve(ids, tenant, target, trace_id)
        missing = [name for name in ids if name not in found]
        if not parts or not missing:
            return found
        wanted = _Wanted(missing, tenant, target, trace_id)
        is_complete = await asyncio.to_thread(wanted.scan, parts)
        if not is_complete:
            # What was removed is stored.
            found |= await self._store.resolve(missing, tenant, target, trace_id)
        return wanted.subjects() | found


class _Wanted:
    """Ids that are looked for."""

    def __init__(self, ids: Sequence[str], tenant: str | None, target: Target, trace_id: str | None) -> None:
        self._tenant = tenant
        self._target = target
        self._trace_id = trace_id
        # As they are in JSON.
        self._bytes = {name: orjson.dumps(name.encode("utf-8", "replace").decode())[1:-1] for name in ids}
        # By rank of the kind of subject, the best first; whether a request was answered.
        self._found: dict[str, list[tuple[int, bool, Subject]]] = {name: [] for name in ids}

    def scan(self, parts: Sequence[_Part]) -> bool:
        """Look through parts of the journal; tell whether all were there."""
        left, is_complete = MAX_SCANNED_BYTES, True
        for part in parts:
            try:
                file = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                is_complete = False
                continue
            try:
                end = os.fstat(file).st_size if part.end is None else part.end
                reader = RecordReader(file, part.start)
                while left > 0 and (records := reader.read(end, _BLOCK_ROWS, _BLOCK_BYTES)):
                    for record in records:
                        left -= len(record.payload)
                        self._look_at(bytes(record.payload))
            finally:
                os.close(file)
        return is_complete

    def subjects(self) -> dict[str, list[Subject]]:
        return {name: _most_preferred(found) for name, found in self._found.items() if found}

    def _look_at(self, payload: bytes) -> None:
        names = [name for name, text in self._bytes.items() if text in payload]
        if not names:
            return
        entry = decode_record(payload)
        if self._tenant is not None and entry.exchange.tenant != self._tenant:
            return
        if self._trace_id is not None and entry.exchange.identity.trace_id != self._trace_id:
            return
        facts = entry.facts or read_facts_safely(entry.exchange)
        for name in names:
            for rank, subject in self._named(name, entry.exchange, facts):
                self._found[name].append((rank, _is_answered(entry.exchange), subject))

    def _named(self, name: str, exchange: Exchange, facts: Facts) -> Iterator[tuple[int, Subject]]:
        identity, tenant = exchange.identity, exchange.tenant
        session = identity.metadata.get("_session") or facts.session
        if self._target is Target.TRACE and name == identity.trace_id:
            yield 0, Subject(tenant, identity.trace_id, None, None, 0)
        if self._target is not Target.SESSION:
            request = Subject(tenant, identity.trace_id, identity.request_id, facts.response_id, 0)
            if name == identity.request_id:
                yield 1, request
            elif name == facts.response_id:
                yield 2, request
            elif name in facts.other_response_ids:
                yield 3, request
        if self._target is not Target.REQUEST and name == session:
            yield 4, Subject(tenant, None, None, None, 0, name)


def _most_preferred(found: Sequence[tuple[int, bool, Subject]]) -> list[Subject]:
    best = min(rank for rank, _, _ in found)
    of_kind = [(is_answered, subject) for rank, is_answered, subject in found if rank == best]
    # What failed under a name and was answered under it later is a try of the same thing.
    answered = [subject for is_answered, subject in of_kind if is_answered]
    chosen = answered or [subject for _, subject in of_kind]
    return list(dict.fromkeys(reversed(chosen)))[:MAX_CANDIDATES]


def _is_answered(exchange: Exchange) -> bool:
    status = exchange.status
    return exchange.outcome is Outcome.COMPLETE and status is not None and status < _FIRST_FAILURE


def _waiting_parts(journal: GatewayJournal) -> list[_Part]:
    parts: list[_Part] = []
    for worker, (ingested, appended) in enumerate(journal.state.progress()):
        if ingested >= appended:
            continue
        (first, start), (last, end) = split_position(ingested), split_position(appended)
        for number in range(max(first, 1), last + 1):
            path = segment_path(journal.folder, worker, number)
            parts.append(_Part(path, start if number == first else 0, end if number == last else None))
    return parts
