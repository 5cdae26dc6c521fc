"""Thumbs that were read as grades: noticing them while they come in, and giving what is stored its right score.

A thumb that is sent as 1 and 0 and read as a grade from −10 to 10 is next to nothing, or nothing at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gateway.errors import Conflict
from gateway.feedback.payloads import Scale
from gateway.feedback.rules import MAX_ATTEMPTS, contention_error
from gateway.models.feedback import Feedback, Kind
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.store.base import FeedbackStore

THUMB_VALUES = frozenset({0, 1})
MIN_THUMBS = 5
"""So many votes of 0 and 1 alone are taken for thumbs."""

_PAGE_SIZE = 500
_OLDEST_FIRST = Sort("created_at_us", descending=False, then=Sort("feedback_id", descending=False))


class ThumbsCheck:
    """Notices callers that grade from −10 to 10 and have only ever given 0 and 1."""

    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self._given: dict[str | None, int] = {}

    async def sends_thumbs_as_grades(self, key_name: str | None, values: Sequence[float]) -> bool:
        """Count these grades as given, and tell whether the key has given enough of 0 and 1 and nothing else.

        It is counted from the start of the process; whether the key gave other grades before is looked up only
        where that count is reached.
        """
        given = self._given.get(key_name, 0)
        if given < 0 or not THUMB_VALUES.issuperset(values):
            self._given[key_name] = -1
            return False
        self._given[key_name] = given = given + len(values)
        if given < MIN_THUMBS:
            return False
        if await self._store.has_non_binary_grades(key_name):
            self._given[key_name] = -1
            return False
        return True


async def rescale_grades(
    store: FeedbackStore, where: Filter, scale: Scale, *, is_dry: bool = False
) -> tuple[int, int]:
    """Give the matching grades the scores of a scale, each as a new version, and return how many there are and how
    many of them had another score.

    Only the score differs in a new version: nobody has said anything anew, so author, key and times stay. Doing it
    again changes nothing more.

    Args:
        is_dry: count only.

    Raises:
        StoreUnavailable: some may be changed and some not; doing it again goes on.
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
    """The grades, some at a time."""
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
    """Tell whether its value was given on the scale −10…10. No star is its own grade."""
    return entry.value is not None and entry.value == entry.grade and entry.value.is_integer()


def _rescaled_score(entry: Feedback, scale: Scale) -> float:
    assert entry.value is not None, "a grade has a value"
    return scale(entry.value)


async def _put_rescaled(store: FeedbackStore, entries: Sequence[Feedback], scale: Scale) -> None:
    for _ in range(MAX_ATTEMPTS):
        versions = [
            replace(entry, version=entry.version + 1, score=_rescaled_score(entry, scale))
            for entry in entries
            if entry.deleted_at_us is None
            and _is_grade(entry)
            and entry.score != _rescaled_score(entry, scale)
        ]
        try:
            if versions:
                await store.put_feedback(versions)
        except Conflict:
            # Somebody has changed one of them meanwhile.
            entries = await store.feedback_by_ids([entry.feedback_id for entry in entries])
            continue
        return
    raise contention_error()
