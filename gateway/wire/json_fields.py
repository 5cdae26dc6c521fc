"""JSON that may hold anything: bounded parsing, typed fields, streamed deltas joined."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import orjson

# 16 MiB of embeddings, all that is kept by default, have 1.4 million values.
MAX_JSON_VALUES = 1_500_000

_SLICE_BYTES = 1024 * 1024
# There is one of them for each value, but the outermost.
_SEPARATORS = (b",", b"[", b"{")


def has_too_many_values(text: bytes) -> bool:
    """Tell whether a JSON text may hold more values than are read."""
    # Punctuation inside of strings counts as well: finding strings would take as long as parsing.
    if len(text) <= MAX_JSON_VALUES:
        return False
    count = 0
    for start in range(0, len(text), _SLICE_BYTES):
        part = text[start : start + _SLICE_BYTES]
        count += sum(map(part.count, _SEPARATORS))
        if count > MAX_JSON_VALUES:
            return True
    return False


def parse_json(text: bytes | str) -> object:
    """Return the value of a JSON text.

    Raises:
        orjson.JSONDecodeError: it is none, or holds too much.
    """
    if has_too_many_values(text if isinstance(text, bytes) else text.encode(errors="replace")):
        raise orjson.JSONDecodeError(f"more than {MAX_JSON_VALUES:,} values", "", 0)
    value: object = orjson.loads(text)
    return value


def is_json(text: bytes) -> bool:
    """Tell whether a text is JSON, or too large to know."""
    if has_too_many_values(text):
        return True
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


JsonObject = dict[str, Any]

# Longest model name, id or reason, in characters.
MAX_TEXT = 512
# Sums and costs of such counts still fit a database's integer.
MAX_COUNT = 10**12


def parse_object(data: bytes) -> JsonObject | None:
    """Return the JSON object that `data` is, or None if it is anything else."""
    try:
        value = parse_json(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def text_in(source: JsonObject, key: str) -> str | None:
    """Return a string field that is neither empty nor longer than MAX_TEXT."""
    value = source.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def count_in(source: JsonObject, key: str) -> int | None:
    """Return a field that is a count from 0 to MAX_COUNT; a fraction is rounded."""
    value = source.get(key)
    if type(value) is float and isfinite(value):
        # Some gateways compute counts, of images for instance, and send 258.0 or 258.5.
        value = round(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def amount_in(source: JsonObject, key: str) -> float | None:
    """Return a field that is an amount, such as seconds, from 0 to MAX_COUNT."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def first_count(*candidates: tuple[JsonObject, str]) -> int | None:
    """Return the first of these fields that is a count."""
    return next((count for each in candidates if (count := count_in(*each)) is not None), None)


def first_positive(*candidates: tuple[JsonObject, str]) -> int | None:
    """Return the first of these fields above 0; 0 where one is there and none is."""
    return next((count for each in candidates if (count := count_in(*each))), first_count(*candidates))


def object_in(source: JsonObject, key: str) -> JsonObject:
    """Return a field that is an object, else an empty one."""
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def objects_in(source: JsonObject, key: str) -> list[JsonObject]:
    """Return the members of a list field that are objects."""
    value = source.get(key)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def index_in(source: JsonObject, key: str = "index") -> int:
    """Return a position within a list, 0 where the field is missing."""
    return count_in(source, key) or 0


def group_by_index(pieces: Iterable[tuple[int, JsonObject]]) -> list[list[JsonObject]]:
    """Return the pieces of each index, in the order of the indexes."""
    groups: dict[int, list[JsonObject]] = {}
    for index, piece in pieces:
        groups.setdefault(index, []).append(piece)
    return [groups[index] for index in sorted(groups)]


def all_finished(endings: Iterable[tuple[int, object]]) -> bool:
    """Tell whether every index has a reason to end, and there is one."""
    started: set[int] = set()
    finished: set[int] = set()
    for index, reason in endings:
        started.add(index)
        if reason:
            finished.add(index)
    return bool(finished) and started == finished


def without_zeros(units: Mapping[str, float | None]) -> dict[str, float]:
    """Return the units that are counted."""
    return {name: count for name, count in units.items() if count}


# Some servers repeat these in each piece; they are never cut into pieces.
_NOT_JOINED = frozenset({"format", "id", "index", "name", "role", "type"})
# Deltas go no deeper; hostile input does.
_MAX_DELTA_DEPTH = 8


def join_deltas(pieces: Sequence[JsonObject], depth: int = _MAX_DELTA_DEPTH) -> JsonObject:
    """Return the object whose deltas `pieces` are: strings, lists and objects joined, of others the last."""
    values: dict[str, list[object]] = {}
    for piece in pieces:
        for key, value in piece.items():
            values.setdefault(key, []).append(value)
    return {key: _join_values(key, found, depth) for key, found in values.items()}


def last_values(pieces: Sequence[JsonObject]) -> JsonObject:
    """Return the object whose every field is the last among `pieces` that is not null."""
    whole: JsonObject = {}
    for piece in pieces:
        for key, value in piece.items():
            if value is not None or key not in whole:
                whole[key] = value
    return whole


def join_text(values: Sequence[object]) -> str:
    return "".join([value for value in values if isinstance(value, str)])


def parse_tool_input(text: str, otherwise: object) -> object:
    """Return the input of a tool that came as text, or the text where it was cut."""
    if not text:
        return otherwise
    try:
        return parse_json(text)
    except orjson.JSONDecodeError:
        # Better than an empty object, with which the tool would be called again.
        return text


def _join_values(key: str, values: list[object], depth: int) -> object:
    known = [value for value in values if value is not None]
    if not known or depth == 0:
        return known[-1] if known else None
    if key in _NOT_JOINED:
        return next((value for value in known if value != ""), known[0])
    if all(isinstance(value, str) for value in known):
        return join_text(known)
    objects = [value for value in known if isinstance(value, dict)]
    if len(objects) == len(known):
        return join_deltas(objects, depth - 1)
    lists = [value for value in known if isinstance(value, list)]
    if len(lists) == len(known):
        return _join_members([member for members in lists for member in members], depth - 1)
    if len(lists) + sum(isinstance(value, str) for value in known) == len(known):
        return _join_content_parts(known, depth - 1)
    return known[-1]


def _join_content_parts(values: list[object], depth: int) -> list[object]:
    # Mistral's reasoning models stream content now as text, now as a list of typed parts.
    parts: list[object] = []
    for value in values:
        given = value if isinstance(value, list) else [{"type": "text", "text": value}] if value else []
        parts += given
    return _join_members(parts, depth)


def _join_members(members: list[object], depth: int) -> list[object]:
    """Join the pieces of each member: those with one index, else neighbours that only go on."""
    indexed: dict[int, list[list[JsonObject]]] = {}
    others: list[list[Any]] = []
    for member in members:
        if isinstance(member, dict) and type(member.get("index")) is int:
            groups = indexed.setdefault(member["index"], [[]])
            if groups[-1] and _is_next_call(groups[-1], member):
                groups.append([])
            groups[-1].append(member)
        elif others and _is_continuation(others[-1][0], member):
            others[-1].append(member)
        else:
            others.append([member])
    done: list[object] = [join_deltas(group, depth) for index in sorted(indexed) for group in indexed[index]]
    return done + [group[0] if len(group) == 1 else join_deltas(group, depth) for group in others]


def _is_next_call(group: list[JsonObject], member: JsonObject) -> bool:
    # Some servers give all parallel calls one index, and each its own id and name.
    call_id, first_id = member.get("id"), next((one["id"] for one in group if one.get("id")), None)
    if not call_id or not first_id or call_id == first_id:
        return False
    called = member.get("function") or member.get("custom")
    return isinstance(called, dict) and bool(called.get("name"))


def _is_continuation(first: object, member: object) -> bool:
    """Tell whether neighbours are pieces of one: text after text, thinking, or arguments of a call."""
    if not isinstance(first, dict) or not isinstance(member, dict):
        return False
    called = member.get("function")
    if isinstance(called, dict) and isinstance(first.get("function"), dict):
        return not member.get("id") and not called.get("name")
    if first.keys() != member.keys():
        return False
    kind = member.get("type")
    return kind in ("text", "thinking") and first.get("type") == kind and set(member) == {"type", kind}
