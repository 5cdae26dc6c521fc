"""Mover: everything that one store holds is brought into another, each thing once. Knows neither SQL nor files.

Whatever ends it in between, the next time goes on: what has arrived is recognised by what it is, and left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.filter import EVERYTHING, Page, Sort
from gateway.domain.holdings import Holdings, StoredRequest
from gateway.errors import Conflict
from gateway.store.base import Store

STEP = 500
"""How many entries, receipts or lines of the audit log are moved at a time."""

Tell = Callable[["Moved"], None]
"""Told how far it has come, after each step."""


@dataclass(slots=True)
class Moved:
    """What was met in the source, and what of it was new to the target.

    Args:
        refused_keys: names of keys of the source whose name belongs to another live key of the target.
    """

    met: Holdings = field(default_factory=Holdings)
    added: Holdings = field(default_factory=Holdings)
    keys: int = 0
    refused_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Checked:
    """Figures in which the stores are not what they should be after everything was moved.

    Args:
        missed: those of the source that differ from what was met there: somebody wrote to it meanwhile.
        wrong: those of the target that did not grow by what was added.
    """

    missed: list[str]
    wrong: list[str]


class Mover:
    """Brings what is in one store into another.

    Args:
        tell: told how far it has come.
    """

    def __init__(self, source: Store, target: Store, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._tell = tell
        self.moved = Moved()

    async def run(self) -> Checked:
        """Move everything, then compare counts and sums. Requests come first, so that what is said of them finds
        them.

        Raises:
            StoreUnavailable: one of them cannot be used; what has arrived is there.
        """
        before = await self._target.holdings()
        await self._move_requests()
        await self._move_feedback()
        await self._move_receipts()
        await self._move_keys()
        await self._move_spendings()
        await self._move_audit()
        held, after = await self._source.holdings(), await self._target.holdings()
        return Checked(held.differs_from(self.moved.met), after.differs_from(before + self.moved.added))

    async def _move_requests(self) -> None:
        seq = -1
        while requests := await self._source.requests_after(seq):
            positions = await self._target.put_requests(requests)
            self._count(_of_requests(requests), _of_requests([requests[position] for position in positions]))
            seq = requests[-1].record.seq

    async def _move_feedback(self) -> None:
        place = 0
        while found := await self._source.histories_after(place, STEP):
            entries = [entry for _, history in found for entry in history]
            ids = list(dict.fromkeys(entry.feedback_id for entry in entries))
            stored = {entry.feedback_id: entry for entry in await self._target.feedback_by_ids(ids)}
            missing = [
                entry
                for entry in entries
                if entry.feedback_id not in stored or entry.version > stored[entry.feedback_id].version
            ]
            await self._target.put_feedback(missing)
            self._count(_of_feedback(entries, {}), _of_feedback(missing, stored))
            place = found[-1][0]

    async def _move_receipts(self) -> None:
        after = ("", "")
        while receipts := await self._source.receipts_after(after, STEP):
            await asyncio.gather(*map(self._move_receipt, receipts))
            after = (receipts[-1].scope, receipts[-1].key)

    async def _move_receipt(self, receipt: Receipt) -> None:
        try:
            await self._target.put_feedback([], receipt)
        except Conflict:
            return  # it is there, or that key was used for something else since

    async def _move_keys(self) -> None:
        known = {key.sha256 for key in await self._target.keys()}
        for key in await self._source.keys():
            if key.sha256 in known:
                continue
            try:
                await self._target.add_key(key)
                self.moved.keys += 1
            except Conflict:
                self.moved.refused_keys.append(key.name)

    async def _move_spendings(self) -> None:
        known = {(one.key_name, one.unit, one.window) for one in await self._target.spendings()}
        spendings = await self._source.spendings()
        await self._target.spend(
            [one for one in spendings if (one.key_name, one.unit, one.window) not in known]
        )

    async def _move_audit(self) -> None:
        oldest_first = Sort("at_us", descending=False, then=Sort("audit_id", descending=False))
        offset = 0
        while entries := await self._source.find_audit(EVERYTHING, oldest_first, Page(STEP, offset), None):
            await asyncio.gather(*map(self._target.begin_audit, entries))
            offset += len(entries)

    def _count(self, met: Holdings, added: Holdings) -> None:
        self.moved.met += met
        self.moved.added += added
        self._tell(self.moved)


def _of_requests(requests: Sequence[StoredRequest]) -> Holdings:
    records = [stored.record for stored in requests]
    return Holdings(
        requests=len(records),
        prompt_tokens=sum(record.prompt_tokens or 0 for record in records),
        completion_tokens=sum(record.completion_tokens or 0 for record in records),
        cost_nanousd=sum(record.cost_nanousd or 0 for record in records),
        body_bytes=sum(record.request_size + record.response_size for record in records),
    )


def _of_feedback(versions: Sequence[Feedback], stored: Mapping[str, Feedback]) -> Holdings:
    """What versions add to those that are stored already."""
    latest = {entry.feedback_id: entry for entry in versions}
    return Holdings(
        feedback=len(latest.keys() - stored.keys()),
        versions=len(versions),
        weight=sum(
            entry.weight - (stored[name].weight if name in stored else 0) for name, entry in latest.items()
        ),
    )
