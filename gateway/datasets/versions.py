"""DatasetService: save filters of requests under a name, freeze what they find, and compare versions."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import orjson

from gateway.datasets.export_query import absolute_time, read_filters
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.models.clock import now_us
from gateway.models.datasets import (
    ADDED_TO,
    MAX_DATASET_ROWS,
    MAX_NAME_CHARS,
    Dataset,
    DatasetChunk,
    DatasetDiff,
    DatasetVersion,
    FrozenFeedback,
    FrozenRequest,
    split_dataset_name,
)
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import Principal, Role
from gateway.query.requests import NEWEST_FIRST, OLDEST_FIRST
from gateway.store.base import Store

# Requests of a chunk, which is written and read as a whole.
CHUNK_ROWS = 1_000
# Positions that one query looks for; a filter without an index costs a scan each time.
SEQS_AT_ONCE = 100_000
# In characters.
MAX_DESCRIPTION = 2_000

_CHUNKS_AT_ONCE = 10
_MAX_FILTERS = 50
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}", re.ASCII)
_BY_NAME = Sort("name", descending=False, then=Sort("seq", descending=False))
# Another process may freeze the same dataset at the same time.
_MAX_ATTEMPTS = 5

# Feedback on a request, and whether each entry counts for it.
EntriesByRow = dict[int, list[tuple[Feedback, bool]]]


class Judged(Enum):
    """Which requests of a version are read."""

    ANY = "any"
    # With feedback on them, their trace or their session.
    GIVEN = "given"
    # With feedback that counts for them.
    COUNTED = "counted"
    # With such, or with none at all.
    COUNTED_OR_NONE = "counted or none"

    def includes(self, request: FrozenRequest) -> bool:
        if self is Judged.ANY:
            return True
        if not request.feedback:
            return self is Judged.COUNTED_OR_NONE
        return self is Judged.GIVEN or any(entry.is_counted for entry in request.feedback)


@dataclass(frozen=True, slots=True)
class FrozenRows:
    """The requests of one version, with the feedback that they had; withdrawn and erased entries are left out."""

    store: Store
    version: DatasetVersion
    judged: Judged = Judged.ANY

    async def count(self) -> int:
        """Return how many requests there were."""
        if self.judged is Judged.ANY:
            return self.version.rows
        return sum([1 async for each in self.requests() if self.judged.includes(each)])

    async def seqs_after(self, seq: int, limit: int) -> list[int]:
        """Return positions of requests after one, in order, some of which may no longer be stored."""
        found: list[int] = []
        async for each in self.requests(seq):
            if self.judged.includes(each):
                found.append(each.seq)
            if len(found) == limit:
                break
        return found

    async def feedback_of(self, seqs: Sequence[int]) -> EntriesByRow:
        """Return by position the feedback of requests, as it was when they were frozen."""
        if not seqs:
            return {}
        wanted, last = set(seqs), max(seqs)
        rows: list[FrozenRequest] = []
        async for each in self.requests(min(seqs) - 1):
            if each.seq > last:
                break
            if each.seq in wanted and each.feedback:
                rows.append(each)
        ids = dict.fromkeys(entry.feedback_id for row in rows for entry in row.feedback)
        histories = await self.store.histories(list(ids)) if ids else {}
        return {row.seq: list(_entries(row.feedback, histories)) for row in rows}

    async def requests(self, after: int = 0) -> AsyncIterator[FrozenRequest]:
        """Yield the requests after a position, in order."""
        while chunks := await self.store.dataset_chunks(self.version.version_id, after, _CHUNKS_AT_ONCE):
            for chunk in chunks:
                for request in unpack_requests(chunk):
                    if request.seq > after:
                        yield request
            after = chunks[-1].last_seq


def _entries(
    frozen: Iterable[FrozenFeedback], histories: Mapping[str, Sequence[Feedback]]
) -> Iterable[tuple[Feedback, bool]]:
    for each in frozen:
        history = histories.get(each.feedback_id, ())
        if not history or history[-1].deleted_at_us is not None:
            continue
        yield from ((entry, each.is_counted) for entry in history if entry.version == each.version)


class DatasetService:
    """Datasets of the caller's tenant; `clock` returns microseconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], int] = now_us) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        name: str,
        filters: Mapping[str, str],
        description: str,
        principal: Principal,
        *,
        is_collecting: bool = False,
    ) -> Dataset:
        """Save a filter under a name, of what rules add where it collects. Raises BadInput, and Conflict where the
        name is taken."""
        # The page of new ones has the address `new`.
        if not _NAME.fullmatch(name) or name == "new":
            allowed = f"1 to {MAX_NAME_CHARS} letters, digits, dots, hyphens and underscores, not new"
            raise BadInput(f"must be {allowed}, the first a letter or digit; got {name!r}.", field="name")
        dataset_id = new_id()
        filters = {**filters, ADDED_TO: dataset_id} if is_collecting else filters
        _check(filters, description)
        at_us = self._clock()
        dataset = Dataset(
            dataset_id=dataset_id,
            tenant=principal.tenant,
            name=name,
            description=description,
            filters=filters,
            created_by=principal.name,
            created_at_us=at_us,
            updated_at_us=at_us,
        )
        await self._store.add_dataset(dataset)
        return dataset

    async def update(
        self,
        name: str,
        principal: Principal,
        *,
        filters: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Dataset:
        """Change what later versions will hold; versions that there are stay as they are. Raises NotFound."""
        dataset = await self.find(name, principal.tenant)
        if filters is not None and dataset.is_collecting:
            filters = {**filters, ADDED_TO: dataset.dataset_id}
        changed = replace(
            dataset,
            filters=dataset.filters if filters is None else filters,
            description=dataset.description if description is None else description,
            updated_at_us=self._clock(),
        )
        _check(changed.filters, changed.description)
        if not await self._store.update_dataset(changed):
            raise _not_found(name)
        return changed

    async def delete(self, name: str, principal: Principal) -> None:
        """Delete a dataset with its versions. Requests and feedback stay. Raises NotFound, Forbidden."""
        dataset = await self.find(name, principal.tenant)
        if not may_delete(dataset, principal):
            raise Forbidden("only who made the dataset or an admin may delete it.", field="name")
        if not await self._store.delete_dataset(dataset.dataset_id):
            raise _not_found(name)

    async def find_all(self, page: Page, tenant: str | None) -> list[tuple[Dataset, list[DatasetVersion]]]:
        """Return datasets by name, each with its versions, the latest first."""
        found = await self._store.find_datasets(NO_FILTER, _BY_NAME, page, tenant)
        versions = await self._store.dataset_versions(*(each.dataset_id for each in found)) if found else []
        return [(each, [one for one in versions if one.dataset_id == each.dataset_id]) for each in found]

    async def find(self, name: str, tenant: str | None) -> Dataset:
        """Return a dataset by its id or name. Raises NotFound, or Conflict where several tenants have the name."""
        either = AnyOf((Comparison("name", Op.EQ, name), Comparison("dataset_id", Op.EQ, name)))
        found = await self._store.find_datasets(either, _BY_NAME, Page(10), tenant)
        own = [dataset for dataset in found if dataset.dataset_id == name] or [
            dataset for dataset in found if dataset.tenant == tenant
        ]
        if not own and len(found) > 1:
            ids = ", ".join(each.dataset_id for each in found)
            fault = f"datasets of several tenants are named {name!r}."
            raise Conflict(fault, field="dataset", hint=f"Use an id: {ids}.")
        if not found:
            raise _not_found(name)
        return (own or found)[0]

    async def versions(self, dataset: Dataset) -> list[DatasetVersion]:
        """Return the versions of a dataset, the latest first."""
        return await self._store.dataset_versions(dataset.dataset_id)

    async def version(self, dataset: Dataset, number: int | None = None) -> DatasetVersion:
        """Return a version, by default the latest. Raises NotFound."""
        versions = await self.versions(dataset)
        for version in versions:
            if number in (None, version.number):
                return version
        if not versions:
            raise NotFound(
                f"dataset {dataset.name!r} has no version yet.", field="dataset", hint="Freeze one first."
            )
        raise NotFound(
            f"dataset {dataset.name!r} has no version {number}; it has {_listed(versions)}.", field="dataset"
        )

    async def rows(self, text: str, tenant: str | None, judged: Judged = Judged.ANY) -> FrozenRows:
        """Return the rows that `NAME` or `NAME@VERSION` means. Raises BadInput or NotFound."""
        try:
            name, number = split_dataset_name(text)
        except ValueError as error:
            raise BadInput(str(error), field="dataset") from None
        return FrozenRows(self._store, await self.version(await self.find(name, tenant), number), judged)

    async def pin(self, text: str, tenant: str | None) -> str:
        """Return a name that means the same version later. Raises BadInput or NotFound."""
        version = (await self.rows(text, tenant)).version
        return f"{version.dataset_id}@{version.number}"

    async def freeze(self, name: str, principal: Principal) -> DatasetVersion:
        """Make a version of the requests that match now, with their feedback as it is now.

        Raises NotFound where nothing matches, and BadInput for more than a million requests.
        """
        dataset = await self.find(name, principal.tenant)
        filters = {name: absolute_time(name, text) for name, text in dataset.filters.items()}
        at_us = self._clock()
        chunks, rows, feedback = await self._collect(read_filters(filters), dataset)
        if not rows:
            raise NotFound(
                f"no request matches the filters of dataset {dataset.name!r}.", hint="Change its filters."
            )
        version = DatasetVersion(
            version_id=new_id(),
            dataset_id=dataset.dataset_id,
            number=0,
            filters=filters,
            rows=rows,
            feedback=feedback,
            created_by=principal.name,
            frozen_at_us=at_us,
        )
        for _ in range(_MAX_ATTEMPTS):
            versions = await self.versions(dataset)
            version = replace(version, number=versions[0].number + 1 if versions else 1)
            try:
                await self._store.add_dataset_version(version, chunks)
            except Conflict:
                continue
            return version
        raise Conflict("the dataset was changed or deleted meanwhile.", hint="Try again.")

    async def diff(self, dataset: Dataset, number: int, against: int) -> DatasetDiff:
        """Compare a version with an earlier one. Raises NotFound."""
        new, old = [await self._read(await self.version(dataset, each)) for each in (number, against)]
        common = new.keys() & old.keys()
        changed = sorted(seq for seq in common if new[seq] != old[seq])
        return DatasetDiff(
            added=sorted(new.keys() - old.keys()),
            removed=sorted(old.keys() - new.keys()),
            changed=changed,
            unchanged=len(common) - len(changed),
        )

    async def request_ids(self, seqs: Sequence[int], tenant: str | None) -> list[str]:
        """Return the ids of requests, as far as they are stored, by their positions."""
        among = Comparison("seq", Op.IN, tuple(seqs))
        found = await self._store.find_requests(among, OLDEST_FIRST, Page(len(seqs)), tenant) if seqs else []
        return [record.request_id for record in found]

    async def _read(self, version: DatasetVersion) -> dict[int, int]:
        # A hash of the feedback, since a million requests have megabytes of ids.
        rows = FrozenRows(self._store, version)
        return {each.seq: hash(each.feedback) async for each in rows.requests()}

    async def _collect(self, where: Filter, dataset: Dataset) -> tuple[list[DatasetChunk], int, int]:
        newest = await self._store.find_requests(NO_FILTER, NEWEST_FIRST, Page(1), None)
        there = AllOf((where, Comparison("seq", Op.LE, newest[0].seq if newest else 0)))
        chunks: list[DatasetChunk] = []
        rows = feedback = last = 0
        while seqs := await self._store.request_seqs(
            there, last, SEQS_AT_ONCE, dataset.tenant, in_background=True
        ):
            rows += len(seqs)
            if rows > MAX_DATASET_ROWS:
                raise BadInput(
                    f"match more than {MAX_DATASET_ROWS:,} requests.", field="filters", hint="Narrow them."
                )
            for start in range(0, len(seqs), CHUNK_ROWS):
                requests = await self._freeze_requests(seqs[start : start + CHUNK_ROWS])
                feedback += sum(len(each.feedback) for each in requests)
                chunks.append(pack_requests(requests))
            last = seqs[-1]
        return chunks, rows, feedback

    async def _freeze_requests(self, seqs: Sequence[int]) -> list[FrozenRequest]:
        entries = await self._store.feedback_of(seqs, in_background=True)
        return [
            FrozenRequest(
                seq,
                tuple(
                    FrozenFeedback(entry.feedback_id, entry.version, is_counted)
                    for entry, is_counted in entries.get(seq, ())
                ),
            )
            for seq in seqs
        ]


def may_delete(dataset: Dataset, principal: Principal) -> bool:
    is_maker = principal.has_role(Role.REVIEW) and dataset.created_by == principal.name
    return principal.has_role(Role.ADMIN) or is_maker


def export_filters(dataset: Dataset, number: int | None) -> dict[str, str]:
    """Return what an `ExportQuery` reads for a version, or for what the filters of a dataset find now."""
    return dict(dataset.filters) if number is None else {"dataset": f"{dataset.dataset_id}@{number}"}


def pack_requests(requests: Sequence[FrozenRequest]) -> DatasetChunk:
    lists = [
        [each.seq, [[entry.feedback_id, entry.version, entry.is_counted] for entry in each.feedback]]
        for each in requests
    ]
    return DatasetChunk(requests[-1].seq, orjson.dumps(lists).decode())


def unpack_requests(chunk: DatasetChunk) -> list[FrozenRequest]:
    return [
        FrozenRequest(seq, tuple(FrozenFeedback(*entry) for entry in entries))
        for seq, entries in orjson.loads(chunk.requests)
    ]


def _check(filters: Mapping[str, str], description: str) -> None:
    if len(filters) > _MAX_FILTERS:
        raise BadInput(f"may have {_MAX_FILTERS} members; got {len(filters)}.", field="filters")
    if len(description) > MAX_DESCRIPTION:
        raise BadInput(f"may have {MAX_DESCRIPTION:,} characters.", field="description")
    read_filters(filters)


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no dataset {name!r}.", field="dataset")


def _listed(versions: Sequence[DatasetVersion]) -> str:
    numbers = [version.number for version in versions]
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[-1]} to {numbers[0]}"
