"""Payloads of webhooks: ids and facts of feedback and requests as JSON; texts only where they are asked for."""

from collections.abc import Iterable, Mapping

import orjson

from gateway.models.clock import format_rfc3339
from gateway.models.columns import HIDDEN, Column
from gateway.models.feedback import FEEDBACK_COLUMNS, Feedback
from gateway.models.request import NANOUSD_PER_USD, REQUEST_COLUMNS, RequestRecord
from gateway.models.webhooks import EventType
from gateway.query.requests import RequestTexts

_TIME_SUFFIX = "_at_us"
# What people or models wrote; `raw` has all of it.
_FEEDBACK_TEXTS = frozenset({"comment", "original_text", "edited_text"})
_NEVER_SENT = frozenset({"raw"})
# All that is sent of an entry that was withdrawn.
_IDS_OF_DELETED = ("feedback_id", "tenant", "subject_id", "trace_id", "request_id", "session", "version")


def payload(kind: EventType, at_us: int, data: Mapping[str, object]) -> str:
    """Return the JSON of a payload; numbers and texts that JSON cannot hold do not occur in stored records."""
    timestamp = format_rfc3339(at_us)
    return orjson.dumps({"type": kind.value, "timestamp": timestamp, "data": data}).decode()


def feedback_payload(kind: EventType, entry: Feedback, *, has_texts: bool) -> str:
    """Return what is sent of a version of an entry; of a withdrawn one only its ids."""
    if kind is EventType.FEEDBACK_DELETED:
        at_us = entry.deleted_at_us or entry.updated_at_us
        data = {name: getattr(entry, name) for name in _IDS_OF_DELETED}
        return payload(kind, at_us, {**data, "deleted_at": format_rfc3339(at_us)})
    left_out = _NEVER_SENT if has_texts else _NEVER_SENT | _FEEDBACK_TEXTS
    return payload(kind, entry.updated_at_us, dict(_values(FEEDBACK_COLUMNS, entry, left_out)))


def request_payload(
    record: RequestRecord, texts: RequestTexts | None, kind: EventType = EventType.REQUEST_LOGGED
) -> str:
    """Return what is sent of a request; None: without question and answer."""
    return payload(kind, record.ended_at_us, request_data(record, texts))


def request_data(record: RequestRecord, texts: RequestTexts | None) -> dict[str, object]:
    cost = record.cost_nanousd
    data = {
        **dict(_values(REQUEST_COLUMNS, record, _NEVER_SENT)),
        "cost_usd": None if cost is None else cost / NANOUSD_PER_USD,
    }
    if texts is not None:
        data |= {"question": texts.question, "answer": texts.answer, "no_answer": texts.no_answer}
    return data


def _values(
    columns: Iterable[Column], record: object, left_out: frozenset[str]
) -> Iterable[tuple[str, object]]:
    for column in columns:
        name = column.name
        if column.uses & HIDDEN or name in left_out:
            continue
        value = getattr(record, name)
        if name.endswith(_TIME_SUFFIX):
            yield name.removesuffix("_us"), None if value is None else format_rfc3339(value)
        else:
            yield name, value
