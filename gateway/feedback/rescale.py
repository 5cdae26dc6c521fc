"""Give stored grades the scores of another scale, such as thumbs that came in as grades of 0 and 1."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gateway.errors import Conflict
from gateway.feedback.payloads import Scale
from gateway.feedback.rules import retry_until_stored
from gateway.models.feedback import Feedback, Kind
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.store.base import FeedbackStore

_PAGE_SIZE = 500
_OLDEST_FIRST = Sort("created_at_us", descending=False, then=Sort("feedback_id", descending=False))


async def rescale_grades(
    store: FeedbackStore, where: Filter, scale: Scale, *, is_dry: bool = False
) -> tuple[int, int]:
    """Give grades the scores of a scale, as new versions; return how many were seen and changed.

    Raises:
        StoreUnavailable: some are changed; a repeated call continues.
    """
    seen = changed = 0
    async for grades in _pages_of_grades(store, where):
        seen += len(grades)
        misread = [entry for entry in grades if _rescaled_score(entry, scale) != entry.score]
        changed += len(misread)
        if misread and not is_dry:
            await _put_rescaled(store, misread, scale)
    return seen, changed


async def _pages_of_grades(store: FeedbackStore, where: Filter) -> AsyncIterator[list[Feedback]]:
    following: Filter = AllOf()
    while True:
        search = AllOf((Comparison("kind", Op.EQ, Kind.RATING), where, following))
        found = await store.find_feedback(search, _OLDEST_FIRST, Page(_PAGE_SIZE), None)
        if not found:
            return
        yield [entry for entry in found if _is_grade(entry)]
        last = found[-1]
        same_time = AllOf(
            (
                Comparison("created_at_us", Op.EQ, last.created_at_us),
                Comparison("feedback_id", Op.GT, last.feedback_id),
            )
        )
        following = AnyOf((Comparison("created_at_us", Op.GT, last.created_at_us), same_time))


def _is_grade(entry: Feedback) -> bool:
    # No number of stars is its own grade.
    return entry.value is not None and entry.value == entry.grade and entry.value.is_integer()


def _rescaled_score(entry: Feedback, scale: Scale) -> float:
    assert entry.value is not None, "a grade has a value"
    return scale(entry.value)


async def _put_rescaled(store: FeedbackStore, entries: Sequence[Feedback], scale: Scale) -> None:
    ids = [entry.feedback_id for entry in entries]

    async def attempt() -> bool | None:
        # Read anew each time: another caller may have changed an entry meanwhile.
        versions = [
            # Nobody said anything new, so author, key and times stay.
            replace(entry, version=entry.version + 1, score=_rescaled_score(entry, scale))
            for entry in await store.feedback_by_ids(ids)
            if entry.deleted_at_us is None
            and _is_grade(entry)
            and entry.score != _rescaled_score(entry, scale)
        ]
        try:
            if versions:
                await store.put_feedback(versions)
        except Conflict:
            return None
        return True

    await retry_until_stored(attempt)
