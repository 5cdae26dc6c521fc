"""Gemini's Interactions: one object, or a stream of typed events that build it step by step.

Sources: https://ai.google.dev/api/interactions-api and /gemini-api/docs/interactions/streaming; google-genai 3.6.1,
`_gaos/types/interactions`.
"""

from collections.abc import Iterable

import orjson

from gateway.wire.formats import JsonFormat, ResponseFacts, error_message
from gateway.wire.gemini import CountNames, count_searches, read_terms, read_units, read_usage, to_billing
from gateway.wire.json_fields import (
    JsonObject,
    count_in,
    index_in,
    join_text,
    last_values,
    object_in,
    objects_in,
    parse_json,
    text_in,
)
from gateway.wire.openai_usage import counts_anything

_RUNNING = frozenset({"queued", "in_progress"})
_FAILED = "failed"
_NAMES = CountNames(
    prompt="total_input_tokens",
    tool_prompt="total_tool_use_tokens",
    answer="total_output_tokens",
    thoughts="total_thought_tokens",
    cached="total_cached_tokens",
    total="total_tokens",
    prompt_modalities="input_tokens_by_modality",
    tool_prompt_modalities="tool_use_tokens_by_modality",
    cached_modalities="cached_tokens_by_modality",
    answer_modalities="output_tokens_by_modality",
    tokens="tokens",
)
_CONTENT = frozenset({"image", "audio", "video", "document"})


def recognises(answer: JsonObject) -> bool:
    event = text_in(answer, "event_type") or ""
    return answer.get("object") == "interaction" or event.startswith(("interaction.", "step."))


def read_model(request: JsonObject) -> str | None:
    return text_in(request, "model") or text_in(request, "agent")


def read_answer(answer: JsonObject) -> ResponseFacts:
    counts = object_in(answer, "usage")
    usage = read_usage(counts, _NAMES)
    model = read_model(answer)
    units = read_units(usage, counts, _NAMES) | count_searches(_count_searches(counts), model)
    status = text_in(answer, "status")
    # `errors` alone are no failure: an agent may have gone on after them.
    has_failed = status == _FAILED or bool(answer.get("error"))
    return ResponseFacts(
        model=model,
        usage=usage,
        response_id=text_in(answer, "id"),
        finish_reason=None if status in _RUNNING else status,
        note=error_message(answer) or (_first_error(answer) if has_failed else None),
        billing=to_billing(units, read_terms(text_in(answer, "service_tier"))),
        has_failed=has_failed,
    )


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    whole = _build_envelope(events)
    steps = _build_steps(events)
    return whole | {"steps": steps} if steps else whole or None


def _build_envelope(events: Iterable[JsonObject]) -> JsonObject:
    # The last event carries the usage, but not the steps.
    carriers: list[JsonObject] = []
    for event in events:
        kind = event.get("event_type")
        if interaction := object_in(event, "interaction"):
            carriers.append({key: value for key, value in interaction.items() if key != "steps" or value})
        elif kind == "interaction.status_update":
            status, usage = event.get("status"), event.get("usage")
            carriers.append({"id": event.get("interaction_id"), "status": status, "usage": usage})
        elif totals := object_in(object_in(event, "metadata"), "total_usage") or object_in(event, "usage"):
            carriers.append({"usage": totals})
        elif event.get("error") or kind == "error":
            carriers.append({"error": event.get("error") or event})
    whole = last_values(carriers)
    counts = [found for one in carriers if counts_anything(found := object_in(one, "usage"))]
    return whole | {"usage": counts[-1]} if counts else whole


def _build_steps(events: list[JsonObject]) -> list[JsonObject]:
    steps: dict[int, JsonObject] = {}
    deltas: dict[int, list[JsonObject]] = {}
    for event in events:
        if event.get("event_type") == "step.start":
            steps.setdefault(index_in(event), object_in(event, "step"))
        elif event.get("event_type") == "step.delta":
            deltas.setdefault(index_in(event), []).append(object_in(event, "delta"))
    return [_build_step(steps.get(at, {}), deltas.get(at, [])) for at in sorted(steps.keys() | deltas.keys())]


def _build_step(started: JsonObject, deltas: list[JsonObject]) -> JsonObject:
    step = dict(started)
    content, summary = _copy_list(step, "content"), _copy_list(step, "summary")
    arguments: list[object] = []
    for delta in deltas:
        kind = text_in(delta, "type")
        if kind == "text":
            _add_text(content, delta)
        elif kind == "text_annotation_delta" and content:
            before = _copy_list(content[-1], "annotations")
            content[-1]["annotations"] = before + objects_in(delta, "annotations")
        elif kind == "thought_summary":
            _add_text(summary, object_in(delta, "content"))
        elif kind == "arguments_delta":
            arguments.append(delta.get("arguments"))
        elif kind in _CONTENT:
            content.append(dict(delta))
        else:
            step |= {key: value for key, value in delta.items() if key != "type"}
    if arguments:
        step["arguments"] = _parse_arguments(join_text(arguments))
    return (
        step
        | ({"content": _join_pieces(content)} if content else {})
        | ({"summary": _join_pieces(summary)} if summary else {})
    )


def _copy_list(source: JsonObject, key: str) -> list[JsonObject]:
    return [dict(member) for member in objects_in(source, key)]


def _add_text(members: list[JsonObject], piece: JsonObject) -> None:
    # Pieces are joined at the end: a long answer has thousands.
    if members and members[-1].get("type") == piece.get("type") == "text":
        if not isinstance(members[-1].get("text"), list):
            members[-1]["text"] = [members[-1].get("text")]
        members[-1]["text"].append(piece.get("text"))
    else:
        members.append(dict(piece))


def _join_pieces(members: list[JsonObject]) -> list[JsonObject]:
    return [
        member | {"text": join_text(member["text"])} if isinstance(member.get("text"), list) else member
        for member in members
    ]


def _parse_arguments(text: str) -> object:
    try:
        return parse_json(text)
    except orjson.JSONDecodeError:
        # Cut before its end: the text that arrived is better than an empty object.
        return text


def _first_error(answer: JsonObject) -> str | None:
    return next((note for one in objects_in(answer, "errors") if (note := error_message(one))), None)


def _count_searches(counts: JsonObject) -> int:
    tools = objects_in(counts, "grounding_tool_count")
    return sum(count_in(tool, "count") or 0 for tool in tools if tool.get("type") == "google_search")


def _is_error_event(event: JsonObject) -> bool:
    return bool(event.get("error")) or event.get("event_type") == "error"


FORMAT = JsonFormat(
    recognises, read_answer, rebuild=rebuild, read_model=read_model, is_error_event=_is_error_event
)
