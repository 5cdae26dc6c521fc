"""The candidates of a Gemini stream, put together from its chunks.

Sources: https://ai.google.dev/api/generate-content (Candidate, Content, Part); google-genai 3.6.1 (PartialArg).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import orjson

from gateway.wire.fields import MAX_TEXT, JsonObject, index_in, object_in, objects_in
from gateway.wire.folding import fold, join_text, latest

_LISTS = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
"""Fields of a candidate whose lists grow with the chunks, and are repeated by some."""

_TEXT_KEYS = frozenset({"text", "thought", "thoughtSignature"})
_VALUES = ("stringValue", "numberValue", "boolValue")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[['\"]([^'\"]*)['\"]\]")

_MAX_DEPTH = 32
"""Deepest place of an argument that is believed."""

Place = tuple[str | int, ...]


def build_candidates(chunks: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the candidates that these chunks, parsed and in order, build."""
    pieces: dict[int, list[JsonObject]] = {}
    for chunk in chunks:
        for candidate in objects_in(chunk, "candidates"):
            pieces.setdefault(index_in(candidate), []).append(candidate)
    return [_build_candidate(pieces[index]) for index in sorted(pieces)]


def _build_candidate(pieces: list[JsonObject]) -> JsonObject:
    candidate = latest(pieces)
    contents = [object_in(piece, "content") for piece in pieces]
    if content := latest(contents):
        parts = _join_parts([part for one in contents for part in objects_in(one, "parts")])
        candidate["content"] = content | ({"parts": parts} if parts or "parts" in content else {})
    for key in _LISTS:
        if key in candidate:
            candidate[key] = _unite([object_in(piece, key) for piece in pieces])
    if "logprobsResult" in candidate:
        candidate["logprobsResult"] = fold([object_in(piece, "logprobsResult") for piece in pieces])
    return candidate


def _unite(pieces: Sequence[JsonObject]) -> JsonObject:
    """Each field's lists as one without what is repeated; of any other field the last."""
    united = latest(pieces)
    for key in united:
        lists = [found for piece in pieces if isinstance(found := piece.get(key), list)]
        if len(lists) > 1:
            members = [member for found in lists for member in found]
            united[key] = list({_identity(member): member for member in members}.values())
    return united


def _identity(member: object) -> object:
    try:
        return orjson.dumps(member)
    except orjson.JSONEncodeError:
        return id(member)


def _join_parts(parts: list[JsonObject]) -> list[JsonObject]:
    groups: list[list[JsonObject]] = []
    for part in parts:
        if groups and _goes_on(groups[-1][-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    joined = [_join(group) for group in groups]
    return [part for part in joined if part != {"text": ""}] or joined[:1]


def _goes_on(last: JsonObject, part: JsonObject) -> bool:
    """Whether a part is a further piece of the one before it: a signature ends a text, thoughts stand apart."""
    if _is_text(last) and _is_text(part):
        return bool(last.get("thought")) == bool(part.get("thought")) and "thoughtSignature" not in last
    return object_in(last, "functionCall").get("willContinue") is True and "functionCall" in part


def _is_text(part: JsonObject) -> bool:
    return isinstance(part.get("text"), str) and part.keys() <= _TEXT_KEYS


def _join(group: list[JsonObject]) -> JsonObject:
    whole = latest(group)
    if "text" in whole and len(group) > 1:
        whole["text"] = join_text([part.get("text") for part in group])
    calls = [object_in(part, "functionCall") for part in group]
    if any("partialArgs" in call or "willContinue" in call for call in calls):
        call = latest(calls)
        call.pop("partialArgs", None)
        call.pop("willContinue", None)
        call["args"] = _build_args([piece for one in calls for piece in objects_in(one, "partialArgs")], call)
        whole["functionCall"] = call
    return whole


def _build_args(pieces: list[JsonObject], call: JsonObject) -> JsonObject:
    """The arguments that arrived piece by piece, each with its place."""
    arrived: dict[str, list[object]] = {}
    for piece in pieces:
        path = piece.get("jsonPath")
        if isinstance(path, str) and len(path) <= MAX_TEXT:
            arrived.setdefault(path, []).append(next((piece[key] for key in _VALUES if key in piece), None))
    leaves = {
        tuple(int(index) if index else name or quoted for name, index, quoted in _STEP.findall(path)): (
            join_text(values) if all(isinstance(value, str) for value in values) else values[-1]
        )
        for path, values in arrived.items()
    }
    built = _nest({place: value for place, value in leaves.items() if 0 < len(place) <= _MAX_DEPTH})
    return object_in(call, "args") | (built if isinstance(built, dict) else {})


def _nest(leaves: dict[Place, object]) -> object:
    """The value whose leaves these are: an object, or a list where all its members have positions."""
    if () in leaves:
        return leaves[()]
    members: dict[str | int, dict[Place, object]] = {}
    for place, value in leaves.items():
        members.setdefault(place[0], {})[place[1:]] = value
    if members and all(isinstance(key, int) for key in members):
        return [_nest(members[key]) for key in sorted(members)]
    return {str(key): _nest(inner) for key, inner in members.items()}
