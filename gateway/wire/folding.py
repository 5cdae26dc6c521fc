"""Putting the pieces of a streamed object together again."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.wire.fields import JsonObject

_SAID_ONCE = frozenset({"id", "index", "name", "role", "type"})
"""Fields that some servers repeat in each piece; they are never cut into pieces."""

_MAX_DEPTH = 8
"""Deeper than any delta goes. Bounds the recursion on hostile input."""


def fold(pieces: Sequence[JsonObject], depth: int = _MAX_DEPTH) -> JsonObject:
    """Return the object whose deltas `pieces` are, in order.

    Strings are joined, objects folded, lists joined (members with an `index` folded by it); of anything else
    the last one holds. Null adds nothing.
    """
    values: dict[str, list[object]] = {}
    for piece in pieces:
        for key, value in piece.items():
            values.setdefault(key, []).append(value)
    return {key: _combine(key, found, depth) for key, found in values.items()}


def latest(pieces: Sequence[JsonObject]) -> JsonObject:
    """Return the object whose every field is the last that is not null among `pieces`."""
    whole: JsonObject = {}
    for piece in pieces:
        for key, value in piece.items():
            if value is not None or key not in whole:
                whole[key] = value
    return whole


def join_text(values: Sequence[object]) -> str:
    """Return the strings among `values` as one."""
    return "".join([value for value in values if isinstance(value, str)])


def _combine(key: str, values: list[object], depth: int) -> object:
    known = [value for value in values if value is not None]
    if not known or depth == 0:
        return known[-1] if known else None
    if key in _SAID_ONCE:
        return next((value for value in known if value != ""), known[0])
    if all(isinstance(value, str) for value in known):
        return join_text(known)
    objects = [value for value in known if isinstance(value, dict)]
    if len(objects) == len(known):
        return fold(objects, depth - 1)
    lists = [value for value in known if isinstance(value, list)]
    if len(lists) == len(known):
        return _fold_members([member for members in lists for member in members], depth - 1)
    return known[-1]


def _fold_members(members: list[object], depth: int) -> list[object]:
    indexed: dict[int, list[JsonObject]] = {}
    others: list[object] = []
    for member in members:
        if isinstance(member, dict) and type(member.get("index")) is int:
            indexed.setdefault(member["index"], []).append(member)
        else:
            others.append(member)
    return [fold(indexed[index], depth) for index in sorted(indexed)] + others
