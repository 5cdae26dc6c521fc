"""The output items of a Responses stream, rebuilt from what its events added to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.wire.fields import JsonObject, index_in, object_in
from gateway.wire.folding import join_text

_PART_TEXT = {
    "response.output_text": ("content", "content_index", "text"),
    "response.refusal": ("content", "content_index", "refusal"),
    "response.reasoning_text": ("content", "content_index", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "text"),
}
"""Stem of a delta's event type → list of the item, index into it, field of that part."""

_ITEM_TEXT = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}
"""Stem of a delta's event type → field of the item."""

_PART = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}

_PART_TYPES = {
    "response.output_text": "output_text",
    "response.refusal": "refusal",
    "response.reasoning_text": "reasoning_text",
    "response.reasoning_summary_text": "summary_text",
}


@dataclass(slots=True)
class _Piece:
    """An item, or a part of one: what it was announced as, and the text that was added since."""

    announced: JsonObject = field(default_factory=dict)
    added: dict[str, list[object]] = field(default_factory=dict)
    annotations: list[object] = field(default_factory=list)

    def announce(self, value: JsonObject) -> None:
        self.announced = value
        self.added.clear()
        self.annotations.clear()

    def build(self) -> JsonObject:
        whole = dict(self.announced)
        for key, texts in self.added.items():
            whole[key] = join_text([whole.get(key), *texts])
        if self.annotations:
            earlier = whole.get("annotations")
            whole["annotations"] = [*(earlier if isinstance(earlier, list) else []), *self.annotations]
        return whole


@dataclass(slots=True)
class _Item(_Piece):
    parts: dict[tuple[str, int], _Piece] = field(default_factory=dict)

    def announce(self, value: JsonObject) -> None:
        _Piece.announce(self, value)
        self.parts.clear()

    def part(self, place: str, index: int) -> _Piece:
        return self.parts.setdefault((place, index), _Piece())

    def build(self) -> JsonObject:
        whole = _Piece.build(self)
        for place in dict.fromkeys(place for place, _ in self.parts):
            whole[place] = [self.parts[key].build() for key in sorted(self.parts) if key[0] == place]
        return whole


def build_output(events: list[JsonObject]) -> list[JsonObject]:
    """Return the items as far as these events, parsed and in order, have brought them."""
    items: dict[int, _Item] = {}
    for event in events:
        if "output_index" in event:
            _apply(event, items.setdefault(index_in(event, "output_index"), _Item()))
    return [built for index in sorted(items) if (built := items[index].build())]


def _apply(event: JsonObject, item: _Item) -> None:
    stem, _, step = str(event.get("type")).rpartition(".")
    if stem == "response.output_item":
        item.announce(object_in(event, "item"))
    elif stem in _PART:
        place, index = _PART[stem]
        item.part(place, index_in(event, index)).announce(object_in(event, "part"))
    elif stem == "response.output_text.annotation":
        item.part("content", index_in(event, "content_index")).annotations.append(event.get("annotation"))
    elif stem in _PART_TEXT:
        place, index, key = _PART_TEXT[stem]
        part = item.part(place, index_in(event, index))
        part.announced.setdefault("type", _PART_TYPES[stem])
        _add_text(part, key, event, step)
    elif stem in _ITEM_TEXT:
        _add_text(item, _ITEM_TEXT[stem], event, step)


def _add_text(piece: _Piece, key: str, event: JsonObject, step: str) -> None:
    if step == "delta":
        piece.added.setdefault(key, []).append(event.get("delta"))
    elif isinstance(event.get(key), str):
        piece.announced[key] = event[key]
        piece.added.pop(key, None)
