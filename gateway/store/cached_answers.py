"""Cached answers: kept, found by key, dropped after bad feedback, bounded in size and time."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import Any

import zstandard

from gateway.models.cached_answer import CachedAnswer
from gateway.models.feedback import Target
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.rows import (
    clean_text,
    clean_text_or_none,
    headers_from_json,
    headers_to_json,
    list_to_json,
    numbers_to_json,
)

# Level 1: most bodies are short, and each is packed while others wait for the writer.
_ZSTD_LEVEL = 1

# Rows that one transaction deletes.
_STEP = 500

_COLUMNS = (
    "key", "tenant", "trace_id", "request_id", "headers", "size_bytes", "created_at_us", "expires_at_us",
    "rests_until_us", "body",
)  # fmt: skip
_KEPT = ", ".join(_COLUMNS[1:-1])
_SET = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
# A body that the asker has already is not read again.
_FIND = (
    f"SELECT {_KEPT}, CASE WHEN created_at_us = :known THEN NULL ELSE body END"
    " FROM cached_answers WHERE key = :key"
)
# A key rests in spite of answers that were on their way, and a later answer replaces an earlier one.
_PUT = (
    f"INSERT INTO cached_answers ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (key) DO UPDATE SET {_SET}"
    " WHERE coalesce(cached_answers.rests_until_us, 0) <= excluded.created_at_us"
    " AND cached_answers.created_at_us <= excluded.created_at_us"
)
_EXPIRED = """
SELECT key FROM cached_answers WHERE expires_at_us <= :at AND coalesce(rests_until_us, 0) <= :at LIMIT :most
"""
# The newest that together have more than there is room for, and all before them.
_CUTOFF = """
SELECT max(created_at_us) FROM (
    SELECT created_at_us, sum(size_bytes) OVER (ORDER BY created_at_us DESC) AS kept_bytes FROM cached_answers
) AS ages
WHERE kept_bytes > ?
"""
_OLD = "SELECT key FROM cached_answers WHERE created_at_us <= ? AND size_bytes > 0 LIMIT ?"
EXPIRE_ANSWERS = "DELETE FROM cached_answers WHERE created_at_us < ?"


@cache
def _delete(dialect: Dialect) -> str:
    return f"DELETE FROM cached_answers WHERE key {dialect.in_texts('?')}"


@cache
def _rest(dialect: Dialect) -> str:
    return (
        "UPDATE cached_answers SET rests_until_us = :until, body = :nothing, headers = '[]', size_bytes = 0,"
        f" expires_at_us = :until WHERE key {dialect.in_texts(':keys')}"
    )


@cache
def _select_disliked(dialect: Dialect) -> str:
    """Select the keys of answers that entries below a score are about, themselves or as they were given again."""
    return f"""
SELECT DISTINCT cached.key FROM feedback
JOIN requests ON requests.trace_id = feedback.trace_id
    AND (feedback.target = '{Target.TRACE}' OR requests.request_id = feedback.request_id)
    AND requests.tenant IS NOT DISTINCT FROM feedback.tenant
JOIN cached_answers AS cached
    ON cached.request_id = coalesce(requests.cache_source_request_id, requests.request_id)
    AND cached.tenant IS NOT DISTINCT FROM requests.tenant
WHERE feedback.feedback_id {dialect.in_texts(":ids")} AND feedback.target <> '{Target.SESSION}'
    AND feedback.joined_at_us IS NOT NULL AND feedback.deleted_at_us IS NULL AND feedback.score < :min_score
    AND cached.rests_until_us IS NULL
"""


@cache
def _delete_of_requests(dialect: Dialect) -> str:
    names = f"FROM requests WHERE seq {dialect.in_numbers(':seqs')}"
    return (
        f"DELETE FROM cached_answers WHERE request_id IN (SELECT request_id {names}"
        f" UNION SELECT cache_source_request_id {names} AND cache_source_request_id IS NOT NULL)"
    )


def drop_answers_of(connection: Connection, seqs: Sequence[int]) -> None:
    """Delete the answers that requests were given, from a provider or from the cache."""
    connection.execute(_delete_of_requests(connection.dialect), {"seqs": numbers_to_json(seqs)})


def put_answers(connection: Connection, answers: Iterable[CachedAnswer]) -> None:
    """Store answers, but for those whose keys rest."""
    connection.executemany(_PUT, [_to_row(answer) for answer in answers])


def delete_answers(connection: Connection, keys: Sequence[str]) -> None:
    """Delete answers, but let keys rest that do."""
    connection.execute(f"{_delete(connection.dialect)} AND rests_until_us IS NULL", (list_to_json(keys),))


def _delete_keys(connection: Connection, keys: Sequence[str]) -> None:
    connection.execute(_delete(connection.dialect), (list_to_json(keys),))


def rest_answers(connection: Connection, keys: Sequence[str], until_us: int) -> None:
    """Delete answers, and let their keys rest."""
    values = {"keys": list_to_json(keys), "until": until_us, "nothing": b""}
    connection.execute(_rest(connection.dialect), values)


def _to_row(answer: CachedAnswer) -> tuple[Any, ...]:
    return (
        answer.key,
        clean_text_or_none(answer.tenant),
        clean_text(answer.trace_id),
        clean_text(answer.request_id),
        headers_to_json([*answer.headers]),
        answer.size_bytes,
        answer.created_at_us,
        answer.expires_at_us,
        answer.rests_until_us,
        zstandard.compress(answer.body, _ZSTD_LEVEL),
    )


def _from_row(key: str, row: Sequence[Any]) -> CachedAnswer:
    tenant, trace_id, request_id, headers, _, created_at_us, expires_at_us, rests_until_us, body = row
    return CachedAnswer(
        key=key,
        tenant=tenant,
        trace_id=trace_id,
        request_id=request_id,
        headers=headers_from_json(headers),
        body=zstandard.decompress(body) if body else b"",
        created_at_us=created_at_us,
        expires_at_us=expires_at_us,
        rests_until_us=rests_until_us,
    )


class SqlCachedAnswers(Database):
    """Answers that are given again."""

    async def find_answer(self, key: str, known_at_us: int = 0) -> CachedAnswer | None:
        row = await self._primary.fetch_one(_FIND, {"key": key, "known": known_at_us})
        return None if row is None else _from_row(key, row)

    async def put_answers(self, answers: Sequence[CachedAnswer]) -> None:
        size = sum(answer.size_bytes for answer in answers)
        await self._writer.write(lambda connection: put_answers(connection, answers), size_bytes=size)

    async def delete_answers(self, keys: Sequence[str]) -> None:
        await self._writer.write(lambda connection: delete_answers(connection, keys))

    async def rest_answers(self, feedback_ids: Sequence[str], min_score: float, until_us: int) -> list[str]:
        values = {"ids": list_to_json(feedback_ids), "min_score": min_score}
        rows = await self._primary.fetch_all(_select_disliked(self._dialect), values)
        keys = [row[0] for row in rows]
        if keys:
            await self._writer.write(lambda connection: rest_answers(connection, keys, until_us))
        return keys

    async def trim_answers(self, max_bytes: int, at_us: int) -> int:
        trimmed = await self._delete_each(_EXPIRED, {"at": at_us, "most": _STEP})
        [cutoff_us] = await self._primary.fetch_one(_CUTOFF, (max_bytes,))
        if cutoff_us is not None:
            trimmed += await self._delete_each(_OLD, (cutoff_us, _STEP))
        return trimmed

    async def _delete_each(self, select: str, values: Any) -> int:
        deleted = 0
        while keys := [row[0] for row in await self._primary.fetch_all(select, values)]:
            await self._writer.write(partial(_delete_keys, keys=keys))
            deleted += len(keys)
        return deleted
