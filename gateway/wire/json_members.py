"""Edits of single members of a JSON object, which leave all other bytes as they were."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from gateway.models.route import RouteSettings
from gateway.wire.json_fields import parse_object

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]', re.DOTALL)
_SPACE = b" \t\r\n"


@dataclass(slots=True)
class _Member:
    # From the first byte of its key to the last of its value; `value_start` is that of the value.
    key: str
    start: int
    value_start: int
    end: int


def edit_members(
    body: bytes,
    *,
    defaults: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
    dropped: Sequence[str] = (),
) -> bytes:
    """Return a JSON object with members added where they are missing, replaced or added, and removed, in this
    order; what is no JSON object stays as it is."""
    if parse_object(body) is None:
        return body
    removed = frozenset(dropped)
    new = {key: value for key, value in (overrides or {}).items() if key not in removed}
    members = _members(body)
    # Of a key that is there twice the last counts, as with most parsers.
    last = {member.key: position for position, member in enumerate(members)}
    for key, value in (defaults or {}).items():
        if key not in last and key not in removed:
            new.setdefault(key, value)
    pieces = [
        body[member.start : member.value_start] + orjson.dumps(new.pop(member.key))
        if member.key in new and last[member.key] == position
        else body[member.start : member.end]
        for position, member in enumerate(members)
        if member.key not in removed
    ]
    kept = [member for member in members if member.key not in removed]
    opening, closing = _braces(body)
    if len(kept) != len(members) or not members:
        added = [orjson.dumps(key) + b":" + orjson.dumps(value) for key, value in new.items()]
        return body[: opening + 1] + b",".join(pieces + added) + body[closing:]
    return _with_separators(body, members, pieces, new)


def edit_params(body: bytes, settings: RouteSettings) -> bytes:
    """Return a JSON body with the parameters of a target: defaults, then overrides, then what is dropped."""
    return edit_members(
        body,
        defaults=settings.default_params,
        overrides=settings.override_params,
        dropped=settings.drop_params,
    )


def _with_separators(
    body: bytes, members: Sequence[_Member], pieces: Sequence[bytes], new: Mapping[str, object]
) -> bytes:
    edited = bytearray(body[: members[0].start])
    for position, piece in enumerate(pieces):
        if position:
            edited += body[members[position - 1].end : members[position].start]
        edited += piece
    for key, value in new.items():
        edited += b"," + orjson.dumps(key) + b":" + orjson.dumps(value)
    return bytes(edited + body[members[-1].end :])


def _braces(body: bytes) -> tuple[int, int]:
    return body.index(b"{"), body.rindex(b"}")


def _members(body: bytes) -> list[_Member]:
    return list(_find_members(body))


def _find_members(body: bytes) -> Iterator[_Member]:
    depth = 0
    current: _Member | None = None
    expects_key = False
    for token in _TOKEN.finditer(body):
        mark = token[0][:1]
        if depth == 1 and mark in b",}" and current is not None:
            current.end = _without_space(body, token.start())
            yield current
            current = None
        if mark in b"{[":
            depth += 1
            expects_key = expects_key or depth == 1
        elif mark in b"}]":
            depth -= 1
        elif depth == 1 and mark == b",":
            expects_key = True
        elif depth == 1 and mark == b'"' and expects_key:
            current = _Member(orjson.loads(token[0]), token.start(), 0, 0)
            expects_key = False
        elif depth == 1 and mark == b":" and current is not None and not current.value_start:
            current.value_start = _behind_space(body, token.end())


def _behind_space(body: bytes, at: int) -> int:
    while body[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
        at += 1
    return at


def _without_space(body: bytes, at: int) -> int:
    while body[at - 1] in _SPACE:
        at -= 1
    return at
