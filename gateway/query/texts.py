"""TextReader: what was asked and what was answered, of the request that each entry of feedback counts for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.exchange import Outcome
from gateway.domain.feedback import Feedback
from gateway.domain.request import Payload, RequestRecord
from gateway.query.requests import read_back
from gateway.store.base import Store
from gateway.wire.excerpts import answer_in, question_in

LONGEST = 32_768
"""How much of a text is returned, in characters; `…` stands at the end where there is more."""

_BATCH = 16
"""Of how many requests the bodies are in memory at a time."""
_FIRST_FAILURE = 400


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a request; empty where it has none.

    Args:
        no_answer: why `answer` is empty, as far as the row tells; None where it is not.
    """

    question: str = ""
    answer: str = ""
    no_answer: str | None = None


class TextReader:
    """Reads them from what was kept of the requests' bodies."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def texts_of(self, entries: Sequence[Feedback]) -> dict[str, Texts]:
        """Return the texts for each entry, by `feedback_id`; entries that count for no request are left out."""
        counted = await self._store.counted_for([entry.feedback_id for entry in entries])
        records = list({record.seq: record for record in counted.values()}.values())
        texts: dict[int, Texts] = {}
        for start in range(0, len(records), _BATCH):
            batch = records[start : start + _BATCH]
            payloads = await self._store.payloads([record.seq for record in batch])
            # Long bodies take long to read, and other callers' streams go through this thread.
            read = await asyncio.to_thread(lambda: [_read(one, payloads.get(one.seq)) for one in batch])  # noqa: B023
            texts.update(zip((record.seq for record in batch), read, strict=True))
        return {feedback_id: texts[record.seq] for feedback_id, record in counted.items()}


def _read(record: RequestRecord, payload: Payload | None) -> Texts:
    logged = read_back(record, payload, ())
    question = "" if logged.request is None else question_in(logged.request.body)
    body = None if logged.response is None else logged.response.body
    answer = answer_in(body if logged.reassembled is None else logged.reassembled)
    reason = None if answer else _reason(record, is_kept=body is not None)
    return Texts(_cut(question), _cut(answer), reason)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _reason(record: RequestRecord, *, is_kept: bool) -> str:
    """What the row tells of an answer without a text."""
    reasons = [record.outcome.value] if record.outcome is not Outcome.COMPLETE else []
    if record.status is not None and record.status >= _FIRST_FAILURE:
        reasons.append(f"status {record.status}")
    if record.error is not None:
        reasons.append(record.error.rstrip("."))
    if not is_kept:
        reasons.append("its body was not kept")
    if record.finish_reason is not None:
        reasons.append(f"finish_reason {record.finish_reason}")
    if record.reasoning_tokens:
        reasons.append(f"{record.reasoning_tokens} of {record.completion_tokens} tokens are reasoning")
    return ", ".join(reasons) or "it holds no text"
