"""Putting the pieces of a streamed object together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.wire.fields import JsonObject
from gateway.wire.json_text import loads

_SAID_ONCE = frozenset({"format", "id", "index", "name", "role", "type"})
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


def parse_input(text: str, otherwise: object) -> object:
    """Return the input of a tool that arrived as text; the text where it was cut, `otherwise` where none came."""
    if not text:
        return otherwise
    try:
        return loads(text)
    except orjson.JSONDecodeError:
        # Better than an empty object, which the tool would be run with.
        return text


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
    if len(lists) + sum(isinstance(value, str) for value in known) == len(known):
        return _join_content(known, depth - 1)
    return known[-1]


def _join_content(values: list[object], depth: int) -> list[object]:
    """Content that comes now as text, now as a list of typed parts, as Mistral's reasoning models stream it."""
    parts: list[object] = []
    for value in values:
        given = value if isinstance(value, list) else [{"type": "text", "text": value}] if value else []
        parts += given
    return _fold_members(parts, depth)


def _fold_members(members: list[object], depth: int) -> list[object]:
    """Join the pieces of each member: those with one index, or, without any, neighbours that only go on."""
    indexed: dict[int, list[list[JsonObject]]] = {}
    others: list[list[Any]] = []
    for member in members:
        if isinstance(member, dict) and type(member.get("index")) is int:
            groups = indexed.setdefault(member["index"], [[]])
            if groups[-1] and _begins_another(groups[-1], member):
                groups.append([])
            groups[-1].append(member)
        elif others and _goes_on(others[-1][0], member):
            others[-1].append(member)
        else:
            others.append([member])
    folded: list[object] = [fold(group, depth) for index in sorted(indexed) for group in indexed[index]]
    return folded + [group[0] if len(group) == 1 else fold(group, depth) for group in others]


def _begins_another(group: list[JsonObject], member: JsonObject) -> bool:
    """Some servers give all parallel calls one index, and each its own id and name."""
    call_id, first_id = member.get("id"), next((one["id"] for one in group if one.get("id")), None)
    if not call_id or not first_id or call_id == first_id:
        return False
    called = member.get("function") or member.get("custom")
    return isinstance(called, dict) and bool(called.get("name"))


def _goes_on(first: object, member: object) -> bool:
    """Whether neighbouring parts are pieces of one: text after text, thinking after thinking, more arguments of
    a call."""
    if not isinstance(first, dict) or not isinstance(member, dict):
        return False
    called = member.get("function")
    if isinstance(called, dict) and isinstance(first.get("function"), dict):
        return not member.get("id") and not called.get("name")
    if first.keys() != member.keys():
        return False
    kind = member.get("type")
    return kind in ("text", "thinking") and first.get("type") == kind and set(member) == {"type", kind}
